//! Tokens of viewers: who may ask over HTTP, for what and until when. Of a token only a hash is kept.

use std::collections::BTreeSet;

use change::Timestamp;
use serde::Serialize;

use super::error::Doing as _;
use super::sql::{self, Connection, Row, Turn};
use super::{Error, Location};

const INSERT: &str =
    "INSERT INTO view_tokens (hash, name, scopes, made, expires) VALUES (?1, ?2, ?3, ?4, ?5)";
const DELETE_OLD: &str = "DELETE FROM view_tokens WHERE expires < ?1 OR revoked < ?1";
// A name is free again once its token has ended.
const END_EXPIRED: &str = "UPDATE view_tokens SET revoked = expires WHERE name = ?1 AND revoked IS NULL AND expires <= ?2";
const IS_TAKEN: &str = "SELECT 1 FROM view_tokens WHERE name = ?1 AND revoked IS NULL";
const REVOKE: &str = "
    UPDATE view_tokens SET revoked = ?2 WHERE name = ?1 AND revoked IS NULL AND expires > ?2";
const SELECT: &str = "SELECT name, scopes, made, expires, revoked FROM view_tokens";

const WRITE: &str = "write the tokens of viewers";
const READ: &str = "read the tokens of viewers";

/// So long after its end a token is listed.
const MONTH_NS: i64 = 30 * 24 * 60 * 60 * 1_000_000_000;

/// Says what a viewer may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// The questions, without contents of files.
    Read,
    /// What is in files, where `read` answers with it.
    Content,
    /// `/metrics`.
    Metrics,
}

impl Scope {
    /// Every scope with the word for it.
    pub const ALL: [(Self, &'static str); 3] = [
        (Self::Read, "read"),
        (Self::Content, "content"),
        (Self::Metrics, "metrics"),
    ];

    /// The word for it in flags, tables and JSON.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(scope, _)| *scope == self)
            .map_or("", |(_, word)| word)
    }

    /// The scope with that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, name)| *name == word)
            .map(|(scope, _)| *scope)
    }
}

/// Describes a token of a viewer, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ViewToken {
    /// What it is called, after who or what uses it.
    pub name: String,
    /// What it is good for.
    pub scopes: BTreeSet<Scope>,
    /// When it was made.
    pub made: Timestamp,
    /// Until when it is good.
    pub expires: Timestamp,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
}

impl ViewToken {
    /// Whether it is good at a moment.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && now < self.expires
    }
}

/// Writes the tokens of viewers. Several may work on one store.
pub struct ViewTokens {
    connection: Connection,
}

impl ViewTokens {
    /// Opens a store; makes it where there is none.
    pub fn open(location: &Location) -> Result<Self, Error> {
        let connection = location.open_to_write()?;
        Ok(Self { connection })
    }

    /// Keeps a token; tells whether its name was free. Forgets those that ended long ago.
    pub fn keep(&mut self, hash: &[u8; 32], token: &ViewToken) -> Result<bool, Error> {
        let ViewToken {
            name,
            scopes,
            made,
            expires,
            revoked: _,
        } = token;
        let (made, expires) = (made.as_nanos(), expires.as_nanos());
        let transaction = self.connection.begin(Turn::Decide).doing(WRITE)?;
        let keep = || {
            transaction.execute(DELETE_OLD, [made.saturating_sub(MONTH_NS)])?;
            transaction.execute(END_EXPIRED, (name, made))?;
            if transaction.exists(IS_TAKEN, [name])? {
                return Ok(false);
            }
            let row = (hash, name, scopes_text(scopes), made, expires);
            transaction.execute(INSERT, row).map(|_rows| true)
        };
        let is_kept: sql::Result<bool> = keep();
        let is_kept = is_kept.doing(WRITE)?;
        transaction.commit().doing(WRITE)?;
        Ok(is_kept)
    }

    /// Ends a token at once; tells whether there was one to end.
    pub fn revoke(&mut self, name: &str, now: Timestamp) -> Result<bool, Error> {
        let ended = self.connection.execute(REVOKE, (name, now.as_nanos()));
        Ok(ended.doing(WRITE)? > 0)
    }
}

/// Reads the tokens of viewers, and can write nothing.
pub struct ViewTokenReader {
    connection: Connection,
}

impl ViewTokenReader {
    /// Opens a store, which a collector has made.
    pub fn open(location: &Location) -> Result<Self, Error> {
        let connection = location.open_to_read(None)?;
        Ok(Self { connection })
    }

    /// All tokens, by their names, the open one of a name last.
    pub fn all(&self) -> Result<Vec<ViewToken>, Error> {
        all(&self.connection)
    }

    /// The token of a hash, if it is good at a moment.
    pub fn open_token(&self, hash: &[u8; 32], now: Timestamp) -> Result<Option<ViewToken>, Error> {
        let sql = format!("{SELECT} WHERE hash = ?1");
        let found = self.connection.optional(&sql, [hash], token).doing(READ)?;
        Ok(found.filter(|token| token.is_open(now)))
    }
}

/// All tokens, by their names, the open one of a name last.
pub(super) fn all(connection: &Connection) -> Result<Vec<ViewToken>, Error> {
    let sql = format!("{SELECT} ORDER BY name, revoked IS NULL, made");
    connection.rows(&sql, (), token).doing(READ)
}

fn scopes_text(scopes: &BTreeSet<Scope>) -> String {
    let words: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
    words.join(" ")
}

/// A scope of a newer collector is none here.
fn token(row: &Row<'_>) -> sql::Result<ViewToken> {
    let scopes: String = row.get(1)?;
    let revoked: Option<i64> = row.get(4)?;
    Ok(ViewToken {
        name: row.get(0)?,
        scopes: scopes.split(' ').filter_map(Scope::from_word).collect(),
        made: Timestamp::from_nanos(row.get(2)?),
        expires: Timestamp::from_nanos(row.get(3)?),
        revoked: revoked.map(Timestamp::from_nanos),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_nanos(second * 1_000_000_000)
    }

    fn grafana(made: i64, expires: i64) -> ViewToken {
        ViewToken {
            name: "grafana".to_owned(),
            scopes: [Scope::Read, Scope::Metrics].into(),
            made: at(made),
            expires: at(expires),
            revoked: None,
        }
    }

    #[test]
    fn a_token_is_good_until_its_end_or_until_it_is_revoked() {
        let dir = tempfile::tempdir().unwrap();
        let path = Location::within(dir.path());
        let mut tokens = ViewTokens::open(&path).unwrap();
        assert!(tokens.keep(&[1; 32], &grafana(1, 100)).unwrap());
        let reader = ViewTokenReader::open(&path).unwrap();
        let open = |hash: u8, now| reader.open_token(&[hash; 32], at(now)).unwrap();
        assert_eq!(open(1, 99), Some(grafana(1, 100)));
        assert_eq!(open(1, 100), None);
        assert_eq!(open(2, 50), None);
        assert!(tokens.revoke("grafana", at(60)).unwrap());
        assert_eq!(open(1, 50), None, "it is asked for at each request");
        assert!(!tokens.revoke("grafana", at(61)).unwrap());
        assert!(!tokens.revoke("nobody", at(61)).unwrap());
    }

    #[test]
    fn a_name_is_free_again_once_its_token_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = Location::within(dir.path());
        let mut tokens = ViewTokens::open(&path).unwrap();
        assert!(tokens.keep(&[1; 32], &grafana(1, 100)).unwrap());
        assert!(!tokens.keep(&[2; 32], &grafana(99, 200)).unwrap());
        assert!(tokens.keep(&[2; 32], &grafana(100, 200)).unwrap());
        assert!(tokens.revoke("grafana", at(150)).unwrap());
        assert!(tokens.keep(&[3; 32], &grafana(151, 300)).unwrap());
        let reader = ViewTokenReader::open(&path).unwrap();
        let listed = reader.all().unwrap();
        let revoked: Vec<_> = listed.iter().map(|token| token.revoked).collect();
        assert_eq!(revoked, [Some(at(100)), Some(at(150)), None]);
        let long_after = 300 + MONTH_NS / 1_000_000_000;
        let next = grafana(long_after + 1, long_after + 2);
        assert!(tokens.keep(&[4; 32], &next).unwrap());
        assert_eq!(reader.all().unwrap(), [next]);
    }
}
