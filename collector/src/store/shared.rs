//! What collectors that share a store must have in common besides.

use super::error::Doing as _;
use super::sql::Turn;
use super::{Error, Location};

const INSERT: &str =
    "INSERT INTO authority (id, fingerprint) VALUES (1, ?1) ON CONFLICT DO NOTHING";
const SELECT: &str = "SELECT fingerprint FROM authority WHERE id = 1";

/// Notes whose authority hosts of a store on a server trust, and refuses another one: hosts would be lost on the way from
/// one collector to the next. A file is one collector's own.
pub fn agree_on_authority(location: &Location, fingerprint: &[u8; 32]) -> Result<(), Error> {
    let doing = "agree on an authority";
    let Location::Server(url) = location else {
        return Ok(());
    };
    let connection = location.open_to_write()?;
    let transaction = connection.begin(Turn::Decide).doing(doing)?;
    transaction.execute(INSERT, [fingerprint]).doing(doing)?;
    let known: [u8; 32] = transaction.one(SELECT, (), |row| row.get(0)).doing(doing)?;
    transaction.commit().doing(doing)?;
    if known == *fingerprint {
        return Ok(());
    }
    Err(Error::OtherAuthority {
        store: url.to_string(),
    })
}
