//! Putting what happened into the words of an observation.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use change::{FileType, Text, Timestamp};
use rustix::fs::Stat;
use rustix::time::{ClockId, clock_gettime};

use super::Signal;
use crate::capture::inode_of;
use crate::observed::{Action, Event, FileEvent, Inode, Left, Name, Observation, Who};
use crate::trees::{Trees, open};

/// So long the event of a file that was found before it may lag behind.
const LAG: Duration = Duration::from_secs(2);

/// Holds what one reading of the queue came to.
#[derive(Debug)]
pub(super) struct Batch {
    /// The moment of reading, and a nanosecond more for each event, in whose order they happened: events
    /// carry no time, and the queue is read at once.
    boot_ns: u64,
    pub(super) signals: Vec<Signal>,
}

impl Batch {
    pub(super) fn now() -> Self {
        let now = clock_gettime(ClockId::Boottime);
        let now = Timestamp::from_parts(now.tv_sec, u32::try_from(now.tv_nsec).unwrap_or(0));
        Self {
            boot_ns: u64::try_from(now.as_nanos()).unwrap_or(0),
            signals: Vec::new(),
        }
    }

    /// Tells what a process did.
    pub(super) fn push(&mut self, pid: u32, event: Event) {
        self.signals.push(Signal::Observation(Observation {
            boot_ns: self.boot_ns,
            who: Who::Pid(pid),
            event,
        }));
        self.boot_ns += 1;
    }

    /// Two files that are exchanged are told one after the other, as if each had got the other's name:
    /// makes one of it, if what was told last is the first half, and tells whether it was.
    pub(super) fn exchange(&mut self, from: &Text, to: &Text, pid: u32) -> bool {
        let Some(Signal::Observation(Observation {
            who: Who::Pid(by),
            event: Event::File(told),
            ..
        })) = self.signals.last_mut()
        else {
            return false;
        };
        let Action::Renamed {
            from: before, left, ..
        } = &mut told.action
        else {
            return false;
        };
        let is_first_half = *by == pid && told.path == *from && before.path == *to;
        if is_first_half {
            *left = Left::Other;
        }
        is_first_half
    }
}

/// Says how a directory came to be where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Appearance {
    /// It was made there: what is in it was made, too.
    Made,
    /// It was moved there with all that is in it.
    Moved,
}

/// Tells what happened to watched files, unless it was the daemon itself.
#[derive(Debug)]
pub(super) struct Teller {
    trees: Arc<Trees>,
    own_pid: u32,
    /// What was found in new directories and told before its event was read.
    told: HashMap<Text, Instant>,
}

impl Teller {
    pub(super) fn new(trees: Arc<Trees>, own_pid: u32) -> Self {
        Self {
            trees,
            own_pid,
            told: HashMap::new(),
        }
    }

    /// Tells of a new directory, and whether that had been told already.
    pub(super) fn directory_created(&mut self, path: &Text, pid: u32, batch: &mut Batch) -> bool {
        let was_told = self.told.remove(path).is_some();
        if !was_told {
            self.tell(path, Action::Created, look(path), (pid, batch));
        }
        was_told
    }

    /// Tells of a new name that is no directory's; not yet of a regular file, since its closing
    /// tells more.
    pub(super) fn name_created(
        &mut self,
        path: &Text,
        is_written: bool,
        pid: u32,
        batch: &mut Batch,
    ) -> bool {
        let Some(inode) = look(path) else {
            // Renamed already, which the next event tells, or gone.
            return false;
        };
        let is_regular = FileType::from_mode(inode.mode).is_regular();
        // A file that is being created has one name, unless someone is very quick.
        let is_link = inode.links > 1 && !is_written;
        if is_regular && !is_link {
            return false;
        }
        if self.told.remove(path).is_none() {
            let action = if is_link {
                Action::Linked { existing: None }
            } else {
                action_of(path, &inode)
            };
            self.tell(path, action, Some(inode), (pid, batch));
        }
        true
    }

    /// Tells of what was found in a directory that appeared; not yet of a regular file that was
    /// made there, since its closing tells more.
    pub(super) fn found(
        &mut self,
        path: &Text,
        stat: &Stat,
        (pid, how): (u32, Appearance),
        batch: &mut Batch,
    ) -> bool {
        let inode = inode_of(stat);
        if how == Appearance::Made {
            if FileType::from_mode(inode.mode).is_regular() {
                return false;
            }
            self.told.insert(path.clone(), Instant::now());
        }
        self.tell(path, action_of(path, &inode), Some(inode), (pid, batch));
        true
    }

    /// Tells that a file was created which was not closed since.
    pub(super) fn created_at_last(&mut self, path: &Text, pid: u32, batch: &mut Batch) {
        // If it is gone, it went away with a directory, which was told.
        if let Some(inode) = look(path) {
            self.tell(path, Action::Created, Some(inode), (pid, batch));
        }
    }

    pub(super) fn dirtied(&self, path: &Text, inode: Option<Inode>, pid: u32, batch: &mut Batch) {
        self.tell(path, Action::Dirtied, inode, (pid, batch));
    }

    /// Tells that attributes were set. Which ones is not known, extended attributes among them.
    pub(super) fn attributes(
        &self,
        path: &Text,
        inode: Option<Inode>,
        pid: u32,
        batch: &mut Batch,
    ) {
        let action = Action::Attributes {
            size: false,
            mode: true,
            owner: true,
        };
        self.tell(path, action, inode, (pid, batch));
    }

    pub(super) fn closed(
        &self,
        (path, inode): (&Text, Option<Inode>),
        created: bool,
        pid: u32,
        batch: &mut Batch,
    ) {
        self.tell(path, Action::Closed { created }, inode, (pid, batch));
    }

    pub(super) fn deleted(&mut self, path: &Text, pid: u32, batch: &mut Batch) {
        self.told.remove(path);
        self.tell(path, Action::Deleted, None, (pid, batch));
    }

    /// Tells that a file has another name. Without `from` it came from where nothing is watched.
    pub(super) fn renamed(&self, from: Option<&Text>, path: &Text, pid: u32, batch: &mut Batch) {
        let watched = from.is_some_and(|from| self.trees.contains(from));
        let into_watched = self.trees.contains(path);
        let is_told = |path: &Text| self.trees.tells(path);
        if !is_told(path) && !from.is_some_and(is_told) {
            return;
        }
        let from = Name {
            path: from.cloned().unwrap_or_default(),
            watched,
        };
        let action = Action::Renamed {
            from,
            into_watched,
            left: Left::Nothing,
            replaced: None,
        };
        self.push(path, action, look(path), (pid, batch));
    }

    pub(super) fn forget_old(&mut self) {
        self.told.retain(|_, since| since.elapsed() < LAG);
    }

    fn tell(&self, path: &Text, action: Action, inode: Option<Inode>, by: (u32, &mut Batch)) {
        if self.trees.tells(path) {
            self.push(path, action, inode, by);
        }
    }

    fn push(
        &self,
        path: &Text,
        action: Action,
        inode: Option<Inode>,
        (pid, batch): (u32, &mut Batch),
    ) {
        if pid == self.own_pid {
            return;
        }
        let event = FileEvent {
            action,
            path: path.clone(),
            inode,
            unnamed: false,
            description: None,
        };
        batch.push(pid, Event::File(event));
    }
}

/// What is at a path now: the nearest to what the event was about that can be had.
pub(super) fn look(path: &Text) -> Option<Inode> {
    let file = open::file(path).ok()?;
    rustix::fs::fstat(file).ok().map(|stat| inode_of(&stat))
}

/// How a file that is there now came to be.
fn action_of(path: &Text, inode: &Inode) -> Action {
    if FileType::from_mode(inode.mode) != FileType::Symlink {
        return Action::Created;
    }
    let target = open::file(path).and_then(|link| rustix::fs::readlinkat(link, "", Vec::new()));
    target.map_or(Action::Created, |target| Action::Symlinked {
        target: Text::from(target.into_bytes()),
    })
}
