//! What a rename did: to the file, to what lies below it, and to the file that had the name before.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use change::{FileState, FileType, Note, Op, Text, Timestamp};

use super::Conclude;
use super::ledger::{Draft, Known};
use crate::assemble::Came;
use crate::capture::Found;
use crate::enrich::By;
use crate::store;

/// How many files that came along in a directory become changes; the rest is left to reconciling.
const MAX_BROUGHT: usize = 10_000;

/// What a rename did to names.
pub(super) struct Moved {
    pub(super) from: Text,
    pub(super) into_watched: bool,
    pub(super) replaced: bool,
}

impl Conclude {
    pub(super) fn renamed(&mut self, mut draft: Draft, moved: Moved) -> Result<(), store::Error> {
        let Moved {
            from,
            into_watched,
            replaced,
        } = moved;
        let source = self.ledger.known(&from)?.map(|known| known.state);
        self.ledger.set(from.clone(), None, draft.time);
        if !replaced || draft.before.is_none() {
            draft.before.clone_from(&source);
        }
        draft.after = source;
        if into_watched {
            self.read_renamed(&mut draft);
        }
        self.move_below(&from, into_watched.then_some(&draft.path), draft.time)?;
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

    /// Puts in what the file is under its new name.
    fn read_renamed(&mut self, draft: &mut Draft) {
        let Some(found) = self.capture.read(&draft.path, None).into_found() else {
            draft.notes.push(Note::MovedOn);
            return;
        };
        let Found {
            state,
            bytes,
            identity,
            moved_on: _,
        } = found;
        self.ledger.keep(&state, bytes);
        draft.after = Some(state.clone());
        let known = Known { state, identity };
        self.ledger.set(draft.path.clone(), Some(known), draft.time);
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
        time: Timestamp,
    ) -> Result<(), store::Error> {
        for (path, known) in self.ledger.stored_below(from)? {
            let rest = path.as_bytes().get(from.as_bytes().len()..);
            if let (Some(to), Some(rest)) = (to, rest) {
                let moved = Text::from([to.as_bytes(), rest].concat());
                self.ledger.set(moved, Some(known), time);
            }
            self.ledger.set(path, None, time);
        }
        Ok(())
    }
}
