//! Sends the log to the collector: a task of the daemon's that reads the store and never writes it, so that it
//! holds up nothing.
//!
//! What the collector has acknowledged it is not sent again; what it has not stays in the store.

mod address;
mod backoff;
mod compose;
mod connect;
mod enrol;
mod identity;
mod progress;
mod session;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use change::Timestamp;
use change::wire::{CheckBody, CheckState, CollectorBody, FrameError, Problem};
use tokio::sync::Notify;

pub(crate) use self::address::Address;
use self::backoff::Backoff;
pub(crate) use self::enrol::{Applicant, enrol};
pub(crate) use self::identity::{Identity, IdentityError, folder};
pub(crate) use self::progress::Progress;
use self::session::Session;
pub(crate) use self::session::{LOG, countersigned};
use crate::config::{Collector, Config};
use crate::store;

/// A clock is told to be off from here on.
const SKEW_NS: i64 = 2_000_000_000;

/// Says why something with the collector did not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is none.
    #[error("read the collector's URL: {0}")]
    Url(String),
    /// The host of the URL is not found.
    #[error("look for the collector `{name}`: {why}")]
    Name {
        /// The name.
        name: String,
        /// What was tried, and what it said.
        why: String,
    },
    /// Nobody answers there.
    #[error("connect to the collector at {address}: {source}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Whoever answers is not the collector, or does not take this host for what it is.
    #[error("speak TLS with the collector: {0}")]
    Tls(String),
    /// The connection broke.
    #[error("talk to the collector: {0}")]
    Broken(String),
    /// There was no answer in time.
    #[error("talk to the collector: no answer in {} seconds", .0.as_secs())]
    Silent(Duration),
    /// The answer makes no sense.
    #[error("read the collector's answer: {0}")]
    Answer(String),
    /// The collector refused.
    #[error("the collector says: {}", problem.detail)]
    Refused {
        /// Why.
        problem: Problem,
        /// When to come again.
        retry_after: Option<Duration>,
    },
    /// The collector has more of the log than the store.
    #[error(
        "the collector has change {theirs} of this log and the store ends at {ours}: an older copy of the store was put \
         in its place, or its end was cut off; to begin a new log there, enrol the host again"
    )]
    Older {
        /// The newest change that the collector has.
        theirs: u64,
        /// The newest change of the store.
        ours: u64,
    },
    /// There is no identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The batch cannot be packed.
    #[error("pack a batch: {0}")]
    Frame(FrameError),
    /// Work ended early.
    #[error("send a batch: the work was cut short; the daemon's log says why")]
    Interrupted,
}

impl Error {
    fn is_refusal(&self, kind: &str) -> bool {
        matches!(self, Self::Refused { problem, .. } if problem.kind == kind)
    }

    /// Whether the collector knows the host no more, so that trying again is of little use.
    fn is_lasting(&self) -> bool {
        let lasting = [
            "revoked",
            "unknown-certificate",
            "no-certificate",
            "rewritten",
        ];
        lasting.into_iter().any(|kind| self.is_refusal(kind)) || matches!(self, Self::Older { .. })
    }
}

/// Says what to send, and to whom.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) state_dir: PathBuf,
    pub(crate) store: PathBuf,
    pub(crate) socket: PathBuf,
    /// The collector; empty for the one that the host was enrolled with.
    pub(crate) url: String,
    /// Globs of paths whose content may travel.
    pub(crate) contents: Vec<String>,
    /// What the host says it is: `role=db`.
    pub(crate) labels: Vec<String>,
}

impl Settings {
    pub(crate) fn of(config: &Config) -> Self {
        let Collector {
            url,
            contents,
            labels,
        } = config.collector.clone();
        Self {
            state_dir: config.state_dir.clone(),
            store: config.state_dir.join("tracer.db"),
            socket: config.socket.clone(),
            url,
            contents,
            labels,
        }
    }
}

/// What the task and the rest of the daemon share.
#[derive(Debug)]
pub(crate) struct Push {
    settings: Settings,
    /// Something is new: a change, or a comparison of the trees.
    news: Notify,
    /// The host was enrolled.
    enrolment: Notify,
    state: Mutex<State>,
    now: fn() -> Timestamp,
}

/// How sending stands.
#[derive(Clone, Debug, Default)]
struct State {
    enrolled: Option<Enrolled>,
    acknowledged_seq: u64,
    reached: Option<Timestamp>,
    failing_since: Option<Timestamp>,
    problem: Option<String>,
    clock_ahead_ns: Option<i64>,
    /// The trees were compared, or nothing was sent yet: facts may be new that no change brought.
    is_compared: bool,
}

#[derive(Clone, Debug)]
struct Enrolled {
    url: String,
    expires: Timestamp,
}

impl Push {
    pub(crate) fn new(settings: Settings, now: fn() -> Timestamp) -> Self {
        Self {
            settings,
            news: Notify::new(),
            enrolment: Notify::new(),
            state: Mutex::new(State {
                is_compared: true,
                ..State::default()
            }),
            now,
        }
    }

    /// Changes were written.
    pub(crate) fn wake(&self) {
        self.news.notify_one();
    }

    /// The host was enrolled, perhaps anew.
    pub(crate) fn enrolled(&self) {
        self.enrolment.notify_one();
    }

    /// The trees were compared with the store.
    pub(crate) fn compared(&self) {
        self.with_state(|state| state.is_compared = true);
        self.wake();
    }

    /// Sends as long as it is polled. A host that is not enrolled costs nothing.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut backoff = Backoff::default();
        loop {
            let Err(error) = self.attempt(&mut backoff).await else {
                self.enrolment.notified().await;
                continue;
            };
            let asked = match &error {
                Error::Refused { retry_after, .. } => *retry_after,
                error if error.is_lasting() => Some(Duration::from_mins(5)),
                _ => None,
            };
            let wait = backoff.after_failure(asked, random_fraction());
            self.failed(&error, wait);
            // Who enrols meanwhile is not kept waiting.
            drop(tokio::time::timeout(wait, self.enrolment.notified()).await);
        }
    }

    /// Sends until something fails; returns where the host is not enrolled.
    async fn attempt(&self, backoff: &mut Backoff) -> Result<(), Error> {
        let folder = folder(&self.settings.state_dir);
        let Some(mut identity) = Identity::load(&folder)? else {
            self.with_state(|state| {
                *state = State {
                    is_compared: true,
                    ..State::default()
                };
            });
            return Ok(());
        };
        if !self.settings.url.is_empty() {
            identity.url.clone_from(&self.settings.url);
        }
        self.with_state(|state| {
            state.enrolled = Some(Enrolled {
                url: identity.url.clone(),
                expires: identity.given.expires,
            });
            let kept = Progress::read(&folder).map_or(0, |kept| kept.acknowledged_seq);
            state.acknowledged_seq = kept;
        });
        let mut session = Session::begin(self, identity).await?;
        backoff.reset();
        session.send().await
    }

    fn with_state<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn failed(&self, error: &Error, wait: Duration) {
        let now = (self.now)();
        let is_new = self.with_state(|state| {
            let said = error.to_string();
            state.failing_since.get_or_insert(now);
            let is_new = state.problem.as_ref() != Some(&said);
            state.problem = Some(said);
            is_new
        });
        // Once, not each time: a collector may be away for days.
        if is_new {
            tracing::warn!("{error}; trying again in {} s", wait.as_secs());
        } else {
            tracing::debug!("{error}; trying again in {} s", wait.as_secs());
        }
    }

    /// The collector answered, and what its clock was while it did.
    fn answered(&self, acknowledged_seq: u64, theirs: Timestamp, between: [Timestamp; 2]) {
        let [asked, got] = between;
        let (before, after) = (asked.as_nanos(), got.as_nanos());
        let theirs = theirs.as_nanos();
        // Only what lies outside of the time that the answer took is the clock's.
        let ahead = match () {
            () if theirs < before => before - theirs,
            () if theirs > after => after - theirs,
            () => 0,
        };
        let was_failing = self.with_state(|state| {
            state.acknowledged_seq = acknowledged_seq;
            state.reached = Some(got);
            state.clock_ahead_ns = Some(ahead);
            state.problem = None;
            state.failing_since.take()
        });
        if let Some(since) = was_failing {
            tracing::info!("the collector takes changes again, after it had not since {since}");
        }
    }

    /// What `tracer status` shows; nothing where the host is not enrolled.
    pub(crate) fn body(&self, last_seq: u64) -> Option<CollectorBody> {
        let State {
            enrolled,
            acknowledged_seq,
            reached,
            failing_since,
            problem,
            clock_ahead_ns,
            is_compared: _,
        } = self.with_state(|state| state.clone());
        let Enrolled { url, expires } = enrolled?;
        Some(CollectorBody {
            url,
            sent_seq: acknowledged_seq,
            waiting: last_seq.saturating_sub(acknowledged_seq),
            reached,
            failing_since,
            problem,
            certificate_expires: expires,
            clock_ahead_ns,
        })
    }

    /// What `tracer doctor` shows.
    pub(crate) fn checks(&self, last_seq: u64) -> Vec<CheckBody> {
        match self.body(last_seq) {
            Some(body) => checks(&body, (self.now)()),
            None if self.settings.url.is_empty() => Vec::new(),
            None => vec![CheckBody {
                name: "collector".to_owned(),
                state: CheckState::Degraded,
                detail: "this host is not enrolled: nothing is sent; see `tracer enrol --help`"
                    .to_owned(),
            }],
        }
    }
}

fn checks(body: &CollectorBody, now: Timestamp) -> Vec<CheckBody> {
    let check = |name: &str, state, detail: String| CheckBody {
        name: name.to_owned(),
        state,
        detail,
    };
    let CollectorBody {
        url,
        problem,
        failing_since,
        certificate_expires,
        clock_ahead_ns,
        waiting,
        ..
    } = body;
    let mut checks = vec![match (problem, failing_since) {
        (Some(problem), Some(since)) => {
            let detail = format!("{waiting} changes wait since {since}: {problem}");
            check("collector", CheckState::Degraded, detail)
        }
        _ => check("collector", CheckState::Ok, format!("sending to {url}")),
    }];
    let left = (certificate_expires.as_nanos() - now.as_nanos()) / 3_600_000_000_000;
    checks.push(if *certificate_expires <= now {
        let detail = format!("ended {certificate_expires}: enrol the host again");
        check("collector certificate", CheckState::Missing, detail)
    } else {
        let detail = format!("holds until {certificate_expires}, {left} hours from now");
        check("collector certificate", CheckState::Ok, detail)
    });
    if let Some(ahead) = *clock_ahead_ns {
        let seconds = ahead / 1_000_000_000;
        checks.push(if ahead.abs() >= SKEW_NS {
            let detail = format!(
                "{seconds} seconds ahead of the collector's; times of changes are off by so much"
            );
            check("clock", CheckState::Degraded, detail)
        } else {
            let detail = "as the collector's, as far as its answers tell".to_owned();
            check("clock", CheckState::Ok, detail)
        });
    }
    checks
}

/// Between 0 and 1.
fn random_fraction() -> f64 {
    let [first, second, ..] = crate::random::bytes();
    f64::from(u16::from_le_bytes([first, second])) / f64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_nanos(second * 1_000_000_000)
    }

    fn push() -> Push {
        let settings = Settings::of(&Config::default());
        let push = Push::new(settings, || at(100));
        push.with_state(|state| {
            state.enrolled = Some(Enrolled {
                url: "https://collector".to_owned(),
                expires: at(7300),
            });
        });
        push
    }

    fn told(push: &Push) -> Vec<String> {
        let checks = push.checks(10).into_iter();
        checks
            .map(|check| format!("{} {:?}: {}", check.name, check.state, check.detail))
            .collect()
    }

    #[test]
    fn a_clock_is_off_by_what_the_way_of_the_answer_does_not_explain() {
        let push = push();
        let ahead = |theirs| {
            push.answered(1, theirs, [at(50), at(60)]);
            push.body(1).unwrap().clock_ahead_ns.unwrap() / 1_000_000_000
        };
        assert_eq!([ahead(at(50)), ahead(at(55)), ahead(at(60))], [0, 0, 0]);
        assert_eq!([ahead(at(40)), ahead(at(90))], [10, -30]);
        assert!(told(&push)[2].starts_with("clock Degraded: -30 seconds ahead"));
    }

    #[test]
    fn what_waits_is_told_with_why_and_since_when() {
        let push = push();
        push.answered(4, at(55), [at(50), at(60)]);
        push.failed(&Error::Silent(Duration::from_secs(10)), Duration::ZERO);
        let body = push.body(10).unwrap();
        assert_eq!((body.sent_seq, body.waiting), (4, 6));
        assert_eq!(
            (body.reached, body.failing_since),
            (Some(at(60)), Some(at(100)))
        );
        assert!(told(&push)[0].starts_with("collector Degraded: 6 changes wait since"));
        push.answered(10, at(105), [at(100), at(110)]);
        let body = push.body(10).unwrap();
        assert_eq!(
            (body.waiting, body.failing_since, body.problem),
            (0, None, None)
        );
        assert!(told(&push)[0].starts_with("collector Ok"));
    }

    #[test]
    fn a_certificate_that_ended_is_told() {
        let mut push = push();
        assert!(
            told(&push)[1].contains("2 hours from now"),
            "{:?}",
            told(&push)
        );
        push.now = || at(7300);
        assert!(told(&push)[1].starts_with("collector certificate Missing"));
    }

    #[test]
    fn a_host_that_is_not_enrolled_is_told_where_a_collector_is_configured() {
        let mut push = push();
        push.with_state(|state| *state = State::default());
        assert!(push.checks(1).is_empty() && push.body(1).is_none());
        push.settings.url = "https://collector".to_owned();
        assert!(told(&push)[0].contains("tracer enrol"), "{:?}", told(&push));
    }
}
