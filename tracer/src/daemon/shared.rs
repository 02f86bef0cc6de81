//! What the API shows of the running daemon, and the pipeline updates.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use change::Timestamp;
use change::wire::{CheckBody, Counters, StatusBody};

use crate::answers::Answers;
use crate::conclude::Host;
use crate::push::Push;
use crate::trees::{RootDepth, Trees};

/// Shared between the daemon's threads.
pub(super) struct Shared {
    pub(super) host: Host,
    pub(super) started: Timestamp,
    pub(super) mode: &'static str,
    pub(super) trees: Arc<Trees>,
    pub(super) store_path: PathBuf,
    pub(super) checks: Mutex<Vec<CheckBody>>,
    pub(super) records: AtomicU64,
    pub(super) file_records: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) changes: AtomicU64,
    /// Whether the host is being compared with the store, or soon will be for the first time.
    pub(super) is_comparing: AtomicBool,
    /// How sending to the collector stands.
    pub(super) push: Arc<Push>,
}

impl Shared {
    /// Sets or takes away one of the checks.
    pub(super) fn set_check(&self, name: &str, check: Option<CheckBody>) {
        let mut checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        checks.retain(|known| known.name != name);
        checks.extend(check);
    }

    /// What `/v1/status` shows.
    pub(super) fn status(&self) -> StatusBody {
        let answers = Answers::new(self.store_path.clone());
        let roots = self.trees.roots();
        let watched = roots
            .iter()
            .filter(|root| root.depth != RootDepth::Children);
        let mut checks = self
            .checks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let is_written = !checks.iter().any(|check| check.name == super::room::CHECK);
        let last_seq = answers.last_seq().unwrap_or(0);
        checks.extend(self.push.checks(last_seq));
        StatusBody {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: self.host.id.clone(),
            hostname: self.host.name.clone(),
            pid: std::process::id(),
            started: self.started,
            mode: self.mode.to_owned(),
            last_seq,
            // A gap that cannot be written yet is open all the same.
            complete_since: if is_written {
                answers.complete_since().ok().flatten()
            } else {
                None
            },
            comparing: self.is_comparing.load(Ordering::Relaxed),
            counters: Counters {
                records: self.records.load(Ordering::Relaxed),
                file_records: self.file_records.load(Ordering::Relaxed),
                lost: self.lost.load(Ordering::Relaxed),
                changes: self.changes.load(Ordering::Relaxed),
            },
            store_bytes: store_bytes(&self.store_path),
            resident_bytes: resident_bytes(),
            watched: watched.map(|root| root.path.to_string()).collect(),
            collector: self.push.body(last_seq),
            doctor: checks,
        }
    }
}

/// The store with its write-ahead log.
fn store_bytes(path: &std::path::Path) -> u64 {
    let log = path.with_extension("db-wal");
    [path, &log]
        .iter()
        .filter_map(|path| fs::metadata(path).ok())
        .map(|file| file.len())
        .sum()
}

/// `VmRSS` of proc(5), in bytes.
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.trim().parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

/// Adds to one of the counters.
pub(super) fn add(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Ordering::Relaxed);
}
