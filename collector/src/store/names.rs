//! Subjects, values and actors, each of which stands once in the store for the whole fleet.

mod wanted;

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use change::{Actor, FactValue, FileState, Kind, Subject};
use serde::de::DeserializeOwned;

use self::wanted::{ACTORS, SUBJECTS, Sort, VALUES};
use super::Error;
use super::error::Doing as _;
use super::sql::{self, Connection, Value};
use crate::fleet::{SubjectKey, ValueKey};

const SELECT_SWEEPING: &str = "SELECT sweeping, generation FROM retention";

const SELECT_KINDS: &str = "SELECT DISTINCT kind FROM subjects";
const SELECT_SUBJECT_OF: &str = "SELECT kind, key FROM subjects WHERE id = ?1";
const SELECT_JSON_OF: &str = "SELECT json FROM fact_values WHERE id = ?1";

/// So many of each sort are remembered; beyond, memory begins anew.
const REMEMBERED: usize = 200_000;

/// Half of a BLAKE3 hash: enough for no two of a fleet's values to meet.
type Hash16 = [u8; 16];

/// Remembers the ids of what was written or looked up.
#[derive(Default)]
pub(super) struct Names {
    subjects: HashMap<Subject, i64>,
    values: HashMap<Hash16, i64>,
    actors: HashMap<Hash16, i64>,
    last_actor: Option<(Arc<Actor>, Hash16)>,
    /// Whether what nothing refers to is being removed: then it is noted what is looked up.
    is_sweeping: bool,
    /// Ids of before this began may be of what is gone.
    generation: i64,
}

/// What is to be named: a subject, and what belongs to it.
pub(super) struct Unnamed<'b> {
    pub(super) subject: &'b Subject,
    /// The subject's old name.
    pub(super) from: Option<Subject>,
    pub(super) before: Option<&'b FactValue>,
    pub(super) after: Option<&'b FactValue>,
    pub(super) actor: Option<&'b Arc<Actor>>,
}

/// The same by its names in the store.
#[derive(Clone, Copy)]
pub(super) struct Named {
    pub(super) subject: SubjectKey,
    pub(super) from: Option<SubjectKey>,
    pub(super) before: Option<ValueKey>,
    pub(super) after: Option<ValueKey>,
    pub(super) actor: Option<i64>,
}

/// By what something is remembered.
struct Hashed<'b> {
    subject: Slot<&'b Subject>,
    from: Option<Slot<Subject>>,
    before: Option<Slot<Hash16>>,
    after: Option<Slot<Hash16>>,
    actor: Option<Slot<Hash16>>,
}

/// An id, or by what it will be known.
enum Slot<K> {
    Id(i64),
    Wanted(K),
}

/// What is not remembered, and has to be looked up or written.
#[derive(Default)]
struct Missing<'b> {
    subjects: HashSet<Subject>,
    values: HashMap<Hash16, String>,
    actors: HashMap<Hash16, (&'b Arc<Actor>, String)>,
}

impl Names {
    /// Looks at the beginning of a transaction whether what is remembered is still good.
    pub(super) fn begin(&mut self, connection: &Connection) -> sql::Result<()> {
        let (is_sweeping, generation) =
            connection.one(SELECT_SWEEPING, (), |row| Ok((row.get(0)?, row.get(1)?)))?;
        if generation != self.generation {
            *self = Self::default();
        }
        forget(&mut self.subjects);
        forget(&mut self.values);
        forget(&mut self.actors);
        self.last_actor = None;
        (self.is_sweeping, self.generation) = (is_sweeping, generation);
        Ok(())
    }

    /// The id of a subject, which is written where it is new.
    pub(super) fn subject(
        &mut self,
        connection: &Connection,
        subject: &Subject,
    ) -> sql::Result<SubjectKey> {
        let named = self.subjects(connection, &[subject])?;
        named.first().copied().ok_or(sql::Error::NoRow)
    }

    /// The ids of subjects, likewise.
    pub(super) fn subjects(
        &mut self,
        connection: &Connection,
        subjects: &[&Subject],
    ) -> sql::Result<Vec<SubjectKey>> {
        let mut missing = Missing::default();
        let slots: Vec<_> = subjects
            .iter()
            .map(|subject| self.want(*subject, &mut missing))
            .collect();
        self.learn(connection, missing)?;
        let id = |slot: &Slot<&Subject>| Ok(SubjectKey(slot.id(&self.subjects)?));
        slots.iter().map(id).collect()
    }

    /// The ids of all of these and of what belongs to them, which is written where it is new.
    pub(super) fn all<'b>(
        &mut self,
        connection: &Connection,
        unnamed: impl IntoIterator<Item = Unnamed<'b>>,
    ) -> sql::Result<Vec<Named>> {
        let mut missing = Missing::default();
        let hashed = unnamed.into_iter().map(|one| self.hash(one, &mut missing));
        let hashed: Vec<_> = hashed.collect();
        self.learn(connection, missing)?;
        let named = |one: &Hashed<'_>| {
            let from = one.from.as_ref().map(|slot| slot.id(&self.subjects));
            let value = |slot: &Option<Slot<Hash16>>| {
                let id = slot.as_ref().map(|slot| slot.id(&self.values));
                id.transpose().map(|id| id.map(ValueKey))
            };
            let actor = one.actor.as_ref().map(|slot| slot.id(&self.actors));
            Ok(Named {
                subject: SubjectKey(one.subject.id(&self.subjects)?),
                from: from.transpose()?.map(SubjectKey),
                before: value(&one.before)?,
                after: value(&one.after)?,
                actor: actor.transpose()?,
            })
        };
        hashed.iter().map(named).collect()
    }

    fn hash<'b>(&mut self, unnamed: Unnamed<'b>, missing: &mut Missing<'b>) -> Hashed<'b> {
        let Unnamed {
            subject,
            from,
            before,
            after,
            actor,
        } = unnamed;
        let mut value = |value: &FactValue| {
            let json = json_of(&shared_part(value));
            let hash = hash_of(&json);
            let known = self.values.get(&hash);
            known.map_or_else(
                || {
                    missing.values.insert(hash, json);
                    Slot::Wanted(hash)
                },
                |id| Slot::Id(*id),
            )
        };
        let (before, after) = (before.map(&mut value), after.map(&mut value));
        Hashed {
            subject: self.want(subject, missing),
            from: from.map(|from| self.want(from, missing)),
            before,
            after,
            actor: actor.map(|actor| self.hash_actor(actor, missing)),
        }
    }

    fn want<S: Borrow<Subject>>(&self, subject: S, missing: &mut Missing<'_>) -> Slot<S> {
        let asked = subject.borrow();
        if let Some(id) = self.subjects.get(asked) {
            return Slot::Id(*id);
        }
        if !missing.subjects.contains(asked) {
            missing.subjects.insert(asked.clone());
        }
        Slot::Wanted(subject)
    }

    fn hash_actor<'b>(&mut self, actor: &'b Arc<Actor>, missing: &mut Missing<'b>) -> Slot<Hash16> {
        let last = self.last_actor.as_ref();
        let last = last.filter(|(last, _)| Arc::ptr_eq(last, actor));
        let hash = if let Some((_, hash)) = last {
            *hash
        } else {
            let json = json_of(actor);
            let hash = hash_of(&json);
            if !self.actors.contains_key(&hash) {
                missing.actors.insert(hash, (actor, json));
            }
            self.last_actor = Some((Arc::clone(actor), hash));
            hash
        };
        let known = self.actors.get(&hash);
        known.map_or(Slot::Wanted(hash), |id| Slot::Id(*id))
    }

    /// Looks up what is missing, and writes what is new of it, in an order that is the same for all who do so.
    fn learn(&mut self, connection: &Connection, missing: Missing<'_>) -> sql::Result<()> {
        let Missing {
            subjects,
            values,
            actors,
        } = missing;
        let mut subjects: Vec<_> = subjects.into_iter().collect();
        subjects.sort_unstable_by(|a, b| (a.kind.as_str(), &a.key).cmp(&(b.kind.as_str(), &b.key)));
        let rows = subjects.iter().map(|subject| {
            let key = Value::Bytes(Some(subject.key.as_bytes()));
            [Value::Text(Some(subject.kind.as_str())), key]
        });
        let ids = self.find_or_insert(connection, &SUBJECTS, &rows.collect::<Vec<_>>())?;
        self.subjects.extend(subjects.into_iter().zip(ids));

        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_unstable();
        let rows = values
            .iter()
            .map(|(hash, json)| [Value::Bytes(Some(hash)), Value::Text(Some(json))]);
        let ids = self.find_or_insert(connection, &VALUES, &rows.collect::<Vec<_>>())?;
        self.values
            .extend(values.into_iter().map(|(hash, _)| hash).zip(ids));

        let mut actors: Vec<_> = actors.into_iter().collect();
        actors.sort_unstable_by_key(|(hash, _)| *hash);
        let names: Vec<_> = actors
            .iter()
            .map(|(_, (actor, _))| person_of(actor))
            .collect();
        let rows = actors
            .iter()
            .zip(&names)
            .map(|((hash, (actor, json)), name)| {
                [
                    Value::Bytes(Some(hash)),
                    Value::Text(Some(name)),
                    Value::Text(Some(actor.author().as_str())),
                    Value::Integer(actor.session.as_ref().map(|session| session.id.into())),
                    Value::Integer(Some(actor.person().uid.into())),
                    Value::Text(Some(json)),
                ]
            });
        let ids = self.find_or_insert(connection, &ACTORS, &rows.collect::<Vec<_>>())?;
        self.actors
            .extend(actors.into_iter().map(|(hash, _)| hash).zip(ids));
        Ok(())
    }

    fn find_or_insert<const N: usize>(
        &self,
        connection: &Connection,
        sort: &Sort<N>,
        rows: &[[Value<'_>; N]],
    ) -> sql::Result<Vec<i64>> {
        let ids = sort.find_or_insert(connection, rows)?;
        if self.is_sweeping {
            sort.spare(connection, &ids)?;
        }
        Ok(ids)
    }
}

/// The name of whoever logged in or else acted, or the number.
fn person_of(actor: &Actor) -> String {
    let person = actor.person();
    let name = person.name.clone();
    name.unwrap_or_else(|| person.uid.to_string())
}

fn forget<K, V>(remembered: &mut HashMap<K, V>) {
    if remembered.len() >= REMEMBERED {
        remembered.clear();
    }
}

impl<S> Slot<S> {
    fn id<K: Hash + Eq>(&self, remembered: &HashMap<K, i64>) -> sql::Result<i64>
    where
        S: Borrow<K>,
    {
        match self {
            Self::Id(id) => Ok(*id),
            Self::Wanted(key) => remembered
                .get(key.borrow())
                .copied()
                .ok_or(sql::Error::NoRow),
        }
    }
}

/// The subject of an id.
pub(super) fn subject_of(
    connection: &Connection,
    SubjectKey(id): SubjectKey,
) -> Result<Subject, Error> {
    let found = connection.one(SELECT_SUBJECT_OF, [id], |row| {
        Ok((row.get::<String>(0)?, row.get(1)?))
    });
    let (kind, key) = found.doing("read a subject")?;
    subject(&kind, key)
}

/// The subject of a row's words.
pub(super) fn subject(kind: &str, key: Vec<u8>) -> Result<Subject, Error> {
    Ok(Subject {
        kind: kind_in(kind)?,
        key: key.into(),
    })
}

/// The kind of a row's word.
pub(super) fn kind_in(word: &str) -> Result<Kind, Error> {
    Kind::read(word).map_err(|error| Error::Row {
        table: "subjects",
        what: error.to_string(),
    })
}

/// The id of a subject, where anybody has told of it.
pub(super) fn id_of(connection: &Connection, subject: &Subject) -> sql::Result<Option<i64>> {
    let row = (subject.kind.as_str(), subject.key.as_bytes());
    connection.optional(wanted::SELECT_SUBJECT, row, |row| row.get(0))
}

/// The kinds of all subjects.
pub(super) fn kinds(connection: &Connection) -> sql::Result<BTreeSet<String>> {
    let kinds = connection.rows(SELECT_KINDS, (), |row| row.get(0))?;
    Ok(kinds.into_iter().collect())
}

/// The value of an id.
pub(super) fn value_of(
    connection: &Connection,
    ValueKey(id): ValueKey,
) -> Result<FactValue, Error> {
    let json = connection.one(SELECT_JSON_OF, [id], |row| row.get::<String>(0));
    read_json(&json.doing("read a value")?, "fact_values")
}

/// What a row holds as JSON.
pub(super) fn read_json<T: DeserializeOwned>(json: &str, table: &'static str) -> Result<T, Error> {
    serde_json::from_str(json).map_err(|error| Error::Row {
        table,
        what: error.to_string(),
    })
}

/// The value without what is each host's own and says nothing to others.
fn shared_part(value: &FactValue) -> FactValue {
    match value {
        FactValue::File(state) => FactValue::File(FileState {
            inode: 0,
            ..state.clone()
        }),
        FactValue::Setting { .. } | FactValue::Attributes(_) => value.clone(),
    }
}

/// The model's own JSON, whose fields stand in the order of their declaration.
fn json_of<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("the model has a JSON form for each of its values")
}

fn hash_of(json: &str) -> Hash16 {
    let mut half = [0; 16];
    half.copy_from_slice(&blake3::hash(json.as_bytes()).as_bytes()[..16]);
    half
}
