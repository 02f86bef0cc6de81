//! Purging contents, until their bytes are in none of the store's files any more.

use change::Change;

use super::Writer;
use crate::store::error::Doing as _;
use crate::store::{Batch, Error, Purge};

/// How often the log is tried to be emptied; each time readers are waited for.
const EMPTYING_ATTEMPTS: usize = 6;

impl Writer {
    /// Purges contents, and records that as a change, which is returned as stored. Afterwards the
    /// bytes are in none of the store's files any more.
    pub fn forget(&mut self, purge: &Purge, change: Change) -> Result<Change, Error> {
        let batch = Batch {
            changes: vec![change],
            ..Batch::default()
        };
        let result = self.write(batch, Some(purge));
        if result.is_err() {
            self.memory.forget();
        }
        let stored = result.map_err(|error| error.in_store(&self.path))?;
        self.empty_log()?;
        let last = stored.into_iter().next_back();
        last.ok_or_else(|| Error::Row {
            table: "changes",
            row: 0,
            what: "the change was not written".to_owned(),
        })
    }

    /// Writes everything back and cuts the write-ahead log off, which has older versions of pages.
    /// Whoever reads holds it up, but not for long.
    fn empty_log(&mut self) -> Result<(), Error> {
        for _ in 0..EMPTYING_ATTEMPTS {
            let is_busy: bool = self
                .connection
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
                .doing("write the store's log back")?;
            if !is_busy {
                return Ok(());
            }
        }
        Err(Error::Busy)
    }
}
