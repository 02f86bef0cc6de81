//! The table of holders: which hosts have a value, kept up with every fact that opens or ends.

use std::collections::HashMap;

use super::Error;
use super::error::Doing as _;
use super::sql::{Connection, Insert, Result, Row, Server, Value};
use crate::fleet::{HostKey, HostSet, SubjectKey, ValueKey};

const SELECT: &str = "SELECT hosts FROM holders WHERE subject = ?1 AND value = ?2 AND block = ?3";
const UPSERT: &str = "
    INSERT INTO holders (subject, value, block, hosts) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (subject, value, block) DO UPDATE SET hosts = ?4";
const DELETE: &str = "DELETE FROM holders WHERE subject = ?1 AND value = ?2 AND block = ?3";

// On a server several write to one set, so it is told only what changes. Each waits for the other's row, in the order
// of the key.
const ADD: Insert<4> = Insert {
    table: "holders",
    columns: ["subject", "value", "block", "hosts"],
    on_conflict: "ON CONFLICT (subject, value, block) DO UPDATE SET hosts = holders.hosts | excluded.hosts",
};
const TAKE_AWAY: &str = "
    WITH taken AS (
        INSERT INTO holders (subject, value, block, hosts) SELECT * FROM unnest(?1, ?2, ?3, ?4)
        ON CONFLICT (subject, value, block) DO UPDATE SET hosts = holders.hosts & ~excluded.hosts
        RETURNING subject, value, block, hosts
    ) SELECT subject, value, block FROM taken WHERE hosts = 0::bit(1024)";
const DELETE_ALL: &str = "
    DELETE FROM holders h USING unnest(?1, ?2, ?3) AS w (subject, value, block)
    WHERE h.subject = w.subject AND h.value = w.value AND h.block = w.block";

const SELECT_ALL: &str = "SELECT subject, value, block, hosts FROM holders ORDER BY subject, value";
const SELECT_OF_SUBJECT: &str = "
    SELECT subject, value, block, hosts FROM holders WHERE subject = ?1 ORDER BY value LIMIT ?2";

/// Hosts of one block.
const BLOCK: u16 = 1024;
const WORDS: usize = BLOCK as usize / 64;
/// Up to so many hosts a block is written as a list of two bytes each, and as a bit for each beyond.
const LISTED: usize = 48;

/// A block of hosts that have a value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Block {
    subject: i64,
    value: i64,
    number: u32,
}

/// What becomes of a block.
#[derive(Clone, Copy, Default)]
struct Turnover {
    come: [u64; WORDS],
    gone: [u64; WORDS],
}

/// What one transaction does to the sets of hosts: each is written once.
#[derive(Default)]
pub(super) struct Holders(HashMap<Block, Turnover>);

impl Holders {
    /// Notes that a host has a value of a subject, or has it no more.
    pub(super) fn set(
        &mut self,
        (host, subject, value): (HostKey, SubjectKey, ValueKey),
        holds: bool,
    ) {
        let block = Block {
            subject: subject.0,
            value: value.0,
            number: host.0 / u32::from(BLOCK),
        };
        let Turnover { come, gone } = self.0.entry(block).or_default();
        let (word, bit) = (host.0 % u32::from(BLOCK) / 64, 1 << (host.0 % 64));
        let (to, other) = if holds { (come, gone) } else { (gone, come) };
        to[word as usize] |= bit;
        other[word as usize] &= !bit;
    }

    /// Writes all that was noted.
    pub(super) fn write(self, connection: &Connection) -> Result<()> {
        if let Some(server) = connection.server() {
            return self.write_to(connection, server);
        }
        for (block, Turnover { come, gone }) in self.sorted() {
            let Block {
                subject,
                value,
                number,
            } = block;
            let mut words = read(connection, block)?;
            for (word, (come, gone)) in words.iter_mut().zip(come.iter().zip(&gone)) {
                *word = *word & !gone | come;
            }
            if words == [0; WORDS] {
                connection.execute(DELETE, (subject, value, number))?;
            } else {
                connection.execute(UPSERT, (subject, value, number, pack(&words)))?;
            }
        }
        Ok(())
    }

    /// In the order of the key, in which rows lie together.
    fn sorted(self) -> Vec<(Block, Turnover)> {
        let mut all: Vec<_> = self.0.into_iter().collect();
        all.sort_unstable_by_key(|(block, _)| *block);
        all
    }

    fn write_to(self, connection: &Connection, server: &Server) -> Result<()> {
        let bytes = |words: [u64; WORDS]| words.map(u64::to_le_bytes).concat();
        let is_any = |words: &[u64; WORDS]| *words != [0; WORDS];
        let all = self.sorted();
        let come = all.iter().filter(|(_, turnover)| is_any(&turnover.come));
        let come: Vec<_> = come
            .map(|(block, turnover)| (block, bytes(turnover.come)))
            .collect();
        connection.insert_all(&ADD, come.iter().map(|(block, bits)| row(block, bits)))?;
        let gone = all.iter().filter(|(_, turnover)| is_any(&turnover.gone));
        let gone: Vec<_> = gone
            .map(|(block, turnover)| (block, bytes(turnover.gone)))
            .collect();
        let mut columns: [Vec<Value<'_>>; 4] = [const { Vec::new() }; 4];
        for (block, bits) in &gone {
            let values = columns.iter_mut().zip(row(block, bits));
            values.for_each(|(column, value)| column.push(value));
        }
        let empty = server.rows_of_lists(TAKE_AWAY, &columns, |row| {
            Ok([row.get(0)?, row.get(1)?, row.get(2)?])
        })?;
        let column = |index: usize| {
            let values = empty
                .iter()
                .map(|key: &[i64; 3]| Value::Integer(Some(key[index])));
            values.collect()
        };
        server.with_lists(DELETE_ALL, &[column(0), column(1), column(2)])
    }
}

fn row<'v>(block: &Block, bits: &'v [u8]) -> [Value<'v>; 4] {
    [
        Value::Integer(Some(block.subject)),
        Value::Integer(Some(block.value)),
        Value::Integer(Some(block.number.into())),
        Value::Bits(bits),
    ]
}

/// Passes on all sets of hosts, in the order of subjects and values.
pub(super) fn each(
    connection: &Connection,
    doing: &'static str,
    pass_on: &mut dyn FnMut(SubjectKey, ValueKey, &HostSet),
) -> std::result::Result<(), Error> {
    let mut sets = Sets::new(pass_on);
    connection.each((SELECT_ALL, ()), doing, &mut |row| {
        sets.take(row).doing(doing).map(|()| true)
    })?;
    sets.end();
    Ok(())
}

/// The sets of hosts of one subject, from no more rows than `most`.
pub(super) fn of_subject(
    connection: &Connection,
    subject: SubjectKey,
    most: usize,
) -> Result<Vec<(ValueKey, HostSet)>> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut found = Vec::new();
    let mut pass_on = |_, value, hosts: &HostSet| found.push((value, hosts.clone()));
    let mut sets = Sets::new(&mut pass_on);
    connection.rows(SELECT_OF_SUBJECT, (subject.0, most), |row| sets.take(row))?;
    sets.end();
    Ok(found)
}

/// Puts the blocks of each set together.
struct Sets<'p> {
    open: Option<(i64, i64)>,
    hosts: HostSet,
    pass_on: &'p mut dyn FnMut(SubjectKey, ValueKey, &HostSet),
}

impl<'p> Sets<'p> {
    fn new(pass_on: &'p mut dyn FnMut(SubjectKey, ValueKey, &HostSet)) -> Self {
        Self {
            open: None,
            hosts: HostSet::default(),
            pass_on,
        }
    }

    fn take(&mut self, row: &Row<'_>) -> Result<()> {
        let next = (row.get(0)?, row.get(1)?);
        if self.open.is_some_and(|open| open != next) {
            self.end();
        }
        self.open = Some(next);
        let block: u32 = row.get(2)?;
        let words = unpack(&row.bytes(3)?);
        self.hosts.insert_words(block as usize * WORDS, &words);
        Ok(())
    }

    fn end(&mut self) {
        if let Some((subject, value)) = self.open.take() {
            (self.pass_on)(SubjectKey(subject), ValueKey(value), &self.hosts);
            self.hosts.clear();
        }
    }
}

fn read(connection: &Connection, block: Block) -> Result<[u64; WORDS]> {
    let Block {
        subject,
        value,
        number,
    } = block;
    let found = connection.optional(SELECT, (subject, value, number), |row| {
        Ok(unpack(&row.bytes(0)?))
    })?;
    Ok(found.unwrap_or_default())
}
fn pack(words: &[u64; WORDS]) -> Vec<u8> {
    let count: u32 = words.iter().map(|word| word.count_ones()).sum();
    if count as usize > LISTED {
        return words.iter().flat_map(|word| word.to_le_bytes()).collect();
    }
    let has = |host: &u16| words[usize::from(*host) / 64] >> (host % 64) & 1 == 1;
    let listed = (0..BLOCK).filter(has);
    listed.flat_map(u16::to_le_bytes).collect()
}

/// Reads what [`pack`] wrote. Of anything else it makes some set, and never fails.
fn unpack(bytes: &[u8]) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    if bytes.len() == WORDS * 8 {
        let (packed, _) = bytes.as_chunks();
        for (word, bytes) in words.iter_mut().zip(packed) {
            *word = u64::from_le_bytes(*bytes);
        }
        return words;
    }
    let (listed, _) = bytes.as_chunks();
    for host in listed.iter().copied().map(u16::from_le_bytes) {
        words[usize::from(host) / 64 % WORDS] |= 1 << (host % 64);
    }
    words
}
