//! Until when the record is complete, should the daemon end at any moment.
//!
//! The store knows it with each change. While nothing happens, which is to cost no write to a disk, the time goes on in a file in memory, beside the socket.
//! The store itself is told once an hour: where the power fails, the gap begins at the last of its times.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use change::Timestamp;

use crate::store::{self, KnownHead, Reader};

/// How often it beats, in nanoseconds; after a kill, a gap begins at the last of them.
const PERIOD_NS: i64 = 30_000_000_000;
/// How often at least the store is told.
const STORED_NS: i64 = 3_600_000_000_000;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The file. What it says holds within one boot, and for the log that it names by its end: another store
/// in the place of the one that it was written for has another end, and what it lacks is a gap.
pub(crate) struct Heartbeat {
    file: PathBuf,
    boot: String,
    last: Timestamp,
    stored: Timestamp,
}

impl Heartbeat {
    /// The one of the daemon with that socket, which begins to watch at `begun`.
    pub(crate) fn beside(socket: &Path, begun: Timestamp) -> Self {
        Self {
            file: socket.with_extension("heartbeat"),
            boot: boot(),
            last: begun,
            stored: begun,
        }
    }

    /// Whether it is time for the next one.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        now.as_nanos() - self.last.as_nanos() >= PERIOD_NS
    }

    /// Notes what the store has been told.
    pub(super) fn stored(&mut self, time: Timestamp) {
        (self.last, self.stored) = (time, time);
    }

    /// Notes in the file that the log which ends at `head` is complete until `time`; whether that was
    /// done, and is enough.
    pub(super) fn beat(&mut self, head: &KnownHead, time: Timestamp) -> bool {
        if time.as_nanos() - self.stored.as_nanos() >= STORED_NS {
            return false;
        }
        if let Err(error) = self.write(head, time) {
            tracing::debug!("write a heartbeat: {error}; the store is told instead");
            return false;
        }
        self.last = time;
        true
    }

    /// Until when the record is complete that was there before this run; none of a new store.
    pub(crate) fn complete_until(
        &self,
        reader: &Reader,
    ) -> Result<Option<Timestamp>, store::Error> {
        let (stored, head) = (reader.heartbeat()?, reader.head()?);
        let noted = self.read(&head);
        Ok(stored.map(|stored| noted.map_or(stored, |noted| noted.max(stored))))
    }

    /// What the file says of the log that ends there.
    fn read(&self, head: &KnownHead) -> Option<Timestamp> {
        let text = fs::read_to_string(&self.file).ok()?;
        let (time, of) = text.lines().next()?.split_once(' ')?;
        let is_ours = of == self.of(head);
        is_ours.then(|| time.parse().ok()).flatten()
    }

    /// In place, as the daemon may rename nothing: one call writes the line, and what a longer one left behind
    /// it is not read.
    fn write(&self, head: &KnownHead, time: Timestamp) -> io::Result<()> {
        let mut open = File::options();
        open.write(true).create(true).truncate(false).mode(0o600);
        let line = format!("{time} {}\n", self.of(head));
        open.open(&self.file)?.write_all_at(line.as_bytes(), 0)
    }

    fn of(&self, head: &KnownHead) -> String {
        format!("{} {}", self.boot, head.to_text())
    }
}

/// The kernel's name of this boot; empty where it doesn't tell.
pub(super) fn boot() -> String {
    let boot = fs::read_to_string(BOOT_ID).unwrap_or_default();
    boot.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_counts_for_its_log_and_its_boot_alone() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("tracer.sock");
        let time = Timestamp::from_nanos;
        let mut heartbeat = Heartbeat::beside(&socket, time(0));
        let head = |seq, byte| KnownHead {
            seq,
            chain: [byte; 32],
        };
        assert_eq!(heartbeat.read(&head(7, 1)), None);

        assert!(heartbeat.beat(&head(7, 1), time(PERIOD_NS + 7)));
        assert_eq!(heartbeat.read(&head(7, 1)), Some(time(PERIOD_NS + 7)));
        assert_eq!(heartbeat.read(&head(6, 1)), None, "a store from a backup");
        assert_eq!(heartbeat.read(&head(7, 2)), None, "another host's store");
        assert!(heartbeat.beat(&head(12, 3), time(2 * PERIOD_NS)));
        assert_eq!(heartbeat.read(&head(12, 3)), Some(time(2 * PERIOD_NS)));
        assert!(heartbeat.beat(&head(7, 1), time(3 * PERIOD_NS)));
        assert_eq!(
            heartbeat.read(&head(7, 1)),
            Some(time(3 * PERIOD_NS)),
            "a shorter line"
        );
        let rebooted = Heartbeat {
            boot: "another".to_owned(),
            ..heartbeat
        };
        assert_eq!(rebooted.read(&head(7, 1)), None);
    }

    #[test]
    fn the_store_is_told_once_an_hour_and_where_there_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let time = Timestamp::from_nanos;
        let head = KnownHead::default();
        let mut heartbeat = Heartbeat::beside(&folder.path().join("tracer.sock"), time(0));
        assert!(!heartbeat.is_due(time(PERIOD_NS - 1)));
        assert!(heartbeat.is_due(time(PERIOD_NS)));
        assert!(heartbeat.beat(&head, time(STORED_NS - 1)));
        assert!(!heartbeat.beat(&head, time(STORED_NS)));
        heartbeat.stored(time(STORED_NS));
        assert!(heartbeat.beat(&head, time(STORED_NS + PERIOD_NS)));

        let nowhere = folder.path().join("gone/tracer.sock");
        assert!(!Heartbeat::beside(&nowhere, time(0)).beat(&head, time(1)));
    }
}
