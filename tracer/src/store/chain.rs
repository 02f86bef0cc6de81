//! The hash chain over the log: its next value, and finding the first row that does not fit.
//! It shows what was altered by somebody who did not compute the chain anew; its newest value, kept
//! elsewhere, shows that too.

use change::Change;
use rusqlite::Connection;

use super::changes::{Condition, Head, Next, Order};
use super::encoding::Encoding;
use super::error::Doing as _;
use super::{Error, changes, meta};

/// The key of `meta` under which the writer notes where the log ends.
const HEAD: &str = "head";

/// Says whether the log is as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verification {
    /// Every change fits.
    Intact {
        /// How many there are.
        changes: u64,
        /// The chain's newest value.
        head: [u8; 32],
    },
    /// This change is not what was written, or another one was before it.
    Altered {
        /// Its number.
        seq: u64,
    },
    /// This change is not there any more.
    Removed {
        /// Its number.
        seq: u64,
    },
    /// This change was put in between two others.
    Inserted {
        /// Its number.
        seq: u64,
    },
}

/// Computes values of the chain.
#[derive(Default)]
pub(super) struct Chain(Encoding);

impl Chain {
    /// The value after a change, from the one before it and the hash of the change's actor.
    pub(super) fn next(
        &mut self,
        before: &[u8; 32],
        change: &Change,
        actor: Option<&[u8; 32]>,
    ) -> [u8; 32] {
        self.0.clear();
        self.0.change(change, actor);
        let mut hasher = blake3::Hasher::new();
        hasher.update(before).update(self.0.bytes());
        *hasher.finalize().as_bytes()
    }

    /// The same, for a change whose actor's hash is not at hand.
    fn next_of(&mut self, before: &[u8; 32], change: &Change) -> [u8; 32] {
        let actor = change.actor.as_ref().map(|actor| {
            self.0.clear();
            self.0.actor(actor);
            *blake3::hash(self.0.bytes()).as_bytes()
        });
        self.next(before, change, actor.as_ref())
    }
}

/// Notes where the log ends, so that a missing end is noticed.
pub(super) fn write_head(connection: &Connection, head: &Head) -> rusqlite::Result<()> {
    let bytes = [head.seq.to_le_bytes().as_slice(), &head.chain].concat();
    meta::write(connection, HEAD, &bytes)
}

/// Where the writer noted that the log ends.
pub(super) fn read_head(connection: &Connection) -> Result<Head, Error> {
    let bytes = meta::read(connection, HEAD)?.unwrap_or_default();
    let noted = bytes.split_first_chunk().and_then(|(seq, chain)| {
        Some(Head {
            seq: u64::from_le_bytes(*seq),
            newest: 0,
            chain: chain.try_into().ok()?,
        })
    });
    Ok(noted.unwrap_or_default())
}

/// Finds the first change that does not fit.
pub(super) fn verify(connection: &Connection) -> Result<Verification, Error> {
    // One snapshot for the log and its noted end.
    let snapshot = connection.unchecked_transaction().doing("verify the log")?;
    let noted = read_head(&snapshot)?;
    let mut walk = Walk::default();
    let order = (&Condition::default(), Order::OldestFirst);
    changes::each(&snapshot, order, &|_, _| true, &mut |change, stored| {
        walk.step(change, &stored)
    })?;
    Ok(walk.end(&noted))
}

/// Walks along the log up to the first change that does not fit, and one further: that one tells
/// whether the misfit was inserted.
#[derive(Default)]
struct Walk {
    chain: Chain,
    seq: u64,
    value: [u8; 32],
    suspect: Option<u64>,
    found: Option<Verification>,
}

impl Walk {
    fn step(&mut self, mut change: Change, stored: &[u8; 32]) -> Next {
        if let Some(seq) = self.suspect {
            change.seq = seq;
            let fits = self.chain.next_of(&self.value, &change) == *stored;
            self.found = Some(if fits {
                Verification::Inserted { seq }
            } else {
                Verification::Altered { seq }
            });
            return Next::Enough;
        }
        if change.seq != self.seq + 1 {
            let seq = self.seq + 1;
            self.found = Some(Verification::Removed { seq });
            return Next::Enough;
        }
        let value = self.chain.next_of(&self.value, &change);
        if value == *stored {
            (self.seq, self.value) = (change.seq, value);
        } else {
            self.suspect = Some(change.seq);
        }
        Next::More
    }

    fn end(self, noted: &Head) -> Verification {
        let Self {
            chain: _,
            seq,
            value,
            suspect,
            found,
        } = self;
        match (found, suspect) {
            (Some(found), _) => found,
            (None, Some(seq)) if seq > noted.seq => Verification::Inserted { seq },
            (None, Some(seq)) => Verification::Altered { seq },
            (None, None) if seq < noted.seq => Verification::Removed { seq: seq + 1 },
            (None, None) if seq > noted.seq => Verification::Inserted { seq: noted.seq + 1 },
            (None, None) => Verification::Intact {
                changes: seq,
                head: value,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Batch;
    use crate::store::example::{Example, alice, edit};

    const COPY: &str = "INSERT INTO changes SELECT ?2, time, lag, host, subject, op, from_subject,
        before, after, late, between_from, between_to, run, operations, notes, actor, chain
        FROM changes WHERE seq = ?1";

    fn five_changes() -> Example {
        let mut example = Example::new();
        for i in 0..5 {
            let (old, new) = (i.to_string(), (i + 1).to_string());
            let mut change = edit("/etc/a", [&old, &new], i + 1, Some(alice(41)));
            change.notes = vec![change::Note::Replaced, change::Note::SharedDescription];
            change.operations = 3;
            example.commit(Batch {
                changes: vec![change],
                ..Batch::default()
            });
        }
        example
    }

    fn verified_after(tampering: &str) -> Verification {
        let example = five_changes();
        example.connection().execute_batch(tampering).unwrap();
        example.reader().verify().unwrap()
    }

    #[test]
    fn an_untouched_log_is_intact_also_after_reopening() {
        let mut example = five_changes();
        example.reopen();
        example.commit(Batch {
            changes: vec![edit("/etc/b", ["x", "y"], 9, None)],
            ..Batch::default()
        });
        let verification = example.reader().verify().unwrap();
        assert!(
            matches!(verification, Verification::Intact { changes: 6, head } if head != [0; 32]),
            "{verification:?}"
        );
        let empty = Example::new().reader().verify().unwrap();
        let head = [0; 32];
        assert_eq!(empty, Verification::Intact { changes: 0, head });
    }

    #[test]
    fn an_altered_change_is_named_whatever_was_altered_in_it() {
        for tampering in [
            "UPDATE changes SET time = time + 1 WHERE seq = 3",
            "UPDATE changes SET op = 'delete' WHERE seq = 3",
            "UPDATE changes SET operations = 4 WHERE seq = 3",
            "UPDATE changes SET notes = NULL WHERE seq = 3",
            "UPDATE changes SET before = NULL WHERE seq = 3",
            "UPDATE changes SET actor = NULL WHERE seq = 3",
            "UPDATE changes SET chain = zeroblob(32) WHERE seq = 3",
            "UPDATE states SET size = 1000 WHERE id = (SELECT after FROM changes WHERE seq = 3)",
        ] {
            let seq = 3;
            let verification = verified_after(tampering);
            assert_eq!(verification, Verification::Altered { seq }, "{tampering}");
        }
    }

    #[test]
    fn an_altered_actor_or_name_is_noticed_at_its_first_change() {
        for tampering in [
            "UPDATE actors SET argv = '[\"vi\"]'",
            "UPDATE ancestors SET pid = 1 WHERE exe = '/usr/bin/sudo'",
            "UPDATE origins SET login_name = 'bob'",
            "UPDATE subjects SET key = CAST('/etc/z' AS BLOB)",
            "UPDATE hosts SET name = 'other'",
        ] {
            let seq = 1;
            let verification = verified_after(tampering);
            assert_eq!(verification, Verification::Altered { seq }, "{tampering}");
        }
    }

    #[test]
    fn a_removed_change_is_named_also_at_the_end() {
        for (tampering, seq) in [
            ("DELETE FROM changes WHERE seq = 1", 1),
            ("DELETE FROM changes WHERE seq IN (3, 4)", 3),
            ("DELETE FROM changes WHERE seq = 5", 5),
        ] {
            let verification = verified_after(tampering);
            assert_eq!(verification, Verification::Removed { seq }, "{tampering}");
        }
    }

    #[test]
    fn an_inserted_change_is_named() {
        let example = five_changes();
        let connection = example.connection();
        for seq in [5, 4, 3] {
            let moved = "UPDATE changes SET seq = seq + 1 WHERE seq = ?1";
            connection.execute(moved, [seq]).unwrap();
        }
        connection.execute(COPY, [1, 3]).unwrap();
        let verification = example.reader().verify().unwrap();
        assert_eq!(verification, Verification::Inserted { seq: 3 });

        let example = five_changes();
        example.connection().execute(COPY, [5, 6]).unwrap();
        let verification = example.reader().verify().unwrap();
        assert_eq!(verification, Verification::Inserted { seq: 6 });
    }

    #[test]
    fn a_writer_does_not_cover_up_a_missing_end() {
        let mut example = five_changes();
        example
            .connection()
            .execute_batch("DELETE FROM changes WHERE seq >= 4")
            .unwrap();
        example.reopen();
        let stored = example.commit(Batch {
            changes: vec![edit("/etc/b", ["x", "y"], 9, None)],
            ..Batch::default()
        });
        assert_eq!(stored[0].seq, 6);
        let verification = example.reader().verify().unwrap();
        assert_eq!(verification, Verification::Removed { seq: 4 });
    }
}
