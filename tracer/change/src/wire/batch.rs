//! Batches: what a tracer pushes to the collector. How one becomes bytes is in `frame`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::SessionBody;
use crate::{Change, FactValue, Gap, Run, Subject, Timestamp};

/// A part of a host's log, with what belongs to it.
///
/// Numbers without a hole from [`first_seq`](Self::first_seq) on. One without changes says that the host is
/// there, and what it knows besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Whose log it is.
    pub sender: Sender,
    /// The sender's clock when the batch was made, by which the collector knows how far it is off.
    pub sent: Timestamp,
    /// Number of the first change in the batch; where there is none, of the next one to come.
    pub first_seq: u64,
    /// Number of the newest change on the host, which tells how far behind the batch is.
    pub newest_seq: u64,
    /// Until when the log is known to be complete, but for the gaps.
    pub complete_until: Option<Timestamp>,
    /// The hash chain at the change before the first of the batch; none where that is the first of the log.
    pub before: Option<ChainHead>,
    /// The changes, oldest first.
    pub changes: Vec<Change>,
    /// The hash chain at the last change of the batch, or before it where there is none.
    pub chain: Option<ChainHead>,
    /// Facts as they are after the changes of the batch: those that no change of the log brought, such as
    /// what was there when the tracer first looked.
    pub facts: Vec<FactNow>,
    /// Runs that are new or became different; known by their numbers.
    pub runs: Vec<Run>,
    /// Gaps that are new or became different; known by their numbers.
    pub gaps: Vec<Gap>,
    /// Sessions that are new or became different; known by their numbers and when they began. What they
    /// changed is not counted here.
    pub sessions: Vec<SessionBody>,
    /// Bytes of files, where the host's policy allows that they travel.
    pub contents: Vec<Content>,
}

impl Batch {
    /// Number of the change that follows the batch.
    pub fn next_seq(&self) -> u64 {
        self.first_seq.saturating_add(self.changes.len() as u64)
    }
}

/// Describes the host that a batch is from, and its log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    /// The machine id.
    pub machine: String,
    /// The host's name.
    pub hostname: String,
    /// What the host is, as its operators say it: `role=db`.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The tracer's version.
    pub tracer: String,
    /// Random name of the log, made with the tracer's store: another one under the same machine id is a
    /// machine installed anew, or a copy of it.
    pub log: String,
}

/// Tells where a hash chain was at a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    /// Number of the change.
    pub seq: u64,
    /// The chain's hash there, as `tracer verify` writes it.
    pub hash: String,
}

/// Holds the value that a subject has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactNow {
    /// What has the value.
    pub subject: Subject,
    /// The value; none where the subject does not exist any more.
    pub value: Option<FactValue>,
    /// Since when, or when it was first seen.
    pub since: Timestamp,
}

/// Holds the bytes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// BLAKE3 of the bytes.
    pub hash: [u8; 32],
    /// The bytes.
    pub bytes: Vec<u8>,
}
