//! Runs: executions of commands that are worth keeping by themselves.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Actor, Timestamp};

/// One execution of a command: of a package manager, of configuration management, or one that was typed
/// in an interactive session. It owns the changes that it and its descendants made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Number of the run on its host; starts at 1.
    pub id: u64,
    /// What sort of command it is.
    pub kind: RunKind,
    /// The tool that it is or wraps, as `apt` in `sudo apt upgrade`; else the command's own name.
    pub tool: String,
    /// The process that ran it, as it was when it began: with its command line and working directory.
    pub actor: Arc<Actor>,
    /// When it began.
    pub start: Timestamp,
    /// When its process ended; none while it runs, or where that was not seen.
    pub end: Option<Timestamp>,
    /// The process's exit code; none where a signal ended it, or where that was not seen.
    pub exit_code: Option<u8>,
    /// The signal that ended the process.
    pub signal: Option<u8>,
    /// Whether the process is known to run still.
    pub running: bool,
    /// The run within which it began: of the shell that it was typed in, or of the command that called
    /// the package manager.
    pub parent: Option<u64>,
    /// So many more commands of the same shell followed too quickly to be kept one by one; what they
    /// changed is told as this run's.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
    /// How many changes it owns, without those of the runs within it.
    pub changes: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if passes a reference"
)]
pub(crate) fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Says what sort of command a run is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunKind {
    /// A package manager.
    PackageManager,
    /// Configuration management, or a module of it.
    ConfigManagement,
    /// A command that was typed.
    Command,
}

impl RunKind {
    /// Every kind with the word for it.
    pub const ALL: [(Self, &'static str); 3] = [
        (Self::PackageManager, "package-manager"),
        (Self::ConfigManagement, "config-management"),
        (Self::Command, "command"),
    ];

    /// The word for it in JSON, tables and flags.
    pub fn as_str(self) -> &'static str {
        let found = Self::ALL.iter().find(|(kind, _)| *kind == self);
        found.map_or("", |(_, word)| word)
    }

    /// The kind with that word.
    pub fn from_word(word: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, known)| *known == word);
        found.map(|(kind, _)| *kind)
    }
}

/// Asks for runs; every filter that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunQuery {
    /// That began no earlier.
    pub since: Option<Timestamp>,
    /// That began before this moment.
    pub until: Option<Timestamp>,
    /// Of this kind.
    pub kind: Option<RunKind>,
    /// In this session (audit session id).
    pub session: Option<u32>,
    /// By this user: a name or a number, of the login user or else the effective user.
    pub user: Option<String>,
    /// Only those that changed something.
    pub changed: bool,
    /// With a number below this one: how a page continues.
    pub before: Option<u64>,
    /// At most this many, newest first.
    pub limit: Option<u32>,
}
