//! What can be asked of a log of changes; the same for the command line, the API and the store.

use serde::{Deserialize, Serialize};

use crate::{Kind, Op, Subject, Timestamp};

/// Asks for changes; every filter that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeQuery {
    /// Not before this moment.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// Of this kind.
    pub kind: Option<Kind>,
    /// With this op.
    pub op: Option<Op>,
    /// By this user: a name or a number, of the login user or else the effective user.
    pub user: Option<String>,
    /// In this session (audit session id).
    pub session: Option<u32>,
    /// Whose file's path matches this glob (`*` stays within a folder, `**` does not).
    pub path: Option<String>,
    /// Made by this sort of author.
    pub by: Option<Author>,
    /// Owned by this run, or by one within it.
    pub run: Option<u64>,
    /// Of exactly this subject, under any name it was renamed from or to.
    pub subject: Option<Subject>,
    /// With a number below this one: how a page continues.
    pub before_seq: Option<u64>,
    /// At most this many, newest first.
    pub limit: Option<u32>,
}

/// Says what sort of author made a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Author {
    /// A person's session without a package manager or configuration management in the chain.
    Human,
    /// Cron, a service, or configuration management.
    Automation,
    /// A package manager in the chain.
    PackageManager,
}

impl Author {
    /// Every author with the word for it.
    pub const ALL: [(Self, &'static str); 3] = [
        (Self::Human, "human"),
        (Self::Automation, "automation"),
        (Self::PackageManager, "package-manager"),
    ];

    /// The word for it in JSON and flags.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(author, _)| *author == self)
            .map_or("", |(_, word)| word)
    }

    /// The author with that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, name)| *name == word)
            .map(|(author, _)| *author)
    }
}
