//! Gaps: intervals for which the tracer cannot promise completeness.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Describes an interval for which the tracer cannot promise completeness, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Number of the gap on its host.
    pub id: u64,
    /// Where it begins.
    pub from: Timestamp,
    /// Where it ends; open while it lasts.
    pub to: Option<Timestamp>,
    /// Why there is one.
    pub reason: GapReason,
    /// What it may hide, in words.
    pub detail: String,
}

/// Says why there is a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapReason {
    /// The daemon was not running.
    Stopped,
    /// Records were lost between kernel and daemon.
    Lost,
    /// The host slept: nothing ran, and its disks may have been changed from outside.
    Suspended,
    /// This kernel, or the way the tracer watches on it, cannot see something.
    Unseen,
}

impl GapReason {
    /// Every reason with the word for it.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Stopped, "stopped"),
        (Self::Lost, "lost"),
        (Self::Suspended, "suspended"),
        (Self::Unseen, "unseen"),
    ];

    /// The word for it in JSON and tables.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(reason, _)| *reason == self)
            .map_or("", |(_, word)| word)
    }

    /// The reason with that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, name)| *name == word)
            .map(|(reason, _)| *reason)
    }
}
