//! Reads the store; any number of readers work beside the one writer.

use std::path::Path;

use change::wire::{Count, SessionBody, VerifyBody};
use change::{Change, ChangeQuery, Gap, GapReason, Kind, Run, RunQuery, Subject, Timestamp};
use rusqlite::Connection;

use super::changes::{Condition, Next, Order};
use super::{
    DirectoryMove, Error, Fact, Kept, KnownHead, Purge, SubjectPage, changes, connection, contents,
    facts, forget, gaps, history, meta, runs, search, sessions, subjects, touched, verify,
};

/// Reads from the store.
pub struct Reader {
    connection: Connection,
}

impl Reader {
    /// Opens the store in a file, which a writer has made.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let connection = connection::open_to_read(path)?;
        Ok(Self { connection })
    }

    /// Opens a store that may be a copy, on whatever disk: where nothing is in use beside it, nothing
    /// is written beside it either.
    pub fn open_copy(path: &Path) -> Result<Self, Error> {
        let connection = connection::open_copy(path)?;
        Ok(Self { connection })
    }

    /// The value that a subject has now.
    pub fn fact(&self, subject: &Subject) -> Result<Option<Fact>, Error> {
        facts::read(&self.connection, subject)
    }

    /// Passes on the facts of the file at a path and of those below it, in byte order of the paths.
    pub fn facts_under(&self, prefix: &[u8], pass_on: &mut dyn FnMut(Fact)) -> Result<(), Error> {
        facts::read_under(&self.connection, prefix, pass_on)
    }

    /// The facts of the next files behind a path, at most `limit`, in byte order of the paths.
    pub fn files_after(&self, after: &[u8], limit: usize) -> Result<Vec<Fact>, Error> {
        facts::read_of_kind(&self.connection, Kind::File, after, limit)
    }

    /// The next facts of a kind behind a key, at most `limit`, in byte order of the keys.
    pub fn facts_of(&self, kind: Kind, after: &[u8], limit: usize) -> Result<Vec<Fact>, Error> {
        facts::read_of_kind(&self.connection, kind, after, limit)
    }

    /// The next facts of any kind behind a subject, at most `limit`, by kind and key.
    pub fn all_facts(&self, after: Option<&Subject>, limit: usize) -> Result<Vec<Fact>, Error> {
        facts::read_all(&self.connection, after, limit)
    }

    /// Until when the daemon was alive and its record complete.
    pub fn heartbeat(&self) -> Result<Option<Timestamp>, Error> {
        meta::heartbeat(&self.connection)
    }

    /// When the daemon ran for the first time.
    pub fn first_heartbeat(&self) -> Result<Option<Timestamp>, Error> {
        meta::first_heartbeat(&self.connection)
    }

    /// The value of a key that [`super::Writer::meta_or_insert`] wrote.
    pub fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        meta::read(&self.connection, key)
    }

    /// The gap of that reason which has no end yet.
    pub fn open_gap(&self, reason: GapReason) -> Result<Option<Gap>, Error> {
        gaps::open(&self.connection, reason)
    }

    /// The newest gaps, newest first.
    pub fn gaps(&self, limit: u32) -> Result<Vec<Gap>, Error> {
        gaps::newest(&self.connection, limit)
    }

    /// The gaps that reach beyond a moment, newest first.
    pub fn gaps_since(&self, time: Timestamp) -> Result<Vec<Gap>, Error> {
        gaps::since(&self.connection, time)
    }

    /// Number of the newest change; 0 where there is none.
    pub fn last_seq(&self) -> Result<u64, Error> {
        Ok(changes::last(&self.connection)?.map_or(0, |head| head.seq))
    }

    /// The changes that a query asks for, newest first; all of them where it has no limit.
    pub fn changes(&self, query: &ChangeQuery) -> Result<Vec<Change>, Error> {
        search::find(&self.connection, query)
    }

    /// The change with that number.
    pub fn change(&self, seq: u64) -> Result<Option<Change>, Error> {
        let Ok(seq) = i64::try_from(seq) else {
            return Ok(None);
        };
        let mut condition = Condition::default();
        condition.and("c.seq = ?", [seq.into()]);
        let mut found = None;
        let order = (&condition, Order::NewestFirst);
        changes::each(&self.connection, order, &|_, _| true, &mut |change, _| {
            found = Some(change);
            Next::Enough
        })?;
        Ok(found)
    }

    /// Passes on the changes after a number, oldest first, until told to stop.
    pub fn changes_after(
        &self,
        seq: u64,
        go_on: &mut dyn FnMut(Change) -> bool,
    ) -> Result<(), Error> {
        let mut condition = Condition::default();
        let after = i64::try_from(seq).unwrap_or(i64::MAX);
        condition.and("c.seq > ?", [after.into()]);
        let order = (&condition, Order::OldestFirst);
        changes::each(&self.connection, order, &|_, _| true, &mut |change, _| {
            next(go_on(change))
        })
    }

    /// The same, each with the value of the hash chain after it.
    pub(crate) fn log_after(
        &self,
        seq: u64,
        go_on: &mut dyn FnMut(Change, [u8; 32]) -> bool,
    ) -> Result<(), Error> {
        let mut condition = Condition::default();
        let after = i64::try_from(seq).unwrap_or(i64::MAX);
        condition.and("c.seq > ?", [after.into()]);
        let order = (&condition, Order::OldestFirst);
        changes::each(
            &self.connection,
            order,
            &|_, _| true,
            &mut |change, chain| next(go_on(change, chain)),
        )
    }

    /// Where the hash chain is at a change; none where there is no such change.
    pub(crate) fn head_at(&self, seq: u64) -> Result<Option<KnownHead>, Error> {
        let chain = changes::chain_at(&self.connection, seq)?;
        Ok(chain.map(|chain| KnownHead { seq, chain }))
    }

    /// Passes on the changes of the file that now has this name, newest first, until told to stop:
    /// under this name since it got it, before that under the one it was renamed from.
    pub(crate) fn lineage(
        &self,
        subject: &Subject,
        go_on: &mut dyn FnMut(Change) -> bool,
    ) -> Result<(), Error> {
        history::each_of_lineage(&self.connection, subject, &mut |change| next(go_on(change)))
    }

    /// The newest change of this very name up to a moment.
    pub(crate) fn newest_until(
        &self,
        subject: &Subject,
        time: Timestamp,
    ) -> Result<Option<Change>, Error> {
        history::newest_until(&self.connection, subject, time)
    }

    /// The oldest change of this very name after a moment.
    pub(crate) fn oldest_after(
        &self,
        subject: &Subject,
        time: Timestamp,
    ) -> Result<Option<Change>, Error> {
        history::oldest_after(&self.connection, subject, time)
    }

    /// All directories that got another name, oldest first.
    pub(crate) fn directory_moves(&self) -> Result<Vec<DirectoryMove>, Error> {
        history::directory_moves(&self.connection)
    }

    /// The next subjects, by kind and key, whether they exist or not; each with when it was first heard of.
    pub fn subjects(&self, page: &SubjectPage) -> Result<Vec<(Subject, Timestamp)>, Error> {
        subjects::after(&self.connection, page)
    }

    /// The next subjects, likewise, that have changes from the one moment up to the other, which does not
    /// count; each with how many.
    pub fn touched(
        &self,
        page: &SubjectPage,
        between: [Timestamp; 2],
    ) -> Result<Vec<(Subject, u64)>, Error> {
        touched::between(&self.connection, page, between)
    }

    /// When a subject was first heard of.
    pub fn since(&self, subject: &Subject) -> Result<Option<Timestamp>, Error> {
        subjects::since(&self.connection, subject)
    }

    /// When the first file below a folder was first heard of.
    pub fn since_below(&self, folder: &[u8]) -> Result<Option<Timestamp>, Error> {
        subjects::since_below(&self.connection, folder)
    }

    /// What is kept of the content with that hash.
    pub fn content(&self, hash: &[u8; 32]) -> Result<Kept, Error> {
        contents::read(&self.connection, hash)
    }

    /// Whether the content with that hash was purged.
    pub fn is_forgotten(&self, hash: &[u8; 32]) -> Result<bool, Error> {
        contents::is_forgotten(&self.connection, hash)
    }

    /// Whether any content was purged.
    pub fn has_forgotten(&self) -> Result<bool, Error> {
        contents::has_forgotten(&self.connection)
    }

    /// The newest sessions, newest first, with how many changes each made.
    pub fn sessions(&self, limit: u32) -> Result<Vec<SessionBody>, Error> {
        sessions::newest(&self.connection, limit)
    }

    /// The newest sessions, newest first, without how many changes each made.
    pub(crate) fn logins(&self, limit: u32) -> Result<Vec<SessionBody>, Error> {
        sessions::uncounted(&self.connection, limit)
    }

    /// The newest session with that id.
    pub fn session(&self, id: u32) -> Result<Option<SessionBody>, Error> {
        sessions::by_id(&self.connection, id)
    }

    /// The runs that a query asks for, newest first, with how many changes each owns.
    pub fn runs(&self, query: &RunQuery) -> Result<Vec<Run>, Error> {
        runs::find(&self.connection, query)
    }

    /// The run with that number.
    pub fn run(&self, id: u64) -> Result<Option<Run>, Error> {
        runs::by_id(&self.connection, id)
    }

    /// The numbers of the runs within a run, oldest first.
    pub fn runs_within(&self, id: u64) -> Result<Vec<u64>, Error> {
        runs::within(&self.connection, id)
    }

    /// How many changes a run and those within it made, by kind and op.
    pub fn run_summary(&self, id: u64) -> Result<Vec<Count>, Error> {
        runs::summary(&self.connection, id)
    }

    /// The number of the newest run; 0 for none.
    pub fn newest_run(&self) -> Result<u64, Error> {
        runs::newest(&self.connection)
    }

    /// The runs that are not known to have ended, oldest first.
    pub fn runs_at_work(&self) -> Result<Vec<Run>, Error> {
        runs::at_work(&self.connection)
    }

    /// The runs of a session, newest first.
    pub fn session_runs(&self, body: &SessionBody) -> Result<Vec<Run>, Error> {
        let id = body.session.id;
        let [since, until] = sessions::bounds(&self.connection, id, body.start)?;
        self.runs(&RunQuery {
            session: Some(id),
            since,
            until,
            ..RunQuery::default()
        })
    }

    /// The changes of a session, newest first.
    pub fn session_changes(&self, body: &SessionBody) -> Result<Vec<Change>, Error> {
        let id = body.session.id;
        let [since, until] = sessions::bounds(&self.connection, id, body.start)?;
        self.changes(&ChangeQuery {
            session: Some(id),
            since,
            until,
            ..ChangeQuery::default()
        })
    }

    /// Computes the hash chain anew and says what is not as it was written; also whether the log
    /// still has a head that was told before.
    pub fn verify(&self, known: Option<KnownHead>) -> Result<VerifyBody, Error> {
        verify::verify(&self.connection, known)
    }

    /// Where the log ends.
    pub fn head(&self) -> Result<KnownHead, Error> {
        verify::head(&self.connection)
    }

    /// What there is to purge of a file.
    pub fn purge(&self, subject: &Subject, with_shared: bool) -> Result<Purge, Error> {
        forget::plan(&self.connection, subject, with_shared)
    }
}

fn next(go_on: bool) -> Next {
    if go_on { Next::More } else { Next::Enough }
}
