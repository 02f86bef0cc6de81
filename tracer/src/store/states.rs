//! States: the values of facts, as rows that changes and facts refer to.

use std::collections::BTreeMap;

use change::{ContentState, FactValue, FileState, FileType};
use rusqlite::{CachedStatement, Connection, Row};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Error;
use super::contents::{name_of, parse_name};
use super::error::Doing as _;

const INSERT: &str = "
    INSERT INTO states (hash, keyed, size, mode, uid, gid, inode, type, content, value, extra)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
const SELECT: &str = "
    SELECT hash, keyed, size, mode, uid, gid, inode, type, content, value, extra
    FROM states WHERE id = ?1";

/// Stands in the column `type` where `extra` has attributes, and nothing else is set.
const ATTRIBUTES: &str = "attributes";

/// One row of the table `states`, without its id.
#[derive(Default)]
struct StateRow {
    hash: Option<[u8; 32]>,
    keyed: Option<bool>,
    size: Option<i64>,
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    inode: Option<i64>,
    file_type: Option<String>,
    content: Option<String>,
    value: Option<String>,
    extra: Option<String>,
}

/// What few states have.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Extra {
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    xattrs: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
}

impl From<&FactValue> for StateRow {
    fn from(value: &FactValue) -> Self {
        match value {
            FactValue::File(state) => Self::from(state),
            FactValue::Setting { value } => Self {
                value: Some(value.clone()),
                ..Self::default()
            },
            FactValue::Attributes(attributes) => Self {
                file_type: Some(ATTRIBUTES.to_owned()),
                extra: serde_json::to_string(attributes).ok(),
                ..Self::default()
            },
        }
    }
}

impl From<&FileState> for StateRow {
    fn from(state: &FileState) -> Self {
        let FileState {
            hash,
            size,
            mode,
            uid,
            gid,
            file_type,
            content,
            target,
            inode,
            xattrs,
        } = state;
        let parsed_hash = hash.as_deref().and_then(parse_name);
        let parsed_mode = u32::from_str_radix(mode, 8)
            .ok()
            .filter(|bits| mode_text(*bits) == *mode);
        let extra = Extra {
            target: target.clone(),
            xattrs: xattrs.clone(),
            hash: hash.clone().filter(|_| parsed_hash.is_none()),
            mode: parsed_mode.is_none().then(|| mode.clone()),
        };
        Self {
            hash: parsed_hash.map(|(_, hash)| hash),
            keyed: parsed_hash.and_then(|(keyed, _)| keyed.then_some(true)),
            size: Some(size.cast_signed()),
            mode: parsed_mode,
            uid: Some(*uid),
            gid: Some(*gid),
            inode: Some(inode.cast_signed()),
            file_type: (!file_type.is_regular()).then(|| file_type.as_str().to_owned()),
            content: (!content.is_kept()).then(|| content.as_str().to_owned()),
            value: None,
            extra: extra.to_json(),
        }
    }
}

impl StateRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            hash: row.get(0)?,
            keyed: row.get(1)?,
            size: row.get(2)?,
            mode: row.get(3)?,
            uid: row.get(4)?,
            gid: row.get(5)?,
            inode: row.get(6)?,
            file_type: row.get(7)?,
            content: row.get(8)?,
            value: row.get(9)?,
            extra: row.get(10)?,
        })
    }

    /// The model's value, or what is wrong with the row.
    fn into_value(self) -> Result<FactValue, String> {
        let Self {
            hash,
            keyed,
            size,
            mode,
            uid,
            gid,
            inode,
            file_type,
            content,
            value,
            extra,
        } = self;
        if let Some(value) = value {
            return Ok(FactValue::Setting { value });
        }
        if file_type.as_deref() == Some(ATTRIBUTES) {
            let attributes = from_json(extra.as_deref())?;
            return Ok(FactValue::Attributes(attributes));
        }
        let extra: Extra = from_json(extra.as_deref())?;
        let file_type = file_type.map_or(Ok(FileType::Regular), |word| {
            FileType::from_word(&word).ok_or_else(|| format!("`{word}` is no file type"))
        })?;
        let content = content.map_or(Ok(ContentState::Kept), |word| {
            ContentState::from_word(&word).ok_or_else(|| format!("`{word}` is no content state"))
        })?;
        let name = hash.map(|hash| name_of(keyed.unwrap_or_default(), &hash));
        Ok(FactValue::File(FileState {
            hash: name.or(extra.hash),
            size: size.unwrap_or_default().cast_unsigned(),
            mode: mode.map(mode_text).or(extra.mode).unwrap_or_default(),
            uid: uid.unwrap_or_default(),
            gid: gid.unwrap_or_default(),
            file_type,
            content,
            target: extra.target,
            inode: inode.unwrap_or_default().cast_unsigned(),
            xattrs: extra.xattrs,
        }))
    }
}

impl Extra {
    /// The JSON; none where nothing is set.
    fn to_json(&self) -> Option<String> {
        let Self {
            target,
            xattrs,
            hash,
            mode,
        } = self;
        let empty = target.is_none() && xattrs.is_empty() && hash.is_none() && mode.is_none();
        (!empty).then(|| serde_json::to_string(self).ok())?
    }
}

fn from_json<T: Default + DeserializeOwned>(json: Option<&str>) -> Result<T, String> {
    json.map_or_else(|| Ok(T::default()), serde_json::from_str)
        .map_err(|error| format!("`extra` is not as written: {error}"))
}

fn mode_text(bits: u32) -> String {
    format!("{bits:04o}")
}

/// The statement that writes states.
pub(super) struct StateWriter<'c>(CachedStatement<'c>, &'c Connection);

impl<'c> StateWriter<'c> {
    pub(super) fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self(connection.prepare_cached(INSERT)?, connection))
    }

    /// Writes a state and gives its id.
    pub(super) fn write(&mut self, value: &FactValue) -> rusqlite::Result<i64> {
        let StateRow {
            hash,
            keyed,
            size,
            mode,
            uid,
            gid,
            inode,
            file_type,
            content,
            value,
            extra,
        } = StateRow::from(value);
        self.0.execute((
            hash, keyed, size, mode, uid, gid, inode, file_type, content, value, extra,
        ))?;
        Ok(self.1.last_insert_rowid())
    }
}

/// Reads the state with that id.
pub(super) fn read(connection: &Connection, id: i64) -> Result<FactValue, Error> {
    let mut select = connection.prepare_cached(SELECT).doing("read a state")?;
    let row = select
        .query_row([id], StateRow::read)
        .map_err(|error| row_error(id, error.to_string()))?;
    row.into_value().map_err(|what| row_error(id, what))
}

/// Reads any text as the part of a state that is rare.
pub(super) fn fuzz(extra: &str) {
    let row = StateRow {
        mode: Some(u32::MAX),
        extra: Some(extra.to_owned()),
        ..StateRow::default()
    };
    if let Ok(value) = row.into_value() {
        // Whatever was understood can be written again.
        drop(StateRow::from(&value));
    }
}

fn row_error(row: i64, what: String) -> Error {
    Error::Row {
        table: "states",
        row,
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_reads_back_from_its_row() {
        let plain = FileState {
            hash: Some(name_of(false, &[0xab; 32])),
            size: u64::MAX,
            mode: "4755".to_owned(),
            uid: u32::MAX,
            inode: u64::MAX - 1,
            ..FileState::default()
        };
        let rare = FileState {
            hash: Some("sha256:AbC".to_owned()),
            mode: "rw".to_owned(),
            file_type: FileType::Symlink,
            content: ContentState::MovedOn,
            target: Some("../a b".to_owned()),
            xattrs: BTreeMap::from([("user.x".to_owned(), "0x00".to_owned())]),
            ..FileState::default()
        };
        let secret = FileState {
            hash: Some(name_of(true, &[1; 32])),
            content: ContentState::Secret,
            mode: "0000".to_owned(),
            ..FileState::default()
        };
        let values = [plain, rare, secret, FileState::default()].map(FactValue::File);
        let setting = FactValue::Setting {
            value: "60".to_owned(),
        };
        let attributes = FactValue::Attributes(BTreeMap::from([
            ("version".to_owned(), "2.36-9+deb12u9".to_owned()),
            ("arch".to_owned(), String::new()),
        ]));
        let nothing = FactValue::Attributes(BTreeMap::new());
        for value in values.into_iter().chain([setting, attributes, nothing]) {
            assert_eq!(StateRow::from(&value).into_value(), Ok(value));
        }
    }

    #[test]
    fn a_word_that_no_version_wrote_is_an_error_that_names_the_row() {
        let connection = Connection::open_in_memory().unwrap();
        let schema = include_str!("migrations/0001_changes.sql");
        connection.execute_batch(schema).unwrap();
        let insert = "INSERT INTO states (id, type, size) VALUES (7, 'wormhole', 0)";
        connection.execute_batch(insert).unwrap();
        let said = read(&connection, 7).unwrap_err().to_string();
        assert!(said.contains("row 7 of `states`"), "{said}");
        assert!(said.contains("wormhole"), "{said}");
        let said = read(&connection, 8).unwrap_err().to_string();
        assert!(said.contains("row 8 of `states`"), "{said}");
    }
}
