//! What the writer remembers between changes, so that it need not ask the database for it:
//! ids of what it wrote lately. Forgetting costs a look-up, or for actors a repeated row.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use change::{Actor, Ancestor, FactValue, Subject, Timestamp};
use rusqlite::Connection;

use super::actors::{ActorWriter, Origin};
use super::encoding::Encoding;
use super::error::Doing as _;
use super::states::StateWriter;
use super::subjects::SubjectWriter;
use super::{Error, facts, hosts};

/// How many of each are remembered; with paths and command lines about 4 MB.
const LIMIT: usize = 4096;

/// How many bytes of actors are remembered, where their command lines are long.
const ACTOR_BYTES: usize = 2 << 20;

/// Remembers ids of rows.
#[derive(Default)]
pub(super) struct Memory {
    subjects: HashMap<Subject, KnownSubject>,
    actors: HashMap<(u32, Timestamp), KnownActor>,
    ancestors: HashMap<(Option<i64>, Ancestor), i64>,
    origins: HashMap<Origin, i64>,
    host: Option<KnownHost>,
    encoding: Encoding,
    /// About how much memory the actors take; their ancestors are kept a second time.
    actor_bytes: usize,
}

/// A subject with the newest state that the store has of it.
#[derive(Clone)]
pub(super) struct KnownSubject {
    pub(super) id: i64,
    pub(super) state: Option<KnownState>,
}

/// A state with its id.
#[derive(Clone)]
pub(super) struct KnownState {
    pub(super) id: i64,
    pub(super) value: FactValue,
}

struct KnownActor {
    id: i64,
    hash: [u8; 32],
    actor: Arc<Actor>,
}

struct KnownHost {
    id: i64,
    machine: String,
    name: String,
}

impl Memory {
    /// Forgets everything: the transaction that wrote it did not come to be.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Forgets what has become too much.
    pub(super) fn shrink(&mut self) {
        let Self {
            subjects,
            actors,
            ancestors,
            origins,
            host: _,
            encoding: _,
            actor_bytes,
        } = self;
        if subjects.len() > LIMIT {
            subjects.clear();
        }
        let is_full = actors.len() > LIMIT || ancestors.len() > LIMIT || origins.len() > LIMIT;
        if is_full || *actor_bytes > ACTOR_BYTES {
            *actor_bytes = 0;
            actors.clear();
            ancestors.clear();
            origins.clear();
        }
    }

    /// The host's id.
    pub(super) fn host(
        &mut self,
        connection: &Connection,
        machine: &str,
        name: &str,
    ) -> rusqlite::Result<i64> {
        match &self.host {
            Some(known) if known.machine == machine && known.name == name => Ok(known.id),
            _ => {
                let id = hosts::intern(connection, machine, name)?;
                self.host = Some(KnownHost {
                    id,
                    machine: machine.to_owned(),
                    name: name.to_owned(),
                });
                Ok(id)
            }
        }
    }

    /// The subject; it is written, first heard of at that time, where it is new.
    pub(super) fn subject(
        &mut self,
        writer: &mut SubjectWriter<'_>,
        subject: &Subject,
        time: Timestamp,
    ) -> Result<&mut KnownSubject, Error> {
        let slot = match self.subjects.entry(subject.clone()) {
            Entry::Occupied(known) => return Ok(known.into_mut()),
            Entry::Vacant(slot) => slot,
        };
        let known = match writer.find(subject).doing("read a subject")? {
            Some(id) => KnownSubject {
                id,
                state: facts::state_of(writer.connection, id)?,
            },
            None => KnownSubject {
                id: writer.write(subject, time).doing("write a subject")?,
                state: None,
            },
        };
        Ok(slot.insert(known))
    }

    /// The actor's id and hash; it is written where it is new.
    pub(super) fn actor(
        &mut self,
        writer: &mut ActorWriter<'_>,
        actor: &Arc<Actor>,
    ) -> rusqlite::Result<(i64, [u8; 32])> {
        let key = (actor.process.pid, actor.process.start);
        if let Some(known) = self.actors.get(&key)
            && (Arc::ptr_eq(&known.actor, actor) || known.actor == *actor)
        {
            return Ok((known.id, known.hash));
        }
        let mut parent = None;
        for ancestor in actor.ancestry.iter().rev() {
            let node = (parent, ancestor.clone());
            let known = self.ancestors.get(&node).copied();
            let id = known.map_or_else(|| writer.write_ancestor(ancestor, parent), Ok)?;
            self.ancestors.insert(node, id);
            parent = Some(id);
        }
        let origin = Origin::from(&**actor);
        let known = self.origins.get(&origin).copied();
        let origin_id = known.map_or_else(|| writer.write_origin(&origin), Ok)?;
        self.origins.insert(origin, origin_id);
        let id = writer.write(actor, parent, origin_id)?;
        self.encoding.clear();
        self.encoding.actor(actor);
        let hash = *blake3::hash(self.encoding.bytes()).as_bytes();
        self.actor_bytes += actor.size_bytes();
        let actor = Arc::clone(actor);
        self.actors.insert(key, KnownActor { id, hash, actor });
        Ok((id, hash))
    }
}

impl KnownState {
    /// Writes a state and remembers it.
    pub(super) fn write(writer: &mut StateWriter<'_>, value: &FactValue) -> rusqlite::Result<Self> {
        Ok(Self {
            id: writer.write(value)?,
            value: value.clone(),
        })
    }
}
