//! Keeps the inodes of roots in memory, so that their numbers are not given to other files.
//!
//! With an open descriptor, `O_PATH` too, `umount` would fail for as long as the daemon runs. So that
//! is for the file system at `/`, which nobody unmounts; elsewhere it is an inotify mark, which gives
//! way when the file system is unmounted, but also when the inode is removed.

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

/// Keeps one inode in memory until it is dropped.
#[derive(Debug)]
pub(super) enum Pin {
    /// Whatever happens.
    Descriptor { _kept_open: OwnedFd },
    /// Until its file system is unmounted.
    Mark { _kept: Mark },
}

/// A mark of inotify, taken off when dropped.
pub(super) struct Mark {
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

    /// Pins what a descriptor stands for; `may_go` says whether its file system can be unmounted.
    pub(super) fn pin(&self, file: OwnedFd, may_go: bool) -> rustix::io::Result<Pin> {
        Ok(if may_go {
            Pin::Mark {
                _kept: self.mark(&file)?,
            }
        } else {
            Pin::Descriptor { _kept_open: file }
        })
    }

    fn mark(&self, file: &OwnedFd) -> rustix::io::Result<Mark> {
        let inner = Arc::clone(&self.0);
        let mut holders = inner.holders.lock().unwrap_or_else(PoisonError::into_inner);
        let path = open::path_of(file);
        let watch =
            rustix::fs::inotify::add_watch(&inner.inotify, path.as_str(), WatchFlags::DELETE_SELF)?;
        *holders.entry(watch).or_default() += 1;
        drop(holders);
        Ok(Mark { inner, watch })
    }
}

impl Drop for Mark {
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

impl Debug for Mark {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mark").field(&self.watch).finish()
    }
}
