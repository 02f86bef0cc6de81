//! How much may wait for the pipeline, in bytes.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// A number of bytes that senders share, so that a burst waits in the kernel's buffers, which count
/// what they lose, and not in ever more memory.
#[derive(Clone)]
pub(super) struct Budget {
    inner: Arc<Inner>,
}

struct Inner {
    limit: usize,
    used: Mutex<usize>,
    freed: Condvar,
}

/// A part of the budget, given back when dropped.
pub(super) struct Share {
    inner: Arc<Inner>,
    bytes: usize,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Self {
        let inner = Inner {
            limit,
            used: Mutex::default(),
            freed: Condvar::new(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Waits until there is room for that much. What is larger than all of it waits for all.
    pub(super) fn take(&self, bytes: usize) -> Share {
        let Inner { limit, used, freed } = &*self.inner;
        let bytes = bytes.min(*limit);
        let used = used.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |used: &mut usize| *used + bytes > *limit;
        let waited = freed.wait_while(used, is_full);
        *waited.unwrap_or_else(PoisonError::into_inner) += bytes;
        Share {
            inner: Arc::clone(&self.inner),
            bytes,
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let used = self.inner.used.lock();
        *used.unwrap_or_else(PoisonError::into_inner) -= self.bytes;
        self.inner.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_finds_no_room_waits_for_it() {
        let budget = Budget::new(10);
        let first = budget.take(6);
        let (told, tell) = channel();
        let other = budget.clone();
        let waiting = thread::spawn(move || {
            let share = other.take(6);
            told.send(()).unwrap();
            share
        });
        let early = tell.recv_timeout(Duration::from_millis(20));
        assert_eq!(early, Err(RecvTimeoutError::Timeout));
        drop(first);
        tell.recv_timeout(Duration::from_secs(20)).unwrap();
        drop(waiting.join().unwrap());
        // More than there can ever be: all of it, and no waiting for ever.
        drop(budget.take(100));
        assert_eq!(*budget.inner.used.lock().unwrap(), 0);
    }
}
