//! Comparing what the watched trees are with what the store believes: late changes, the baseline.
//!
//! Where facts are kept and what becomes of a difference is decided elsewhere.

mod walk;

use std::collections::VecDeque;
use std::io;

use change::{ContentState, FileState, Text, Timestamp};
use rustix::fs::Stat;
use rustix::io::Errno;
use rustix::time::ClockId;

use self::walk::Walk;
use crate::capture::{Capture, Captured, Found, Identity, size};
use crate::trees::{Trees, open, path};

/// How many facts are asked for at once.
const PAGE: usize = 512;

/// After so many files other threads get their turn.
const FILES_A_TURN: u64 = 64;

/// Tells what is believed of files: the store's side of the comparison.
pub trait KnownFiles {
    /// The facts of the next files in the byte order of their paths: behind `after`, at most
    /// `limit`; none where there are no more.
    fn next_files(&mut self, after: Option<&Text>, limit: usize) -> io::Result<Vec<KnownFile>>;
}

/// Holds what is believed of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownFile {
    /// Its absolute path.
    pub path: Text,
    /// Its state.
    pub state: FileState,
    /// Which file it was and when it had changed; without it the file is read for certainty.
    pub identity: Option<Identity>,
}

/// Describes how one file differs from what was believed.
#[derive(Debug)]
pub struct Difference {
    /// Its absolute path.
    pub path: Text,
    /// What sort of difference it is.
    pub kind: DifferenceKind,
    /// What was believed.
    pub before: Option<FileState>,
    /// What it is now.
    pub found: Option<Found>,
    /// Whether an exact record of it may be under way: the file changed, or is gone from a
    /// directory that changed, as the watching began or later. It counts only if the fact is still
    /// there once the records until now have been applied.
    pub contested: bool,
}

impl Difference {
    /// Whether the file that was found is there still, or the one that was missed is still missing. What
    /// has got its true name meanwhile, or was removed or made, was so while it was watched: an exact
    /// record tells of it.
    pub fn holds(&self) -> bool {
        let now = open::file(&self.path).and_then(rustix::fs::fstat);
        match (&self.found, now) {
            (Some(found), Ok(now)) => {
                let now = Identity::of(&now);
                (found.identity.dev, found.identity.inode) == (now.dev, now.inode)
            }
            // What cannot be looked at is as it was found.
            (Some(_), Err(error)) => !matches!(error, Errno::NOENT | Errno::NOTDIR),
            (None, now) => now.is_err(),
        }
    }
}

/// Says how a file differs from what was believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DifferenceKind {
    /// Nothing was known of it.
    New,
    /// Its state is another.
    Changed,
    /// It is not there any more.
    Gone,
    /// Its state is what was believed, and only the identity or the inode differs, or its content
    /// was not known: the fact is to be refreshed, and there was no change to tell of.
    Same,
}

/// Counts what a comparison came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many files were looked at.
    pub files: u64,
    /// How many differences were told.
    pub differences: u64,
}

/// Compares all trees with all facts. It takes long: it belongs on a thread of its own, with a low
/// priority.
#[derive(Debug)]
pub struct Reconcile<'a> {
    /// What is watched. Facts of files outside are left alone.
    pub trees: &'a Trees,
    /// Reads what differs.
    pub capture: &'a Capture,
    /// Files that changed after the watching began are left to its exact records.
    pub exact_since: Option<Began>,
}

/// When a watching began, as the times of files tell it: they are as coarse as the kernel's tick,
/// so that what changes just after a moment may bear a time just before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Began {
    /// What changed before the watching began bears no later time than [`Began::latest`]; what
    /// changed since bears this one or a later one.
    pub earliest: Timestamp,
    /// See [`Began::earliest`].
    pub latest: Timestamp,
}

impl Began {
    /// Of a watching that has just begun.
    pub fn now() -> Self {
        let read = |clock| {
            let time = rustix::time::clock_gettime(clock);
            let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
            Timestamp::from_parts(time.tv_sec, nanos)
        };
        Self {
            earliest: read(ClockId::RealtimeCoarse),
            latest: read(ClockId::Realtime),
        }
    }
}

impl Reconcile<'_> {
    /// Walks the trees and the facts side by side and hands each difference to `sink`. It needs
    /// memory for the directories on the way to one file, not for all files.
    pub fn run(
        &self,
        known: &mut dyn KnownFiles,
        sink: &mut dyn FnMut(Difference) -> io::Result<()>,
    ) -> io::Result<Tally> {
        let mut tally = Tally::default();
        let mut sink = |difference: Option<Difference>, tally: &mut Tally| {
            difference.map_or(Ok(()), |difference| {
                tally.differences += 1;
                sink(difference)
            })
        };
        let mut facts = Facts::new(known);
        let mut walk = Walk::new(self.trees)?;
        while let Some((path, stat)) = walk.next() {
            while let Some(fact) = facts.next_if(|fact| fact.path < path)? {
                sink(self.unmet(fact, &walk), &mut tally)?;
            }
            let fact = facts.next_if(|fact| fact.path == path)?;
            sink(self.compare(path, &stat, fact), &mut tally)?;
            tally.files += 1;
            if tally.files % FILES_A_TURN == 0 {
                std::thread::yield_now();
            }
        }
        while let Some(fact) = facts.next_if(|_| true)? {
            sink(self.unmet(fact, &walk), &mut tally)?;
        }
        Ok(tally)
    }

    fn compare(&self, path: Text, stat: &Stat, fact: Option<KnownFile>) -> Option<Difference> {
        let identity = Identity::of(stat);
        let is_same_file = fact.as_ref().is_some_and(|fact| {
            let size = if fact.state.file_type == change::FileType::Directory {
                0
            } else {
                size(stat)
            };
            fact.identity == Some(identity) && fact.state.size == size
        });
        let is_unknown = |fact: &KnownFile| {
            matches!(
                fact.state.content,
                ContentState::MovedOn | ContentState::Shed
            )
        };
        if is_same_file && !fact.as_ref().is_some_and(is_unknown) || self.is_newer(identity) {
            return None;
        }
        match self.capture.read(&path, None) {
            Captured::Found(found) if self.is_newer(found.identity) => None,
            Captured::Found(found) => {
                let kind = match &fact {
                    None => DifferenceKind::New,
                    Some(_) if is_same_file => DifferenceKind::Same,
                    Some(fact) if is_same_state(&fact.state, &found.state) => DifferenceKind::Same,
                    Some(_) => DifferenceKind::Changed,
                };
                Some(Difference {
                    path,
                    kind,
                    before: fact.map(|fact| fact.state),
                    contested: self.is_contested(found.identity),
                    found: Some(*found),
                })
            }
            Captured::Absent => fact.map(|fact| self.gone(fact)),
            Captured::Unreadable(error) => {
                tracing::warn!("compare `{path}`: {error}");
                None
            }
        }
    }

    /// Deals with a fact that the walk met no file for.
    fn unmet(&self, fact: KnownFile, walk: &Walk<'_>) -> Option<Difference> {
        if !self.trees.contains(&fact.path) || walk.is_unseen(&fact.path) {
            return None;
        }
        // The walk may have listed the directory before the file was there.
        match open::file(&fact.path).and_then(rustix::fs::fstat) {
            Ok(stat) => self.compare(fact.path.clone(), &stat, Some(fact)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Some(self.gone(fact)),
            Err(error) => {
                tracing::warn!("look for `{}`: {error}", fact.path);
                None
            }
        }
    }

    fn gone(&self, fact: KnownFile) -> Difference {
        let contested = nearest_directory(&fact.path)
            .is_some_and(|directory| self.is_contested(Identity::of(&directory)));
        Difference {
            path: fact.path,
            kind: DifferenceKind::Gone,
            before: Some(fact.state),
            found: None,
            contested,
        }
    }

    fn is_newer(&self, identity: Identity) -> bool {
        self.exact_since
            .is_some_and(|began| Timestamp::from_nanos(identity.ctime_ns) > began.latest)
    }

    /// Whether the file may have changed after the watching began.
    fn is_contested(&self, identity: Identity) -> bool {
        self.exact_since
            .is_some_and(|began| Timestamp::from_nanos(identity.ctime_ns) >= began.earliest)
    }
}

/// The directory that a file is gone from, or what is left above it.
fn nearest_directory(path: &Text) -> Option<Stat> {
    let mut above = path::ancestors(path.as_bytes()).skip(1);
    let nearest = above.find_map(|above| open::file(&Text::from(above)).ok())?;
    rustix::fs::fstat(nearest).ok()
}

/// Whether two states are the same but for the inode that they are stored in.
fn is_same_state(before: &FileState, now: &FileState) -> bool {
    let before = FileState {
        inode: now.inode,
        ..before.clone()
    };
    before == *now
}

/// Reads the facts page by page.
struct Facts<'a> {
    known: &'a mut dyn KnownFiles,
    page: VecDeque<KnownFile>,
    last: Option<Text>,
    is_at_end: bool,
}

impl<'a> Facts<'a> {
    fn new(known: &'a mut dyn KnownFiles) -> Self {
        Self {
            known,
            page: VecDeque::new(),
            last: None,
            is_at_end: false,
        }
    }

    fn next_if(&mut self, wanted: impl Fn(&KnownFile) -> bool) -> io::Result<Option<KnownFile>> {
        if self.page.is_empty() && !self.is_at_end {
            self.page = self.known.next_files(self.last.as_ref(), PAGE)?.into();
            self.is_at_end = self.page.is_empty();
            self.last = self.page.back().map(|fact| fact.path.clone());
        }
        Ok(self.page.pop_front_if(|fact| wanted(fact)))
    }
}

#[cfg(test)]
mod tests;
