//! What one transaction does to facts: each is read once and written once, whatever happens to it in between.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use change::Timestamp;

use super::super::holders::Holders;
use super::super::sql::{Connection, Insert, Result, Row, Server, Value};
use super::read;
use crate::fleet::{Fact, HostKey, SubjectKey, ValueKey};

const UPSERT: Insert<5> = Insert {
    table: "facts",
    columns: ["host", "subject", "value", "since", "seq"],
    on_conflict: "
        ON CONFLICT (host, subject) DO UPDATE
        SET value = excluded.value, since = excluded.since, seq = excluded.seq",
};
const INSERT_PAST: Insert<6> = Insert {
    table: "past_facts",
    columns: ["host", "until", "subject", "value", "since", "seq"],
    on_conflict: "ON CONFLICT DO NOTHING",
};
const DELETE: &str = "DELETE FROM facts WHERE host = ?1 AND subject = ?2";
const DELETE_ALL: &str = "
    DELETE FROM facts f USING unnest(?1, ?2) AS w (host, subject)
    WHERE f.host = w.host AND f.subject = w.subject";
const HAS_PAST: &str = "SELECT 1 FROM changes WHERE host = ?1 AND subject = ?2 LIMIT 1";
// Where there is no fact it matters whether there was a change; that is asked only of whom it matters.
const SELECT_ALL: &str = "
    SELECT w.host, w.subject, w.asks = 1 AND f.value IS NULL AND EXISTS (
            SELECT 1 FROM changes c WHERE c.host = w.host AND c.subject = w.subject),
        w.asks, f.value, f.since, f.seq
    FROM unnest(?1, ?2, ?3) AS w (host, subject, asks)
    LEFT JOIN facts f ON f.host = w.host AND f.subject = w.subject";

/// Which fact.
type Key = (HostKey, SubjectKey);

/// A fact as it is in the store, and as it is to be.
#[derive(Clone, Copy)]
struct Cell {
    was: Option<Fact>,
    is: Option<Fact>,
    /// Whether a change of it came before, where that is known.
    has_past: Option<bool>,
}

/// The facts that a transaction works on.
#[derive(Default)]
pub(in crate::store) struct Sheet {
    cells: HashMap<Key, Cell>,
    ended: Vec<(HostKey, Fact, Timestamp)>,
    holders: Holders,
}

impl Sheet {
    /// Reads facts that will be looked up, all at once where a server answers. `asks_past` says of which it may matter
    /// whether a change came before.
    pub(in crate::store) fn load(
        &mut self,
        connection: &Connection,
        keys: impl IntoIterator<Item = (Key, bool)>,
    ) -> Result<()> {
        let Some(server) = connection.server() else {
            return Ok(());
        };
        let mut wanted: BTreeMap<Key, bool> = BTreeMap::new();
        for (key, asks_past) in keys {
            if !self.cells.contains_key(&key) {
                *wanted.entry(key).or_default() |= asks_past;
            }
        }
        let integer = |value: i64| Value::Integer(Some(value));
        let columns = [
            wanted
                .keys()
                .map(|(host, _)| integer(host.0.into()))
                .collect(),
            wanted
                .keys()
                .map(|(_, subject)| integer(subject.0))
                .collect(),
            wanted
                .values()
                .map(|asks| integer((*asks).into()))
                .collect(),
        ];
        let cells = server.rows_of_lists(SELECT_ALL, &columns, loaded)?;
        self.cells.extend(cells);
        Ok(())
    }

    /// The fact of a subject as it is by now.
    pub(super) fn fact(&mut self, connection: &Connection, key: Key) -> Result<Option<Fact>> {
        Ok(self.cell(connection, key)?.is)
    }

    /// Whether the store has a change of a subject that came before.
    pub(super) fn has_past(&mut self, connection: &Connection, key: Key) -> Result<bool> {
        let cell = self.cell(connection, key)?;
        if let Some(known) = cell.has_past {
            return Ok(known);
        }
        let found = connection.exists(HAS_PAST, (key.0.0, key.1.0))?;
        cell.has_past = Some(found);
        Ok(found)
    }

    /// Notes that there is a change of a subject.
    pub(super) fn note_change(&mut self, connection: &Connection, key: Key) -> Result<()> {
        self.cell(connection, key)?.has_past = Some(true);
        Ok(())
    }

    /// Gives a subject another fact, or none.
    pub(super) fn set(
        &mut self,
        connection: &Connection,
        key: Key,
        fact: Option<Fact>,
    ) -> Result<()> {
        self.cell(connection, key)?.is = fact;
        Ok(())
    }

    /// Notes that a fact has ended.
    pub(super) fn end(&mut self, host: HostKey, fact: Fact, until: Timestamp) {
        self.ended.push((host, fact, until));
    }

    fn cell(&mut self, connection: &Connection, key: Key) -> Result<&mut Cell> {
        Ok(match self.cells.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let was = read(connection, key.0, key.1)?;
                new.insert(Cell {
                    was,
                    is: was,
                    has_past: None,
                })
            }
        })
    }

    /// Writes the facts of now, so that they can be looked for in the store.
    pub(super) fn settle(&mut self, connection: &Connection) -> Result<()> {
        let mut open = Vec::new();
        let mut gone = Vec::new();
        for (key, Cell { was, is, .. }) in &mut self.cells {
            if was == is {
                continue;
            }
            let values = [*was, *is].map(|fact| fact.map(|fact| fact.value));
            if values[0] != values[1] {
                let held = |value: ValueKey| (key.0, key.1, value);
                values[0]
                    .into_iter()
                    .for_each(|value| self.holders.set(held(value), false));
                values[1]
                    .into_iter()
                    .for_each(|value| self.holders.set(held(value), true));
            }
            match is {
                Some(fact) => open.push((key.0, *fact)),
                None => gone.push(*key),
            }
            *was = *is;
        }
        // In the order of the key, in which rows lie together.
        open.sort_unstable_by_key(|(host, fact)| (*host, fact.subject));
        gone.sort_unstable();
        connection.insert_all(
            &UPSERT,
            open.into_iter().map(|(host, fact)| row(host, fact)),
        )?;
        delete(connection, &gone)
    }

    /// Writes facts, and forgets them. Changes of them must be written by then.
    pub(in crate::store) fn flush(&mut self, connection: &Connection) -> Result<()> {
        self.settle(connection)?;
        let past = self.ended.iter().map(|(host, fact, until)| {
            let [host, subject, value, since, seq] = row(*host, *fact);
            [
                host,
                Value::Integer(Some(until.as_nanos())),
                subject,
                value,
                since,
                seq,
            ]
        });
        connection.insert_all(&INSERT_PAST, past)?;
        self.ended.clear();
        self.cells.clear();
        Ok(())
    }

    /// Writes the rest: who holds what. Others who write that wait for this transaction from now on.
    pub(in crate::store) fn write(self, connection: &Connection) -> Result<()> {
        self.holders.write(connection)
    }
}

fn delete(connection: &Connection, keys: &[Key]) -> Result<()> {
    if let Some(server) = connection.server() {
        return delete_all(server, keys);
    }
    for (HostKey(host), SubjectKey(subject)) in keys {
        connection.execute(DELETE, (host, subject))?;
    }
    Ok(())
}

fn delete_all(server: &Server, keys: &[Key]) -> Result<()> {
    let hosts = keys
        .iter()
        .map(|(host, _)| Value::Integer(Some(host.0.into())));
    let subjects = keys
        .iter()
        .map(|(_, subject)| Value::Integer(Some(subject.0)));
    server.with_lists(DELETE_ALL, &[hosts.collect(), subjects.collect()])
}

fn row<'v>(host: HostKey, fact: Fact) -> [Value<'v>; 5] {
    let Fact {
        subject,
        value,
        since,
        seq,
    } = fact;
    [
        Value::Integer(Some(host.0.into())),
        Value::Integer(Some(subject.0)),
        Value::Integer(Some(value.0)),
        Value::Integer(since.map(Timestamp::as_nanos)),
        Value::Integer(seq.map(u64::cast_signed)),
    ]
}

fn loaded(row: &Row<'_>) -> Result<(Key, Cell)> {
    let key = (HostKey(row.get(0)?), SubjectKey(row.get(1)?));
    let (has_past, asked): (bool, bool) = (row.get(2)?, row.get(3)?);
    let value: Option<i64> = row.get(4)?;
    let fact = value
        .map(|_value| super::fact_in(row, key.1, 4))
        .transpose()?;
    let cell = Cell {
        was: fact,
        is: fact,
        has_past: (asked && fact.is_none()).then_some(has_past),
    };
    Ok((key, cell))
}
