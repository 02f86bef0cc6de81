//! The hash chain over the log: its next value, and where the writer noted that it ends.
//! It shows what was altered by somebody who did not compute the chain anew; its newest value, kept
//! elsewhere, shows that too. Finding what does not fit is in `verify`.

use change::Change;
use rusqlite::Connection;

use super::changes::Head;
use super::encoding::Encoding;
use super::{Error, meta};

/// The key of `meta` under which the writer notes where the log ends.
const HEAD: &str = "head";

/// Computes values of the chain.
#[derive(Default)]
pub(super) struct Chain(Encoding);

impl Chain {
    /// The value after a change, from the one before it and the hash of the change's actor.
    pub(super) fn next(
        &mut self,
        before: &[u8; 32],
        change: &Change,
        actor: Option<&[u8; 32]>,
    ) -> [u8; 32] {
        self.0.clear();
        self.0.change(change, actor);
        let mut hasher = blake3::Hasher::new();
        hasher.update(before).update(self.0.bytes());
        *hasher.finalize().as_bytes()
    }

    /// The same, for a change whose actor's hash is not at hand.
    pub(super) fn next_of(&mut self, before: &[u8; 32], change: &Change) -> [u8; 32] {
        let actor = change.actor.as_ref().map(|actor| {
            self.0.clear();
            self.0.actor(actor);
            *blake3::hash(self.0.bytes()).as_bytes()
        });
        self.next(before, change, actor.as_ref())
    }
}

/// Notes where the log ends, so that a missing end is noticed.
pub(super) fn write_head(connection: &Connection, head: &Head) -> rusqlite::Result<()> {
    let bytes = [head.seq.to_le_bytes().as_slice(), &head.chain].concat();
    meta::write(connection, HEAD, &bytes)
}

/// Where the writer noted that the log ends.
pub(super) fn read_head(connection: &Connection) -> Result<Head, Error> {
    let bytes = meta::read(connection, HEAD)?.unwrap_or_default();
    let noted = bytes.split_first_chunk().and_then(|(seq, chain)| {
        Some(Head {
            seq: u64::from_le_bytes(*seq),
            newest: 0,
            chain: chain.try_into().ok()?,
        })
    });
    Ok(noted.unwrap_or_default())
}
