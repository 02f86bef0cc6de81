//! What is known of files, and what is to be written: the facts as they are after everything that
//! was concluded, whether the store has them already or not.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use change::{
    Certainty, Change, FactValue, FileState, Gap, Kind, Note, Op, RenamedFrom, Subject, Text,
    Timestamp,
};

use super::Host;
use crate::capture::Identity;
use crate::enrich::By;
use crate::inventory::{Facts, Owners};
use crate::store::{self, Batch, Content, Fact, FileIdentity, Reader};
use crate::trees::Trees;

/// What is believed of a file.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) state: FileState,
    pub(super) identity: Identity,
}

/// A change before it has its place in the log.
pub(super) struct Draft {
    pub(super) time: Timestamp,
    pub(super) path: Text,
    pub(super) op: Op,
    pub(super) from: Option<Text>,
    pub(super) before: Option<FileState>,
    pub(super) after: Option<FileState>,
    pub(super) operations: u64,
    pub(super) notes: Vec<Note>,
    pub(super) by: Option<By>,
}

impl Draft {
    /// Of a subject that is no file.
    pub(super) fn of_value(time: Timestamp, key: Text, op: Op, by: Option<By>) -> Self {
        Self {
            time,
            path: key,
            op,
            from: None,
            before: None,
            after: None,
            operations: 1,
            notes: Vec::new(),
            by,
        }
    }
}

/// Keeps facts and collects the next batch.
pub(super) struct Ledger {
    host: Host,
    trees: Arc<Trees>,
    stored: Reader,
    /// Facts of this batch, which the store does not have yet.
    fresh: HashMap<Text, Option<Known>>,
    batch: Batch,
    owners: Option<Owners>,
    /// How much of the batch is content and actors.
    heavy_bytes: usize,
}

impl Ledger {
    pub(super) fn new(host: Host, trees: Arc<Trees>, stored: Reader) -> Self {
        let (fresh, batch) = (HashMap::new(), Batch::default());
        Self {
            host,
            trees,
            stored,
            fresh,
            batch,
            owners: None,
            heavy_bytes: 0,
        }
    }

    pub(super) fn set_owners(&mut self, owners: Option<Owners>) {
        self.owners = owners;
    }

    pub(super) fn rename_host(&mut self, name: String) {
        self.host.name = name;
    }

    pub(super) fn take_batch(&mut self) -> Batch {
        self.fresh.clear();
        self.heavy_bytes = 0;
        std::mem::take(&mut self.batch)
    }

    pub(super) fn heavy_bytes(&self) -> usize {
        self.heavy_bytes
    }

    pub(super) fn len(&self) -> usize {
        self.batch.changes.len() + self.batch.facts.len() + self.batch.gaps.len()
    }

    /// What is believed of a file now.
    pub(super) fn known(&self, path: &Text) -> Result<Option<Known>, store::Error> {
        if let Some(fresh) = self.fresh.get(path) {
            return Ok(fresh.clone());
        }
        let fact = self.stored.fact(&Subject::file(path.clone()))?;
        Ok(fact.and_then(known))
    }

    /// What is believed of all that is below a directory.
    pub(super) fn below(&self, directory: &Text) -> Result<Vec<(Text, Known)>, store::Error> {
        let mut below = BTreeMap::new();
        self.stored.facts_under(directory.as_bytes(), &mut |fact| {
            let path = fact.subject.key.clone();
            below.extend(known(fact).map(|known| (path, known)));
        })?;
        let is_below = |path: &Text| {
            let rest = path.as_bytes().strip_prefix(directory.as_bytes());
            rest.is_some_and(|rest| rest.starts_with(b"/"))
        };
        for (path, fresh) in self.fresh.iter().filter(|(path, _)| is_below(path)) {
            match fresh {
                Some(fresh) => below.insert(path.clone(), fresh.clone()),
                None => below.remove(path),
            };
        }
        below.remove(directory);
        Ok(below.into_iter().collect())
    }

    /// Takes in what a file is from now on; none where it is gone.
    pub(super) fn set(&mut self, path: Text, now: Option<Known>, time: Timestamp) {
        if now.is_some() && !self.trees.contains(&path) {
            return;
        }
        self.batch.facts.push(Fact {
            subject: Subject::file(path.clone()),
            value: now.as_ref().map(|now| FactValue::File(now.state.clone())),
            identity: now.as_ref().map(|now| to_stored(now.identity)),
            time,
        });
        self.fresh.insert(path, now);
    }

    /// Takes in the content that a state names.
    pub(super) fn keep(&mut self, state: &FileState, bytes: Option<Vec<u8>>) {
        let hash = state.hash.as_deref().and_then(store::parse_content_name);
        if let (Some(hash), Some(bytes)) = (hash, bytes) {
            self.heavy_bytes += bytes.len();
            self.batch.contents.push(Content { hash, bytes });
        }
    }

    /// Takes in a change, if one of its names is watched.
    pub(super) fn tell(&mut self, draft: Draft) {
        let is_watched = |path: &Text| self.trees.contains(path);
        if is_watched(&draft.path) || draft.from.as_ref().is_some_and(is_watched) {
            let package = self.package(&draft);
            let change = Change {
                package,
                ..self.change(draft)
            };
            self.weigh(&change);
            self.batch.changes.push(change);
        }
    }

    /// The package that a file belongs to, by any of its names.
    fn package(&mut self, draft: &Draft) -> Option<String> {
        let owners = self.owners.as_mut()?;
        owners.refresh();
        let is_gone = draft.op == Op::Delete;
        let names = std::iter::once(&draft.path).chain(&draft.from);
        let mut found = names.filter_map(|name| owners.of(name, is_gone));
        found.next().map(str::to_owned)
    }

    /// Counts an actor that the change before this one does not share.
    fn weigh(&mut self, change: &Change) {
        let last = self
            .batch
            .changes
            .last()
            .and_then(|last| last.actor.as_ref());
        if let Some(actor) = &change.actor
            && last.is_none_or(|last| !Arc::ptr_eq(last, actor))
        {
            self.heavy_bytes += actor.size_bytes();
        }
    }

    /// Takes in a change that nobody saw happen.
    pub(super) fn tell_late(&mut self, draft: Draft, between: [Timestamp; 2]) {
        let package = self.package(&draft);
        let change = Change {
            certainty: Certainty::Late,
            between: Some(between),
            package,
            ..self.change(draft)
        };
        self.batch.changes.push(change);
    }

    /// All facts of a kind that the store has.
    pub(super) fn stored_of(&self, kind: Kind, page: usize) -> Result<Facts, store::Error> {
        let mut all = Facts::new();
        loop {
            let after = all.last_key_value().map(|(key, _)| key.as_bytes());
            let next = self
                .stored
                .facts_of(kind, after.unwrap_or_default(), page)?;
            let is_last = next.len() < page;
            all.extend(next.into_iter().filter_map(|fact| {
                let Fact { subject, value, .. } = fact;
                Some((subject.key, value?))
            }));
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Takes in the value of a subject that is no file.
    pub(super) fn set_value(&mut self, fact: Fact) {
        self.batch.facts.push(fact);
    }

    /// Takes in a change of a subject that is no file.
    pub(super) fn tell_value(&mut self, change: Change) {
        self.batch.changes.push(change);
    }

    pub(super) fn push_gap(&mut self, gap: Gap) {
        self.batch.gaps.push(gap);
    }

    /// A change that has its place in the log yet to get.
    pub(super) fn change(&self, draft: Draft) -> Change {
        let Draft {
            time,
            path,
            op,
            from,
            before,
            after,
            operations,
            notes,
            by,
        } = draft;
        let (actor, run) = by.map_or((None, None), |by| (Some(by.actor), by.run));
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
            run,
            operations,
            notes,
            package: None,
            actor,
        }
    }
}

fn known(fact: Fact) -> Option<Known> {
    let Fact {
        subject: _,
        value,
        identity,
        time: _,
    } = fact;
    let Some(FactValue::File(state)) = value else {
        return None;
    };
    let identity = identity.map(from_stored).unwrap_or_default();
    Some(Known { state, identity })
}

/// The store's form of an identity, as capture's.
pub(crate) fn from_stored(stored: FileIdentity) -> Identity {
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
