//! How far sending has come, kept over restarts.
//!
//! The collector knows it too and is asked first: this is what
//! `tracer status` shows while it cannot be reached, what it countersigned, and which runs it has.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use change::wire::Countersigned;
use serde::{Deserialize, Serialize};

const FILE: &str = "progress.json";

/// How far sending has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Of which log.
    pub(crate) log: String,
    /// Number of the newest change that the collector has.
    pub(crate) acknowledged_seq: u64,
    /// The newest head of the chain that the collector signed.
    pub(crate) head: Option<Countersigned>,
    /// Number of the newest run that was sent.
    pub(crate) last_run: u64,
    /// Runs that had not ended when they were sent.
    pub(crate) open_runs: BTreeSet<u64>,
}

impl Progress {
    /// Reads what was kept; nothing where it is another log's or cannot be read: then more is sent again than
    /// need be, which the collector takes once.
    pub(crate) fn load(folder: &Path, log: &str) -> Self {
        let known = Self::read(folder).filter(|known| known.log == log);
        known.unwrap_or_else(|| Self {
            log: log.to_owned(),
            ..Self::default()
        })
    }

    /// Reads what was kept, of whatever log.
    pub(crate) fn read(folder: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(path(folder)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Keeps it. Written where it lies: the daemon may change no names, and half of it counts as nothing.
    pub(crate) fn save(&self, folder: &Path) -> io::Result<()> {
        let mut file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path(folder))?;
        let text = serde_json::to_vec(self)?;
        file.write_all(&text)?;
        file.sync_data()
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_kept_for_its_log_and_half_of_it_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let progress = Progress {
            acknowledged_seq: 7,
            last_run: 3,
            open_runs: [2, 3].into(),
            ..Progress::load(folder.path(), "log")
        };
        progress.save(folder.path()).unwrap();
        assert_eq!(Progress::load(folder.path(), "log"), progress);
        let other = Progress::load(folder.path(), "other");
        assert_eq!((other.log.as_str(), other.acknowledged_seq), ("other", 0));
        let text = std::fs::read(path(folder.path())).unwrap();
        std::fs::write(path(folder.path()), &text[..text.len() / 2]).unwrap();
        assert_eq!(Progress::load(folder.path(), "log").acknowledged_seq, 0);
    }
}
