//! The tables about hosts: who they are, how far their logs have come, and where their hash chains were.

use std::collections::BTreeMap;

use change::Timestamp;
use change::wire::{Batch, ChainHead, Sender};

use super::Error;
use super::error::Doing as _;
use super::sql::{self, Connection, Row, Turn};
use crate::fleet::{Host, HostId, HostKey};

const SELECT: &str = "SELECT id, durable FROM hosts WHERE name = ?1 AND log = ?2";
// Numbers without holes, as each host is a bit in sets of hosts.
const INSERT: &str = "
    INSERT INTO hosts (id, name, log, machine, hostname, tracer, first_seq, durable, newest, begins, reported, skew)
    SELECT coalesce(max(id), 0) + 1, ?1, ?2, ?3, ?4, ?5, ?6, ?6 - 1, ?6 - 1, ?7, ?8, ?9 FROM hosts";
const UPDATE: &str = "
    UPDATE hosts SET machine = ?2, hostname = ?3, tracer = ?4, durable = ?5, newest = CASE WHEN newest > ?6 THEN newest ELSE ?6 END,
        skew = ?7, complete_until = coalesce(?8, complete_until)
    WHERE id = ?1";
const UPDATE_REPORTED: &str = "UPDATE hosts SET reported = ?2 WHERE id = ?1 AND reported < ?2";
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
const INSERT_HEAD: &str = "
    INSERT INTO heads (host, seq, hash, since) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";

const SELECT_LABELS: &str = "SELECT host, name, value FROM labels";
const SELECT_OWN_LABELS: &str = "SELECT name, value FROM labels WHERE host = ?1";
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
    let rows = connection.rows(SELECT_LABELS, (), |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    });
    for (host, name, value) in rows.doing(doing)? {
        labels.entry(host).or_default().insert(name, value);
    }
    let hosts = connection.rows(SELECT_ALL, (), |row| {
        let key = row.get(0)?;
        Ok(Host {
            key: HostKey(key),
            id: HostId(row.get(1)?),
            machine: row.get(2)?,
            hostname: row.get(3)?,
            labels: labels.remove(&key).unwrap_or_default(),
            tracer: row.get(4)?,
            durable_seq: row.get::<i64>(5)?.cast_unsigned(),
            newest_seq: row.get::<i64>(6)?.cast_unsigned(),
            begins: Timestamp::from_nanos(row.get(7)?),
            reported: Timestamp::from_nanos(row.get(8)?),
            skew_ns: row.get(9)?,
            complete_until: row.get::<Option<i64>>(10)?.map(Timestamp::from_nanos),
            cloned: row.get::<Option<i64>>(11)?.map(Timestamp::from_nanos),
            replaced_by: row.get::<Option<u32>>(12)?.map(HostKey),
        })
    });
    hosts.doing(doing)
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
) -> sql::Result<Known> {
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
            durable_seq: row.get::<i64>(1)?.cast_unsigned(),
        })
    };
    let select = || connection.hold((SELECT, (&id.0, log)), known);
    if let Some(known) = select()? {
        return Ok(known);
    }
    connection.take_turn(Turn::Begin)?;
    if let Some(known) = select()? {
        return Ok(known);
    }
    let row = (
        &id.0,
        log,
        machine,
        hostname,
        tracer,
        batch.first_seq.cast_signed(),
        begin(batch, received).as_nanos(),
        received.as_nanos(),
        skew_ns(batch, received),
    );
    connection.execute(INSERT, row)?;
    select()?.ok_or(sql::Error::NoRow)
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
) -> sql::Result<()> {
    let received = received.as_nanos();
    connection.execute(UPDATE_REPORTED, (host, received))?;
    let alive_since = received.saturating_sub(ALIVE_NS);
    connection.execute(MARK_CLONES, (host, machine, received, alive_since))?;
    let row = (host, machine, alive_since);
    connection.execute(CLEAR_CLONE, row).map(drop)
}

/// Notes what the newest batch says of its host.
pub(super) fn update(
    connection: &Connection,
    HostKey(host): HostKey,
    batch: &Batch,
    received: Timestamp,
) -> sql::Result<()> {
    let Sender {
        machine,
        hostname,
        labels,
        tracer,
        log: _,
    } = &batch.sender;
    let durable_seq = batch.next_seq() - 1;
    let row = (
        host,
        machine,
        hostname,
        tracer,
        durable_seq.cast_signed(),
        batch.newest_seq.max(durable_seq).cast_signed(),
        skew_ns(batch, received),
        batch.complete_until.map(Timestamp::as_nanos),
    );
    connection.execute(UPDATE, row)?;
    let known = connection.rows(SELECT_OWN_LABELS, [host], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    if known.into_iter().collect::<BTreeMap<String, String>>() == *labels {
        return Ok(());
    }
    connection.execute(DELETE_LABELS, [host])?;
    for (name, value) in labels {
        connection.execute(INSERT_LABEL, (host, name, value))?;
    }
    Ok(())
}

/// Whether the host's hash chain was noted with another hash at the same change.
pub(super) fn contradicts(
    connection: &Connection,
    HostKey(host): HostKey,
    head: &ChainHead,
) -> sql::Result<bool> {
    let row = (host, head.seq.cast_signed());
    let known: Option<String> = connection.optional(SELECT_HEAD, row, |row| row.get(0))?;
    Ok(known.is_some_and(|known| known != head.hash))
}

/// Notes where the host's hash chain is.
pub(super) fn write_head(
    connection: &Connection,
    HostKey(host): HostKey,
    head: &ChainHead,
    received: Timestamp,
) -> sql::Result<()> {
    let row = (
        host,
        head.seq.cast_signed(),
        &head.hash,
        received.as_nanos(),
    );
    connection.execute(INSERT_HEAD, row).map(drop)
}
