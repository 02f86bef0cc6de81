//! Rules: what the hosts of a fleet are to be like, as people write it down.
//!
//! There are expectations, baselines, and exceptions from both. How the file is read is in `rules/file.rs`; what
//! deviates is a question and answered there.

mod expectation;
mod file;
mod length;

use change::Timestamp;
use globset::GlobMatcher;

pub use self::expectation::{Expectation, Verdict};
pub use self::file::Fault;
pub(crate) use self::file::{LONGEST_BYTES, read_like};
pub(crate) use self::length::duration;

use crate::fleet::Host;
use crate::selector::Selector;

/// Holds all rules of a fleet.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Expectations first, and baselines behind them, each in the order of the file.
    pub rules: Vec<Rule>,
    /// What may deviate.
    pub exceptions: Vec<Exception>,
    /// So long after a change another one undoes it; what is later is a change of its own.
    pub undone_within_ns: i64,
}

/// Says of some hosts what they are to be like.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Names it, in answers and from one version of the file to the next.
    pub name: String,
    /// Which hosts it is for.
    pub on: Selector,
    /// The label by whose values they fall into subgroups, each held to the rule by itself.
    pub each: Option<String>,
    /// What deviates for less time is not told yet.
    pub lasting_ns: i64,
    /// Whom to ask.
    pub owner: Option<String>,
    /// What it is for.
    pub why: Option<String>,
    /// What is asked of them.
    pub demand: Demand,
}

/// Says what a rule asks of its hosts.
#[derive(Clone, Debug)]
pub enum Demand {
    /// One fact is to be so.
    Expect(Expectation),
    /// All facts are to be like others.
    Like(Baseline),
}

/// Says what the facts of hosts are held against.
#[derive(Clone, Debug)]
pub struct Baseline {
    /// What they are to be like.
    pub like: Like,
    /// Of which subjects; empty is all.
    pub only: Vec<GlobMatcher>,
    /// Rules of noise besides the usual ones.
    pub noise: Vec<String>,
}

/// Says what hosts are to be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Like {
    /// What two thirds of them have.
    Majority,
    /// This host.
    Host(String),
    /// Each like itself at the moment of this snapshot.
    Snapshot(String),
    /// Each like itself at this moment.
    Moment(Timestamp),
    /// Each like itself a day before.
    Yesterday,
}

/// Lets something deviate, for a reason and for a time.
#[derive(Clone, Debug)]
pub struct Exception {
    /// Of which subjects.
    pub subject: GlobMatcher,
    /// From this rule only, by its name.
    pub rule: Option<String>,
    /// On which hosts, by their labels.
    pub on: Selector,
    /// On which of them, by name; empty is all.
    pub hosts: Vec<String>,
    /// Why.
    pub reason: String,
    /// Whom to ask.
    pub owner: String,
    /// Until when.
    pub until: Timestamp,
}

/// For so long a change can be undone where no file says otherwise: a week.
const UNDONE_WITHIN_NS: i64 = 7 * 86_400_000_000_000;

impl Default for Rules {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            exceptions: Vec::new(),
            undone_within_ns: UNDONE_WITHIN_NS,
        }
    }
}

impl Rules {
    /// Only one baseline, which is not from a file.
    pub fn of_baseline(on: Selector, like: Like) -> Self {
        let baseline = Baseline {
            like,
            only: Vec::new(),
            noise: Vec::new(),
        };
        let rule = Rule {
            name: format!("{} of {on}", baseline.like),
            on,
            each: None,
            lasting_ns: 0,
            owner: None,
            why: None,
            demand: Demand::Like(baseline),
        };
        Self {
            rules: vec![rule],
            ..Self::default()
        }
    }

    /// The exception for a deviation, if there is one: one that still holds before one that has ended, and of those
    /// the one that ends last.
    pub fn exception(&self, rule: &str, host: &Host, subject: &str) -> Option<&Exception> {
        let is_for = |exception: &&Exception| {
            let Exception {
                subject: glob,
                rule: of,
                on,
                hosts,
                ..
            } = exception;
            let is_named = |name: &String| [&host.hostname, &host.machine].contains(&name);
            of.as_ref().is_none_or(|of| of == rule)
                && (hosts.is_empty() || hosts.iter().any(is_named))
                && on.selects(&host.labels)
                && glob.is_match(subject)
        };
        let found = self.exceptions.iter().filter(is_for);
        found.max_by_key(|exception| exception.until)
    }
}

impl Rule {
    /// Whether what deviates since a moment is told now.
    pub fn is_lasting(&self, since: Timestamp, now: Timestamp) -> bool {
        now.as_nanos().saturating_sub(since.as_nanos()) >= self.lasting_ns
    }
}

impl Baseline {
    /// Whether it is about a subject, written with its kind.
    pub fn covers(&self, subject: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|glob| glob.is_match(subject))
    }
}

impl std::fmt::Display for Like {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Majority => f.write_str("majority"),
            Self::Host(name) => write!(f, "host:{name}"),
            Self::Snapshot(name) => write!(f, "snapshot:{name}"),
            Self::Moment(at) => write!(f, "{at}"),
            Self::Yesterday => f.write_str("yesterday"),
        }
    }
}
