//! The tables about hosts: who they are, how far their logs have come, and where their hash chains were.

use std::collections::BTreeMap;

use change::Timestamp;
use change::wire::{Batch, ChainHead, Sender};

use super::error::Doing as _;
use super::sql::{self, Connection, Row, ToValue as _, Turn, Value};
use super::{Arrival, Error};
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

/// The hosts that batches are from, in their order, and holds their logs; none where a log is new.
pub(super) fn hold(
    connection: &Connection,
    arrivals: &[Arrival<'_>],
) -> sql::Result<Vec<Option<Known>>> {
    let rows: Vec<_> = arrivals.iter().map(names_of).collect();
    connection.hold_each(SELECT, &rows, known)
}

/// The host that a batch is from, which is written where it is new: its log begins with the batch.
pub(super) fn begin(connection: &Connection, arrival: &Arrival<'_>) -> sql::Result<Known> {
    let Arrival {
        sender: id,
        batch,
        received,
    } = *arrival;
    let Sender {
        machine,
        hostname,
        labels: _,
        tracer,
        log,
    } = &batch.sender;
    connection.take_turn(Turn::Begin)?;
    let select = || {
        let held = connection.hold_each(SELECT, &[names_of(arrival)], known);
        held.map(|mut held| held.pop().flatten())
    };
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
        began(batch, received).as_nanos(),
        received.as_nanos(),
        skew_ns(batch, received),
    );
    connection.execute(INSERT, row)?;
    select()?.ok_or(sql::Error::NoRow)
}

fn names_of<'b>(arrival: &Arrival<'b>) -> [Value<'b>; 2] {
    let Arrival { sender, batch, .. } = *arrival;
    [sender.0.to_value(), batch.sender.log.to_value()]
}

fn known(row: &Row<'_>) -> sql::Result<Known> {
    Ok(Known {
        key: HostKey(row.get(0)?),
        durable_seq: row.get::<i64>(1)?.cast_unsigned(),
    })
}

/// How far the sender's clock is ahead, with what the batch was under way.
pub(super) fn skew_ns(batch: &Batch, received: Timestamp) -> i64 {
    let sent = batch.sent.as_nanos();
    sent.saturating_sub(received.as_nanos())
}

/// When a log begins, as its first batch tells: with its first change, or with what was found before it.
fn began(batch: &Batch, received: Timestamp) -> Timestamp {
    let changes = batch.changes.iter().map(|change| change.time);
    let facts = batch.facts.iter().map(|fact| fact.since);
    changes
        .chain(facts)
        .min()
        .map_or(received, |first| first.min(received))
}

/// What a host's batch says of the host.
pub(super) struct Report<'b> {
    pub(super) host: HostKey,
    pub(super) batch: &'b Batch,
    pub(super) received: Timestamp,
    /// Whether no newer batch has come.
    pub(super) is_newest: bool,
}

/// Notes what batches say of their hosts, in their order.
pub(super) fn report(connection: &Connection, reports: &[Report<'_>]) -> sql::Result<()> {
    let newest: Vec<_> = reports.iter().filter(|report| report.is_newest).collect();
    update(connection, &newest)?;
    note_reported(connection, reports)
}

/// Notes that hosts have reported. Where an older log of a machine goes on beside a newer one, there are two
/// machines of one id: a host that was installed anew does not go on with its old log. Once they have an id each, or
/// one of them is gone, that is over.
fn note_reported(connection: &Connection, reports: &[Report<'_>]) -> sql::Result<()> {
    let (mut seen, mut marks, mut clears) = (Vec::new(), Vec::new(), Vec::new());
    for report in reports {
        let host = integer(report.host.0.into());
        let received = integer(report.received.as_nanos());
        let alive_since = integer(report.received.as_nanos().saturating_sub(ALIVE_NS));
        let machine = report.batch.sender.machine.to_value();
        seen.push([host, received]);
        marks.push([host, machine, received, alive_since]);
        clears.push([host, machine, alive_since]);
    }
    connection.execute_each(UPDATE_REPORTED, &seen)?;
    connection.execute_each(MARK_CLONES, &marks)?;
    connection.execute_each(CLEAR_CLONE, &clears)
}

/// Notes what the newest batches say of their hosts.
fn update(connection: &Connection, reports: &[&Report<'_>]) -> sql::Result<()> {
    let rows = reports.iter().map(|report| {
        let Report {
            host,
            batch,
            received,
            is_newest: _,
        } = **report;
        let durable_seq = batch.next_seq() - 1;
        [
            integer(host.0.into()),
            batch.sender.machine.to_value(),
            batch.sender.hostname.to_value(),
            batch.sender.tracer.to_value(),
            integer(durable_seq.cast_signed()),
            integer(batch.newest_seq.max(durable_seq).cast_signed()),
            integer(skew_ns(batch, received)),
            Value::Integer(batch.complete_until.map(Timestamp::as_nanos)),
        ]
    });
    connection.execute_each(UPDATE, &rows.collect::<Vec<_>>())?;
    write_labels(connection, reports)
}

/// Writes the hosts' labels where they are others than before: those of each host's last batch.
fn write_labels(connection: &Connection, reports: &[&Report<'_>]) -> sql::Result<()> {
    let last: BTreeMap<_, _> = reports
        .iter()
        .map(|report| (report.host.0, &report.batch.sender.labels))
        .collect();
    let hosts: Vec<_> = last.keys().map(|host| [integer((*host).into())]).collect();
    let known = connection.rows_each(SELECT_OWN_LABELS, &hosts, |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    for ((host, labels), known) in last.into_iter().zip(known) {
        if known.into_iter().collect::<BTreeMap<String, String>>() == *labels {
            continue;
        }
        connection.execute(DELETE_LABELS, [host])?;
        for (name, value) in labels {
            connection.execute(INSERT_LABEL, (host, name, value))?;
        }
    }
    Ok(())
}

fn integer<'v>(value: i64) -> Value<'v> {
    Value::Integer(Some(value))
}

/// The hashes that the hosts' chains were noted with at some changes, where they were.
pub(super) fn hashes_at(
    connection: &Connection,
    heads: &[(HostKey, &ChainHead)],
) -> sql::Result<Vec<Option<String>>> {
    let row = |(host, head): &(HostKey, &ChainHead)| {
        let (host, seq) = (i64::from(host.0), head.seq.cast_signed());
        [integer(host), integer(seq)]
    };
    let rows: Vec<_> = heads.iter().map(row).collect();
    let found = connection.rows_each(SELECT_HEAD, &rows, |row| row.get(0))?;
    Ok(found.into_iter().map(|mut hashes| hashes.pop()).collect())
}

/// Notes where hosts' hash chains are, and when that was told.
pub(super) fn write_heads(
    connection: &Connection,
    heads: &[(HostKey, &ChainHead, Timestamp)],
) -> sql::Result<()> {
    let rows: Vec<_> = heads
        .iter()
        .map(|(host, head, received)| {
            [
                integer(host.0.into()),
                integer(head.seq.cast_signed()),
                head.hash.to_value(),
                integer(received.as_nanos()),
            ]
        })
        .collect();
    connection.execute_each(INSERT_HEAD, &rows)
}
