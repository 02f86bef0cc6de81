//! What a rename did: to the file, to what lies below it, and to the file that had the name before.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use change::{FileState, FileType, Note, Op, Text, Timestamp};

use super::ledger::{Draft, Known};
use super::{Conclude, unread};
use crate::assemble::Came;
use crate::capture::{Found, Identity};
use crate::enrich::By;
use crate::observed::Inode;
use crate::store;

/// How many files that came along in a directory become changes; the rest is left to reconciling.
const MAX_BROUGHT: usize = 10_000;

/// What a rename did to names.
pub(super) struct Moved {
    pub(super) from: Text,
    pub(super) into_watched: bool,
    pub(super) replaced: bool,
    pub(super) exchanged: bool,
    /// The file as the kernel saw it.
    pub(super) inode: Option<Inode>,
}

/// What had a name until another one was exchanged with it, which is told of next.
pub(super) struct Displaced {
    path: Text,
    time: Timestamp,
    state: Option<FileState>,
}

impl Displaced {
    fn is(&self, path: &Text, time: Timestamp) -> bool {
        self.path == *path && self.time == time
    }
}

impl Conclude {
    pub(super) fn renamed(&mut self, mut draft: Draft, moved: Moved) -> Result<(), store::Error> {
        let Moved {
            from,
            into_watched,
            replaced,
            exchanged,
            inode,
        } = moved;
        let displaced = self.displaced.take();
        let displaced = displaced.filter(|one| exchanged && one.is(&from, draft.time));
        let is_first = displaced.is_none();
        let source = match displaced {
            Some(displaced) => displaced.state,
            None => self.ledger.known(&from)?.map(|known| known.state),
        };
        // What is known under the older name may be what took its place meanwhile.
        let is_it = |source: &FileState| inode.is_none_or(|inode| inode.number == source.inode);
        let source = source.filter(is_it);
        if exchanged {
            draft.notes.push(Note::Exchanged);
            self.displaced = is_first.then(|| Displaced {
                path: draft.path.clone(),
                time: draft.time,
                state: draft.before.clone(),
            });
        } else {
            self.ledger.set(from.clone(), None, draft.time);
        }
        if replaced && draft.before.is_some() {
            draft.notes.push(Note::Replaced);
        } else {
            draft.before.clone_from(&source);
        }
        draft.after = source;
        if into_watched {
            self.read_renamed(&mut draft, inode);
        }
        let to = into_watched.then_some(&draft.path);
        self.move_below(&from, to, exchanged, draft.time)?;
        let is_directory = |state: &FileState| state.file_type == FileType::Directory;
        let brought = into_watched
            && draft.after.as_ref().is_some_and(is_directory)
            && !self.trees.contains(&from);
        let (path, time, by) = (draft.path.clone(), draft.time, draft.by.clone());
        self.ledger.tell(Draft {
            op: Op::Rename,
            from: Some(from),
            ..draft
        });
        if brought {
            self.brought(&path, time, by.as_ref());
        }
        Ok(())
    }

    /// Puts in what the file is under its new name: what it was under its older one, where that is known.
    fn read_renamed(&mut self, draft: &mut Draft, inode: Option<Inode>) {
        let source = draft.after.take();
        // A rename moves the change time on after the kernel has told of it.
        let expected = inode.map(|inode| Inode {
            ctime_ns: Inode::UNKNOWN_TIME,
            ..inode
        });
        let read = self.capture.read(&draft.path, expected.as_ref());
        let found = read.into_found();
        let is_it = found.as_ref().is_some_and(|found| {
            let is_same = |source: &FileState| source.hash.is_none() || *source == found.state;
            !found.moved_on && source.as_ref().is_none_or(is_same)
        });
        let known = match (found, source) {
            (Some(found), _) if is_it => {
                let Found {
                    state,
                    bytes,
                    identity,
                    moved_on: _,
                } = found;
                self.ledger.keep(&state, bytes);
                Some(Known { state, identity })
            }
            // It is written already, which is another change.
            (_, Some(state)) => Some(Known {
                state,
                identity: Identity::default(),
            }),
            (found, None) => {
                draft.notes.push(Note::MovedOn);
                let state = found.map(|found| found.state);
                state.or(inode.map(unread)).map(|state| Known {
                    state,
                    identity: Identity::default(),
                })
            }
        };
        draft.after = known.as_ref().map(|known| known.state.clone());
        if known.is_some() {
            self.ledger.set(draft.path.clone(), known, draft.time);
        }
    }

    /// What came along in a directory that was moved in from outside is new, by the same hand.
    pub(super) fn brought(&mut self, directory: &Text, time: Timestamp, by: Option<&By>) {
        let mut open = vec![directory.clone()];
        let mut left = MAX_BROUGHT;
        while let Some(directory) = open.pop() {
            let entries = std::fs::read_dir(OsStr::from_bytes(directory.as_bytes()));
            for entry in entries.into_iter().flatten().flatten().take(left) {
                left -= 1;
                let path = Text::from(entry.path().as_os_str().as_bytes());
                let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
                open.extend(is_directory.then(|| path.clone()));
                self.brought_one(path, time, by);
            }
        }
    }

    pub(super) fn brought_one(&mut self, path: Text, time: Timestamp, by: Option<&By>) {
        if let Some(found) = self.capture.read(&path, None).into_found() {
            let draft = Draft {
                time,
                path,
                op: Op::Create,
                from: None,
                before: None,
                after: None,
                operations: 1,
                notes: Vec::new(),
                by: by.cloned(),
            };
            self.present(draft, &Came::Created, None, found);
        }
    }

    /// Moves the facts of what is below a directory that was renamed, or forgets them.
    fn move_below(
        &mut self,
        from: &Text,
        to: Option<&Text>,
        exchanged: bool,
        time: Timestamp,
    ) -> Result<(), store::Error> {
        if from.as_bytes().is_empty() {
            // From where nothing is watched, and so nothing is known.
            return Ok(());
        }
        let other = to.filter(|_| exchanged);
        if other.is_some_and(|other| other < from) {
            // It is told of both, and both are moved with the other one.
            return Ok(());
        }
        let below = self.ledger.below(from)?;
        let below_other = other.map_or_else(|| Ok(Vec::new()), |other| self.ledger.below(other))?;
        for (path, _) in below.iter().chain(&below_other) {
            self.ledger.set(path.clone(), None, time);
        }
        let Some(to) = to else { return Ok(()) };
        for (files, from, to) in [(below, from, to), (below_other, to, from)] {
            for (path, known) in files {
                let rest = path.as_bytes().strip_prefix(from.as_bytes());
                let moved = [to.as_bytes(), rest.unwrap_or_default()].concat();
                self.ledger.set(moved.into(), Some(known), time);
            }
        }
        Ok(())
    }
}
