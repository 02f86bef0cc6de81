//! The tables of drift: the rules in force, when drift began and ended, and what undid what. How logs are gone
//! through for it is in `drift/log.rs`; what is told of them is a question.

mod log;

use change::{Subject, Timestamp};

pub use self::log::{Logged, Unseen};
use super::error::Doing as _;
use super::names::Names;
use super::sql::{self, Connection, Params, Row, Turn, Value};
use super::{Error, Location, Reader};
use crate::fleet::{Cause, DriftEvent, Ending, HostKey, Reversal, SubjectKey, ValueKey, Way};

const COUNT_FACTS: &str = "
    INSERT INTO fact_batches (host, count) VALUES (?1, 1) ON CONFLICT (host) DO UPDATE SET count = fact_batches.count + 1";
const SELECT_RULES: &str = "SELECT text, since, pass FROM drift_rules WHERE id = 1";
const UPDATE_RULES: &str = "UPDATE drift_rules SET text = ?1, since = ?2 WHERE id = 1";
const UPDATE_PASS: &str = "UPDATE drift_rules SET pass = pass + 1 WHERE id = 1 AND pass = ?1";

const INSERT_EVENT: &str = "
    INSERT INTO drift_events (rule, host, subject, expected, value, cause, began, since, seq)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING";
const END_EVENT: &str = "
    UPDATE drift_events SET ended = CASE WHEN began > ?4 THEN began ELSE ?4 END, end_seq = ?5, ended_by = ?6
    WHERE rule = ?1 AND host = ?2 AND subject = ?3 AND ended IS NULL";
const INSERT_REVERSAL: &str = "
    INSERT INTO reversals (host, seq, undone, time, way) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT DO NOTHING";
const UPSERT_CURSOR: &str = "
    INSERT INTO drift_cursors (host, seq, facts) VALUES (?1, ?2, ?3)
    ON CONFLICT (host) DO UPDATE SET seq = ?2, facts = ?3";
const INSERT_HUMAN: &str = "
    INSERT INTO human_changes (host, subject, seq, time) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
const DELETE_HUMAN: &str = "DELETE FROM human_changes WHERE time < ?1";

const SELECT_OPEN: &str = "
    SELECT rule, host, subject, expected, value, cause, began, since, seq, ended, end_seq, ended_by
    FROM drift_events WHERE ended IS NULL";
const SELECT_EVENTS: &str = "
    SELECT rule, host, subject, expected, value, cause, began, since, seq, ended, end_seq, ended_by
    FROM drift_events WHERE began >= ?1 OR ended >= ?1 OR ended IS NULL
    ORDER BY coalesce(ended, began) DESC, id DESC";
const SELECT_REVERSALS: &str = "
    SELECT host, seq, undone, time, way FROM reversals WHERE time >= ?1 ORDER BY time DESC, host, seq DESC";

const WRITE: &str = "write when drift began and ended";
const READ: &str = "read when drift began and ended";

/// Says which rules are in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// The rules' file.
    pub text: String,
    /// Since when.
    pub since: Timestamp,
    /// How many passes were written: who plans another one has seen all of them.
    pub pass: i64,
}

/// One thing that a pass writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// A drift begins.
    Begin(DriftEvent),
    /// One ends.
    End {
        /// From which rule.
        rule: String,
        /// On which host.
        host: HostKey,
        /// Which fact.
        subject: SubjectKey,
        /// How.
        ending: Ending,
    },
    /// A change was taken back.
    Reverse(Reversal),
    /// A person changed something.
    Human {
        /// On which host.
        host: HostKey,
        /// What.
        subject: SubjectKey,
        /// The change.
        seq: u64,
        /// When.
        time: Timestamp,
    },
    /// A host was gone through so far.
    Cursor {
        /// Which one.
        host: HostKey,
        /// Up to this change.
        seq: u64,
        /// With so many batches of facts.
        facts: u64,
    },
}

/// What one pass found, to be written as a whole.
#[derive(Debug, Default)]
pub struct Passed {
    /// The number of the pass that was the last one when it was planned.
    pub after: i64,
    /// What to write, in this order.
    pub acts: Vec<Act>,
    /// People's changes before this moment are of no use any more.
    pub forget_before: Option<Timestamp>,
}

impl Passed {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.acts.is_empty()
    }
}

/// Writes drift.
pub struct DriftStore {
    connection: Connection,
}

impl DriftStore {
    /// Opens a store.
    pub fn open(location: &Location) -> Result<Self, Error> {
        let connection = location.open_to_write()?;
        Ok(Self { connection })
    }

    /// Puts rules in force. The subjects of expectations get their names, whether any host has told of them or not.
    pub fn put_in_force(
        &mut self,
        text: &str,
        subjects: &[&Subject],
        now: Timestamp,
    ) -> Result<(), Error> {
        let doing = "put rules in force";
        // No name may go between that it is looked up and that it is used.
        let transaction = self.connection.begin(Turn::Tidy).doing(doing)?;
        let mut names = Names::default();
        names.begin(&transaction).doing(doing)?;
        for subject in subjects {
            names.subject(&transaction, subject).doing(doing)?;
        }
        let row = (text, now.as_nanos());
        transaction.execute(UPDATE_RULES, row).doing(doing)?;
        transaction.commit().doing(doing)
    }

    /// Writes a pass, unless another one was written since it was planned: whether it was.
    pub fn write(&mut self, passed: &Passed) -> Result<bool, Error> {
        let transaction = self.connection.begin(Turn::Decide).doing(WRITE)?;
        let is_next = transaction
            .execute(UPDATE_PASS, [passed.after])
            .doing(WRITE)?
            == 1;
        if !is_next {
            return Ok(false);
        }
        write_acts(&transaction, &passed.acts).doing(WRITE)?;
        if let Some(before) = passed.forget_before {
            let before = before.as_nanos();
            transaction.execute(DELETE_HUMAN, [before]).doing(WRITE)?;
        }
        transaction.commit().doing(WRITE)?;
        Ok(true)
    }
}

/// Writes what events come to in their order, and then all else, which has no order.
fn write_acts(connection: &Connection, acts: &[Act]) -> sql::Result<()> {
    let integer = |value: i64| Value::Integer(Some(value));
    let (mut people, mut cursors) = (Vec::new(), Vec::new());
    for act in acts {
        match act {
            Act::Human {
                host,
                subject,
                seq,
                time,
            } => people.push([
                integer(host.0.into()),
                integer(subject.0),
                integer(seq.cast_signed()),
                integer(time.as_nanos()),
            ]),
            Act::Cursor { host, seq, facts } => cursors.push([
                integer(host.0.into()),
                integer(seq.cast_signed()),
                integer(facts.cast_signed()),
            ]),
            Act::Begin(event) => write_begin(connection, event)?,
            Act::End {
                rule,
                host,
                subject,
                ending: Ending { at, seq, by },
            } => {
                let seq = seq.map(u64::cast_signed);
                let row = (rule, host.0, subject.0, at.as_nanos(), seq, by.as_str());
                connection.execute(END_EVENT, row)?;
            }
            Act::Reverse(Reversal {
                host,
                seq,
                undone,
                time,
                way,
            }) => {
                let (seq, undone) = (seq.cast_signed(), undone.cast_signed());
                let row = (host.0, seq, undone, time.as_nanos(), way.as_str());
                connection.execute(INSERT_REVERSAL, row)?;
            }
        }
    }
    connection.execute_each(INSERT_HUMAN, &people)?;
    connection.execute_each(UPSERT_CURSOR, &cursors)
}

fn write_begin(connection: &Connection, event: &DriftEvent) -> sql::Result<()> {
    let row = (
        &event.rule,
        event.host.0,
        event.subject.0,
        event.expected.map(|value| value.0),
        event.value.map(|value| value.0),
        event.cause.as_str(),
        event.began.as_nanos(),
        event.since.map(Timestamp::as_nanos),
        event.seq.map(u64::cast_signed),
    );
    connection.execute(INSERT_EVENT, row).map(drop)
}

/// Notes that a host has told of facts that no change brought.
pub(super) fn count_facts(connection: &Connection, host: HostKey) -> sql::Result<()> {
    connection.execute(COUNT_FACTS, [host.0]).map(drop)
}

impl Reader {
    /// The rules in force.
    pub fn rules_in_force(&self) -> Result<InForce, Error> {
        let row = self.connection.one(SELECT_RULES, (), |row| {
            Ok(InForce {
                text: row.get(0)?,
                since: Timestamp::from_nanos(row.get(1)?),
                pass: row.get(2)?,
            })
        });
        row.doing(READ)
    }

    pub(super) fn read_open_drift(&self) -> Result<Vec<DriftEvent>, Error> {
        self.events(SELECT_OPEN, (), usize::MAX, &mut |_| true)
    }

    pub(super) fn read_drift_events(
        &self,
        since: Timestamp,
        most: usize,
        is_wanted: &mut dyn FnMut(&DriftEvent) -> bool,
    ) -> Result<Vec<DriftEvent>, Error> {
        self.events(SELECT_EVENTS, [since.as_nanos()], most, is_wanted)
    }

    fn events(
        &self,
        sql: &str,
        params: impl Params,
        most: usize,
        is_wanted: &mut dyn FnMut(&DriftEvent) -> bool,
    ) -> Result<Vec<DriftEvent>, Error> {
        let mut found = Vec::new();
        if most == 0 {
            return Ok(found);
        }
        self.connection.each((sql, params), READ, &mut |row| {
            let event = event(row).doing(READ)??;
            if is_wanted(&event) {
                found.push(event);
            }
            Ok(found.len() < most)
        })?;
        Ok(found)
    }

    pub(super) fn read_reversals(
        &self,
        since: Timestamp,
        most: usize,
        is_wanted: &mut dyn FnMut(&Reversal) -> bool,
    ) -> Result<Vec<Reversal>, Error> {
        let mut found = Vec::new();
        if most == 0 {
            return Ok(found);
        }
        let question = (SELECT_REVERSALS, [since.as_nanos()]);
        self.connection.each(question, READ, &mut |row| {
            let reversal = reversal(row).doing(READ)??;
            if is_wanted(&reversal) {
                found.push(reversal);
            }
            Ok(found.len() < most)
        })?;
        Ok(found)
    }
}

fn event(row: &Row<'_>) -> sql::Result<Result<DriftEvent, Error>> {
    let (began_by, ended): (String, Option<i64>) = (row.get(5)?, row.get(9)?);
    let (end_seq, ended_by): (Option<i64>, Option<String>) = (row.get(10)?, row.get(11)?);
    let causes = (
        cause(&began_by),
        cause(ended_by.as_deref().unwrap_or("look")),
    );
    let (cause, by) = match causes {
        (Ok(cause), Ok(by)) => (cause, by),
        (Err(error), _) | (_, Err(error)) => return Ok(Err(error)),
    };
    Ok(Ok(DriftEvent {
        rule: row.get(0)?,
        host: HostKey(row.get(1)?),
        subject: SubjectKey(row.get(2)?),
        expected: row.get::<Option<i64>>(3)?.map(ValueKey),
        value: row.get::<Option<i64>>(4)?.map(ValueKey),
        cause,
        began: Timestamp::from_nanos(row.get(6)?),
        since: row.get::<Option<i64>>(7)?.map(Timestamp::from_nanos),
        seq: row.get::<Option<i64>>(8)?.map(i64::cast_unsigned),
        ending: ended.map(|at| Ending {
            at: Timestamp::from_nanos(at),
            seq: end_seq.map(i64::cast_unsigned),
            by,
        }),
    }))
}

fn cause(word: &str) -> Result<Cause, Error> {
    Cause::from_word(word).ok_or_else(|| Error::Row {
        table: "drift_events",
        what: format!("`{word}` begins and ends no drift"),
    })
}

fn reversal(row: &Row<'_>) -> sql::Result<Result<Reversal, Error>> {
    let way: String = row.get(4)?;
    let Some(way) = Way::from_word(&way) else {
        let what = format!("`{way}` takes nothing back");
        return Ok(Err(Error::Row {
            table: "reversals",
            what,
        }));
    };
    Ok(Ok(Reversal {
        host: HostKey(row.get(0)?),
        seq: row.get::<i64>(1)?.cast_unsigned(),
        undone: row.get::<i64>(2)?.cast_unsigned(),
        time: Timestamp::from_nanos(row.get(3)?),
        way,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Fleet as _;
    use crate::store::Store;

    fn event(time: i64) -> DriftEvent {
        DriftEvent {
            rule: "r".to_owned(),
            host: HostKey(1),
            subject: SubjectKey(1),
            expected: None,
            value: None,
            cause: Cause::Change,
            began: Timestamp::from_nanos(time),
            since: None,
            seq: Some(7),
            ending: None,
        }
    }

    #[test]
    fn of_two_collectors_that_plan_from_one_moment_one_writes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::within(folder.path())).unwrap();
        let mut stores = [(); 2].map(|()| DriftStore::open(store.location()).unwrap());
        let passed = |time| Passed {
            after: 0,
            acts: vec![Act::Begin(event(time))],
            forget_before: None,
        };
        assert!(stores[0].write(&passed(1)).unwrap());
        assert!(!stores[1].write(&passed(2)).unwrap());
        let reader = Reader::open(&Location::within(folder.path())).unwrap();
        assert_eq!(reader.open_drift().unwrap(), [event(1)]);
        assert_eq!(reader.rules_in_force().unwrap().pass, 1);
    }

    #[test]
    fn a_drift_begins_once_and_does_not_end_before_it_began() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::within(folder.path())).unwrap();
        let mut drift = DriftStore::open(store.location()).unwrap();
        let ending = Ending {
            at: Timestamp::from_nanos(3),
            seq: None,
            by: Cause::Rules,
        };
        let end = Act::End {
            rule: "r".to_owned(),
            host: HostKey(1),
            subject: SubjectKey(1),
            ending,
        };
        let acts = vec![Act::Begin(event(5)), Act::Begin(event(6)), end.clone(), end];
        let passed = Passed {
            acts,
            ..Passed::default()
        };
        assert!(drift.write(&passed).unwrap());
        let reader = Reader::open(&Location::within(folder.path())).unwrap();
        let all = reader.drift_events(Timestamp::from_nanos(0), 9, &mut |_| true);
        let at = Timestamp::from_nanos(5);
        let ended = DriftEvent {
            ending: Some(Ending { at, ..ending }),
            ..event(5)
        };
        assert_eq!(all.unwrap(), [ended]);
    }
}
