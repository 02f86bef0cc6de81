//! Finds what in the store is not as it was written: walks along the hash chain from the first change
//! to the noted end, and compares each content with its hash. Sessions, gaps and facts are not part of
//! the chain, and who computes the chain anew is only found out by a head that was kept elsewhere.

mod contents;
mod suspects;

use std::collections::HashSet;

use change::Change;
use change::wire::{Finding, FindingKind, VerifyBody};
use rusqlite::{Connection, OptionalExtension as _};

use super::chain::{self, Chain};
use super::changes::{Condition, Head, Next, Order};
use super::error::Doing as _;
use super::{Error, changes};

/// After so many findings the search is given up: the store is another one.
const MAX_FINDINGS: usize = 1000;

const QUICK_CHECK: &str = "PRAGMA quick_check(1)";
const SELECT_NEXT: &str = "SELECT seq, chain FROM changes WHERE seq > ?1 ORDER BY seq LIMIT 1";

const VERIFY: &str = "verify the log";

/// A place in the log and the chain's value there, as an earlier verification told it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownHead {
    /// Number of the change.
    pub seq: u64,
    /// The chain's value after it.
    pub chain: [u8; 32],
}

impl KnownHead {
    /// Reads what [`KnownHead::to_text`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (seq, digits) = text.split_once(':')?;
        let chain = blake3::Hash::from_hex(digits).ok()?;
        Some(Self {
            seq: seq.parse().ok()?,
            chain: *chain.as_bytes(),
        })
    }

    /// `SEQ:HASH`.
    pub fn to_text(self) -> String {
        let Self { seq, chain } = self;
        format!("{seq}:{}", blake3::Hash::from_bytes(chain).to_hex())
    }
}

/// Looks at everything that can be known to be as it was written.
pub(super) fn verify(
    connection: &Connection,
    known: Option<KnownHead>,
) -> Result<VerifyBody, Error> {
    // One snapshot for the log, its contents and its noted end.
    let snapshot = connection.unchecked_transaction().doing(VERIFY)?;
    let mut body = VerifyBody::default();
    // A damaged page is a finding too; what lies before it can still be told.
    if let Err(error) = look(&snapshot, known, &mut body) {
        if !error.is_damage() {
            return Err(error);
        }
        body.findings
            .push(finding(FindingKind::File, error.to_string()));
    }
    body.intact = body.findings.is_empty();
    Ok(body)
}

/// The newest value of the chain.
pub(super) fn head(connection: &Connection) -> Result<KnownHead, Error> {
    let Head { seq, chain, .. } = changes::last(connection)?.unwrap_or_default();
    Ok(KnownHead { seq, chain })
}

fn look(
    connection: &Connection,
    known: Option<KnownHead>,
    body: &mut VerifyBody,
) -> Result<(), Error> {
    body.head = head(connection)?.to_text();
    let said: String = connection
        .query_row(QUICK_CHECK, [], |row| row.get(0))
        .doing(VERIFY)?;
    if said != "ok" {
        let detail = format!("the database file is damaged: {}", said.replace('\n', "; "));
        body.findings.push(finding(FindingKind::File, detail));
    }
    let mut walk = Walk {
        known,
        ..Walk::default()
    };
    let result = walk_log(connection, &mut walk);
    walk.end(&chain::read_head(connection)?);
    body.changes = walk.count;
    body.gave_up = walk.is_enough();
    let altered: HashSet<u64> = walk.altered().collect();
    body.findings.append(&mut walk.findings);
    result?;
    if !altered.is_empty() {
        suspects::name(connection, &altered, walk.seq, &mut body.findings)?;
    }
    contents::verify(connection, body)
}

/// Shows every change to the walk, also those that cannot be read.
fn walk_log(connection: &Connection, walk: &mut Walk) -> Result<(), Error> {
    let mut after = i64::MIN;
    loop {
        let mut condition = Condition::default();
        condition.and("c.seq > ?", [after.into()]);
        let order = (&condition, Order::OldestFirst);
        let read = changes::each(connection, order, &|_, _| true, &mut |change, stored| {
            after = change.seq.cast_signed();
            walk.step_beside(connection, change, stored)
        });
        match read {
            Ok(()) => break,
            Err(Error::Row { table, row, what }) => {
                let detail = format!("row {row} of `{table}`: {what}");
                after = walk.unreadable(connection, after, &detail)?;
            }
            Err(error) => return Err(error),
        }
        if walk.is_enough() {
            return Ok(());
        }
    }
    walk.rest(connection)
}

fn finding(kind: FindingKind, detail: String) -> Finding {
    Finding {
        kind,
        seq: None,
        to_seq: None,
        detail,
    }
}

fn at(kind: FindingKind, seq: u64, detail: &str) -> Finding {
    Finding {
        seq: Some(seq),
        ..finding(kind, detail.to_owned())
    }
}

/// Walks along the log. A change that does not fit is judged by the one after it, which goes on from
/// the chain's value before it, with it, or from what it should have been.
#[derive(Default)]
struct Walk {
    chain: Chain,
    /// The change that was looked at last, and the chain's value there.
    seq: u64,
    value: [u8; 32],
    /// How many changes were put in up to there, by which the numbers of all others have grown.
    inserted: u64,
    suspect: Option<Suspect>,
    known: Option<KnownHead>,
    count: u64,
    findings: Vec<Finding>,
}

/// A change that does not fit.
#[derive(Clone, Copy)]
struct Suspect {
    seq: u64,
    /// The chain's value before it.
    before: [u8; 32],
    /// The value that it should have.
    expected: [u8; 32],
}

impl Walk {
    fn is_enough(&self) -> bool {
        self.findings.len() >= MAX_FINDINGS
    }

    fn altered(&self) -> impl Iterator<Item = u64> {
        let altered = self
            .findings
            .iter()
            .filter(|finding| finding.kind == FindingKind::Altered);
        altered.filter_map(|finding| finding.seq)
    }

    /// Looks at the next change that can be read, and before it at rows that lead nowhere: a change
    /// whose subject or host is gone is not read at all.
    fn step_beside(&mut self, connection: &Connection, change: Change, stored: [u8; 32]) -> Next {
        while self.seq + 1 < change.seq && !self.is_enough() {
            let next = next_row(connection, self.seq.cast_signed());
            match next {
                Ok(Some((seq, stored))) if seq.cast_unsigned() < change.seq => {
                    self.take_unread(seq.cast_unsigned(), stored, "what it refers to is gone");
                }
                _ => break,
            }
        }
        self.step(change, &stored);
        if self.is_enough() {
            Next::Enough
        } else {
            Next::More
        }
    }

    /// Takes note of the next row, which cannot be read, and gives its number.
    fn unreadable(
        &mut self,
        connection: &Connection,
        after: i64,
        detail: &str,
    ) -> Result<i64, Error> {
        let Some((seq, stored)) = next_row(connection, after)? else {
            return Ok(i64::MAX);
        };
        self.take_unread(seq.cast_unsigned(), stored, detail);
        Ok(seq)
    }

    /// Looks at rows behind the last change that could be read.
    fn rest(&mut self, connection: &Connection) -> Result<(), Error> {
        while let Some((seq, stored)) = next_row(connection, self.seq.cast_signed())? {
            if self.is_enough() {
                break;
            }
            self.take_unread(seq.cast_unsigned(), stored, "what it refers to is gone");
        }
        Ok(())
    }

    fn take_unread(&mut self, seq: u64, stored: [u8; 32], detail: &str) {
        if self.is_of_no_log(seq) {
            return;
        }
        self.settle_suspect();
        self.skip_hole(seq);
        self.findings.push(at(FindingKind::Altered, seq, detail));
        self.reach(seq, stored);
    }

    /// Looks at the next change.
    fn step(&mut self, mut change: Change, stored: &[u8; 32]) {
        let seq = change.seq;
        if self.is_of_no_log(seq) {
            return;
        }
        if self.skip_hole(seq) {
            // What it goes on from is gone, so that it cannot be verified itself.
            self.reach(seq, *stored);
            return;
        }
        change.seq = seq - self.inserted;
        let expected = self.chain.next_of(&self.value, &change);
        if expected == *stored {
            self.settle_suspect();
        } else if let Some(suspect) = self.suspect.take() {
            self.judge(suspect, &mut change, stored);
        } else {
            self.suspect = Some(Suspect {
                seq,
                before: self.value,
                expected,
            });
        }
        self.reach(seq, *stored);
    }

    /// Whether no change can have the number; that is a finding.
    fn is_of_no_log(&mut self, seq: u64) -> bool {
        let is_odd = seq == 0 || seq > i64::MAX.cast_unsigned();
        if is_odd {
            let detail = format!("number {} was never given", seq.cast_signed());
            self.findings.push(at(FindingKind::Inserted, seq, &detail));
        }
        is_odd
    }

    /// Two changes in a row do not fit: what the first one is, and whether that explains the second.
    fn judge(&mut self, first: Suspect, second: &mut Change, stored: &[u8; 32]) {
        if self.chain.next_of(&first.expected, second) == *stored {
            let detail = "its value of the chain";
            self.findings
                .push(at(FindingKind::Altered, first.seq, detail));
            return;
        }
        let seq = second.seq;
        second.seq = seq - 1;
        if self.chain.next_of(&first.before, second) == *stored {
            let detail = "the changes after it have got higher numbers";
            self.findings
                .push(at(FindingKind::Inserted, first.seq, detail));
            self.inserted += 1;
            return;
        }
        second.seq = seq;
        let before = self.value;
        self.findings.push(at(FindingKind::Altered, first.seq, ""));
        self.suspect = Some(Suspect {
            seq: seq + self.inserted,
            before,
            expected: self.chain.next_of(&before, second),
        });
    }

    /// Notes that changes are missing before this one.
    fn skip_hole(&mut self, seq: u64) -> bool {
        let next = self.seq + 1;
        if seq <= next {
            return false;
        }
        self.settle_suspect();
        self.push_removed(next, seq - 1);
        true
    }

    fn push_removed(&mut self, from: u64, to: u64) {
        let (kind, seq, to_seq) = (FindingKind::Removed, Some(from), Some(to));
        let detail = "missing in the log".to_owned();
        self.findings.push(Finding {
            kind,
            seq,
            to_seq,
            detail,
        });
    }

    /// The change after the suspect fits, or there is none: the suspect is another one than was
    /// written.
    fn settle_suspect(&mut self) {
        if let Some(Suspect { seq, .. }) = self.suspect.take() {
            self.findings.push(at(FindingKind::Altered, seq, ""));
        }
    }

    fn reach(&mut self, seq: u64, value: [u8; 32]) {
        self.count += 1;
        (self.seq, self.value) = (seq, value);
        if let Some(known) = self.known.filter(|known| known.seq == seq) {
            if known.chain != value {
                let detail = "the chain is another one than was told before";
                self.findings.push(at(FindingKind::Head, seq, detail));
            }
            self.known = None;
        }
    }

    /// Compares the end with the one that the writer noted.
    fn end(&mut self, noted: &Head) {
        if self.is_enough() {
            return;
        }
        let end = noted.seq + self.inserted;
        let is_beyond = self.seq > end;
        if is_beyond {
            self.suspect = None;
            for seq in end + 1..=self.seq {
                let detail = "written behind the noted end of the log";
                self.findings.push(at(FindingKind::Inserted, seq, detail));
            }
        }
        let is_clean = self.suspect.is_none();
        self.settle_suspect();
        if self.seq < end {
            self.push_removed(self.seq + 1, end);
        } else if is_clean && !is_beyond && self.value != noted.chain {
            let detail = "the noted end of the log has another value of the chain";
            self.findings.push(at(FindingKind::Head, self.seq, detail));
        }
        if let Some(known) = self.known {
            let detail = "the log does not reach as far as was told before";
            self.findings.push(at(FindingKind::Head, known.seq, detail));
        }
    }
}

/// Number and chain value of the row after that number, whether it can be read or not.
fn next_row(connection: &Connection, after: i64) -> Result<Option<(i64, [u8; 32])>, Error> {
    let mut select = connection.prepare_cached(SELECT_NEXT).doing(VERIFY)?;
    let row = select.query_row([after], |row| {
        Ok((row.get(0)?, row.get(1).unwrap_or_default()))
    });
    row.optional().doing(VERIFY)
}

#[cfg(test)]
mod tests;
