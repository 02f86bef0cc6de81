//! Takes batches in: checks them, writes what is new of them, and folds it into the hosts' states.

use std::collections::{BTreeSet, HashMap};

use change::wire::{Batch, FactNow};
use change::{Change, Kind, Subject, Timestamp};

use super::changes::{self, NewChange};
use super::error::Doing as _;
use super::facts::{Fold, Opening, Sheet};
use super::hosts::{self, Known, Report};
use super::names::{self, Named, Names, Unnamed};
use super::sql::{self, Connection, Turn};
use super::{Acknowledged, Arrival, Error, contents, drift, gaps, runs, sessions};
use crate::fleet::{HostId, HostKey, SubjectKey};

const WRITE: &str = "write what a host has sent";

/// A name that a sender gives itself is no longer than this, in bytes.
const LONGEST_NAME: usize = 255;
/// All hosts together may tell of so many kinds that this program does not know. Each process remembers a few, and
/// no host may use them up for the others.
const MOST_NEWER_KINDS: usize = 24;
/// So many changes and facts are looked up and written together, and a batch more.
const AT_ONCE: usize = 4_096;
/// A host has no more labels than this.
const MOST_LABELS: usize = 64;

/// Takes batches in one transaction: all, or where one is refused none.
pub(super) fn take(
    connection: &Connection,
    names: &mut Names,
    arrivals: &[Arrival<'_>],
) -> Result<Vec<Acknowledged>, Error> {
    for arrival in arrivals {
        check(arrival.sender, arrival.batch)?;
    }
    let transaction = connection.begin(Turn::Fold).doing(WRITE)?;
    names.begin(&transaction).doing(WRITE)?;
    let parts = admit(&transaction, arrivals)?;
    write(&transaction, names, &parts).doing(WRITE)?;
    transaction.commit().doing(WRITE)?;
    let acknowledged = parts.iter().map(|part| Acknowledged {
        durable_seq: part.durable_seq,
        skew_ns: hosts::skew_ns(part.batch, part.received),
    });
    Ok(acknowledged.collect())
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

/// A batch of a host that may be taken in.
struct Part<'b> {
    id: &'b HostId,
    host: HostKey,
    batch: &'b Batch,
    received: Timestamp,
    /// What was not here.
    new: &'b [Change],
    /// Up to which change the host's log is here with it.
    durable_seq: u64,
}

impl<'b> Part<'b> {
    /// Refuses a batch that does not begin where the host's log ended, or before.
    fn new(arrival: Arrival<'b>, known: &Known) -> Result<Self, Error> {
        let Arrival {
            sender: id,
            batch,
            received,
        } = arrival;
        let expected = known.durable_seq + 1;
        if batch.first_seq > expected {
            return Err(Error::Hole {
                host: id.0.clone(),
                expected,
                found: batch.first_seq,
            });
        }
        let new = batch
            .changes
            .iter()
            .position(|change| change.seq >= expected);
        Ok(Self {
            id,
            host: known.key,
            batch,
            received,
            new: new.map_or(&[], |first| &batch.changes[first..]),
            durable_seq: known.durable_seq.max(batch.next_seq() - 1),
        })
    }

    /// What a batch says of now is not believed where a newer one has come.
    fn facts(&self) -> &'b [FactNow] {
        if self.is_newest() {
            return &self.batch.facts;
        }
        &[]
    }

    fn is_newest(&self) -> bool {
        self.batch.next_seq() - 1 == self.durable_seq
    }
}

/// Finds the hosts that batches are from and holds their logs, in an order that is the same for all who do so, and
/// refuses what does not go on where a log ended.
fn admit<'b>(connection: &Connection, arrivals: &[Arrival<'b>]) -> Result<Vec<Part<'b>>, Error> {
    let mut order: Vec<usize> = (0..arrivals.len()).collect();
    order.sort_by_key(|index| (arrivals[*index].sender, &arrivals[*index].batch.sender.log));
    let ordered: Vec<_> = order.iter().map(|index| arrivals[*index]).collect();
    let held = hosts::hold(connection, &ordered).doing(WRITE)?;
    let mut durable: HashMap<HostKey, u64> = HashMap::new();
    let mut parts: Vec<(usize, Part<'b>)> = Vec::new();
    for ((index, arrival), held) in order.into_iter().zip(&ordered).zip(held) {
        let known = match held {
            Some(known) => known,
            None => hosts::begin(connection, arrival).doing(WRITE)?,
        };
        let durable = durable.entry(known.key).or_insert(known.durable_seq);
        let known = Known {
            durable_seq: *durable,
            ..known
        };
        let part = Part::new(*arrival, &known)?;
        *durable = part.durable_seq;
        parts.push((index, part));
    }
    parts.sort_by_key(|(index, _)| *index);
    let parts: Vec<_> = parts.into_iter().map(|(_, part)| part).collect();
    refuse_rewritten(connection, &parts)?;
    for part in &parts {
        refuse_kinds(connection, part)?;
    }
    let ends = parts.iter().filter_map(|part| {
        let end = part.batch.chain.as_ref()?;
        Some((part.host, end, part.received))
    });
    hosts::write_heads(connection, &ends.collect::<Vec<_>>()).doing(WRITE)?;
    Ok(parts)
}

/// Writes what is new, so much at a time as is looked up together.
fn write(connection: &Connection, names: &mut Names, parts: &[Part<'_>]) -> sql::Result<()> {
    let mut sheet = Sheet::default();
    let mut rest = parts;
    while !rest.is_empty() {
        let mut rows = 0;
        let beyond = rest.iter().position(|part| {
            let is_beyond = rows >= AT_ONCE;
            rows += part.new.len() + part.facts().len();
            is_beyond
        });
        let (some, others) = rest.split_at(beyond.unwrap_or(rest.len()));
        write_some(connection, (&mut *names, &mut sheet), some)?;
        rest = others;
    }
    sheet.write(connection)
}

fn write_some(
    connection: &Connection,
    (names, sheet): (&mut Names, &mut Sheet),
    parts: &[Part<'_>],
) -> sql::Result<()> {
    let unnamed = parts.iter().flat_map(|part| {
        let facts = part.facts().iter().map(unnamed_fact);
        part.new.iter().map(unnamed_change).chain(facts)
    });
    let known = names.all(connection, unnamed)?;
    sheet.load(connection, keys(parts, &known))?;
    let mut known_rest = known.iter();
    let mut changes = Vec::new();
    for part in parts {
        let mut intake = Intake {
            fold: Fold {
                connection,
                names,
                sheet,
                host: part.host,
            },
            changes: &mut changes,
        };
        intake.fold(part, &mut known_rest)?;
    }
    changes::write(connection, &changes)?;
    write_rest(connection, parts)?;
    sheet.flush(connection)
}

fn unnamed_change(change: &Change) -> Unnamed<'_> {
    Unnamed {
        subject: &change.subject,
        from: change.from.as_ref().map(|from| Subject {
            kind: change.subject.kind,
            key: from.0.clone(),
        }),
        before: change.before.as_ref(),
        after: change.after.as_ref(),
        actor: change.actor.as_ref(),
    }
}

fn unnamed_fact(fact: &FactNow) -> Unnamed<'_> {
    Unnamed {
        subject: &fact.subject,
        from: None,
        before: None,
        after: fact.value.as_ref(),
        actor: None,
    }
}

/// Which facts will be looked up, and of which it may matter whether a change came before.
fn keys<'n>(
    parts: &'n [Part<'_>],
    named: &'n [Named],
) -> impl Iterator<Item = ((HostKey, SubjectKey), bool)> + 'n {
    let hosts = parts.iter().flat_map(|part| {
        let count = part.new.len() + part.facts().len();
        // Of a log that begins here there is nothing before.
        let is_begun = part.new.first().is_none_or(|change| change.seq > 1);
        std::iter::repeat_n((part.host, is_begun), count)
    });
    hosts.zip(named).flat_map(|((host, is_begun), named)| {
        let asks_past = is_begun && named.before.is_some();
        let subjects = [Some(named.subject), named.from];
        let subjects = subjects.into_iter().flatten();
        subjects.map(move |subject| ((host, subject), asks_past))
    })
}

/// Folds one part after the other.
struct Intake<'t, 'b> {
    fold: Fold<'t>,
    changes: &'t mut Vec<NewChange<'b>>,
}

impl<'b> Intake<'_, 'b> {
    /// A moment that is still to come is the host's clock going wrong: its facts hold from when they arrived,
    /// and its log keeps what the host wrote.
    fn fold<'n>(
        &mut self,
        part: &Part<'b>,
        named: &mut impl Iterator<Item = &'n Named>,
    ) -> sql::Result<()> {
        let Self { fold, changes } = self;
        for (change, named) in part.new.iter().zip(named.by_ref()) {
            let opening = Opening {
                since: change.time.min(part.received),
                seq: Some(change.seq),
            };
            let referred = fold.change(change, named, opening)?;
            changes.push(NewChange::new(part.host, change, referred, named.actor));
        }
        let mut is_news = false;
        for (fact, named) in part.facts().iter().zip(named) {
            let opening = Opening {
                since: fact.since.min(part.received),
                seq: None,
            };
            is_news |= fold.fact_now(named, opening)?;
        }
        if is_news {
            drift::count_facts(fold.connection, part.host)?;
        }
        Ok(())
    }
}

/// Writes what comes with changes and facts.
fn write_rest(connection: &Connection, parts: &[Part<'_>]) -> sql::Result<()> {
    let told = parts.iter().map(|part| (part.host, part.batch));
    let runs = told.clone().map(|(host, batch)| (host, &*batch.runs));
    runs::write(connection, runs)?;
    let gaps = told.clone().map(|(host, batch)| (host, &*batch.gaps));
    gaps::write(connection, gaps)?;
    let sessions = told.map(|(host, batch)| (host, &*batch.sessions));
    sessions::write(connection, sessions)?;
    let contents = parts.iter().flat_map(|part| {
        let contents = part.batch.contents.iter();
        contents.map(|content| (content, part.received))
    });
    contents::write(connection, contents)?;
    let reports = parts.iter().map(|part| Report {
        host: part.host,
        batch: part.batch,
        received: part.received,
        is_newest: part.is_newest(),
    });
    hosts::report(connection, &reports.collect::<Vec<_>>())
}

/// Refuses a batch whose hash chain is another one than the host's was.
fn refuse_rewritten(connection: &Connection, parts: &[Part<'_>]) -> Result<(), Error> {
    let heads = parts.iter().flat_map(|part| {
        let heads = [&part.batch.before, &part.batch.chain]
            .into_iter()
            .flatten();
        heads.map(move |head| (part, head))
    });
    let heads: Vec<_> = heads.collect();
    let asked: Vec<_> = heads
        .iter()
        .map(|(part, head)| (part.host, *head))
        .collect();
    let noted = hosts::hashes_at(connection, &asked).doing(WRITE)?;
    // What another batch of the host, which is taken with it, says is noted only then.
    let mut said: HashMap<(HostKey, u64), &str> = HashMap::new();
    for ((part, head), noted) in heads.iter().zip(&noted) {
        let said = *said.entry((part.host, head.seq)).or_insert(&head.hash);
        let is_other = |known: &str| known != head.hash;
        if is_other(said) || noted.as_deref().is_some_and(is_other) {
            return Err(Error::Rewritten {
                host: part.id.0.clone(),
                seq: head.seq,
            });
        }
    }
    Ok(())
}

/// Refuses a batch that tells of one kind too many.
fn refuse_kinds(connection: &Connection, part: &Part<'_>) -> Result<(), Error> {
    let batch = part.batch;
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
        host: part.id.0.clone(),
        what: format!(
            "more than {MOST_NEWER_KINDS} kinds are of newer tracers; bring the collector up to date"
        ),
    })
}
