//! A host for a listing.

use std::collections::BTreeMap;

use change::Timestamp;
use serde::Serialize;

use super::View;
use super::words::safe;
use crate::fleet::Host;
use crate::questions::Standing;
use crate::store::EnrolledHost;

/// A clock that is off by less is right: a batch is under way for as long.
const CLOCK_OFF_NS: u64 = 5_000_000_000;

/// What a listing tells of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedHost {
    /// The machine id.
    pub host: String,
    /// The host's name.
    pub hostname: String,
    /// Who it is by its certificate.
    pub id: String,
    /// How it stands.
    pub standing: Standing,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The tracer's version.
    pub tracer: String,
    /// When it reported last.
    pub reported: Timestamp,
    /// Number of the newest change that is here.
    pub durable_seq: u64,
    /// Number of the newest change on the host.
    pub newest_seq: u64,
    /// How far its clock is ahead, in nanoseconds, with what its last batch was under way.
    pub skew_ns: i64,
    /// From when on its state is known.
    pub begins: Timestamp,
    /// Until when its log is known to be complete.
    pub complete_until: Option<Timestamp>,
    /// When another machine was first seen to report under its machine id.
    pub cloned: Option<Timestamp>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
    /// When its log was first found to be another one than it had sent before.
    pub rewritten: Option<Timestamp>,
}

impl ListedHost {
    /// What is told of a host, and of its enrolment.
    pub fn new(host: &Host, standing: Standing, enrolled: Option<&EnrolledHost>) -> Self {
        let Host {
            key: _,
            id,
            machine,
            hostname,
            labels,
            tracer,
            durable_seq,
            newest_seq,
            begins,
            reported,
            skew_ns,
            complete_until,
            cloned,
            replaced_by: _,
        } = host.clone();
        Self {
            host: machine,
            hostname,
            id: id.0,
            standing,
            labels,
            tracer,
            reported,
            durable_seq,
            newest_seq,
            skew_ns,
            begins,
            complete_until,
            cloned,
            revoked: enrolled.and_then(|host| host.revoked),
            rewritten: enrolled.and_then(|host| Some(host.rewritten.as_ref()?.time)),
        }
    }
}

/// A host on one line.
pub fn host_line(host: &ListedHost, view: &View) -> String {
    let labels = host.labels.iter();
    let labels = labels.map(|(name, value)| format!("{}={}", safe(name), safe(value)));
    let labels = labels.collect::<Vec<_>>().join(" ");
    let standing = match host.standing {
        Standing::Fresh => "fresh".to_owned(),
        Standing::Behind => {
            let behind = host.newest_seq - host.durable_seq;
            format!("behind by {behind} changes")
        }
        Standing::Stale => format!("stale, reported {}", when::ago(host.reported, &view.now)),
        Standing::Replaced => format!("replaced, reported {}", when::ago(host.reported, &view.now)),
        Standing::Cloned => "cloned: another machine reports under its machine id".to_owned(),
    };
    let off_ns = host.skew_ns.unsigned_abs();
    let clock = if off_ns < CLOCK_OFF_NS {
        String::new()
    } else {
        let way = if host.skew_ns > 0 { "ahead" } else { "behind" };
        format!("  clock {} s {way}", off_ns / 1_000_000_000)
    };
    let (name, machine) = (safe(&host.hostname), safe(&host.host));
    let rewritten = match host.rewritten {
        Some(time) => format!("  REWRITTEN, found {}", when::moment(time, &view.now)),
        None => String::new(),
    };
    let revoked = host.revoked.map_or("", |_time| "  revoked");
    let line =
        format!("{name:<16}  {machine:.12}  {standing}{clock}{rewritten}{revoked}  {labels}");
    line.trim_end().to_owned()
}
