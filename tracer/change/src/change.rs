//! One change: the transition of one fact, with its actor and how certain it is.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Actor, FactValue, Subject, Text, Timestamp};

/// Describes one transition of one fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The host's machine id.
    pub host: String,
    /// The host's name at that time.
    pub hostname: String,
    /// Number of the change on its host: starts at 1, has no holes.
    pub seq: u64,
    /// When it happened; for a late change when it was found.
    pub time: Timestamp,
    /// What changed.
    pub subject: Subject,
    /// What was done to it.
    pub op: Op,
    /// For a rename the name it had before.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub from: Option<RenamedFrom>,
    /// The fact's value before; none where there was none.
    pub before: Option<FactValue>,
    /// The fact's value after; none where there is none any more.
    pub after: Option<FactValue>,
    /// How the tracer knows.
    pub certainty: Certainty,
    /// For a late change the interval in which it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub between: Option<[Timestamp; 2]>,
    /// The run that owns the change, where there is one.
    pub run: Option<u64>,
    /// How often the file was opened, written and closed in this change: a loop in a shell that
    /// appends 500 lines is one change of 500 operations.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub operations: u64,
    /// What a reader should know before trusting a detail of this change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// Of a file the package that its path belonged to at that time, by its key; none where that is not known, or
    /// where it belonged to none or to several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// Who did it; nobody is named for a late change. Many changes in a row are one actor's, and share
    /// it.
    pub actor: Option<Arc<Actor>>,
}

fn one() -> u64 {
    1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if passes a reference"
)]
fn is_one(count: &u64) -> bool {
    *count == 1
}

/// Says what was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the words are the contract's and say it all")]
pub enum Op {
    Create,
    Modify,
    Delete,
    Rename,
    Link,
    Symlink,
    Mode,
    Owner,
    Xattr,
    Install,
    Upgrade,
    Downgrade,
    Remove,
    Set,
    Load,
    Unload,
    Fail,
    Start,
    Stop,
    Restart,
    Enable,
    Disable,
    Mount,
    Unmount,
    Forget,
}

impl Op {
    /// Every op with the word for it.
    pub const ALL: [(Self, &'static str); 25] = [
        (Self::Create, "create"),
        (Self::Modify, "modify"),
        (Self::Delete, "delete"),
        (Self::Rename, "rename"),
        (Self::Link, "link"),
        (Self::Symlink, "symlink"),
        (Self::Mode, "mode"),
        (Self::Owner, "owner"),
        (Self::Xattr, "xattr"),
        (Self::Install, "install"),
        (Self::Upgrade, "upgrade"),
        (Self::Downgrade, "downgrade"),
        (Self::Remove, "remove"),
        (Self::Set, "set"),
        (Self::Load, "load"),
        (Self::Unload, "unload"),
        (Self::Fail, "fail"),
        (Self::Start, "start"),
        (Self::Stop, "stop"),
        (Self::Restart, "restart"),
        (Self::Enable, "enable"),
        (Self::Disable, "disable"),
        (Self::Mount, "mount"),
        (Self::Unmount, "unmount"),
        (Self::Forget, "forget"),
    ];

    /// The word for it in JSON, tables and flags.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(op, _)| *op == self)
            .map_or("", |(_, word)| word)
    }

    /// The op with that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, name)| *name == word)
            .map(|(op, _)| *op)
    }
}

/// Says how the tracer knows of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// A probe saw this very operation succeed.
    Exact,
    /// Comparing states found it, because nothing watched or a record was lost.
    Late,
}

/// Says what a reader should know before trusting a detail of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Note {
    /// The file was written, and its content is what it was before.
    SameContent,
    /// The file moved on before its content could be read; the content after is unknown. Of a setting:
    /// another wrote it at the same time, and the value after is what was asked for.
    MovedOn,
    /// Several processes wrote through one description; the actor is the one that wrote last.
    SharedDescription,
    /// The process had the file open before tracing began.
    OpenedBefore,
    /// The file was replaced by another one: its inode changed. Of a rename: another file had the new name,
    /// and its state is the one before.
    Replaced,
    /// Two names were exchanged: the older name has another file from then on.
    Exchanged,
    /// Another process that had the file open for writing closed it within the tick of the file's times
    /// in which this change was made, before it was read: some of it may be that one's.
    SameTick,
    /// The value is what was asked for; whether the kernel took it is not known.
    Unconfirmed,
    /// The kernel did it by itself, because the actor needed it.
    OnBehalf,
    /// What was to be loaded does not fit this kernel, or is none of what it should be.
    Malformed,
    /// The kernel did not allow it.
    Refused,
}

impl Note {
    /// Every note with the word for it.
    pub const ALL: [(Self, &'static str); 11] = [
        (Self::SameContent, "same-content"),
        (Self::MovedOn, "moved-on"),
        (Self::SharedDescription, "shared-description"),
        (Self::OpenedBefore, "opened-before"),
        (Self::Replaced, "replaced"),
        (Self::Exchanged, "exchanged"),
        (Self::SameTick, "same-tick"),
        (Self::Unconfirmed, "unconfirmed"),
        (Self::OnBehalf, "on-behalf"),
        (Self::Malformed, "malformed"),
        (Self::Refused, "refused"),
    ];

    /// The word for it in JSON and tables.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(note, _)| *note == self)
            .map_or("", |(_, word)| word)
    }

    /// The note with that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, name)| *name == word)
            .map(|(note, _)| *note)
    }
}

/// Holds the name that a renamed subject had before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenamedFrom(pub Text);

#[derive(Serialize, Deserialize)]
struct RenamedFromJson {
    from: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from_base64: Option<String>,
}

impl Serialize for RenamedFrom {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(from) = self;
        RenamedFromJson {
            from: from.to_lossy(),
            from_base64: from.to_base64_if_lossy(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RenamedFrom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let RenamedFromJson { from, from_base64 } = RenamedFromJson::deserialize(deserializer)?;
        Text::from_parts(from, from_base64.as_deref())
            .map(Self)
            .map_err(de::Error::custom)
    }
}
