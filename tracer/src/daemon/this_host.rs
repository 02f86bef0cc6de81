//! What this host is called in changes, and the key of what it keeps of secrets.

use std::fs;
use std::path::Path;

use anyhow::anyhow;

use crate::conclude::Host;
use crate::store::{self, Reader, Writer};
use crate::{push, random};

/// The key of the machine id that a host without one is given.
const MADE_MACHINE_ID: &str = "machine-id";

/// The machine id that the system has; empty for none.
fn machine_id() -> String {
    let id = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    id.trim().to_owned()
}

/// The machine id by which changes name this host; none before the daemon made one.
pub(crate) fn known_machine_id(store: &Path) -> Result<Option<String>, store::Error> {
    let known = machine_id();
    if !known.is_empty() {
        return Ok(Some(known));
    }
    let made = Reader::open(store)?.meta(MADE_MACHINE_ID)?;
    Ok(made.map(|made| String::from_utf8_lossy(&made).into_owned()))
}

/// The host's name now.
pub(crate) fn hostname() -> String {
    let uname = rustix::system::uname();
    uname.nodename().to_string_lossy().into_owned()
}

/// Names this host, and its log where that has no name yet.
pub(super) fn this_host(writer: &mut Writer) -> anyhow::Result<Host> {
    // The log has a name of its own, by which another one of the same machine is told apart.
    writer.meta_or_insert(push::LOG, || random::name().into_bytes())?;
    let known = machine_id();
    let id = if known.is_empty() {
        let made = writer.meta_or_insert(MADE_MACHINE_ID, || random::name().into_bytes())?;
        String::from_utf8_lossy(&made).into_owned()
    } else {
        known
    };
    let name = hostname();
    Ok(Host { id, name })
}

/// The key by which hashes of secrets are made, which the store keeps.
pub(super) fn secret_key(writer: &mut Writer) -> anyhow::Result<[u8; 32]> {
    let key = writer.meta_or_insert("host-key", || random::bytes().to_vec())?;
    key.try_into()
        .map_err(|_wrong_length| anyhow!("the store's host key is damaged"))
}
