//! Removes what is older than a horizon, so that each moment from there on stays as it was.
//!
//! What goes of the hosts' histories is in `history`, what nothing refers to afterwards in `sweep`. All is done in
//! small transactions, between which hosts are served, and may be ended between any two of them: the horizon is raised
//! first, so that no moment is answered of which something has gone.

mod history;
mod space;
mod sweep;

use std::time::{Duration, Instant};

use change::Timestamp;
use serde::Serialize;

use self::history::Old;
use self::space::Space;
use self::sweep::Unused;
use super::error::Doing as _;
use super::sql::{Connection, Transaction, Turn};
use super::{Error, Location};

const SELECT_HORIZON: &str = "SELECT horizon FROM retention";
const RAISE_HORIZON: &str = "
    UPDATE retention SET horizon = CASE WHEN horizon > ?1 THEN horizon ELSE ?1 END RETURNING horizon";
// What a snapshot names stays.
const SELECT_OLDEST_SNAPSHOT: &str = "SELECT min(at) FROM snapshots";
const RAISE_BEGINNINGS: &str = "UPDATE hosts SET begins = ?1 WHERE begins < ?1";

const READ: &str = "read what is old";
const WRITE: &str = "remove what is old";

/// Between two transactions whoever waits gets a turn; at least for this.
const LEAST_PAUSE: Duration = Duration::from_millis(3);

/// Says what was removed, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tidied {
    /// From when on each moment is kept.
    pub horizon: Timestamp,
    /// Changes before the horizon.
    pub changes: u64,
    /// Drift that ended before the horizon, and what undid what before.
    pub drift: u64,
    /// Changes before the horizon that stay, as they brought what holds there or later.
    pub kept: u64,
    /// Values of facts that ended before the horizon.
    pub past_facts: u64,
    /// Runs of which no change stays.
    pub runs: u64,
    /// Sessions that ended before the horizon.
    pub sessions: u64,
    /// Gaps that ended before the horizon.
    pub gaps: u64,
    /// Heads of hash chains before the newest one before the horizon.
    pub heads: u64,
    /// Values that no fact and no change has any more.
    pub values: u64,
    /// Actors of no change.
    pub actors: u64,
    /// Subjects of nothing.
    pub subjects: u64,
    /// Contents that no value leads to.
    pub contents: u64,
    /// What those take up in the store, in bytes.
    pub content_bytes: u64,
    /// By how much the file has become smaller, in bytes.
    pub freed_bytes: u64,
    /// What is free within the file and is used again, in bytes.
    pub free_bytes: u64,
    /// Whether it was ended before it was done.
    pub is_cut_short: bool,
}

impl Tidied {
    /// Whether there was nothing to remove.
    pub fn is_empty(&self) -> bool {
        let Self {
            horizon,
            kept,
            free_bytes,
            ..
        } = self.clone();
        *self
            == Self {
                horizon,
                kept,
                free_bytes,
                ..Self::default()
            }
    }
}

/// Tidies a store. It may be written meanwhile, but only one tidies it at a time.
pub struct Tidy {
    connection: Connection,
    location: Location,
}

/// Told to end early, as when the server stops.
pub type IsEnded<'a> = &'a dyn Fn() -> bool;

impl Tidy {
    /// Opens a store.
    pub fn open(location: &Location) -> Result<Self, Error> {
        let connection = location.open_to_write()?;
        space::hurry(&connection).doing(WRITE)?;
        Ok(Self {
            connection,
            location: location.clone(),
        })
    }

    /// Says what would go, and removes nothing.
    pub fn plan(&mut self, horizon: Timestamp) -> Result<Tidied, Error> {
        let snapshot = self.connection.begin(Turn::Read).doing(READ)?;
        let horizon = not_beyond_snapshots(&snapshot, horizon)?;
        let horizon = horizon.max(horizon_of(&snapshot)?.unwrap_or(horizon));
        let mut tidied = Tidied {
            horizon,
            ..Tidied::default()
        };
        for host in history::hosts(&snapshot)? {
            Old::of(&snapshot, host, horizon)?.count(&mut tidied);
        }
        Unused::once_removed(&snapshot, horizon)?.count(&mut tidied);
        tidied.free_bytes = Space::of(&snapshot)?.free_bytes;
        Ok(tidied)
    }

    /// Removes what is older than the horizon, or than an earlier one that was later. Blocks for as long as it takes.
    pub fn run(&mut self, horizon: Timestamp, is_ended: IsEnded<'_>) -> Result<Tidied, Error> {
        let _lock = space::lock(&self.connection, &self.location)?;
        let mut tidied = Tidied {
            horizon: self.raise(horizon)?,
            ..Tidied::default()
        };
        let before = Space::of(&self.connection)?;
        self.history(&mut tidied, is_ended)?;
        if !tidied.is_cut_short {
            self.sweep(&mut tidied, is_ended)?;
        }
        space::give_back(&self.connection, tidied.horizon, is_ended)?;
        let after = Space::of(&self.connection)?;
        tidied.freed_bytes = before.bytes.saturating_sub(after.bytes);
        tidied.free_bytes = after.free_bytes;
        Ok(tidied)
    }

    fn raise(&mut self, horizon: Timestamp) -> Result<Timestamp, Error> {
        // No snapshot is made meanwhile, and no host is written.
        let raising = self.connection.begin(Turn::Decide).doing(WRITE)?;
        raising.take_turn(Turn::Tidy).doing(WRITE)?;
        let horizon = not_beyond_snapshots(&raising, horizon)?;
        let nanos: i64 = raising
            .one(RAISE_HORIZON, [horizon.as_nanos()], |row| row.get(0))
            .doing(WRITE)?;
        raising.execute(RAISE_BEGINNINGS, [nanos]).doing(WRITE)?;
        raising.commit().doing(WRITE)?;
        Ok(Timestamp::from_nanos(nanos))
    }

    /// What is old of one host after the other. It is looked for beside the transactions in which it goes: what
    /// nothing refers to is never referred to again, as new facts refer to new changes.
    fn history(&mut self, tidied: &mut Tidied, is_ended: IsEnded<'_>) -> Result<(), Error> {
        for host in history::hosts(&self.connection)? {
            let snapshot = self.connection.begin(Turn::Read).doing(READ)?;
            let mut old = Old::of(&snapshot, host, tidied.horizon)?;
            drop(snapshot);
            tidied.kept += old.kept();
            while !old.is_empty() && !is_ended() {
                let begun = Instant::now();
                let transaction = self.begin()?;
                old.remove_some(&transaction, tidied).doing(WRITE)?;
                transaction.commit().doing(WRITE)?;
                pause(begun);
            }
            tidied.is_cut_short |= !old.is_empty();
        }
        Ok(())
    }

    /// What nothing refers to. From the moment that this is told, whoever writes notes what is looked up: so what
    /// was not referred to in a later state of the store, and was not noted, is not referred to.
    fn sweep(&mut self, tidied: &mut Tidied, is_ended: IsEnded<'_>) -> Result<(), Error> {
        let transaction = self.begin()?;
        sweep::announce(&transaction).doing(WRITE)?;
        transaction.commit().doing(WRITE)?;
        let snapshot = self.connection.begin(Turn::Read).doing(READ)?;
        let mut unused = Unused::now(&snapshot, tidied.horizon)?;
        drop(snapshot);
        while !unused.is_empty() && !is_ended() {
            let begun = Instant::now();
            let transaction = self.begin()?;
            unused.remove_some(&transaction, tidied)?;
            transaction.commit().doing(WRITE)?;
            pause(begun);
        }
        tidied.is_cut_short |= !unused.is_empty();
        let transaction = self.begin()?;
        sweep::end(&transaction).doing(WRITE)?;
        transaction.commit().doing(WRITE)
    }

    fn begin(&self) -> Result<Transaction<'_>, Error> {
        self.connection.begin(Turn::Tidy).doing(WRITE)
    }
}

/// The horizon, or the moment of the oldest snapshot where that is earlier.
fn not_beyond_snapshots(connection: &Connection, horizon: Timestamp) -> Result<Timestamp, Error> {
    let oldest = connection.one(SELECT_OLDEST_SNAPSHOT, (), |row| row.get(0));
    let oldest: Option<i64> = oldest.doing(READ)?;
    Ok(oldest.map_or(horizon, |oldest| horizon.min(Timestamp::from_nanos(oldest))))
}

/// From when on each moment is kept; none where nothing was ever removed.
pub(super) fn horizon_of(connection: &Connection) -> Result<Option<Timestamp>, Error> {
    let found = connection.one(SELECT_HORIZON, (), |row| row.get::<Option<i64>>(0));
    Ok(found.doing(READ)?.map(Timestamp::from_nanos))
}

/// Waits for about as long as the last piece of work took.
fn pause(begun: Instant) {
    std::thread::sleep(begun.elapsed().max(LEAST_PAUSE));
}
