//! Actors: who made a change — the process, its ancestry, the users and the login session.

use serde::{Deserialize, Serialize};

use crate::{Author, Timestamp};

/// Tells who made a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The user whose rights the process acted with (its effective user id).
    pub user: User,
    /// The user who logged in, whatever they became later; none for what no login started.
    pub login_user: Option<User>,
    /// The process that acted.
    pub process: Process,
    /// Its ancestors, nearest first, up to the session's first process.
    pub ancestry: Vec<Ancestor>,
    /// What the chain of processes belongs to.
    pub session: Option<Session>,
    /// The unit of the service manager that the process ran in.
    pub unit: Option<String>,
    /// The container that the process ran in.
    pub container: Option<Container>,
    /// Which sort of author it is, as its tracer was configured to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Author>,
}

impl Actor {
    /// What it takes up in memory, about: command lines can be long.
    pub fn size_bytes(&self) -> usize {
        let Self {
            process, ancestry, ..
        } = self;
        let ancestry = ancestry.iter();
        let ancestors = ancestry.map(|kin| size_of::<Ancestor>() + words_bytes(&kin.argv));
        size_of::<Self>() + words_bytes(&process.argv) + ancestors.sum::<usize>()
    }
}

/// What the words of a command line take up in memory, about: each has its place in the list, and is
/// an allocation of its own.
pub fn words_bytes(argv: &[String]) -> usize {
    let words = argv.iter();
    words
        .map(|word| size_of::<String>() + word.len().max(16) + 16)
        .sum()
}

/// Names a user, as the host knew the name at that time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct User {
    /// Numeric user id as the host sees it.
    pub uid: u32,
    /// The name, where the host had one for the id.
    pub name: Option<String>,
}

/// Describes the process that acted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Process id as the host sees it.
    pub pid: u32,
    /// When the process started, which tells it from others of the same id.
    pub start: Timestamp,
    /// The executable's path.
    pub exe: Option<String>,
    /// The command line, with secrets masked.
    pub argv: Vec<String>,
    /// Whether the command line was longer than what is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub argv_truncated: bool,
    /// The working directory when the program was started.
    pub cwd: Option<String>,
}

/// Describes one ancestor of the process that acted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ancestor {
    /// Process id as the host sees it.
    pub pid: u32,
    /// The executable's path.
    pub exe: Option<String>,
    /// The command line, with secrets masked.
    pub argv: Vec<String>,
}

/// Describes what a chain of processes belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Session {
    /// The kernel's audit session id; unique until the next boot. 0 where the kernel gave none.
    pub id: u32,
    /// What sort of session it is.
    pub kind: SessionKind,
    /// The terminal, like `pts/0`.
    pub tty: Option<String>,
    /// The address that the person came from.
    pub remote: Option<String>,
}

/// Says what sort of session a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionKind {
    /// A login over ssh.
    Ssh,
    /// A login on a local terminal or screen.
    Console,
    /// A job of cron or at.
    Cron,
    /// A unit of the service manager.
    Service,
    /// A process in a container.
    Container,
    /// Anything that the boot started outside a unit, and the kernel itself.
    Boot,
}

impl SessionKind {
    /// Every kind with the word for it.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Ssh, "ssh"),
        (Self::Console, "console"),
        (Self::Cron, "cron"),
        (Self::Service, "service"),
        (Self::Container, "container"),
        (Self::Boot, "boot"),
    ];

    /// The word for it in JSON, tables and flags.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or("", |(_, word)| word)
    }

    /// The kind with that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, name)| *name == word)
            .map(|(kind, _)| *kind)
    }
}

/// Names a container.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Container {
    /// The runtime's id of it; where no runtime is known, the inode number of its pid namespace
    /// (or mount namespace, where the host's pid namespace is shared).
    pub id: String,
    /// The runtime, like `docker`; `namespace` where none is known.
    pub runtime: String,
}
