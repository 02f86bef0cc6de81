//! Takes batches in: checks them, writes what is new of them, and folds it into the hosts' states.

use std::collections::BTreeSet;

use change::wire::Batch;
use change::{Change, Kind, Timestamp};
use rusqlite::{Connection, TransactionBehavior};

use super::changes::{self, Whose};
use super::error::Doing as _;
use super::facts::{Fold, Opening};
use super::holders::Holders;
use super::hosts::{self, Known};
use super::names::{self, Names};
use super::{Acknowledged, Error, contents, drift, gaps, runs, sessions};
use crate::fleet::HostId;

const WRITE: &str = "write what a host has sent";

/// A name that a sender gives itself is no longer than this, in bytes.
const LONGEST_NAME: usize = 255;
/// All hosts together may tell of so many kinds that this program does not know. Each process remembers a few, and
/// no host may use them up for the others.
const MOST_NEWER_KINDS: usize = 24;
/// A host has no more labels than this.
const MOST_LABELS: usize = 64;

/// Takes batches in one transaction: all, or where one is refused none.
pub(super) fn take(
    connection: &mut Connection,
    names: &mut Names,
    batches: &[(&HostId, &Batch)],
    received: Timestamp,
) -> Result<Vec<Acknowledged>, Error> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .doing(WRITE)?;
    names.begin(&transaction).doing(WRITE)?;
    let mut holders = Holders::default();
    let mut acknowledged = Vec::new();
    for &(id, batch) in batches {
        check(id, batch)?;
        let mut intake = Intake {
            connection: &transaction,
            names,
            holders: &mut holders,
            received,
        };
        acknowledged.push(intake.take(id, batch)?);
    }
    holders.write(&transaction).doing(WRITE)?;
    transaction.commit().doing(WRITE)?;
    Ok(acknowledged)
}

/// Refuses a batch that contradicts itself or is beyond a limit.
fn check(id: &HostId, batch: &Batch) -> Result<(), Error> {
    let invalid = |what: String| Error::Invalid {
        host: id.0.clone(),
        what,
    };
    let sender = &batch.sender;
    let labels = sender.labels.iter().flat_map(|(name, value)| [name, value]);
    let mut names = [&id.0, &sender.machine, &sender.hostname, &sender.log]
        .into_iter()
        .chain([&sender.tracer])
        .chain(labels);
    if let Some(name) = names.find(|name| name.len() > LONGEST_NAME) {
        let bytes = name.len();
        return Err(invalid(format!(
            "a name of {bytes} bytes is over the limit of {LONGEST_NAME}"
        )));
    }
    if sender.labels.len() > MOST_LABELS {
        return Err(invalid(format!("it has more than {MOST_LABELS} labels")));
    }
    if sender.machine.is_empty() || sender.hostname.is_empty() || sender.log.is_empty() {
        return Err(invalid(
            "it does not say which machine, name and log it is from".to_owned(),
        ));
    }
    if batch.first_seq == 0 || i64::try_from(batch.next_seq()).is_err() {
        return Err(invalid(format!("it has no change {}", batch.first_seq)));
    }
    let numbered = (batch.first_seq..).zip(&batch.changes);
    if let Some((seq, change)) = numbered
        .into_iter()
        .find(|(seq, change)| change.seq != *seq)
    {
        let found = change.seq;
        return Err(invalid(format!("change {found} stands where {seq} must")));
    }
    if let Some(head) = batch
        .chain
        .as_ref()
        .filter(|head| head.seq >= batch.next_seq())
    {
        let seq = head.seq;
        return Err(invalid(format!("its hash chain ends behind it, at {seq}")));
    }
    if !batch.contents.iter().all(contents::is_genuine) {
        return Err(invalid("a content is not the one of its hash".to_owned()));
    }
    Ok(())
}

/// What one transaction takes in.
struct Intake<'t> {
    connection: &'t Connection,
    names: &'t mut Names,
    holders: &'t mut Holders,
    received: Timestamp,
}

impl Intake<'_> {
    fn take(&mut self, id: &HostId, batch: &Batch) -> Result<Acknowledged, Error> {
        let Self {
            connection,
            received,
            ..
        } = *self;
        let known = hosts::find_or_begin(connection, (id, batch), received).doing(WRITE)?;
        refuse(connection, id, &known, batch)?;
        refuse_kinds(connection, id, batch)?;
        let durable_seq = known.durable_seq.max(batch.next_seq() - 1);
        let is_newest = batch.next_seq() - 1 == durable_seq;
        self.write(&known, batch, is_newest).doing(WRITE)?;
        Ok(Acknowledged {
            durable_seq,
            skew_ns: hosts::skew_ns(batch, received),
        })
    }

    /// Writes what is new of a batch. What it says of now is not believed where a newer one has come.
    fn write(&mut self, known: &Known, batch: &Batch, is_newest: bool) -> rusqlite::Result<()> {
        let new = batch.changes.iter();
        for change in new.skip_while(|change| change.seq <= known.durable_seq) {
            self.write_change(known, change)?;
        }
        let Self {
            connection,
            names,
            holders,
            received,
        } = self;
        if is_newest {
            hosts::update(connection, known.key, batch, *received)?;
            let mut fold = Fold {
                connection,
                names,
                holders,
                host: known.key,
            };
            let mut is_news = false;
            for fact in &batch.facts {
                let opening = Opening {
                    since: fact.since.min(*received),
                    seq: None,
                };
                is_news |= fold.fact_now(fact, opening)?;
            }
            if is_news {
                drift::count_facts(connection, known.key)?;
            }
        }
        runs::write(connection, known.key, &batch.runs)?;
        gaps::write(connection, known.key, &batch.gaps)?;
        sessions::write(connection, known.key, &batch.sessions)?;
        for content in &batch.contents {
            contents::write(connection, content, *received)?;
        }
        if let Some(head) = &batch.chain {
            hosts::write_head(connection, known.key, head, *received)?;
        }
        hosts::report(connection, known.key, &batch.sender.machine, *received)
    }

    /// A moment that is still to come is the host's clock going wrong: its facts hold from when they arrived,
    /// and its log keeps what the host wrote.
    fn write_change(&mut self, known: &Known, change: &Change) -> rusqlite::Result<()> {
        let Self {
            connection,
            names,
            holders,
            received,
        } = self;
        let actor = change.actor.as_ref();
        let actor = actor.map(|actor| names.actor(connection, actor));
        let opening = Opening {
            since: change.time.min(*received),
            seq: Some(change.seq),
        };
        let mut fold = Fold {
            connection,
            names,
            holders,
            host: known.key,
        };
        let referred = fold.change(change, opening)?;
        let whose = Whose {
            host: known.key,
            actor: actor.transpose()?,
        };
        changes::write(connection, change, &whose, &referred)
    }
}

/// Refuses a batch that does not go on where the host's log ended.
fn refuse(connection: &Connection, id: &HostId, known: &Known, batch: &Batch) -> Result<(), Error> {
    let host = || id.0.clone();
    let expected = known.durable_seq + 1;
    if batch.first_seq > expected {
        return Err(Error::Hole {
            host: host(),
            expected,
            found: batch.first_seq,
        });
    }
    for head in [&batch.before, &batch.chain].into_iter().flatten() {
        if hosts::contradicts(connection, known.key, head).doing(WRITE)? {
            return Err(Error::Rewritten {
                host: host(),
                seq: head.seq,
            });
        }
    }
    Ok(())
}

/// Refuses a batch that tells of one kind too many.
fn refuse_kinds(connection: &Connection, id: &HostId, batch: &Batch) -> Result<(), Error> {
    let changes = batch.changes.iter().map(|change| change.subject.kind);
    let kinds = changes.chain(batch.facts.iter().map(|fact| fact.subject.kind));
    let newer = kinds.filter(|kind| matches!(kind, Kind::Newer(_)));
    let newer: BTreeSet<String> = newer.map(|kind| kind.as_str().to_owned()).collect();
    if newer.is_empty() {
        return Ok(());
    }
    let known = Kind::ALL.map(|(_, word)| word);
    let mut all = names::kinds(connection).doing(WRITE)?;
    all.retain(|kind| !known.contains(&kind.as_str()));
    all.extend(newer);
    if all.len() <= MOST_NEWER_KINDS {
        return Ok(());
    }
    Err(Error::Invalid {
        host: id.0.clone(),
        what: format!(
            "more than {MOST_NEWER_KINDS} kinds are of newer tracers; bring the collector up to date"
        ),
    })
}
