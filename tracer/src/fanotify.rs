//! The second way to see file changes: fanotify, where the kernel refuses trampolines.
//!
//! Only the watched directories are marked, so writes elsewhere cost nothing. What fanotify cannot
//! see: writes through memory mappings before the last close, and a change of a file through a hard
//! link in an unwatched directory. It tells the process by its id only, and no old content.

mod creations;
mod directories;
mod event;
mod group;
mod handle;
mod marks;
mod renames;
mod settings;
mod tell;

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use change::Text;
use nix::sys::fanotify::MaskFlags;

use self::creations::Creations;
use self::event::{Entry, Event};
use self::group::Group;
use self::handle::Handle;
use self::marks::Marks;
use self::renames::Halves;
use self::settings::Settings;
use self::tell::{Batch, Teller};
use crate::observed::{Event as Happening, Observation};
use crate::trees::{Trees, path};

/// Under load events are read so seldom, which lets the kernel merge those that are alike: a
/// process that writes a file all the time costs as little as one that does it now and then.
const PACE: Duration = Duration::from_millis(4);

/// So much is read at once.
const BUFFER: usize = 256 * 1024;

/// A queue of 16 384 events (its limit, unless the administrator set another) is read in so many
/// readings at the very most: an event with two names of 255 bytes takes some 700 bytes.
pub const FULL_QUEUE: usize = 64;

/// Says why fanotify cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel gives us no group.
    #[error("open fanotify: {source}; {}", advice(.source))]
    Open {
        /// What the kernel says.
        source: io::Error,
    },
    /// The handles of directories are not to be had.
    #[error("prepare to name directories by inotify: {0}")]
    Handles(#[source] io::Error),
    /// There are trees, and none of them can be watched.
    #[error("watch `{path}` by fanotify: {source}; the same holds for all other directories")]
    Nothing {
        /// The first directory that was tried.
        path: Text,
        /// What the kernel says.
        source: io::Error,
    },
}

fn advice(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(nix::libc::EPERM) => "it needs CAP_SYS_ADMIN in the first user namespace",
        Some(nix::libc::EINVAL) => "it needs Linux 5.9 or later",
        Some(nix::libc::ENOSYS) => "the kernel is built without CONFIG_FANOTIFY",
        Some(nix::libc::EMFILE) => "see /proc/sys/fs/fanotify/max_user_groups",
        _ => "see fanotify_init(2)",
    }
}

/// Names a directory in which nothing is seen, and why.
#[derive(Debug)]
pub struct Unwatched {
    /// The directory.
    pub path: Text,
    /// What the kernel says.
    pub error: io::Error,
}

/// Tells what came out of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a signal that is no observation is rare"
)]
pub enum Signal {
    /// Something happened.
    Observation(Observation),
    /// Events were lost until this moment: the trees have to be compared with the facts.
    Overflow,
}

impl Signal {
    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        let path = match self {
            Self::Observation(Observation {
                event: Happening::File(event),
                ..
            }) => event.path.as_bytes().len(),
            Self::Observation(_) | Self::Overflow => 0,
        };
        // Most paths are in another one's company: a rename's old name, a symbolic link's target.
        size_of::<Self>() + 2 * path
    }
}

/// Watches the trees; lives on a thread of its own.
#[derive(Debug)]
pub struct Fanotify {
    marks: Marks,
    creations: Creations,
    halves: Halves,
    /// The file that a rename told of last.
    last_renamed: Option<Handle>,
    teller: Teller,
    /// Where sysfs is watched, or why it is not.
    settings: io::Result<Settings>,
    buffer: Vec<u8>,
    last_read: Option<Instant>,
}

impl Fanotify {
    /// Marks all trees. What happens in them from now on is told.
    pub fn start(trees: Arc<Trees>) -> Result<Self, Error> {
        let group = Group::open().map_err(|source| Error::Open { source })?;
        Self::start_with(group, trees, std::process::id())
    }

    fn start_with(group: Group, trees: Arc<Trees>, own_pid: u32) -> Result<Self, Error> {
        let mut marks = Marks::new(group, Arc::clone(&trees)).map_err(Error::Handles)?;
        marks.add_all();
        if marks.directories.len() == 0
            && let Some(Unwatched { path, error }) = marks.unwatched.pop()
        {
            let source = error;
            return Err(Error::Nothing { path, source });
        }
        Ok(Self {
            marks,
            creations: Creations::default(),
            halves: Halves::default(),
            last_renamed: None,
            teller: Teller::new(trees, own_pid),
            settings: Settings::open(),
            buffer: vec![0; BUFFER],
            last_read: None,
        })
    }

    /// The directories of the trees that could not be marked. Each is a gap.
    pub fn unwatched(&self) -> &[Unwatched] {
        &self.marks.unwatched
    }

    /// Why writes to the switches of sysfs are not seen, if they are not.
    pub fn unwatched_settings(&self) -> Option<&io::Error> {
        self.settings.as_ref().err()
    }

    /// Gives what happened, waiting for it no longer than `timeout`, nor longer than until there is
    /// something to read at `also`. What the daemon itself did is left out.
    pub fn read(&mut self, timeout: Duration, also: BorrowedFd<'_>) -> Vec<Signal> {
        let patience = self.creations.next_due_in(Instant::now());
        let timeout = patience.map_or(timeout, |patience| patience.min(timeout));
        let settings = self.settings.as_ref().map_or(also, Settings::as_fd);
        let ready = self.marks.group.wait(timeout, [also, settings]);
        if let (Ok(true), Some(last)) = (&ready, self.last_read) {
            std::thread::sleep(PACE.saturating_sub(last.elapsed()));
        }
        let mut batch = Batch::now();
        match ready {
            Ok(true) => drop(self.read_queue(&mut batch)),
            Ok(false) => {}
            Err(error) => lose(&error, &mut batch),
        }
        self.read_settings(&mut batch);
        for (path, pid) in self.creations.due(Instant::now()) {
            self.teller.created_at_last(&path, pid, &mut batch);
        }
        self.teller.forget_old();
        batch.signals
    }

    /// Gives what was in the queue, or as much of it as is read at once, without waiting; none where
    /// nothing was. Read [`FULL_QUEUE`] times it is all that happened until now.
    pub fn read_now(&mut self) -> Option<Vec<Signal>> {
        let mut batch = Batch::now();
        let length = self.read_queue(&mut batch);
        self.read_settings(&mut batch);
        (length > 0 || !batch.signals.is_empty()).then_some(batch.signals)
    }

    /// Marks all again if what is mounted in the trees is another than before; tells whether it is.
    pub fn remount(&mut self) -> bool {
        match self.marks.trees.on_mounts_changed() {
            Ok(None) => false,
            Ok(Some(_fresh)) => {
                self.marks.add_all();
                true
            }
            Err(error) => {
                tracing::error!("look for the watched trees: {error}");
                false
            }
        }
    }

    /// Reads once; tells how many bytes there were.
    fn read_queue(&mut self, batch: &mut Batch) -> usize {
        self.last_read = Some(Instant::now());
        let mut buffer = std::mem::take(&mut self.buffer);
        let length = self.marks.group.read(&mut buffer).unwrap_or_else(|error| {
            lose(&error, batch);
            0
        });
        for event in event::parse(&buffer[..length]) {
            self.apply(event, batch);
        }
        self.buffer = buffer;
        // The second half of a rename follows at once: what has none by now left the trees.
        let lone = self.halves.take_all();
        self.tell_left(lone, batch);
        length
    }

    fn read_settings(&self, batch: &mut Batch) {
        let Ok(settings) = &self.settings else { return };
        let written = settings.read();
        for (path, pid) in written.files {
            batch.push(pid, Happening::Setting { path });
        }
        if written.overflow {
            batch.signals.push(Signal::Overflow);
        }
    }

    fn tell_left(&mut self, halves: Vec<renames::Half>, batch: &mut Batch) {
        for half in halves {
            self.left(&half.path, half.is_directory, half.pid, batch);
        }
    }

    fn apply(&mut self, event: Event, batch: &mut Batch) {
        if event.mask.contains(MaskFlags::FAN_Q_OVERFLOW) {
            return self.overflow(batch);
        }
        let is_directory = event.mask.contains(MaskFlags::FAN_ONDIR);
        if event.mask.contains(MaskFlags::FAN_RENAME) {
            let from = event.from.and_then(|entry| self.path_of(&entry));
            let to = event.to.and_then(|entry| self.path_of(&entry));
            let moved = renames::Moved {
                file: event.file,
                is_directory,
                pid: event.pid,
            };
            self.renamed(from, to, &moved, batch);
        } else if let Some(path) = event.entry.and_then(|entry| self.path_of(&entry)) {
            if !event.mask.contains(MaskFlags::FAN_MOVED_TO) {
                let lone = self.halves.take_lone(&path, event.pid);
                self.tell_left(lone, batch);
            }
            self.happened(&path, event.mask, event.pid, batch);
        }
    }

    /// The path of an entry; none in a directory that is not watched any more.
    fn path_of(&self, entry: &Entry) -> Option<Text> {
        let directory = self.marks.directories.path(&entry.directory)?;
        Some(match entry.name.as_slice() {
            b"." => directory.clone(),
            name => path::join(directory.as_bytes(), name),
        })
    }

    /// Events were lost, among them maybe new directories: all is marked again.
    fn overflow(&mut self, batch: &mut Batch) {
        batch.signals.push(Signal::Overflow);
        if let Err(error) = self.marks.trees.refresh() {
            tracing::error!("look for the watched trees: {error}");
        }
        self.marks.add_all();
    }

    /// Deals with what one process did to one file under its name. The kernel merges events that
    /// wait in the queue, and their order is lost; whether the file is there now tells enough of it.
    fn happened(&mut self, path: &Text, mask: MaskFlags, pid: u32, batch: &mut Batch) {
        let is_directory = mask.contains(MaskFlags::FAN_ONDIR);
        let is_deleted = mask.contains(MaskFlags::FAN_DELETE);
        let inode = tell::look(path);
        if is_deleted && inode.is_some() {
            self.deleted(path, is_directory, pid, batch);
        }
        if mask.contains(MaskFlags::FAN_CREATE) && !(is_deleted && inode.is_none()) {
            self.created(path, mask, pid, batch);
        }
        if mask.contains(MaskFlags::FAN_MOVED_TO) {
            let from = self.halves.take(pid, is_directory);
            let moved = renames::Moved {
                file: None,
                is_directory,
                pid,
            };
            self.renamed(from, Some(path.clone()), &moved, batch);
        }
        let is_closed = mask.contains(MaskFlags::FAN_CLOSE_WRITE);
        if mask.contains(MaskFlags::FAN_MODIFY) && !is_closed {
            self.teller.dirtied(path, inode, pid, batch);
        }
        if mask.contains(MaskFlags::FAN_ATTRIB) {
            self.teller.attributes(path, inode, pid, batch);
        }
        if is_closed {
            let created = self.creations.close(path, pid);
            self.teller.closed((path, inode), created, pid, batch);
        }
        if mask.contains(MaskFlags::FAN_MOVED_FROM) {
            self.halves.add(path.clone(), pid, is_directory);
        }
        if is_deleted && inode.is_none() {
            self.deleted(path, is_directory, pid, batch);
        }
    }

    fn created(&mut self, path: &Text, mask: MaskFlags, pid: u32, batch: &mut Batch) {
        if mask.contains(MaskFlags::FAN_ONDIR) {
            let was_told = self.teller.directory_created(path, pid, batch);
            if !was_told {
                self.appear(path, pid, tell::Appearance::Made, batch);
            }
            return;
        }
        let is_written = mask.intersects(MaskFlags::FAN_MODIFY | MaskFlags::FAN_CLOSE_WRITE);
        let is_told = self.teller.name_created(path, is_written, pid, batch);
        if !is_told {
            self.creations.begin(path.clone(), pid, Instant::now());
        }
    }

    fn deleted(&mut self, path: &Text, is_directory: bool, pid: u32, batch: &mut Batch) {
        self.creations.forget(path);
        if is_directory {
            self.marks.directories.remove(path);
        }
        self.teller.deleted(path, pid, batch);
    }

    /// Marks a directory that appeared at a path, and tells what is in it already.
    fn appear(&mut self, path: &Text, pid: u32, how: tell::Appearance, batch: &mut Batch) {
        let fresh = self.marks.trees.on_created_directory(path);
        let mut found = Vec::new();
        if self.marks.trees.contains(path) {
            self.marks.add_tree(path, &mut |file| found.push(file));
        }
        for root in fresh {
            let is_marked = self.marks.directories.handle(&root.path).is_some();
            if !is_marked {
                self.marks.add_root(&root, &mut |file| found.push(file));
            }
        }
        for marks::Found { path, stat } in found {
            let is_told = self.teller.found(&path, &stat, (pid, how), batch);
            if !is_told {
                self.creations.begin(path, pid, Instant::now());
            }
        }
    }
}

/// Deals with an error that should not be: whatever was in the queue may be lost.
fn lose(error: &io::Error, batch: &mut Batch) {
    tracing::error!("read fanotify events: {error}");
    batch.signals.push(Signal::Overflow);
}

/// Reads any bytes as events.
pub(crate) fn fuzz(bytes: &[u8]) {
    drop(format!("{:?}", event::parse(bytes)));
}

#[cfg(test)]
mod tests;
