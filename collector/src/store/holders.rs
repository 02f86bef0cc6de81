//! The table of holders: which hosts have a value, kept up with every fact that opens or ends.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, OptionalExtension as _, Rows};

use crate::fleet::{HostKey, HostSet, SubjectKey, ValueKey};

const SELECT: &str = "SELECT hosts FROM holders WHERE subject = ?1 AND value = ?2 AND block = ?3";
const UPSERT: &str = "
    INSERT INTO holders (subject, value, block, hosts) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (subject, value, block) DO UPDATE SET hosts = ?4";
const DELETE: &str = "DELETE FROM holders WHERE subject = ?1 AND value = ?2 AND block = ?3";

const SELECT_ALL: &str = "SELECT subject, value, block, hosts FROM holders ORDER BY subject, value";
const SELECT_OF_SUBJECT: &str = "
    SELECT subject, value, block, hosts FROM holders WHERE subject = ?1 ORDER BY value LIMIT ?2";

/// Hosts of one block.
const BLOCK: u16 = 1024;
const WORDS: usize = BLOCK as usize / 64;
/// Up to so many hosts a block is written as a list of two bytes each, and as a bit for each beyond.
const LISTED: usize = 48;

/// A block of hosts that have a value.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Block {
    subject: i64,
    value: i64,
    number: u32,
}

/// What one transaction does to the sets of hosts: each is read once and written once.
#[derive(Default)]
pub(super) struct Holders(HashMap<Block, [u64; WORDS]>);

impl Holders {
    /// Notes that a host has a value of a subject, or has it no more.
    pub(super) fn set(
        &mut self,
        connection: &Connection,
        (host, subject, value): (HostKey, SubjectKey, ValueKey),
        holds: bool,
    ) -> rusqlite::Result<()> {
        let block = Block {
            subject: subject.0,
            value: value.0,
            number: host.0 / u32::from(BLOCK),
        };
        let words = match self.0.entry(block) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(read(connection, block)?),
        };
        let (word, bit) = (host.0 % u32::from(BLOCK) / 64, 1 << (host.0 % 64));
        if holds {
            words[word as usize] |= bit;
        } else {
            words[word as usize] &= !bit;
        }
        Ok(())
    }

    /// Writes all that was noted.
    pub(super) fn write(self, connection: &Connection) -> rusqlite::Result<()> {
        let mut upsert = connection.prepare_cached(UPSERT)?;
        let mut delete = connection.prepare_cached(DELETE)?;
        for (block, words) in self.0 {
            let Block {
                subject,
                value,
                number,
            } = block;
            if words == [0; WORDS] {
                delete.execute((subject, value, number))?;
            } else {
                upsert.execute((subject, value, number, pack(&words)))?;
            }
        }
        Ok(())
    }
}

/// Passes on all sets of hosts, in the order of subjects and values.
pub(super) fn each(
    connection: &Connection,
    pass_on: &mut dyn FnMut(SubjectKey, ValueKey, &HostSet),
) -> rusqlite::Result<()> {
    pass_rows(connection.prepare_cached(SELECT_ALL)?.query([])?, pass_on)
}

/// The sets of hosts of one subject, from no more rows than `most`.
pub(super) fn of_subject(
    connection: &Connection,
    subject: SubjectKey,
    most: usize,
) -> rusqlite::Result<Vec<(ValueKey, HostSet)>> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut select = connection.prepare_cached(SELECT_OF_SUBJECT)?;
    let mut found = Vec::new();
    pass_rows(select.query((subject.0, most))?, &mut |_, value, hosts| {
        found.push((value, hosts.clone()));
    })?;
    Ok(found)
}

fn pass_rows(
    mut rows: Rows<'_>,
    pass_on: &mut dyn FnMut(SubjectKey, ValueKey, &HostSet),
) -> rusqlite::Result<()> {
    let mut open: Option<(i64, i64)> = None;
    let mut hosts = HostSet::default();
    while let Some(row) = rows.next()? {
        let next = (row.get(0)?, row.get(1)?);
        if let Some((subject, value)) = open.filter(|open| *open != next) {
            pass_on(SubjectKey(subject), ValueKey(value), &hosts);
            hosts.clear();
        }
        open = Some(next);
        let block: u32 = row.get(2)?;
        hosts.insert_words(block as usize * WORDS, &unpack(row.get_ref(3)?.as_blob()?));
    }
    if let Some((subject, value)) = open {
        pass_on(SubjectKey(subject), ValueKey(value), &hosts);
    }
    Ok(())
}

fn read(connection: &Connection, block: Block) -> rusqlite::Result<[u64; WORDS]> {
    let Block {
        subject,
        value,
        number,
    } = block;
    let mut select = connection.prepare_cached(SELECT)?;
    let found = select
        .query_row((subject, value, number), |row| {
            Ok(unpack(row.get_ref(0)?.as_blob()?))
        })
        .optional()?;
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
