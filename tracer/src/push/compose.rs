//! Makes batches of what the store has: of the log in its order, and of the rest as far as it is new.

use std::collections::{BTreeMap, BTreeSet};

use change::wire::{Batch, ChainHead, Content, FactNow, Sender, SessionBody};
use change::{Actor, Change, ContentState, FactValue, Gap, Kind, Subject, Timestamp};
use globset::GlobSet;

use super::Settings;
use super::progress::Progress;
use crate::daemon::{Heartbeat, hostname};
use crate::store::{self, Kept, KnownHead, Reader, parse_content_name};
use crate::trees;

/// A batch has no more changes than this,
const MOST_CHANGES: usize = 1000;
/// and takes about so much memory at most, beyond its last change.
const MUCH_BYTES: usize = 512 << 10;
/// What a change takes beside its actor, about.
const CHANGE_BYTES: usize = 512;
/// So many bytes of contents are sent at a time, beyond the last.
const CONTENT_BYTES: usize = 1 << 20;
/// So many facts at a time.
const FACTS: usize = 250;
/// So many runs at a time.
const RUNS: u64 = 100;
/// The newest gaps, among which one may have ended.
const GAPS: u32 = 100;
/// The newest sessions, among which some may have ended. A session that ends when so many have begun since is told
/// as one whose end is not known.
const SESSIONS: u32 = 100;

/// Says of whom batches are.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) machine: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) log: String,
}

/// Makes batches.
pub(super) struct Composer {
    reader: Reader,
    heartbeat: Heartbeat,
    origin: Origin,
    /// Whose content may travel.
    contents: GlobSet,
    /// The gaps as they were sent.
    gaps: BTreeMap<u64, Gap>,
    /// The sessions as they were sent, by when they began.
    sessions: BTreeMap<(Timestamp, u32), SessionBody>,
    /// Where the facts that no change brought are to be gone on with; none where all were sent.
    facts: Option<FactsAt>,
}

/// How far the facts were gone through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct FactsAt(Option<Subject>);

/// A batch with what is to be noted once the collector has it.
pub(super) struct Composed {
    pub(super) batch: Batch,
    last_run: u64,
    open_runs: BTreeSet<u64>,
    facts: Option<FactsAt>,
}

impl Composed {
    /// Whether the batch says anything but that the host is there.
    pub(super) fn says_something(&self) -> bool {
        let Batch {
            changes,
            facts,
            runs,
            gaps,
            sessions,
            ..
        } = &self.batch;
        let has_log = !(changes.is_empty() && facts.is_empty() && runs.is_empty());
        has_log || !(gaps.is_empty() && sessions.is_empty())
    }
}

impl Composer {
    pub(super) fn open(
        settings: &Settings,
        origin: Origin,
        contents: GlobSet,
    ) -> Result<Self, store::Error> {
        Ok(Self {
            reader: Reader::open(&settings.store)?,
            heartbeat: Heartbeat::beside(&settings.socket, Timestamp::from_nanos(0)),
            origin,
            contents,
            gaps: BTreeMap::new(),
            sessions: BTreeMap::new(),
            facts: None,
        })
    }

    /// Goes through all facts once more.
    pub(super) fn go_through_facts(&mut self) {
        self.facts = Some(FactsAt::default());
    }

    /// Whether there are facts that were not gone through yet.
    pub(super) fn has_facts_left(&self) -> bool {
        self.facts.is_some()
    }

    /// Notes that a batch has nothing to say, and is not sent; tells whether the next one may have.
    pub(super) fn pass_over(&mut self, composed: Composed) -> bool {
        let is_further = composed.facts != self.facts;
        self.facts = composed.facts;
        is_further && self.has_facts_left()
    }

    /// Number of the newest change.
    pub(super) fn last_seq(&self) -> Result<u64, store::Error> {
        self.reader.last_seq()
    }

    /// Where the log's hash chain is at a change.
    pub(super) fn head_at(&self, seq: u64) -> Result<Option<ChainHead>, store::Error> {
        Ok(self.reader.head_at(seq)?.map(wire_head))
    }

    /// The next batch, behind what the collector has.
    pub(super) fn compose(
        &self,
        progress: &Progress,
        now: Timestamp,
    ) -> Result<Composed, store::Error> {
        let before = self.head_at(progress.acknowledged_seq)?;
        let mut log = Piece::default();
        self.reader
            .log_after(progress.acknowledged_seq, &mut |change, chain| {
                log.add(change, chain)
            })?;
        let mut batch = self.empty(progress.acknowledged_seq + 1, now)?;
        batch.chain = log.head.map(wire_head).or_else(|| before.clone());
        batch.before = before;
        batch.changes = log.changes;
        let (last_run, open_runs) = self.add_runs(progress, &mut batch)?;
        self.add_gaps(&mut batch)?;
        self.add_sessions(&mut batch)?;
        let facts = self.add_facts(&mut batch)?;
        Ok(Composed {
            batch,
            last_run,
            open_runs,
            facts,
        })
    }

    /// A batch that says only that the host is there.
    fn empty(&self, first_seq: u64, now: Timestamp) -> Result<Batch, store::Error> {
        let Origin {
            machine,
            labels,
            log,
        } = &self.origin;
        Ok(Batch {
            sender: Sender {
                machine: machine.clone(),
                hostname: hostname(),
                labels: labels.clone(),
                tracer: env!("CARGO_PKG_VERSION").to_owned(),
                log: log.clone(),
            },
            sent: now,
            first_seq,
            newest_seq: self.reader.last_seq()?,
            complete_until: self.heartbeat.complete_until(&self.reader)?,
            ..Batch::default()
        })
    }

    /// A batch of contents alone, to be sent before the changes that lead to them.
    pub(super) fn of_contents(
        &self,
        acknowledged_seq: u64,
        contents: Vec<Content>,
        now: Timestamp,
    ) -> Result<Batch, store::Error> {
        let head = self.head_at(acknowledged_seq)?;
        Ok(Batch {
            before: head.clone(),
            chain: head,
            contents,
            ..self.empty(acknowledged_seq + 1, now)?
        })
    }

    /// Notes that the collector has it.
    pub(super) fn sent(&mut self, composed: Composed, progress: &mut Progress) {
        let Composed {
            batch,
            last_run,
            open_runs,
            facts,
        } = composed;
        progress.acknowledged_seq = batch.next_seq() - 1;
        progress.last_run = last_run;
        progress.open_runs = open_runs;
        self.gaps
            .extend(batch.gaps.into_iter().map(|gap| (gap.id, gap)));
        let sessions = batch.sessions.into_iter();
        self.sessions
            .extend(sessions.map(|body| ((body.start, body.session.id), body)));
        // Of older ones nothing is sent again.
        while self.sessions.len() > SESSIONS as usize {
            self.sessions.pop_first();
        }
        self.facts = facts;
    }

    /// Runs that began, and those that ended since they were sent.
    fn add_runs(
        &self,
        progress: &Progress,
        batch: &mut Batch,
    ) -> Result<(u64, BTreeSet<u64>), store::Error> {
        let mut open = progress.open_runs.clone();
        let newest = self.reader.newest_run()?;
        let last = newest.min(progress.last_run.saturating_add(RUNS));
        let new = progress.last_run.saturating_add(1)..=last;
        for id in progress.open_runs.iter().copied().chain(new) {
            let Some(run) = self.reader.run(id)? else {
                open.remove(&id);
                continue;
            };
            let is_new = id > progress.last_run;
            if run.running {
                open.insert(id);
            } else {
                open.remove(&id);
            }
            if is_new || !run.running {
                batch.runs.push(run);
            }
        }
        Ok((last.max(progress.last_run), open))
    }

    fn add_gaps(&self, batch: &mut Batch) -> Result<(), store::Error> {
        let mut gaps = self.reader.gaps(GAPS)?;
        gaps.retain(|gap| self.gaps.get(&gap.id) != Some(gap));
        gaps.reverse();
        batch.gaps = gaps;
        Ok(())
    }

    /// Sessions that began, and those that ended since they were sent. What each changed the collector counts itself.
    fn add_sessions(&self, batch: &mut Batch) -> Result<(), store::Error> {
        let mut sessions = self.reader.logins(SESSIONS)?;
        sessions.retain(|body| self.sessions.get(&(body.start, body.session.id)) != Some(body));
        sessions.reverse();
        batch.sessions = sessions;
        Ok(())
    }

    /// The next facts that no change brought, where the batch is the end of the log and none was written while
    /// they were read: so they hold after the changes of the batch.
    fn add_facts(&self, batch: &mut Batch) -> Result<Option<FactsAt>, store::Error> {
        let Some(FactsAt(after)) = &self.facts else {
            return Ok(None);
        };
        let last = batch.next_seq() - 1;
        if batch.newest_seq != last {
            return Ok(self.facts.clone());
        }
        let facts = self.reader.all_facts(after.as_ref(), FACTS)?;
        let next = facts.last().map(|fact| FactsAt(Some(fact.subject.clone())));
        let mut brought_by_none = Vec::new();
        for fact in facts {
            let newest = self
                .reader
                .newest_until(&fact.subject, Timestamp::from_nanos(i64::MAX))?;
            if newest.is_none_or(|change| change.after != fact.value) {
                brought_by_none.push(FactNow {
                    subject: fact.subject,
                    value: fact.value,
                    since: fact.time,
                });
            }
        }
        if self.reader.last_seq()? != last {
            return Ok(self.facts.clone());
        }
        batch.facts = brought_by_none;
        Ok(next)
    }

    /// The contents that the batch leads to and that may travel, by their hashes.
    pub(super) fn contents_of(&self, composed: &Composed) -> BTreeSet<[u8; 32]> {
        let Batch { changes, facts, .. } = &composed.batch;
        let changed = changes
            .iter()
            .map(|change| (&change.subject, &change.after));
        let found = facts.iter().map(|fact| (&fact.subject, &fact.value));
        let hash = |(subject, value): (&Subject, &Option<FactValue>)| {
            let Some(FactValue::File(state)) = value else {
                return None;
            };
            let path = subject.key.as_bytes();
            let may_travel = subject.kind == Kind::File
                && state.content == ContentState::Kept
                && trees::is_match(&self.contents, path);
            state
                .hash
                .as_deref()
                .filter(|_| may_travel)
                .and_then(parse_content_name)
        };
        changed.chain(found).filter_map(hash).collect()
    }

    /// Takes contents off the list until they are much; those that were purged meanwhile are left out.
    pub(super) fn some_contents(
        &self,
        hashes: &mut Vec<[u8; 32]>,
    ) -> Result<Vec<Content>, store::Error> {
        let (mut contents, mut bytes_in_hand) = (Vec::new(), 0);
        while let Some(hash) = hashes.pop_if(|_| bytes_in_hand < CONTENT_BYTES) {
            if let Kept::Bytes(bytes) = self.reader.content(&hash)? {
                bytes_in_hand += bytes.len();
                contents.push(Content { hash, bytes });
            }
        }
        Ok(contents)
    }
}

/// The changes of a batch, while they are read.
#[derive(Default)]
struct Piece {
    changes: Vec<Change>,
    head: Option<KnownHead>,
    bytes: usize,
}

impl Piece {
    /// Takes a change in, and tells whether there is room for another.
    fn add(&mut self, change: Change, chain: [u8; 32]) -> bool {
        let last = self.changes.last().and_then(|change| change.actor.as_ref());
        let actor = change.actor.as_ref().filter(|actor| last != Some(*actor));
        self.bytes += CHANGE_BYTES + change.subject.key.as_bytes().len();
        self.bytes += actor.map_or(0, |actor| actor_bytes(actor));
        self.head = Some(KnownHead {
            seq: change.seq,
            chain,
        });
        self.changes.push(change);
        self.changes.len() < MOST_CHANGES && self.bytes < MUCH_BYTES
    }
}

fn actor_bytes(actor: &Actor) -> usize {
    let words = |argv: &[String]| argv.iter().map(String::len).sum::<usize>();
    let ancestry = actor.ancestry.iter().map(|ancestor| words(&ancestor.argv));
    CHANGE_BYTES + words(&actor.process.argv) + ancestry.sum::<usize>()
}

fn wire_head(head: KnownHead) -> ChainHead {
    ChainHead {
        seq: head.seq,
        hash: change::wire::hex(&head.chain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::store::example::{Example, alice, create, session, time};
    use crate::store::{Batch as Stored, Fact};

    fn composer(example: &Example) -> Composer {
        let origin = Origin {
            machine: "5f3c".to_owned(),
            labels: BTreeMap::new(),
            log: "log".to_owned(),
        };
        let settings = Settings {
            store: example.path(),
            ..Settings::of(&Config::default())
        };
        Composer::open(&settings, origin, GlobSet::empty()).unwrap()
    }

    fn setting(number: usize) -> Fact {
        let key = format!("vm.{number:04}").as_str().into();
        Fact {
            subject: Subject {
                kind: Kind::Sysctl,
                key,
            },
            value: Some(FactValue::Setting {
                value: "1".to_owned(),
            }),
            identity: None,
            time: Timestamp::from_nanos(1),
        }
    }

    /// Sends everything there is, and returns the batches.
    fn send_all(composer: &mut Composer, progress: &mut Progress) -> Vec<Batch> {
        let mut sent = Vec::new();
        loop {
            let made = composer
                .compose(progress, Timestamp::from_nanos(9))
                .unwrap();
            if made.says_something() {
                sent.push(made.batch.clone());
                composer.sent(made, progress);
            } else if !composer.pass_over(made) {
                return sent;
            }
        }
    }

    #[test]
    fn the_log_is_sent_in_pieces_that_hang_together() {
        let mut example = Example::new();
        let count = 2500;
        let file = |i: i64| create(&format!("/etc/{i}"), "x", i, Some(alice(41)));
        example.log((1..=count).map(file).collect());
        let (mut composer, mut progress) = (composer(&example), Progress::default());
        let sent = send_all(&mut composer, &mut progress);
        let seqs = sent.iter().flat_map(|batch| &batch.changes);
        let seqs: Vec<_> = seqs.map(|change| change.seq).collect();
        assert_eq!(seqs, (1..=2500).collect::<Vec<_>>());
        assert!(sent.len() >= 3, "{}", sent.len());
        assert_eq!(sent[0].before, None);
        for two in sent.windows(2) {
            assert_eq!(two[0].chain, two[1].before);
            assert_eq!(two[0].next_seq(), two[1].first_seq);
        }
        let head = example.reader().head().unwrap().to_text();
        let ChainHead { seq, hash } = sent.last().unwrap().chain.clone().unwrap();
        assert_eq!(format!("{seq}:{hash}"), head);
        assert_eq!(progress.acknowledged_seq, 2500);
    }

    #[test]
    fn sessions_are_sent_when_they_began_and_when_they_ended_and_not_in_between() {
        let mut example = Example::new();
        let mut bodies: Vec<_> = (1..=150).map(|id| session(id, i64::from(id))).collect();
        let commit = |example: &mut Example, sessions| {
            example.commit(Stored {
                sessions,
                ..Stored::default()
            });
        };
        commit(&mut example, bodies.clone());
        let (mut composer, mut progress) = (composer(&example), Progress::default());
        let sent = send_all(&mut composer, &mut progress);
        // The newest, oldest first.
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].sessions, bodies[50..]);
        assert_eq!(send_all(&mut composer, &mut progress), []);
        for ended in [0, 149] {
            bodies[ended].end = Some(time(500));
        }
        commit(&mut example, vec![bodies[0].clone(), bodies[149].clone()]);
        let sent = send_all(&mut composer, &mut progress);
        assert_eq!(sent[0].sessions, bodies[149..]);
    }

    #[test]
    fn facts_that_no_change_brought_are_sent_after_the_log_and_once() {
        let mut example = Example::new();
        let file = |i: i64| create(&format!("/etc/{i:04}"), "x", i, Some(alice(41)));
        example.log((1..=600).map(file).collect());
        example.commit(Stored {
            facts: (0..300).map(setting).collect(),
            ..Stored::default()
        });
        let (mut composer, mut progress) = (composer(&example), Progress::default());
        composer.go_through_facts();
        let sent = send_all(&mut composer, &mut progress);
        let keys = |sent: &[Batch]| -> Vec<_> {
            let facts = sent.iter().flat_map(|batch| &batch.facts);
            facts.map(|fact| fact.subject.key.to_string()).collect()
        };
        let expected: Vec<_> = (0..300).map(|i| format!("vm.{i:04}")).collect();
        assert_eq!(keys(&sent), expected);
        let with_facts = sent.iter().filter(|batch| !batch.facts.is_empty());
        assert!(with_facts.into_iter().all(|batch| batch.first_seq == 601));
        assert!(!composer.has_facts_left());
        assert_eq!(keys(&send_all(&mut composer, &mut progress)), [""; 0]);
    }
}
