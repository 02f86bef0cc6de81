//! Subjects, values and actors, each of which stands once in the store for the whole fleet.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use change::{Actor, FactValue, FileState, Kind, Subject};
use rusqlite::{Connection, OptionalExtension as _, Params};
use serde::de::DeserializeOwned;

use super::Error;
use super::error::Doing as _;
use crate::fleet::{SubjectKey, ValueKey};

const SELECT_SUBJECT: &str = "SELECT id FROM subjects WHERE kind = ?1 AND key = ?2";
const INSERT_SUBJECT: &str = "INSERT INTO subjects (kind, key) VALUES (?1, ?2)";
const SELECT_VALUE: &str = "SELECT id FROM fact_values WHERE hash = ?1";
const INSERT_VALUE: &str = "INSERT INTO fact_values (hash, json) VALUES (?1, ?2)";
const SELECT_ACTOR: &str = "SELECT id FROM actors WHERE hash = ?1";
const INSERT_ACTOR: &str =
    "INSERT INTO actors (hash, person, author, session, json) VALUES (?1, ?2, ?3, ?4, ?5)";

const SELECT_SWEEPING: &str = "SELECT sweeping, generation FROM retention";
const SPARE: &str = "INSERT OR IGNORE INTO spared (sort, id) VALUES (?1, ?2)";

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
    last_actor: Option<(Arc<Actor>, i64)>,
    /// Whether what nothing refers to is being removed: then it is noted what is looked up.
    is_sweeping: bool,
    /// Ids of before this began may be of what is gone.
    generation: i64,
}

impl Names {
    /// Looks at the beginning of a transaction whether what is remembered is still good.
    pub(super) fn begin(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut select = connection.prepare_cached(SELECT_SWEEPING)?;
        let (is_sweeping, generation) =
            select.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if generation != self.generation {
            *self = Self::default();
        }
        (self.is_sweeping, self.generation) = (is_sweeping, generation);
        Ok(())
    }

    /// Notes that something is used, while what is not is being removed.
    fn spare(&self, connection: &Connection, sort: &str, id: i64) -> rusqlite::Result<()> {
        if self.is_sweeping {
            connection.prepare_cached(SPARE)?.execute((sort, id))?;
        }
        Ok(())
    }

    /// The id of a subject, which is written where it is new.
    pub(super) fn subject(
        &mut self,
        connection: &Connection,
        subject: &Subject,
    ) -> rusqlite::Result<SubjectKey> {
        if let Some(id) = self.subjects.get(subject) {
            return Ok(SubjectKey(*id));
        }
        let row = (subject.kind.as_str(), subject.key.as_bytes());
        let id = find_or_insert(connection, (SELECT_SUBJECT, row), (INSERT_SUBJECT, row))?;
        self.spare(connection, "subject", id)?;
        remember(&mut self.subjects, subject.clone(), id);
        Ok(SubjectKey(id))
    }

    /// The id of a value, which is written where it is new.
    pub(super) fn value(
        &mut self,
        connection: &Connection,
        value: &FactValue,
    ) -> rusqlite::Result<ValueKey> {
        let json = json_of(&shared_part(value));
        let hash = hash_of(&json);
        if let Some(id) = self.values.get(&hash) {
            return Ok(ValueKey(*id));
        }
        let id = find_or_insert(
            connection,
            (SELECT_VALUE, [&hash]),
            (INSERT_VALUE, (&hash, &json)),
        )?;
        self.spare(connection, "value", id)?;
        remember(&mut self.values, hash, id);
        Ok(ValueKey(id))
    }

    /// The id of an actor, which is written where it is new.
    pub(super) fn actor(
        &mut self,
        connection: &Connection,
        actor: &Arc<Actor>,
    ) -> rusqlite::Result<i64> {
        let last = self.last_actor.as_ref();
        if let Some((_, id)) = last.filter(|(last, _)| Arc::ptr_eq(last, actor)) {
            return Ok(*id);
        }
        let json = json_of(actor);
        let hash = hash_of(&json);
        let id = if let Some(id) = self.actors.get(&hash) {
            *id
        } else {
            let person = actor.person();
            let number = person.uid.to_string();
            let name = person.name.as_deref().unwrap_or(&number);
            let session = actor.session.as_ref().map(|session| session.id);
            let row = (&hash, name, actor.author().as_str(), session, &json);
            find_or_insert(connection, (SELECT_ACTOR, [&hash]), (INSERT_ACTOR, row))?
        };
        self.spare(connection, "actor", id)?;
        remember(&mut self.actors, hash, id);
        self.last_actor = Some((Arc::clone(actor), id));
        Ok(id)
    }
}

/// The subject of an id.
pub(super) fn subject_of(
    connection: &Connection,
    SubjectKey(id): SubjectKey,
) -> Result<Subject, Error> {
    let doing = "read a subject";
    let mut select = connection.prepare_cached(SELECT_SUBJECT_OF).doing(doing)?;
    let (kind, key): (String, Vec<u8>) = select
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
        .doing(doing)?;
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
pub(super) fn id_of(connection: &Connection, subject: &Subject) -> rusqlite::Result<Option<i64>> {
    let row = (subject.kind.as_str(), subject.key.as_bytes());
    let mut select = connection.prepare_cached(SELECT_SUBJECT)?;
    select.query_row(row, |row| row.get(0)).optional()
}

/// The kinds of all subjects.
pub(super) fn kinds(connection: &Connection) -> rusqlite::Result<BTreeSet<String>> {
    let mut select = connection.prepare_cached(SELECT_KINDS)?;
    select.query_map([], |row| row.get(0))?.collect()
}

/// The value of an id.
pub(super) fn value_of(
    connection: &Connection,
    ValueKey(id): ValueKey,
) -> Result<FactValue, Error> {
    let doing = "read a value";
    let mut select = connection.prepare_cached(SELECT_JSON_OF).doing(doing)?;
    let json: String = select.query_row([id], |row| row.get(0)).doing(doing)?;
    read_json(&json, "fact_values")
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

fn find_or_insert(
    connection: &Connection,
    (select, key): (&str, impl Params),
    (insert, row): (&str, impl Params),
) -> rusqlite::Result<i64> {
    let mut select = connection.prepare_cached(select)?;
    if let Some(id) = select.query_row(key, |row| row.get(0)).optional()? {
        return Ok(id);
    }
    connection.prepare_cached(insert)?.execute(row)?;
    Ok(connection.last_insert_rowid())
}

fn remember<K: Hash + Eq>(known: &mut HashMap<K, i64>, key: K, id: i64) {
    if known.len() >= REMEMBERED {
        known.clear();
    }
    known.insert(key, id);
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
