//! Facts that are looked up one by one: at a moment, since one, and whether a host tells of such things at all.

use change::{Kind, Subject, Timestamp};

use super::names;
use super::sql::{Connection, Result, Row};
use crate::fleet::{Fact, HostKey, SubjectKey, ValueKey};

const SELECT_AT: &str = "
    SELECT value, since, seq FROM facts
    WHERE host = ?1 AND subject = ?2 AND (since IS NULL OR since <= ?3)
    UNION ALL
    SELECT value, since, seq FROM past_facts
    WHERE host = ?1 AND until > ?3 AND subject = ?2 AND (since IS NULL OR since <= ?3)
    LIMIT 1";
const SELECT_CHANGED: &str = "
    SELECT subject FROM facts WHERE host = ?1 AND since > ?2
    UNION
    SELECT subject FROM past_facts WHERE host = ?1 AND until > ?2
    ORDER BY 1";
// The kind is not looked up but compared, so that the facts of the host come first and not all subjects of the kind.
const TELLS_OF_KIND: &str = "
    SELECT 1 FROM facts f JOIN subjects s ON s.id = f.subject WHERE f.host = ?1 AND s.kind || '' = ?2 LIMIT 1";
// The facts of a host are looked up by the subjects of the range: the other way round would read all of them.
const TELLS_OF_FOLDER: &str = "
    SELECT 1 FROM subjects s JOIN facts f ON f.host = ?1 AND f.subject = +s.id
    WHERE s.kind = 'file' AND s.key >= ?2 AND s.key < ?3 LIMIT 1";
const HAS_PAST: &str = "SELECT 1 FROM changes WHERE subject = ?2 AND host = ?1 LIMIT 1";

/// The fact of a subject on a host at a moment.
pub(super) fn fact_at(
    connection: &Connection,
    (HostKey(host), subject): (HostKey, SubjectKey),
    at: Timestamp,
) -> Result<Option<Fact>> {
    let fact = |row: &Row<'_>| {
        let (since, seq): (Option<i64>, Option<i64>) = (row.get(1)?, row.get(2)?);
        Ok(Fact {
            subject,
            value: ValueKey(row.get(0)?),
            since: since.map(Timestamp::from_nanos),
            seq: seq.map(i64::cast_unsigned),
        })
    };
    let row = (host, subject.0, at.as_nanos());
    connection.optional(SELECT_AT, row, fact)
}

/// The subjects whose facts on a host have begun or ended after a moment, in their order.
pub(super) fn changed_since(
    connection: &Connection,
    HostKey(host): HostKey,
    at: Timestamp,
) -> Result<Vec<SubjectKey>> {
    let row = (host, at.as_nanos());
    connection.rows(SELECT_CHANGED, row, |row| Ok(SubjectKey(row.get(0)?)))
}

/// Whether a host tells of such things as a subject is.
pub(super) fn tells_of(
    connection: &Connection,
    HostKey(host): HostKey,
    subject: &Subject,
) -> Result<bool> {
    if subject.kind != Kind::File {
        return connection.exists(TELLS_OF_KIND, (host, subject.kind.as_str()));
    }
    let path = subject.key.as_bytes();
    let name = path.iter().rposition(|byte| *byte == b'/');
    let folder = &path[..name.unwrap_or_default()];
    let range = (host, [folder, b"/"].concat(), [folder, b"0"].concat());
    if connection.exists(TELLS_OF_FOLDER, range)? {
        return Ok(true);
    }
    // Whose change was told is watched.
    let Some(id) = names::id_of(connection, subject)? else {
        return Ok(false);
    };
    connection.exists(HAS_PAST, (host, id))
}
