//! The tables about hosts: who they are, how far their logs have come, and where their hash chains were.

use change::Timestamp;
use change::wire::{Batch, ChainHead, Sender};
use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Row};

use super::Error;
use super::error::Doing as _;
use crate::fleet::{Host, HostId, HostKey};

const SELECT: &str = "SELECT id, durable FROM hosts WHERE name = ?1 AND log = ?2";
const INSERT: &str = "
    INSERT INTO hosts (name, log, machine, hostname, tracer, first_seq, durable, newest, begins, reported, skew)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6 - 1, ?6 - 1, ?7, ?8, ?9)";
const UPDATE: &str = "
    UPDATE hosts SET machine = ?2, hostname = ?3, tracer = ?4, durable = ?5, newest = max(newest, ?6),
        skew = ?7, complete_until = coalesce(?8, complete_until)
    WHERE id = ?1";
const UPDATE_REPORTED: &str = "UPDATE hosts SET reported = max(reported, ?2) WHERE id = ?1";
const DELETE_LABELS: &str = "DELETE FROM labels WHERE host = ?1";
const INSERT_LABEL: &str = "INSERT INTO labels (host, name, value) VALUES (?1, ?2, ?3)";
const MARK_CLONES: &str = "
    UPDATE hosts SET cloned = coalesce(cloned, ?3)
    WHERE machine = ?2 AND id >= ?1
        AND EXISTS (SELECT 1 FROM hosts later WHERE later.machine = ?2 AND later.id > ?1 AND later.reported > ?4)";
const CLEAR_CLONE: &str = "
    UPDATE hosts SET cloned = NULL
    WHERE id = ?1 AND cloned IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM hosts other WHERE other.machine = ?2 AND other.id <> ?1 AND other.reported > ?3)";
const SELECT_HEAD: &str = "SELECT hash FROM heads WHERE host = ?1 AND seq = ?2";
const INSERT_HEAD: &str =
    "INSERT OR IGNORE INTO heads (host, seq, hash, since) VALUES (?1, ?2, ?3, ?4)";

const SELECT_LABELS: &str = "SELECT host, name, value FROM labels";
// Another log under the same name or machine id that began later has taken a host's place; unless both go on.
const SELECT_ALL: &str = "
    SELECT id, name, machine, hostname, tracer, durable, newest, begins, reported, skew, complete_until, cloned,
        (SELECT max(later.id) FROM hosts later WHERE later.id > hosts.id
            AND (later.machine = hosts.machine OR later.hostname = hosts.hostname)
            AND later.reported >= hosts.reported AND hosts.cloned IS NULL)
    FROM hosts ORDER BY id";

/// All hosts with their labels.
pub(super) fn all(connection: &Connection) -> Result<Vec<Host>, Error> {
    let doing = "read the hosts";
    let mut labels: BTreeMap<u32, BTreeMap<String, String>> = BTreeMap::new();
    let mut select = connection.prepare_cached(SELECT_LABELS).doing(doing)?;
    let mut rows = select.query([]).doing(doing)?;
    while let Some(row) = rows.next().doing(doing)? {
        let host = row.get(0).doing(doing)?;
        let (name, value) = (row.get(1).doing(doing)?, row.get(2).doing(doing)?);
        labels.entry(host).or_default().insert(name, value);
    }
    let mut select = connection.prepare_cached(SELECT_ALL).doing(doing)?;
    let hosts = select.query_map([], |row| {
        let key = row.get(0)?;
        Ok(Host {
            key: HostKey(key),
            id: HostId(row.get(1)?),
            machine: row.get(2)?,
            hostname: row.get(3)?,
            labels: labels.remove(&key).unwrap_or_default(),
            tracer: row.get(4)?,
            durable_seq: row.get::<_, i64>(5)?.cast_unsigned(),
            newest_seq: row.get::<_, i64>(6)?.cast_unsigned(),
            begins: Timestamp::from_nanos(row.get(7)?),
            reported: Timestamp::from_nanos(row.get(8)?),
            skew_ns: row.get(9)?,
            complete_until: row.get::<_, Option<i64>>(10)?.map(Timestamp::from_nanos),
            cloned: row.get::<_, Option<i64>>(11)?.map(Timestamp::from_nanos),
            replaced_by: row.get::<_, Option<u32>>(12)?.map(HostKey),
        })
    });
    hosts.doing(doing)?.collect::<Result<_, _>>().doing(doing)
}

/// Who has not reported for so long is not another machine that is alive.
const ALIVE_NS: i64 = 86_400_000_000_000;

/// What is known of a sender.
pub(super) struct Known {
    pub(super) key: HostKey,
    pub(super) durable_seq: u64,
}

/// The host that a batch is from, which is written where it is new: its log begins with the batch.
pub(super) fn find_or_begin(
    connection: &Connection,
    (id, batch): (&HostId, &Batch),
    received: Timestamp,
) -> rusqlite::Result<Known> {
    let Sender {
        machine,
        hostname,
        labels: _,
        tracer,
        log,
    } = &batch.sender;
    let known = |row: &Row<'_>| {
        Ok(Known {
            key: HostKey(row.get(0)?),
            durable_seq: row.get::<_, i64>(1)?.cast_unsigned(),
        })
    };
    let mut select = connection.prepare_cached(SELECT)?;
    if let Some(known) = select.query_row((&id.0, log), known).optional()? {
        return Ok(known);
    }
    connection.prepare_cached(INSERT)?.execute((
        &id.0,
        log,
        machine,
        hostname,
        tracer,
        batch.first_seq.cast_signed(),
        begin(batch, received).as_nanos(),
        received.as_nanos(),
        skew_ns(batch, received),
    ))?;
    select.query_row((&id.0, log), known)
}

/// How far the sender's clock is ahead, with what the batch was under way.
pub(super) fn skew_ns(batch: &Batch, received: Timestamp) -> i64 {
    let sent = batch.sent.as_nanos();
    sent.saturating_sub(received.as_nanos())
}

/// When a log begins, as its first batch tells: with its first change, or with what was found before it.
fn begin(batch: &Batch, received: Timestamp) -> Timestamp {
    let changes = batch.changes.iter().map(|change| change.time);
    let facts = batch.facts.iter().map(|fact| fact.since);
    changes
        .chain(facts)
        .min()
        .map_or(received, |first| first.min(received))
}

/// Notes that a host has reported. Where an older log of a machine goes on beside a newer one, there are two
/// machines of one id: a host that was installed anew does not go on with its old log. Once they have an id each, or
/// one of them is gone, that is over.
pub(super) fn report(
    connection: &Connection,
    HostKey(host): HostKey,
    machine: &str,
    received: Timestamp,
) -> rusqlite::Result<()> {
    let received = received.as_nanos();
    let mut update = connection.prepare_cached(UPDATE_REPORTED)?;
    update.execute((host, received))?;
    let alive_since = received.saturating_sub(ALIVE_NS);
    let mut mark = connection.prepare_cached(MARK_CLONES)?;
    mark.execute((host, machine, received, alive_since))?;
    let mut clear = connection.prepare_cached(CLEAR_CLONE)?;
    clear.execute((host, machine, alive_since)).map(|_rows| ())
}

/// Notes what the newest batch says of its host.
pub(super) fn update(
    connection: &Connection,
    HostKey(host): HostKey,
    batch: &Batch,
    received: Timestamp,
) -> rusqlite::Result<()> {
    let Sender {
        machine,
        hostname,
        labels,
        tracer,
        log: _,
    } = &batch.sender;
    let durable_seq = batch.next_seq() - 1;
    connection.prepare_cached(UPDATE)?.execute((
        host,
        machine,
        hostname,
        tracer,
        durable_seq.cast_signed(),
        batch.newest_seq.max(durable_seq).cast_signed(),
        skew_ns(batch, received),
        batch.complete_until.map(Timestamp::as_nanos),
    ))?;
    connection.prepare_cached(DELETE_LABELS)?.execute([host])?;
    let mut insert = connection.prepare_cached(INSERT_LABEL)?;
    for (name, value) in labels {
        insert.execute((host, name, value))?;
    }
    Ok(())
}

/// Whether the host's hash chain was noted with another hash at the same change.
pub(super) fn contradicts(
    connection: &Connection,
    HostKey(host): HostKey,
    head: &ChainHead,
) -> rusqlite::Result<bool> {
    let mut select = connection.prepare_cached(SELECT_HEAD)?;
    let known: Option<String> = select
        .query_row((host, head.seq.cast_signed()), |row| row.get(0))
        .optional()?;
    Ok(known.is_some_and(|known| known != head.hash))
}

/// Notes where the host's hash chain is.
pub(super) fn write_head(
    connection: &Connection,
    HostKey(host): HostKey,
    head: &ChainHead,
    received: Timestamp,
) -> rusqlite::Result<()> {
    let row = (
        host,
        head.seq.cast_signed(),
        &head.hash,
        received.as_nanos(),
    );
    connection.prepare_cached(INSERT_HEAD)?.execute(row)?;
    Ok(())
}
