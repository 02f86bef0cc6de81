//! What a finished action did: the file's states before and after it, and so the change that it
//! was. Reads files and known facts; folding operations is done before, in `assemble`.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

use change::{
    Actor, Certainty, Change, ContentState, FactValue, FileState, FileType, Note, Op, RenamedFrom,
    Subject, Text, Timestamp,
};

use crate::assemble::{Assembled, Came};
use crate::capture::{Capture, Captured, Found, Identity, inode_of};
use crate::observed::Inode;
use crate::reconcile::{Difference, DifferenceKind};
use crate::store::{self, Batch, Content, Fact, FileIdentity, Reader};
use crate::trees::{Trees, open};

/// How many files that came along in a directory become changes; the rest is left to reconciling.
const MAX_BROUGHT: usize = 10_000;

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
    host: Host,
    trees: Arc<Trees>,
    capture: Arc<Capture>,
    known: Reader,
    /// Facts of this batch, which the store does not have yet.
    fresh: HashMap<Text, Option<(FileState, Identity)>>,
    batch: Batch,
    new_directories: Vec<Text>,
}

impl Conclude {
    /// Concludes against the facts that `known` reads.
    pub fn new(host: Host, trees: Arc<Trees>, capture: Arc<Capture>, known: Reader) -> Self {
        let (fresh, batch, new_directories) = (HashMap::new(), Batch::default(), Vec::new());
        Self {
            host,
            trees,
            capture,
            known,
            fresh,
            batch,
            new_directories,
        }
    }

    /// Reads a file now; see [`Capture::read`].
    pub fn read(&self, path: &Text, expected: Option<&Inode>) -> Captured {
        self.capture.read(path, expected)
    }

    /// What was concluded since the last call, to be written in one transaction before more is
    /// concluded.
    pub fn take_batch(&mut self) -> Batch {
        self.fresh.clear();
        std::mem::take(&mut self.batch)
    }

    /// How many changes and facts wait to be written.
    pub fn pending_len(&self) -> usize {
        self.batch.changes.len() + self.batch.facts.len() + self.batch.gaps.len()
    }

    /// Takes in a gap, to be written with the changes.
    pub fn push_gap(&mut self, gap: change::Gap) {
        self.batch.gaps.push(gap);
    }

    /// Directories that appeared since the last call: patterns may come to more trees in them.
    pub fn take_new_directories(&mut self) -> Vec<Text> {
        std::mem::take(&mut self.new_directories)
    }

    /// Concludes one action.
    pub fn conclude(
        &mut self,
        assembled: Assembled,
        actor: Option<Arc<Actor>>,
    ) -> Result<(), store::Error> {
        let Assembled {
            time,
            who: _,
            path,
            came,
            deleted,
            operations,
            shared,
            inode,
            writing,
            captured,
        } = assembled;
        let inode = inode.map(|inode| match writing {
            true => written(&path, inode),
            false => inode,
        });
        let before = self.known_state(&path)?;
        let mut draft = Draft {
            time,
            operations,
            actor,
            notes: Vec::new(),
        };
        if shared {
            draft.notes.push(Note::SharedDescription);
        }
        if deleted {
            return self.conclude_deleted(path, before, draft);
        }
        if let Came::Renamed {
            from,
            into_watched,
            replaced,
        } = came
        {
            return self.conclude_renamed(
                Renamed {
                    path,
                    from,
                    into_watched,
                    replaced,
                    before,
                },
                draft,
            );
        }
        let captured = captured.unwrap_or_else(|| self.capture.read(&path, inode.as_ref()));
        let found = match captured {
            Captured::Found(found) => *found,
            Captured::Absent => return self.conclude_vanished(path, came, before, inode, draft),
            Captured::Unreadable(error) => {
                tracing::warn!("read `{path}`: {error}");
                return Ok(());
            }
        };
        self.conclude_present(path, came, before, found, draft)
    }

    fn conclude_deleted(
        &mut self,
        path: Text,
        before: Option<Known>,
        draft: Draft,
    ) -> Result<(), store::Error> {
        self.push_fact(path.clone(), None, draft.time);
        let before = before.map(|known| known.state);
        self.push(path, Op::Delete, (before, None), None, draft);
        Ok(())
    }

    /// The file was changed, and is gone before it could be read.
    fn conclude_vanished(
        &mut self,
        path: Text,
        came: Came,
        before: Option<Known>,
        inode: Option<Inode>,
        mut draft: Draft,
    ) -> Result<(), store::Error> {
        // An open that was to create it may have failed: only what the kernel saw is told.
        let Some(inode) = inode else { return Ok(()) };
        draft.notes.push(Note::MovedOn);
        let state = FileState {
            size: inode.size,
            mode: format!("{:04o}", inode.mode & 0o7777),
            uid: inode.uid,
            gid: inode.gid,
            file_type: FileType::from_mode(inode.mode),
            content: ContentState::MovedOn,
            inode: inode.number,
            ..FileState::default()
        };
        let op = match came {
            Came::Existed | Came::Replaced if before.is_some() => Op::Modify,
            Came::Existed => return Ok(()),
            Came::Symlinked => Op::Symlink,
            Came::Linked(_) => Op::Link,
            Came::Created | Came::Replaced | Came::Renamed { .. } => Op::Create,
        };
        let before = before.map(|known| known.state);
        self.push_fact(
            path.clone(),
            Some((state.clone(), Identity::default())),
            draft.time,
        );
        self.push(path, op, (before, Some(state)), None, draft);
        Ok(())
    }

    fn conclude_present(
        &mut self,
        path: Text,
        came: Came,
        before: Option<Known>,
        found: Found,
        mut draft: Draft,
    ) -> Result<(), store::Error> {
        let Found {
            state,
            bytes,
            moved_on,
            identity,
        } = found;
        let from = match &came {
            Came::Linked(Some(existing)) => Some(existing.clone()),
            _ => None,
        };
        let Some(op) = op(&came, before.as_ref(), &state, identity) else {
            return Ok(());
        };
        if let Some(known) = &before {
            if op == Op::Modify && known.state.inode != 0 && known.state.inode != state.inode {
                draft.notes.push(Note::Replaced);
            }
            if op == Op::Modify && known.state.hash.is_some() && known.state.hash == state.hash {
                draft.notes.push(Note::SameContent);
            }
        }
        if moved_on {
            draft.notes.push(Note::MovedOn);
        }
        self.keep(&state, bytes);
        self.push_fact(path.clone(), Some((state.clone(), identity)), draft.time);
        let is_new_directory = before.is_none() && state.file_type == FileType::Directory;
        let before = before.map(|known| known.state);
        if is_new_directory {
            self.new_directories.push(path.clone());
        }
        self.push(path, op, (before, Some(state)), from, draft);
        Ok(())
    }

    fn conclude_renamed(&mut self, renamed: Renamed, mut draft: Draft) -> Result<(), store::Error> {
        let Renamed {
            path,
            from,
            into_watched,
            replaced,
            before,
        } = renamed;
        let moved = self.known_state(&from)?;
        self.push_fact(from.clone(), None, draft.time);
        let old = if replaced { before } else { None }.or_else(|| moved.clone());
        let mut after = moved.map(|known| known.state);
        if into_watched {
            match self.capture.read(&path, None) {
                Captured::Found(found) => {
                    let Found {
                        state,
                        bytes,
                        identity,
                        ..
                    } = *found;
                    self.keep(&state, bytes);
                    self.push_fact(path.clone(), Some((state.clone(), identity)), draft.time);
                    after = Some(state);
                }
                Captured::Absent | Captured::Unreadable(_) => draft.notes.push(Note::MovedOn),
            }
        }
        self.move_below(&from, into_watched.then_some(&path), draft.time)?;
        let before = old.map(|known| known.state);
        let brought = after
            .as_ref()
            .is_some_and(|state| state.file_type == FileType::Directory);
        let unseen = brought && !self.trees.contains(&from);
        let by = draft.actor.clone();
        let time = draft.time;
        self.push(path.clone(), Op::Rename, (before, after), Some(from), draft);
        if unseen {
            self.conclude_brought(&path, time, by.as_ref());
        }
        Ok(())
    }

    /// What came along in a directory that was moved in from outside is new, by the same hand.
    fn conclude_brought(&mut self, directory: &Text, time: Timestamp, by: Option<&Arc<Actor>>) {
        let mut open = vec![directory.clone()];
        let mut left = MAX_BROUGHT;
        while let Some(directory) = open.pop() {
            let names = std::fs::read_dir(OsStr::from_bytes(directory.as_bytes()));
            for name in names.into_iter().flatten().flatten().take(left) {
                left -= 1;
                let path = Text::from(name.path().as_os_str().as_bytes());
                let Some(found) = self.capture.read(&path, None).into_found() else {
                    continue;
                };
                let Found {
                    state,
                    bytes,
                    identity,
                    ..
                } = found;
                if state.file_type == FileType::Directory {
                    open.push(path.clone());
                }
                self.keep(&state, bytes);
                self.push_fact(path.clone(), Some((state.clone(), identity)), time);
                let draft = Draft {
                    time,
                    operations: 1,
                    actor: by.cloned(),
                    notes: Vec::new(),
                };
                self.push(path, Op::Create, (None, Some(state)), None, draft);
            }
        }
    }

    /// Moves the facts of what is below a directory that was renamed, or forgets them.
    fn move_below(
        &mut self,
        from: &Text,
        to: Option<&Text>,
        time: Timestamp,
    ) -> Result<(), store::Error> {
        let mut below = Vec::new();
        self.known
            .facts_under(from.as_bytes(), &mut |fact| below.push(fact))?;
        for fact in below.into_iter().filter(|fact| fact.subject.key != *from) {
            let rest = fact
                .subject
                .key
                .as_bytes()
                .get(from.as_bytes().len()..)
                .unwrap_or_default();
            if let (Some(to), Some(FactValue::File(state))) = (to, &fact.value) {
                let path = Text::from([to.as_bytes(), rest].concat());
                let identity = fact.identity.map(from_stored).unwrap_or_default();
                self.push_fact(path, Some((state.clone(), identity)), time);
            }
            self.push_fact(fact.subject.key, None, time);
        }
        Ok(())
    }

    /// A change that was found by comparing: nobody saw it happen.
    pub fn conclude_late(
        &mut self,
        difference: Difference,
        now: Timestamp,
        between: [Timestamp; 2],
    ) {
        let Difference {
            path,
            kind,
            before,
            found,
            contested: _,
        } = difference;
        let found_identity = found.as_ref().map(|found| found.identity);
        let known = self
            .known_state(&path)
            .ok()
            .flatten()
            .map(|known| known.identity);
        let is_told_already = known == found_identity && kind != DifferenceKind::Same;
        if is_told_already || (kind == DifferenceKind::New && known.is_some()) {
            return;
        }
        let after = found.map(|found| {
            self.keep(&found.state, found.bytes);
            (found.state, found.identity)
        });
        self.push_fact(path.clone(), after.clone(), now);
        let after = after.map(|(state, _)| state);
        let op = match (kind, &before, &after) {
            (DifferenceKind::Same, ..) => return,
            (DifferenceKind::New, ..) => Op::Create,
            (DifferenceKind::Gone, ..) => Op::Delete,
            (DifferenceKind::Changed, Some(before), Some(after)) => difference_op(before, after),
            (DifferenceKind::Changed, ..) => Op::Modify,
        };
        let draft = Draft {
            time: now,
            operations: 1,
            actor: None,
            notes: Vec::new(),
        };
        let mut change = self.change(path, op, (before, after), None, draft);
        change.certainty = Certainty::Late;
        change.between = Some(between);
        self.batch.changes.push(change);
    }

    /// Takes in the state of a file as it was when watching began.
    pub fn baseline(&mut self, path: Text, found: Found, now: Timestamp) {
        self.keep(&found.state, found.bytes);
        self.push_fact(path, Some((found.state, found.identity)), now);
    }

    /// A sysctl was written.
    pub fn conclude_sysctl(
        &mut self,
        name: &str,
        values: (String, String),
        time: Timestamp,
        actor: Option<Arc<Actor>>,
    ) {
        let (before, after) = values;
        let subject = Subject {
            kind: change::Kind::Sysctl,
            key: name.into(),
        };
        let value = |value| Some(FactValue::Setting { value });
        let draft = Draft {
            time,
            operations: 1,
            actor,
            notes: Vec::new(),
        };
        let mut change = self.change(name.into(), Op::Set, (None, None), None, draft);
        (change.subject, change.before, change.after) =
            (subject.clone(), value(before), value(after.clone()));
        self.batch.changes.push(change);
        let fact = Fact {
            subject,
            value: value(after),
            identity: None,
            time,
        };
        self.batch.facts.push(fact);
    }

    fn known_state(&self, path: &Text) -> Result<Option<Known>, store::Error> {
        if let Some(fresh) = self.fresh.get(path) {
            return Ok(fresh
                .clone()
                .map(|(state, identity)| Known { state, identity }));
        }
        let fact = self.known.fact(&Subject::file(path.clone()))?;
        Ok(fact.and_then(|fact| match fact.value {
            Some(FactValue::File(state)) => Some(Known {
                state,
                identity: fact.identity.map(from_stored).unwrap_or_default(),
            }),
            _ => None,
        }))
    }

    fn keep(&mut self, state: &FileState, bytes: Option<Vec<u8>>) {
        let hash = state.hash.as_deref().and_then(store::parse_content_name);
        if let (Some(hash), Some(bytes)) = (hash, bytes) {
            self.batch.contents.push(Content { hash, bytes });
        }
    }

    fn push_fact(&mut self, path: Text, value: Option<(FileState, Identity)>, time: Timestamp) {
        if !self.trees.contains(&path) && value.is_some() {
            return;
        }
        self.batch.facts.push(Fact {
            subject: Subject::file(path.clone()),
            value: value
                .as_ref()
                .map(|(state, _)| FactValue::File(state.clone())),
            identity: value.as_ref().map(|(_, identity)| to_stored(*identity)),
            time,
        });
        self.fresh.insert(path, value);
    }

    fn push(
        &mut self,
        path: Text,
        op: Op,
        states: (Option<FileState>, Option<FileState>),
        from: Option<Text>,
        draft: Draft,
    ) {
        let watched = |path: &Text| self.trees.contains(path);
        if watched(&path) || from.as_ref().is_some_and(watched) {
            let change = self.change(path, op, states, from, draft);
            self.batch.changes.push(change);
        }
    }

    fn change(
        &self,
        path: Text,
        op: Op,
        states: (Option<FileState>, Option<FileState>),
        from: Option<Text>,
        draft: Draft,
    ) -> Change {
        let Draft {
            time,
            operations,
            actor,
            notes,
        } = draft;
        let (before, after) = states;
        Change {
            host: self.host.id.clone(),
            hostname: self.host.name.clone(),
            seq: 0,
            time,
            subject: Subject::file(path),
            op,
            from: from.map(RenamedFrom),
            before: before.map(FactValue::File),
            after: after.map(FactValue::File),
            certainty: Certainty::Exact,
            between: None,
            run: None,
            operations,
            notes,
            actor: actor.map(Arc::unwrap_or_clone),
        }
    }
}

/// The file after a write that was told of as it began, before it moved times and size on.
fn written(path: &Text, began: Inode) -> Inode {
    let now = open::file(path).and_then(rustix::fs::fstat);
    now.map_or(began, |now| match inode_of(&now) {
        now if now.number == began.number => now,
        _ => began,
    })
}

/// What is the same for all outcomes of one action.
struct Draft {
    time: Timestamp,
    operations: u64,
    actor: Option<Arc<Actor>>,
    notes: Vec<Note>,
}

struct Renamed {
    path: Text,
    from: Text,
    into_watched: bool,
    replaced: bool,
    before: Option<Known>,
}

/// What is believed of a file.
#[derive(Clone)]
struct Known {
    state: FileState,
    identity: Identity,
}

/// The op that led from what was known to what is there; none where nothing happened.
fn op(came: &Came, before: Option<&Known>, after: &FileState, identity: Identity) -> Option<Op> {
    let Some(before) = before else {
        return Some(match came {
            Came::Symlinked => Op::Symlink,
            Came::Linked(_) => Op::Link,
            // It was there, and what it was is not known: watching had only just begun.
            Came::Existed | Came::Replaced => Op::Modify,
            _ if after.file_type == FileType::Symlink => Op::Symlink,
            _ => Op::Create,
        });
    };
    let Known {
        state,
        identity: before_identity,
    } = before;
    let same_file = *before_identity == identity;
    let is_untouched = same_file && state.hash == after.hash && state.xattrs == after.xattrs;
    if is_untouched
        && (state.mode.as_str(), state.uid, state.gid) == (&after.mode, after.uid, after.gid)
    {
        return None;
    }
    let op = difference_op(state, after);
    let rewritten = before_identity.mtime_ns != identity.mtime_ns || state.inode != after.inode;
    // Nothing that we keep differs, and the content was not even written: only times were set, or
    // the file got another name.
    let only_times = op == Op::Modify && is_alike(state, after) && !rewritten;
    (!only_times).then_some(op)
}

fn is_alike(before: &FileState, after: &FileState) -> bool {
    before.hash.is_some() && before.hash == after.hash
        || (before.file_type != FileType::Regular
            && before.file_type == after.file_type
            && before.target == after.target)
}

/// The op that tells best how two states differ.
fn difference_op(before: &FileState, after: &FileState) -> Op {
    let same_content = is_alike(before, after);
    if !same_content || before.file_type != after.file_type {
        Op::Modify
    } else if before.mode != after.mode {
        Op::Mode
    } else if (before.uid, before.gid) != (after.uid, after.gid) {
        Op::Owner
    } else if before.xattrs != after.xattrs {
        Op::Xattr
    } else {
        Op::Modify
    }
}

fn from_stored(stored: FileIdentity) -> Identity {
    let FileIdentity {
        dev,
        inode,
        ctime_ns,
        mtime_ns,
    } = stored;
    Identity {
        dev,
        inode,
        ctime_ns,
        mtime_ns,
    }
}

fn to_stored(identity: Identity) -> FileIdentity {
    let Identity {
        dev,
        inode,
        ctime_ns,
        mtime_ns,
    } = identity;
    FileIdentity {
        dev,
        inode,
        ctime_ns,
        mtime_ns,
    }
}
