//! Keeps the inodes of roots in memory, so that their numbers are not given to other files.
//!
//! By inotify, whose marks give way when a file system is unmounted: with an open descriptor,
//! `O_PATH` too, `umount` would fail for as long as the daemon runs.

use std::collections::HashMap;
use std::fmt::{self, Debug, Formatter};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::inotify::{CreateFlags, WatchFlags};

use super::open;

/// Pins inodes.
#[derive(Debug)]
pub(super) struct Pins(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Nobody reads it, and nothing but the end of a root is written to it.
    inotify: OwnedFd,
    /// How many pins hold each watch: an inode has one, however often it is asked for.
    holders: Mutex<HashMap<i32, usize>>,
}

/// Keeps one inode in memory until it is dropped, or its file system is unmounted.
pub(super) struct Pin {
    inner: Arc<Inner>,
    watch: i32,
}

impl Pins {
    pub(super) fn new() -> rustix::io::Result<Self> {
        let flags = CreateFlags::CLOEXEC | CreateFlags::NONBLOCK;
        Ok(Self(Arc::new(Inner {
            inotify: rustix::fs::inotify::init(flags)?,
            holders: Mutex::default(),
        })))
    }

    /// Pins what a descriptor stands for.
    pub(super) fn pin(&self, file: &OwnedFd) -> rustix::io::Result<Pin> {
        let inner = Arc::clone(&self.0);
        let mut holders = inner.holders.lock().unwrap_or_else(PoisonError::into_inner);
        let path = open::path_of(file);
        let watch =
            rustix::fs::inotify::add_watch(&inner.inotify, path.as_str(), WatchFlags::DELETE_SELF)?;
        *holders.entry(watch).or_default() += 1;
        drop(holders);
        Ok(Pin { inner, watch })
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let holders = self.inner.holders.lock();
        let mut holders = holders.unwrap_or_else(PoisonError::into_inner);
        let Some(count) = holders.get_mut(&self.watch) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            holders.remove(&self.watch);
            // It is gone already if the file or its file system is.
            let removed = rustix::fs::inotify::remove_watch(&self.inner.inotify, self.watch);
            removed.unwrap_or_default();
        }
    }
}

impl Debug for Pin {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pin").field(&self.watch).finish()
    }
}
