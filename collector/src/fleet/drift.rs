//! Drift: when facts of hosts were not as rules want them, and what took back what somebody else had done.

use change::Timestamp;
use serde::Serialize;

use super::{HostKey, SubjectKey, ValueKey};

/// Says what began or ended a drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// A change of the host's own fact.
    Change,
    /// What the host is held against became another.
    Baseline,
    /// It was found when all was looked through: rules were new, or the host.
    Look,
    /// The rule is no more.
    Rules,
    /// The host left the group, or was replaced.
    Left,
}

impl Cause {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Change, "change"),
        (Self::Baseline, "baseline"),
        (Self::Look, "look"),
        (Self::Rules, "rules"),
        (Self::Left, "left"),
    ];

    /// The word for it in JSON and tables.
    pub fn as_str(self) -> &'static str {
        let word = Self::ALL.iter().find(|(cause, _)| *cause == self);
        word.map_or("", |(_, word)| word)
    }

    /// The cause with that word.
    pub fn from_word(word: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, known)| *known == word);
        found.map(|(cause, _)| *cause)
    }
}

/// Tells when a fact of a host drifted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriftEvent {
    /// From which rule, by its name.
    pub rule: String,
    /// On which host.
    pub host: HostKey,
    /// Which fact.
    pub subject: SubjectKey,
    /// What it is held against, where that is a value.
    pub expected: Option<ValueKey>,
    /// The value with which the drift began; none where there was none.
    pub value: Option<ValueKey>,
    /// What began it.
    pub cause: Cause,
    /// When it began, or was found.
    pub began: Timestamp,
    /// Since when the host had the value.
    pub since: Option<Timestamp>,
    /// The change that brought it.
    pub seq: Option<u64>,
    /// How it ended, if it has.
    pub ending: Option<Ending>,
}

/// Tells how a drift ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// When.
    pub at: Timestamp,
    /// The change that ended it.
    pub seq: Option<u64>,
    /// By what.
    pub by: Cause,
}

/// Says how one change is a reversal of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// All is as it was before the other.
    Undone,
    /// What the other did is gone, and something else is there.
    Overwritten,
}

impl Way {
    /// The word for it in JSON and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Undone => "undone",
            Self::Overwritten => "overwritten",
        }
    }

    /// The way with that word.
    pub fn from_word(word: &str) -> Option<Self> {
        let all = [Self::Undone, Self::Overwritten];
        all.into_iter().find(|way| way.as_str() == word)
    }
}

/// Tells that one sort of author took back what the other one did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reversal {
    /// On which host.
    pub host: HostKey,
    /// The change that took it back.
    pub seq: u64,
    /// The change that was taken back.
    pub undone: u64,
    /// When it was.
    pub time: Timestamp,
    /// How.
    pub way: Way,
}
