//! What there is on a host, was, and will be.

use serde::{Deserialize, Serialize};

use crate::{Change, FactValue, Gap, Subject, Timestamp};

/// The value that a subject has on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactBody {
    /// What has it.
    pub subject: Subject,
    /// The value.
    pub value: FactValue,
    /// Since when it has it, as far as that is known: at the latest since it was first looked at.
    pub since: Timestamp,
    /// At a past moment: the number of a change that was found late, and may have been made by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsure: Option<u64>,
}

/// One page of what there is on a host, or was at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateBody {
    /// The facts, by kind and key.
    pub items: Vec<FactBody>,
    /// What to pass as `cursor` for the next page; none on the last one.
    pub next: Option<String>,
    /// How many subjects between those of this page were first heard of after the moment: whether they were
    /// there nobody knows.
    #[serde(default)]
    pub unknown: u64,
    /// The gaps in which the moment lies.
    #[serde(default)]
    pub gaps: Vec<Gap>,
}

/// One page of what differs between two moments of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferencesBody {
    /// The differences, by kind and key of their subjects.
    pub items: Vec<DifferenceBody>,
    /// What to pass as `cursor` for the next page; none on the last one.
    pub next: Option<String>,
    /// The gaps that overlap the interval.
    pub gaps: Vec<Gap>,
}

/// What a subject was at the one moment and is at the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferenceBody {
    /// What differs.
    pub subject: Subject,
    /// Its value at the older moment; none where it did not exist.
    pub before: Option<FactValue>,
    /// Its value at the newer moment; none where it does not exist.
    pub after: Option<FactValue>,
    /// How many changes led from the one to the other.
    pub changes: u64,
    /// The newest of them.
    pub last: Change,
}

/// A sysctl whose value is not what it will be after a reboot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolatileBody {
    /// Which one.
    pub subject: Subject,
    /// The value now.
    pub value: FactValue,
    /// The value after a reboot.
    pub after_reboot: FactValue,
    /// Where that is written, as `/etc/sysctl.d/50-x.conf:3`. None where it is written nowhere: the value
    /// is then the one before the first change since the boot, which the kernel gave it, or something
    /// else on the way up.
    pub place: Option<String>,
    /// The newest change that led to the value now; none where tracing began later.
    pub change: Option<Change>,
}
