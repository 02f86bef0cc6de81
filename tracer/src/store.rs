//! The store: one `SQLite` database with the log of changes, the facts they fold into, and contents.
//! The only door to `SQLite`: its types never leave here. Wire bodies are made in `answers`.

mod actors;
mod backup;
mod chain;
mod changes;
mod connection;
mod contents;
#[cfg(test)]
mod damage;
mod encoding;
mod error;
#[cfg(test)]
pub(crate) mod example;
mod facts;
mod forget;
mod gaps;
mod history;
mod hosts;
#[cfg(test)]
mod kill;
mod matching;
mod memory;
mod meta;
mod reader;
mod runs;
mod search;
mod sessions;
mod states;
mod subjects;
mod sync;
mod touched;
mod verify;
mod writer;

use change::wire::SessionBody;
use change::{Change, FactValue, Gap, Run, Subject, Timestamp};

pub use self::backup::{Backup, back_up};
pub use self::contents::{content_name, parse_content_name};
pub use self::error::{Cause, Error};
pub use self::forget::{Kept, Purge};
pub(crate) use self::history::DirectoryMove;
pub use self::reader::Reader;
pub use self::subjects::SubjectPage;
pub use self::verify::KnownHead;
pub use self::writer::Writer;

/// Holds what is written in one transaction.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Bytes of files, each stored once.
    pub contents: Vec<Content>,
    /// New changes, oldest first; they get their numbers when they are written.
    pub changes: Vec<Change>,
    /// State to fold, with or without a change that led to it.
    pub facts: Vec<Fact>,
    /// Sessions that are new or became different; known by id and start.
    pub sessions: Vec<SessionBody>,
    /// Runs that are new or became different; known by their numbers.
    pub runs: Vec<Run>,
    /// Gaps: new ones have the id 0, another id updates that gap.
    pub gaps: Vec<Gap>,
    /// Until when the daemon was alive and its record complete.
    pub heartbeat: Option<Timestamp>,
}

/// Holds the bytes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// BLAKE3 of the bytes; see [`content_name`] for how states write it.
    pub hash: [u8; 32],
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Holds the value that a subject has now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What has the value.
    pub subject: Subject,
    /// The value; none where the subject does not exist any more.
    pub value: Option<FactValue>,
    /// Which file it was found in.
    pub identity: Option<FileIdentity>,
    /// Since when, or when it was seen first.
    pub time: Timestamp,
}

/// Tells whether a file may have changed without reading it; compared first when reconciling.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FileIdentity {
    /// The device's number.
    pub dev: u64,
    /// The inode's number.
    pub inode: u64,
    /// When the inode changed last, in nanoseconds.
    pub ctime_ns: i64,
    /// When the content changed last, in nanoseconds.
    pub mtime_ns: i64,
}

/// Reads any bytes as what rows hold; the first byte says as which.
pub(crate) fn fuzz(bytes: &[u8]) {
    let Some((sort, rest)) = bytes.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(rest);
    match sort {
        0 => {
            if let Some((size, packed)) = rest.split_first_chunk() {
                drop(contents::unpack(packed.to_vec(), i64::from_le_bytes(*size)));
            }
        }
        b'1' => states::fuzz(&text),
        b'2' => drop(actors::parse_argv(&text)),
        b'3' => drop(contents::parse_name(&text)),
        b'4' => drop(KnownHead::parse(&text)),
        _ => drop(changes::parse_notes(Some(&text))),
    }
}
