//! Compares the contents with the hashes that name them, and looks for those that should be there.

use change::wire::{FindingKind, VerifyBody};
use rusqlite::Connection;

use super::{VERIFY, finding};
use crate::store::Error;
use crate::store::contents::{content_name, unpack};
use crate::store::error::Doing as _;

const SELECT: &str = "
    SELECT c.id, c.hash, c.size, c.bytes, f.seq, g.op
    FROM contents c
    LEFT JOIN forgotten f ON f.content = c.id
    LEFT JOIN changes g ON g.seq = f.seq
    ORDER BY c.id";
const SELECT_MISSING: &str = "
    SELECT s.id, s.hash FROM states s
    WHERE s.hash IS NOT NULL AND s.keyed IS NULL AND s.content IS NULL AND s.type IS NULL
        AND s.size > 0 AND NOT EXISTS (
            SELECT 1 FROM contents c
            WHERE substr(c.hash, 1, 8) = substr(s.hash, 1, 8) AND c.hash = s.hash)
    ORDER BY s.id LIMIT 100";

/// Adds what is found to the findings.
pub(super) fn verify(connection: &Connection, body: &mut VerifyBody) -> Result<(), Error> {
    let mut select = connection.prepare_cached(SELECT).doing(VERIFY)?;
    let mut rows = select.query([]).doing(VERIFY)?;
    while let Some(row) = rows.next().doing(VERIFY)? {
        let id: i64 = row.get(0).doing(VERIFY)?;
        let hash: Vec<u8> = row.get(1).doing(VERIFY)?;
        let name = <[u8; 32]>::try_from(hash.as_slice()).map(|hash| content_name(&hash));
        let name = name.unwrap_or_else(|_odd| "of no hash".to_owned());
        let problem = if let Some(seq) = row.get::<_, Option<i64>>(4).doing(VERIFY)? {
            body.forgotten += 1;
            let op: Option<String> = row.get(5).doing(VERIFY)?;
            (op.as_deref() != Some("forget"))
                .then(|| format!("is said to be forgotten by change {seq}, which did not"))
        } else {
            body.contents += 1;
            let stored: Vec<u8> = row.get(3).doing(VERIFY)?;
            let bytes = unpack(stored, row.get(2).doing(VERIFY)?);
            let is_same = bytes.is_ok_and(|bytes| blake3::hash(&bytes).as_bytes()[..] == hash);
            (!is_same).then(|| "does not have the bytes of its hash".to_owned())
        };
        if let Some(problem) = problem {
            let detail = format!("row {id} of `contents`, {name}, {problem}");
            body.findings.push(finding(FindingKind::Content, detail));
        }
        if body.findings.len() >= super::MAX_FINDINGS {
            body.gave_up = true;
            return Ok(());
        }
    }
    missing(connection, body)
}

fn missing(connection: &Connection, body: &mut VerifyBody) -> Result<(), Error> {
    let mut select = connection.prepare_cached(SELECT_MISSING).doing(VERIFY)?;
    let mut rows = select.query([]).doing(VERIFY)?;
    while let Some(row) = rows.next().doing(VERIFY)? {
        let (id, hash): (i64, [u8; 32]) = (row.get(0).doing(VERIFY)?, row.get(1).doing(VERIFY)?);
        let name = content_name(&hash);
        let detail = format!("{name}, which row {id} of `states` has, is missing in `contents`");
        body.findings.push(finding(FindingKind::Content, detail));
    }
    Ok(())
}
