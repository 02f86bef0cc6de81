//! What a finished action did: the file's states before and after it, and so the change that it
//! was. Reads files and known facts; folding operations is done before, in `assemble`.

mod compared;
mod done;
mod inventoried;
mod ledger;
mod op;
mod renamed;
mod settings;
mod subvolumes;

use std::collections::BTreeMap;
use std::sync::Arc;

use change::{Change, ContentState, FileState, FileType, Gap, Note, Op, Text, Timestamp};

pub use self::done::Done;
pub use self::inventoried::Cause;
pub(crate) use self::ledger::from_stored;
use self::ledger::{Draft, Known, Ledger};
use self::renamed::{Displaced, Moved};
pub use self::settings::Set;
use crate::assemble::{Assembled, Came, Touched};
use crate::capture::{Capture, Captured, Found, Identity, inode_of};
use crate::enrich::By;
use crate::inventory::{Facts, Owners, Source};
use crate::observed::Inode;
use crate::store::{self, Batch, Reader};
use crate::trees::{Trees, open};

/// So many changes and facts are written at once, however many wait.
const MUCH: usize = 1024;
/// Content and actors of so many bytes are written at once.
const MUCH_BYTES: usize = 4 << 20;

/// Names the host in changes.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// The machine id.
    pub id: String,
    /// The name.
    pub name: String,
}

/// Turns finished actions into changes, facts and contents.
pub struct Conclude {
    capture: Arc<Capture>,
    trees: Arc<Trees>,
    ledger: Ledger,
    new_directories: Vec<Text>,
    displaced: Option<Displaced>,
    /// What is believed of each source of an inventory that was read.
    believed: BTreeMap<Source, Facts>,
    /// When each of them was read last: from when until when.
    compared_at: BTreeMap<Source, [Timestamp; 2]>,
}

impl Conclude {
    /// Concludes against the facts that `stored` reads.
    pub fn new(host: Host, trees: Arc<Trees>, capture: Arc<Capture>, stored: Reader) -> Self {
        let ledger = Ledger::new(host, Arc::clone(&trees), stored);
        Self {
            capture,
            trees,
            ledger,
            new_directories: Vec::new(),
            displaced: None,
            believed: BTreeMap::new(),
            compared_at: BTreeMap::new(),
        }
    }

    /// The same, knowing which package a file belongs to.
    #[must_use]
    pub fn with_owners(mut self, owners: Option<Owners>) -> Self {
        self.ledger.set_owners(owners);
        self
    }

    /// The host has another name from now on.
    pub fn rename_host(&mut self, name: String) {
        self.ledger.rename_host(name);
    }

    /// Reads a file now; see [`Capture::read`].
    pub fn read(&self, path: &Text, expected: Option<&Inode>) -> Captured {
        self.capture.read(path, expected)
    }

    /// Reads a file where it is now. What was a secret under its path is one wherever it went.
    fn read_at(&self, path: &Text, place: &Text, expected: Option<&Inode>) -> Captured {
        if place != path && self.capture.is_secret_path(path) {
            return Captured::Absent;
        }
        self.capture.read(place, expected)
    }

    /// What was concluded since the last call, to be written in one transaction before more is
    /// concluded.
    pub fn take_batch(&mut self) -> Batch {
        self.ledger.take_batch()
    }

    /// How many changes, facts and gaps wait to be written.
    pub fn waiting(&self) -> usize {
        self.ledger.len()
    }

    /// Whether so much waits that it should be written now.
    pub fn is_much(&self) -> bool {
        self.ledger.len() >= MUCH || self.ledger.heavy_bytes() >= MUCH_BYTES
    }

    /// Takes in the content of a state before the change that leads to it is finished.
    pub fn keep(&mut self, state: &FileState, bytes: Vec<u8>) {
        self.ledger.keep(state, Some(bytes));
    }

    /// Takes in a gap, to be written with the changes.
    pub fn push_gap(&mut self, gap: Gap) {
        self.ledger.push_gap(gap);
    }

    /// Directories that appeared since the last call: patterns may come to more trees in them.
    pub fn take_new_directories(&mut self) -> Vec<Text> {
        std::mem::take(&mut self.new_directories)
    }

    /// The change that records a purge: the file stays as it is, and less of it can be shown.
    pub fn forget(
        &self,
        path: Text,
        time: Timestamp,
        by: Option<By>,
    ) -> Result<Change, store::Error> {
        let state = self.ledger.known(&path)?.map(|known| known.state);
        Ok(self.ledger.change(Draft {
            time,
            path,
            op: Op::Forget,
            from: None,
            before: state.clone(),
            after: state,
            operations: 1,
            notes: Vec::new(),
            by,
        }))
    }

    /// Concludes one action.
    pub fn conclude(&mut self, assembled: Assembled, by: Option<By>) -> Result<(), store::Error> {
        let Assembled {
            time,
            who: _,
            path,
            place,
            came,
            deleted,
            operations,
            notes,
            inode,
            writing,
            touched,
            captured,
        } = assembled;
        let place = place.unwrap_or_else(|| path.clone());
        let inode = match inode {
            Some(began) if writing => Some(written(&place, began)),
            inode => inode,
        };
        let before = self.ledger.known(&path)?;
        let draft = Draft {
            time,
            path,
            op: Op::Modify,
            from: None,
            before: before.as_ref().map(|known| known.state.clone()),
            after: None,
            operations,
            notes,
            by,
        };
        match came {
            _ if deleted => self.deleted(draft),
            Came::Renamed {
                from,
                into_watched,
                replaced,
                exchanged,
            } => {
                let moved = Moved {
                    from,
                    into_watched,
                    replaced,
                    exchanged,
                    inode,
                };
                return self.renamed(draft, moved);
            }
            came => {
                let path = &draft.path;
                let subvolumes = (touched == Touched::Names)
                    .then(|| (path.clone(), draft.time, draft.by.clone()));
                let captured =
                    captured.unwrap_or_else(|| self.read_at(path, &place, inode.as_ref()));
                match captured {
                    // Nobody wrote it, and nothing differs: times were set, if anything.
                    Captured::Found(found)
                        if came == Came::Existed
                            && touched != Touched::Content
                            && before
                                .as_ref()
                                .is_some_and(|known| known.state == found.state) => {}
                    Captured::Found(found) => self.present(draft, &came, before.as_ref(), *found),
                    Captured::Absent => self.vanished(draft, &came, inode),
                    Captured::Unreadable(error) => tracing::warn!("read `{path}`: {error}"),
                }
                if let Some((path, time, by)) = subvolumes {
                    self.subvolumes(&path, time, by.as_ref())?;
                }
            }
        }
        Ok(())
    }

    fn deleted(&mut self, draft: Draft) {
        let (path, time) = (draft.path.clone(), draft.time);
        self.ledger.set(path, None, time);
        self.ledger.tell(Draft {
            op: Op::Delete,
            ..draft
        });
    }

    /// The file was changed, and is gone before it could be read.
    fn vanished(&mut self, mut draft: Draft, came: &Came, inode: Option<Inode>) {
        // An open that was to create it may have failed: only what the kernel saw is told.
        let Some(inode) = inode else { return };
        draft.op = match came {
            Came::Existed | Came::Replaced if draft.before.is_some() => Op::Modify,
            Came::Existed => return,
            Came::Symlinked => Op::Symlink,
            Came::Linked(_) => Op::Link,
            Came::Created | Came::Replaced | Came::Renamed { .. } => Op::Create,
        };
        draft.notes.push(Note::MovedOn);
        let state = unread(inode);
        let known = Known {
            state: state.clone(),
            identity: Identity::default(),
        };
        self.ledger.set(draft.path.clone(), Some(known), draft.time);
        draft.after = Some(state);
        self.ledger.tell(draft);
    }

    fn present(&mut self, mut draft: Draft, came: &Came, before: Option<&Known>, found: Found) {
        let Found {
            state,
            bytes,
            moved_on,
            identity,
        } = found;
        let Some(op) = op::between(came, before, &state, identity) else {
            return;
        };
        draft.op = op;
        if let (Op::Modify, Some(Known { state: old, .. })) = (op, before) {
            let replaced = old.inode != 0 && old.inode != state.inode;
            draft.notes.extend(replaced.then_some(Note::Replaced));
            let same = old.hash.is_some() && old.hash == state.hash;
            draft.notes.extend(same.then_some(Note::SameContent));
        }
        draft.notes.extend(moved_on.then_some(Note::MovedOn));
        if let Came::Linked(existing) = came {
            draft.from.clone_from(existing);
        }
        if before.is_none() && state.file_type == FileType::Directory {
            self.new_directories.push(draft.path.clone());
        }
        self.ledger.keep(&state, bytes);
        draft.after = Some(state.clone());
        // What is there now is another one: comparing has to read it.
        let identity = if moved_on {
            Identity::default()
        } else {
            identity
        };
        let known = Known { state, identity };
        self.ledger.set(draft.path.clone(), Some(known), draft.time);
        self.ledger.tell(draft);
    }
}

/// A file that could not be read any more, as the kernel saw it.
fn unread(inode: Inode) -> FileState {
    FileState {
        size: inode.size,
        mode: format!("{:04o}", inode.mode & 0o7777),
        uid: inode.uid,
        gid: inode.gid,
        file_type: FileType::from_mode(inode.mode),
        content: ContentState::MovedOn,
        inode: inode.number,
        ..FileState::default()
    }
}

/// When a file that was found changed last; it may have been before the record was complete, where
/// what happened is nothing that is seen.
fn changed_at(found: Option<&Found>, now: Timestamp) -> Timestamp {
    found.map_or(now, |found| Timestamp::from_nanos(found.identity.ctime_ns))
}

/// The file after a write that was told of as it began, before it moved times and size on.
fn written(path: &Text, began: Inode) -> Inode {
    let now = open::file(path).and_then(rustix::fs::fstat);
    now.map(|now| inode_of(&now))
        .ok()
        .filter(|now| now.number == began.number)
        .unwrap_or(began)
}
