//! Writes the store: the one writer, a transaction a batch.

mod purge;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

use change::{Change, FactValue, Run, Subject};
use rusqlite::{Connection, TransactionBehavior};

use super::actors::ActorWriter;
use super::chain::Chain;
use super::changes::{ChangeRow, ChangeWriter, Head};
use super::contents::{ContentWriter, Packer};
use super::error::Doing as _;
use super::facts::{FactRow, FactWriter};
use super::memory::{KnownState, Memory};
use super::states::StateWriter;
use super::subjects::SubjectWriter;
use super::sync::LogFile;
use super::{
    Batch, Content, Error, Fact, KnownHead, Purge, chain, changes, connection, forget, gaps, meta,
    runs, sessions,
};

const WRITE: &str = "write to the store";

/// Writes to the store; there is one, owned by one thread.
pub struct Writer {
    connection: Connection,
    head: Head,
    memory: Memory,
    chain: Chain,
    packer: Packer,
    path: PathBuf,
    log_file: LogFile,
    /// Whether something was committed since the last [`Writer::sync`].
    is_unsynced: bool,
}

impl Writer {
    /// Opens the store in a file, made where there is none and brought to the newest schema.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let connection = connection::open_to_write(path)?;
        let noted = chain::read_head(&connection)?;
        let last = changes::last(&connection)?.unwrap_or_default();
        // Where the end of the log is missing it goes on behind the hole, which shows it.
        let head = Head {
            newest: last.newest,
            ..if noted.seq > last.seq { noted } else { last }
        };
        let packer = Packer::new().map_err(|source| Error::Open {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            connection,
            head,
            memory: Memory::default(),
            chain: Chain::default(),
            packer,
            path: path.to_owned(),
            log_file: LogFile::of(path),
            is_unsynced: true,
        })
    }

    /// Writes everything in one transaction, or nothing; gives the changes their numbers, without
    /// holes, and returns them as stored.
    pub fn commit(&mut self, batch: Batch) -> Result<Vec<Change>, Error> {
        let result = self.write(batch, None);
        if result.is_err() {
            self.memory.forget();
        }
        result.map_err(|error| error.in_store(&self.path))
    }

    /// The end of the log as it was committed.
    pub fn head(&self) -> KnownHead {
        let Head { seq, chain, .. } = self.head;
        KnownHead { seq, chain }
    }

    /// Sees to it that what was committed survives a power cut. A commit alone survives the end of
    /// the process, as the system writes it to the disk when it likes.
    pub fn sync(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.is_unsynced)
            && let Err(source) = self.log_file.sync()
        {
            self.is_unsynced = true;
            let path = self.path.clone();
            return Err(Error::Sync { path, source });
        }
        Ok(())
    }

    /// Brings everything into the database file itself; for the end of the daemon.
    pub fn checkpoint(&mut self) -> Result<(), Error> {
        let doing = "write the store's log back";
        self.connection
            .execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE);")
            .doing(doing)
    }

    /// The value of a key; it is made and kept where there is none.
    pub fn meta_or_insert(
        &mut self,
        key: &str,
        value: impl FnOnce() -> Vec<u8>,
    ) -> Result<Vec<u8>, Error> {
        if let Some(known) = meta::read(&self.connection, key)? {
            return Ok(known);
        }
        let value = value();
        meta::write(&self.connection, key, &value).doing(WRITE)?;
        Ok(value)
    }

    /// Sets the value of a key.
    pub fn set_meta(&mut self, key: &str, value: &[u8]) -> Result<(), Error> {
        meta::write(&self.connection, key, value).doing(WRITE)
    }

    fn write(&mut self, batch: Batch, purge: Option<&Purge>) -> Result<Vec<Change>, Error> {
        let Batch {
            contents,
            changes,
            facts,
            sessions,
            runs,
            gaps,
            heartbeat,
        } = batch;
        self.memory.shrink();
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .doing(WRITE)?;
        write_contents(&transaction, &mut self.packer, &contents).doing(WRITE)?;
        let mut log = Log {
            connection: &transaction,
            head: self.head,
            memory: &mut self.memory,
            chain: &mut self.chain,
            writers: Writers::new(&transaction).doing(WRITE)?,
        };
        for run in &runs {
            log.write_run(run).doing(WRITE)?;
        }
        let stored = changes
            .into_iter()
            .map(|change| log.write(change))
            .collect::<Result<Vec<_>, Error>>()?;
        log.fold(facts)?;
        let head = log.head;
        drop(log);
        runs::count(&transaction, &stored).doing(WRITE)?;
        for session in &sessions {
            sessions::write(&transaction, session).doing(WRITE)?;
        }
        for gap in &gaps {
            gaps::write(&transaction, gap).doing(WRITE)?;
        }
        if let Some(time) = heartbeat {
            meta::write_heartbeat(&transaction, time).doing(WRITE)?;
        }
        if let Some(purge) = purge {
            forget::overwrite(&transaction, purge, head.seq).doing(WRITE)?;
        }
        if head != self.head {
            chain::write_head(&transaction, &head).doing(WRITE)?;
        }
        transaction.commit().doing(WRITE)?;
        self.is_unsynced = true;
        self.head = head;
        Ok(stored)
    }
}

fn write_contents(
    connection: &Connection,
    packer: &mut Packer,
    contents: &[Content],
) -> rusqlite::Result<()> {
    let mut writer = ContentWriter::new(connection)?;
    contents
        .iter()
        .try_for_each(|content| writer.write(packer, content))
}

/// The end of the log within one transaction.
struct Log<'t> {
    connection: &'t Connection,
    head: Head,
    memory: &'t mut Memory,
    chain: &'t mut Chain,
    writers: Writers<'t>,
}

/// The ids of the subjects and states of a change.
struct Referred {
    subject: i64,
    from_subject: Option<i64>,
    before: Option<i64>,
    after: Option<i64>,
}

/// The statements of the tables that a change or a fact touches.
struct Writers<'t> {
    subjects: SubjectWriter<'t>,
    states: StateWriter<'t>,
    actors: ActorWriter<'t>,
    changes: ChangeWriter<'t>,
    facts: FactWriter<'t>,
}

impl<'t> Writers<'t> {
    fn new(connection: &'t Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            subjects: SubjectWriter::new(connection)?,
            states: StateWriter::new(connection)?,
            actors: ActorWriter::new(connection)?,
            changes: ChangeWriter::new(connection)?,
            facts: FactWriter::new(connection)?,
        })
    }
}

impl Log<'_> {
    /// Writes a change at the end.
    fn write(&mut self, mut change: Change) -> Result<Change, Error> {
        change.seq = self.head.seq + 1;
        let host = self
            .memory
            .host(self.connection, &change.host, &change.hostname)
            .doing(WRITE)?;
        let actor = change
            .actor
            .as_ref()
            .map(|actor| self.memory.actor(&mut self.writers.actors, actor))
            .transpose()
            .doing(WRITE)?;
        let Referred {
            subject,
            from_subject,
            before,
            after,
        } = self.write_states(&change)?;
        let hash = actor.as_ref().map(|(_, hash)| hash);
        let chain = self.chain.next(&self.head.chain, &change, hash);
        let newest = self.head.newest.max(change.time.as_nanos());
        let newest = if self.head.seq == 0 {
            change.time.as_nanos()
        } else {
            newest
        };
        let row = ChangeRow {
            lag: newest.saturating_sub(change.time.as_nanos()),
            host,
            subject,
            from_subject,
            before,
            after,
            actor: actor.map(|(id, _)| id),
            chain,
        };
        self.writers.changes.write(&change, &row).doing(WRITE)?;
        self.head = Head {
            seq: change.seq,
            newest,
            chain,
        };
        Ok(change)
    }

    /// Writes a run, or what is new of it.
    fn write_run(&mut self, run: &Run) -> rusqlite::Result<()> {
        let Self {
            connection,
            memory,
            writers,
            ..
        } = self;
        runs::write(connection, run, || {
            let written = memory.actor(&mut writers.actors, &run.actor);
            written.map(|(id, _)| id)
        })
    }

    /// Writes the subject and the states of a change, as far as they are new.
    fn write_states(&mut self, change: &Change) -> Result<Referred, Error> {
        let Writers {
            subjects, states, ..
        } = &mut self.writers;
        let mut from = None;
        if let Some(renamed) = &change.from {
            let name = Subject {
                kind: change.subject.kind,
                key: renamed.0.clone(),
            };
            let known = self.memory.subject(subjects, &name, change.time)?;
            from = Some((known.id, known.state.take()));
        }
        let known = self
            .memory
            .subject(subjects, &change.subject, change.time)?;
        let of_from = from.as_ref().and_then(|(_, state)| state.as_ref());
        let before = change
            .before
            .as_ref()
            .map(|value| known_or_written([known.state.as_ref(), of_from], states, value))
            .transpose()?;
        let after = change
            .after
            .as_ref()
            .map(|value| known_or_written([before.as_ref(), None], states, value))
            .transpose()?;
        let referred = Referred {
            subject: known.id,
            from_subject: from.map(|(id, _)| id),
            before: before.map(|state| state.id),
            after: after.as_ref().map(|state| state.id),
        };
        known.state = after;
        Ok(referred)
    }

    /// Folds facts into the state of the host.
    fn fold(&mut self, facts: Vec<Fact>) -> Result<(), Error> {
        let mut rows = BTreeMap::new();
        // The newest first: of several facts of one subject only that one is written.
        for fact in facts.into_iter().rev() {
            let Fact {
                subject,
                value,
                identity,
                time,
            } = fact;
            let Writers {
                subjects, states, ..
            } = &mut self.writers;
            let known = self.memory.subject(subjects, &subject, time)?;
            let Entry::Vacant(row) = rows.entry(known.id) else {
                continue;
            };
            known.state = value
                .as_ref()
                .map(|value| known_or_written([known.state.as_ref(), None], states, value))
                .transpose()?;
            row.insert(FactRow {
                state: known.state.as_ref().map(|state| state.id),
                time,
                identity,
            });
        }
        rows.iter()
            .try_for_each(|(subject, row)| self.writers.facts.write(*subject, row))
            .doing(WRITE)
    }
}

/// The state of that value: one of those that are known, or else a new one.
fn known_or_written(
    known: [Option<&KnownState>; 2],
    states: &mut StateWriter<'_>,
    value: &FactValue,
) -> Result<KnownState, Error> {
    let same = known
        .into_iter()
        .flatten()
        .find(|state| state.value == *value);
    match same {
        Some(state) => Ok(state.clone()),
        None => KnownState::write(states, value).doing(WRITE),
    }
}

#[cfg(test)]
mod tests {
    use change::wire::{Finding, FindingKind, SessionBody};
    use change::{Actor, GapReason};

    use super::*;
    use crate::store::Kept;
    use crate::store::example::{Example, alice, create, edit, file, gap, session, text_fact};

    #[test]
    fn actors_are_stored_once_and_one_that_became_another_program_again() {
        let mut example = Example::new();
        let before = alice(41);
        let mut after = before.clone();
        after.process.argv.push("--again".to_owned());
        let by = |actor: &Actor| edit("/etc/a", ["a", "b"], 1, Some(actor.clone()));
        example.log(vec![
            by(&before),
            by(&before),
            by(&after),
            by(&after),
            by(&alice(42)),
        ]);
        let count = |table: &str| -> i64 {
            let sql = format!("SELECT count(*) FROM {table}");
            example
                .connection()
                .query_row(&sql, [], |row| row.get(0))
                .unwrap()
        };
        assert_eq!(count("actors"), 3);
        assert_eq!(count("origins"), 2);
        assert_eq!(count("ancestors"), 3);
        let reader = example.reader();
        assert_eq!(reader.change(3).unwrap().unwrap().actor, Some(after.into()));
    }

    #[test]
    fn a_state_is_shared_by_the_changes_on_both_its_sides() {
        let mut example = Example::new();
        example.log(vec![
            create("/etc/a", "1", 1, None),
            edit("/etc/a", ["1", "2"], 2, None),
            edit("/etc/a", ["2", "3"], 3, None),
        ]);
        example.reopen();
        example.log(vec![edit("/etc/a", ["3", "4"], 4, None)]);
        let count = example
            .connection()
            .query_row("SELECT count(*) FROM states", [], |row| {
                row.get::<_, i64>(0)
            });
        assert_eq!(count, Ok(4));
    }

    #[test]
    fn a_batch_that_fails_leaves_nothing_and_the_next_one_has_no_hole() {
        let mut example = Example::new();
        example.log(vec![create("/etc/a", "1", 1, Some(alice(41)))]);
        example
            .connection()
            .execute_batch(
                "CREATE TRIGGER refuse BEFORE INSERT ON gaps BEGIN SELECT RAISE(ABORT, 'no'); END",
            )
            .unwrap();
        let batch = || Batch {
            contents: vec![Content {
                hash: [1; 32],
                bytes: b"x".to_vec(),
            }],
            changes: vec![edit("/etc/new", ["1", "2"], 2, Some(alice(55)))],
            facts: vec![text_fact("/etc/new", "2", 2)],
            ..Batch::default()
        };
        let failing = Batch {
            gaps: vec![gap(GapReason::Lost, 1, None)],
            ..batch()
        };
        let said = example.writer().commit(failing).unwrap_err().to_string();
        assert!(said.contains("write to the store: no"), "{said}");
        let reader = example.reader();
        assert_eq!(reader.last_seq().unwrap(), 1);
        assert_eq!(reader.content(&[1; 32]).unwrap(), Kept::Nothing);
        assert_eq!(reader.fact(&file("/etc/new")).unwrap(), None);
        assert_eq!(example.commit(batch())[0].seq, 2);
        assert_eq!(
            example.reader().change(2).unwrap().map(|change| change.seq),
            Some(2)
        );
        let body = reader.verify(None).unwrap();
        let of_log = |finding: &Finding| finding.kind != FindingKind::Content;
        assert!(!body.findings.iter().any(of_log), "{body:?}");
        assert_eq!(body.changes, 2);
    }

    #[test]
    fn what_was_committed_is_there_after_a_kill() {
        let mut example = Example::new();
        example.log(vec![create("/etc/a", "1", 1, Some(alice(41)))]);
        // A kill leaves the files as they are at that moment: the database and its log beside it.
        let elsewhere = tempfile::tempdir().unwrap();
        for name in ["tracer.db", "tracer.db-wal"] {
            let from = example.path().with_file_name(name);
            std::fs::copy(from, elsewhere.path().join(name)).unwrap();
        }
        let mut writer = Writer::open(&elsewhere.path().join("tracer.db")).unwrap();
        let stored = writer.commit(Batch {
            changes: vec![edit("/etc/a", ["1", "2"], 2, None)],
            ..Batch::default()
        });
        assert_eq!(stored.unwrap()[0].seq, 2);
    }

    #[test]
    fn a_transaction_that_was_not_committed_is_not_seen() {
        let mut example = Example::new();
        example.log(vec![create("/etc/a", "1", 1, Some(alice(41)))]);
        let other = example.connection();
        other
            .execute_batch("BEGIN IMMEDIATE; DELETE FROM changes;")
            .unwrap();
        let reader = example.reader();
        assert_eq!(reader.last_seq().unwrap(), 1);
        drop(other);
        example.reopen();
        assert_eq!(reader.last_seq().unwrap(), 1);
    }

    #[test]
    fn a_value_of_the_store_is_made_once() {
        let mut example = Example::new();
        let writer = example.writer();
        assert_eq!(writer.meta_or_insert("key", || vec![1]).unwrap(), [1]);
        assert_eq!(writer.meta_or_insert("key", || vec![2]).unwrap(), [1]);
        assert_eq!(example.reader().meta("key").unwrap(), Some(vec![1]));
        assert_eq!(example.reader().meta("other").unwrap(), None);
    }

    #[test]
    fn a_checkpoint_brings_everything_into_the_file() {
        let mut example = Example::new();
        let sessions: Vec<SessionBody> = (0..100).map(|id| session(id, 1)).collect();
        example.commit(Batch {
            sessions,
            ..Batch::default()
        });
        example.writer().checkpoint().unwrap();
        let log = std::fs::metadata(example.path().with_file_name("tracer.db-wal")).unwrap();
        assert_eq!(log.len(), 0);
        assert_eq!(example.reader().sessions(1000).unwrap().len(), 100);
    }
}
