//! Tidies the store from time to time while the server serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::clock::now;
use crate::store::{Error, Location, Tidy};

/// After the start hosts come first.
const FIRST: Duration = Duration::from_mins(1);
/// So much is over the time at most.
const EVERY: Duration = Duration::from_hours(6);

/// A thread that tidies. It ends when this is dropped, in the middle of its work too.
pub struct Tidying {
    thread: Option<JoinHandle<()>>,
    end: Option<Sender<()>>,
    is_ended: Arc<AtomicBool>,
}

impl Tidying {
    /// Begins to keep what is not older than `keep` in a store.
    pub fn begin(location: Location, keep: Duration) -> Self {
        Self::begin_after(FIRST, location, keep)
    }

    fn begin_after(first: Duration, location: Location, keep: Duration) -> Self {
        let (end, ended) = mpsc::channel::<()>();
        let is_ended = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_ended);
        let thread = thread::spawn(move || {
            let mut wait = first;
            while ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                wait = EVERY;
                let done = tidy(&location, keep, &told);
                done.unwrap_or_else(|error| tracing::error!("{error}"));
            }
        });
        Self {
            thread: Some(thread),
            end: Some(end),
            is_ended,
        }
    }
}

impl Drop for Tidying {
    fn drop(&mut self) {
        self.is_ended.store(true, Ordering::Relaxed);
        drop(self.end.take());
        // What went wrong in it was logged there.
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn tidy(location: &Location, keep: Duration, is_ended: &AtomicBool) -> Result<(), Error> {
    let keep = i64::try_from(keep.as_nanos()).unwrap_or(i64::MAX);
    let horizon = now().plus_nanos(-keep);
    let is_ended = || is_ended.load(Ordering::Relaxed);
    let tidied = Tidy::open(location)?.run(horizon, &is_ended)?;
    if !tidied.is_empty() {
        let (changes, freed_bytes) = (tidied.changes, tidied.freed_bytes);
        tracing::info!(
            "tidied: {changes} changes before {horizon} are gone, {freed_bytes} bytes given back"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Fleet as _;
    use crate::store::{Reader, Store};

    #[test]
    fn it_keeps_so_much_and_ends_when_it_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::within(folder.path());
        drop(Store::open(&location).unwrap());
        let horizon = || Reader::open(&location).unwrap().horizon().unwrap();
        let day = Duration::from_hours(24);
        let begin = |first| Tidying::begin_after(first, location.clone(), day);
        drop(begin(FIRST));
        assert_eq!(horizon(), None);
        let earliest = now().plus_nanos(-86_400_000_000_000);
        let tidying = begin(Duration::ZERO);
        let horizon = loop {
            if let Some(horizon) = horizon() {
                break horizon;
            }
            thread::yield_now();
        };
        let latest = now().plus_nanos(-86_400_000_000_000);
        assert!((earliest..=latest).contains(&horizon), "{horizon}");
        drop(tidying);
    }
}
