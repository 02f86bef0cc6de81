//! Snapshots, as they are told of.

use change::Timestamp;
use serde::Serialize;

use super::{HostBody, Roster, Standing};
use crate::fleet::{Host, Snapshot};

/// Tells of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SnapshotBody {
    /// Its name.
    pub name: String,
    /// Of which moment it is.
    pub at: Timestamp,
    /// When it was made.
    pub made: Timestamp,
    /// What it is for.
    pub note: Option<String>,
    /// How many hosts it has.
    pub count: u32,
    /// Those of them that have not told of all until that moment yet.
    pub incomplete: Vec<HostBody>,
}

impl SnapshotBody {
    /// Tells of a snapshot how complete it is by now.
    pub fn new(roster: &Roster, snapshot: Snapshot) -> Self {
        let Snapshot {
            name,
            at,
            made,
            note,
            hosts,
        } = snapshot;
        let members = roster.all().iter().filter(|host| hosts.contains(host.key));
        let is_to_come = |host: &&Host| match roster.standing(host) {
            Standing::Behind => host.complete_until.is_none_or(|until| until < at),
            Standing::Stale | Standing::Replaced | Standing::Cloned => host.reported < at,
            Standing::Fresh => false,
        };
        Self {
            incomplete: members
                .filter(is_to_come)
                .map(|host| roster.body(host))
                .collect(),
            count: hosts.len(),
            name,
            at,
            made,
            note,
        }
    }
}
