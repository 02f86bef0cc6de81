//! One change in the making.

use std::time::Duration;

use change::{Note, Text, Timestamp};

use super::doubts::Doubted;
use super::{LONGEST, QUIET, Seen, names};
use crate::capture::Captured;
use crate::observed::{Action, Inode, Who};

/// How many writers' descriptions a change remembers.
const MAX_DESCRIPTIONS: usize = 64;

/// A finished change, but for what it did to the file.
#[derive(Debug)]
pub struct Assembled {
    /// When the last operation of it happened.
    pub time: Timestamp,
    /// Who made it.
    pub who: Who,
    /// The file's path after it.
    pub path: Text,
    /// How the file came to be there.
    pub came: Came,
    /// Where the file is now, if a directory that it lies in got another name since.
    pub place: Option<Text>,
    /// Whether it is gone after it.
    pub deleted: bool,
    /// How often the file was written: opened, written and closed.
    pub operations: u64,
    /// What is not sure of its actor.
    pub notes: Vec<Note>,
    /// The file as the kernel saw it last.
    pub inode: Option<Inode>,
    /// Whether the kernel told of a write as it began: times and size were still those before.
    pub writing: bool,
    /// What of it was touched.
    pub touched: Touched,
    /// What was read of it at once; none where it could not be.
    pub captured: Option<Captured>,
}

/// Says what of a file was touched, as the kernel tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Touched {
    /// Its attributes; or only a description was closed that could have been written through.
    Attributes,
    /// A directory, by a call of the file system's own, which can make and remove names in it.
    Names,
    /// Its content, be it with what was there before.
    Content,
}

/// Says how a file came to be under its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// As far as was seen, it was there before.
    Existed,
    /// It is new.
    Created,
    /// It is a new symbolic link.
    Symlinked,
    /// It is another name of a file, whose name in the call is told where it is known.
    Linked(Option<Text>),
    /// A file that was made elsewhere took the place of another.
    Replaced,
    /// It had another name before.
    Renamed {
        /// The name before.
        from: Text,
        /// Whether the new name is in a watched tree.
        into_watched: bool,
        /// Whether another file had the new name, and is gone.
        replaced: bool,
        /// Whether that file has the older name from then on.
        exchanged: bool,
    },
}

/// Says whether the path names a file at this point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Present,
    Deleted,
    MovedTo(Text),
}

pub(super) struct Pending {
    pub(super) path: Text,
    /// Where the file is, if a directory that it lies in got another name.
    pub(super) place: Option<Text>,
    pub(super) came: Came,
    state: State,
    first: Timestamp,
    pub(super) last: Timestamp,
    /// When the assembler looks at it next.
    pub(super) look_at: Timestamp,
    who: Who,
    pub(super) operations: u64,
    /// Who wrote through which description.
    pub(super) writers: Vec<(u64, Who)>,
    notes: Vec<Note>,
    /// An open is about to create it, and no close was seen yet.
    pub(super) open: bool,
    /// It is a directory in which something happened, or that was there before with all that is in it.
    pub(super) inhabited: bool,
    /// The last that was told is that a write began: what it writes may not be there yet.
    pub(super) writing: bool,
    pub(super) touched: Touched,
    pub(super) inode: Option<Inode>,
    pub(super) captured: Option<Captured>,
    /// When that had been read.
    pub(super) captured_at: Timestamp,
    /// Who may have written since, unseen.
    pub(super) doubted: Option<Doubted>,
}

impl Pending {
    pub(super) fn new(path: Text, came: Came, seen: &Seen<'_>) -> Self {
        Self {
            path,
            place: None,
            inhabited: matches!(came, Came::Renamed { .. }) && seen.is_directory(),
            came,
            state: State::Present,
            last: seen.time,
            first: seen.time,
            look_at: seen.time,
            who: seen.who.clone(),
            operations: 0,
            writers: Vec::new(),
            notes: Vec::new(),
            open: false,
            writing: false,
            touched: Touched::Attributes,
            inode: seen.inode,
            captured: None,
            captured_at: Timestamp::MAX,
            doubted: None,
        }
    }

    pub(super) fn gone(path: Text, state: State, seen: &Seen<'_>) -> Self {
        Self {
            state,
            ..Self::new(path, Came::Existed, seen)
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.state != State::Present
    }

    /// Whether nothing was there before.
    pub(super) fn is_new(&self) -> bool {
        matches!(
            self.came,
            Came::Created | Came::Symlinked | Came::Linked(_) | Came::Renamed { .. }
        )
    }

    /// Whether it is an older state of a file, put aside while a new one is made.
    pub(super) fn is_put_aside(&self) -> bool {
        let is_aside = matches!(self.came, Came::Linked(_) | Came::Renamed { .. });
        // All that is in a directory went with it.
        is_aside && !self.has_replaced() && !self.inode.is_some_and(Inode::is_directory)
    }

    /// Whether what had the name has another one.
    pub(super) fn has_moved(&self) -> bool {
        matches!(self.state, State::MovedTo(_))
    }

    /// Whether it took the place of something that was there for its own sake.
    pub(super) fn has_replaced(&self) -> bool {
        matches!(self.came, Came::Renamed { replaced: true, .. })
    }

    /// Whether the file had that name before.
    pub(super) fn came_from(&self, name: &Text) -> bool {
        matches!(&self.came, Came::Renamed { from, .. } if from == name)
    }

    /// Whether all of it may be told under the name that the file gets next.
    pub(super) fn can_settle(&self, name: &Text) -> bool {
        let is_all_new = self.is_new() && !self.has_replaced() && !self.is_gone();
        // What is in a directory is told of under the name that the directory has then.
        is_all_new && !self.inhabited && !self.came_from(name)
    }

    pub(super) fn is_by(&self, who: &Who) -> bool {
        is_same_process(&self.who, who)
    }

    /// Whether the file is as the kernel saw it when it told of this change last.
    pub(super) fn is_unchanged(&self, inode: Option<Inode>) -> bool {
        inode.is_some() && self.inode == inode
    }

    pub(super) fn note(&mut self, note: Note) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub(super) fn forget_description(&mut self, description: Option<u64>) {
        self.writers
            .retain(|(known, _)| Some(*known) != description);
    }

    pub(super) fn writer(&self, description: Option<u64>) -> Option<&Who> {
        let found = self
            .writers
            .iter()
            .find(|(known, _)| Some(*known) == description);
        found.map(|(_, writer)| writer)
    }

    /// Whether what was seen belongs to the same action as this change.
    pub(super) fn belongs(
        &self,
        seen: &Seen<'_>,
        is_same_program: &dyn Fn(&Who, &Who) -> bool,
    ) -> bool {
        // That it got its name is a change, and what is done to it then another one.
        if self.is_gone() || matches!(self.came, Came::Renamed { .. }) {
            return false;
        }
        self.is_by(seen.who)
            || self.open
            || self.writer(seen.description).is_some()
            || is_child(seen.who, &self.who)
            || (is_sibling(seen.who, &self.who) && is_same_program(seen.who, &self.who))
    }

    pub(super) fn write(&mut self, action: &Action, seen: &Seen<'_>) {
        let before = self.inode;
        self.last = seen.time;
        self.forget_content();
        // Whatever is there now is this one's, too.
        if self.doubted.take().is_some() {
            self.note(Note::SameTick);
        }
        self.inode = seen.inode.or(self.inode);
        self.writing = *action == Action::Dirtied && seen.inode.is_some();
        if !matches!(action, Action::Closed { created: false }) {
            self.touched = Touched::Content;
        }
        match action {
            Action::Released { .. } if before == seen.inode => {}
            Action::Closed { .. } => {
                self.open = false;
                self.operations += 1;
                if self.writer(seen.description).is_none() && self.writers.is_empty() {
                    self.claim(seen);
                }
                self.forget_description(seen.description);
            }
            _ => {
                self.claim(seen);
                if let Some(description) = seen.description {
                    self.forget_description(Some(description));
                    self.writers.truncate(MAX_DESCRIPTIONS);
                    self.writers.push((description, seen.who.clone()));
                }
            }
        }
    }

    /// What was read of the file is what it was before this.
    fn forget_content(&mut self) {
        (self.captured, self.captured_at) = (None, Timestamp::MAX);
    }

    /// Names the process that was seen as the one who made the change.
    fn claim(&mut self, seen: &Seen<'_>) {
        if !self.is_by(seen.who) {
            if self.writer(seen.description).is_some() || is_child(seen.who, &self.who) {
                self.note(Note::SharedDescription);
            }
            self.who = seen.who.clone();
        }
    }

    pub(super) fn touch(&mut self, touched: Touched, seen: &Seen<'_>) {
        self.touched = self.touched.max(touched);
        self.last = seen.time;
        self.forget_content();
        self.inode = seen.inode.or(self.inode);
    }

    /// Follows a clock that was set by so many nanoseconds.
    pub(super) fn set_clock(&mut self, step_ns: i64) {
        let Self {
            first,
            last,
            look_at,
            captured_at,
            ..
        } = self;
        for time in [first, last, look_at, captured_at] {
            *time = time.plus_nanos(step_ns);
        }
    }

    /// When it is finished unless something more happens.
    pub(super) fn due(&self) -> Timestamp {
        let new = self.is_new() || self.open;
        let temporary = new.then(|| names::waits(&self.path)).flatten();
        let wait = temporary.unwrap_or(QUIET);
        let quiet = self.last.plus_nanos(nanos(wait));
        // A file that is written without a pause is told of all the same.
        quiet.min(self.first.plus_nanos(nanos(wait.max(LONGEST))))
    }

    /// None where another change tells the same: the old name of a file that was renamed.
    pub(super) fn into_assembled(self) -> Option<Assembled> {
        if matches!(self.state, State::MovedTo(_)) {
            return None;
        }
        Some(Assembled {
            time: self.last,
            who: self.who,
            path: self.path,
            place: self.place,
            came: self.came,
            deleted: self.state == State::Deleted,
            operations: self.operations.max(1),
            notes: self.notes,
            inode: self.inode,
            writing: self.writing,
            touched: self.touched,
            captured: self.captured.filter(|_| !self.writing),
        })
    }
}

pub(super) fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

pub(super) fn is_same_process(a: &Who, b: &Who) -> bool {
    match (a, b) {
        (Who::Task(a), Who::Task(b)) => a.process.same(b.process),
        _ => a.pid() == b.pid(),
    }
}

fn is_child(child: &Who, parent: &Who) -> bool {
    matches!((child, parent), (Who::Task(child), Who::Task(parent)) if child.parent == parent.process.pid)
}

fn is_sibling(a: &Who, b: &Who) -> bool {
    matches!((a, b), (Who::Task(a), Who::Task(b)) if a.parent == b.parent && a.parent > 1)
}
