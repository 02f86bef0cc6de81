//! What travels between programs: bodies of the HTTP API, which the daemon answers and the command line
//! reads, and the frames that carry a host's batches to the collector.

mod batch;
mod enrol;
mod frame;
mod state;

use serde::{Deserialize, Serialize};

pub use self::batch::{Batch, ChainHead, Content, FactNow, Sender};
pub use self::enrol::{
    ACKNOWLEDGED, AcknowledgedBody, BATCHES, COLLECTOR_NAME, ContentsBody, Countersigned, ENROL,
    EnrolBody, EnrolledBody, EnrolmentBody, MISSING, MOST_ASKED, ParseTokenError, RENEW, RenewBody,
    Token, from_hex, hex,
};
pub use self::frame::{
    FrameError, MOST_FRAME_BYTES, MOST_UNPACKED_BYTES, decode, decode_sized, encode,
};
pub use self::state::{DifferenceBody, DifferencesBody, FactBody, StateBody, VolatileBody};
use crate::{Change, Gap, Kind, Op, Run, Session, Subject, Timestamp, User};

/// One page of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items, newest first.
    pub items: Vec<T>,
    /// What to pass as `cursor` for the next page; none on the last one.
    pub next: Option<String>,
}

/// Answers *who changed this*.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhoBody {
    /// What was asked for.
    pub subject: Subject,
    /// The newest changes first, each with its diff.
    pub changes: Vec<ChangeWithDiff>,
    /// Gaps that overlap the time since the newest change (or any time, where there is none).
    pub gaps: Vec<Gap>,
    /// Since when the subject has been watched; none where it is outside the watched trees.
    pub watched_since: Option<Timestamp>,
}

/// One change with what it did to the content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeWithDiff {
    /// The change, in full.
    #[serde(flatten)]
    pub change: Change,
    /// A unified diff of the content; none where there is none to show.
    pub diff: Option<String>,
}

/// The difference of a subject between two moments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffBody {
    /// What was asked for.
    pub subject: Subject,
    /// The older moment.
    pub since: Timestamp,
    /// The newer moment.
    pub until: Timestamp,
    /// A unified diff of the content; none where the contents are the same or cannot be shown.
    pub diff: Option<String>,
    /// Why there is no diff, in words.
    pub why_not: Option<String>,
    /// Numbers of the changes in between, oldest first.
    pub changes: Vec<u64>,
}

/// Names for each line of a file the change that brought it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlameBody {
    /// What was asked for.
    pub subject: Subject,
    /// The lines in order.
    pub lines: Vec<BlameLine>,
}

/// One line and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlameLine {
    /// Number of the line, from 1.
    pub line: u32,
    /// The line without its end; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// The change that brought it; none where it was there before tracing began.
    pub seq: Option<u64>,
    /// When that change happened.
    pub time: Option<Timestamp>,
    /// Who made it: the login user, or else the effective user; none for a late change.
    pub user: Option<User>,
}

/// A session with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionBody {
    /// The session.
    #[serde(flatten)]
    pub session: Session,
    /// Who logged in.
    pub user: Option<User>,
    /// When the first process of it was seen.
    pub start: Timestamp,
    /// When the last process of it ended; none while it lasts or where that was not seen.
    pub end: Option<Timestamp>,
    /// How many changes it made.
    pub changes: u64,
}

/// A run with what it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunBody {
    /// The run.
    #[serde(flatten)]
    pub run: Run,
    /// The runs within it, oldest first.
    pub within: Vec<u64>,
    /// How many changes it and those within it made, by kind of subject and op.
    pub summary: Vec<Count>,
}

/// How many changes have this kind of subject and this op.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// The kind of subject.
    pub kind: Kind,
    /// What was done.
    pub op: Op,
    /// How many.
    pub count: u64,
}

/// A session's recap: what was run in it and what that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecapBody {
    /// The session.
    pub session: SessionBody,
    /// The commands that were typed, and others that changed something, oldest first.
    pub commands: Vec<RecapCommand>,
}

/// One command of a session and the changes that it and its descendants made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecapCommand {
    /// When it began, or where that is not known made its first change.
    pub time: Timestamp,
    /// The run that it was; none where it was not kept as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
    /// When it ended, where that was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Timestamp>,
    /// Its exit code, where that was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u8>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<u8>,
    /// So many more commands followed too quickly to be kept one by one.
    #[serde(default, skip_serializing_if = "crate::run::is_zero")]
    pub more: u64,
    /// The working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// How many runs it lies within: 0 for what was typed in the login shell, 1 for what was typed in
    /// the shell that a command there opened.
    #[serde(default)]
    pub depth: u32,
    /// The command line, with secrets masked.
    pub argv: Vec<String>,
    /// Numbers of the changes, oldest first.
    pub changes: Vec<u64>,
    /// The subjects changed, in the same order.
    pub subjects: Vec<Subject>,
}

/// How the daemon is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusBody {
    /// The daemon's version.
    pub version: String,
    /// The host's machine id.
    pub host: String,
    /// The host's name.
    pub hostname: String,
    /// The daemon's process id.
    pub pid: u32,
    /// When the daemon started.
    pub started: Timestamp,
    /// How it sees file changes: `trampolines` or `fanotify`.
    pub mode: String,
    /// Number of the newest change.
    pub last_seq: u64,
    /// Since when the record has no gap; none while a gap is open.
    pub complete_since: Option<Timestamp>,
    /// Whether the host is being compared with the record at the moment: what that finds is not all told yet.
    #[serde(default)]
    pub comparing: bool,
    /// Counters since the daemon started.
    pub counters: Counters,
    /// Size of the store in bytes.
    pub store_bytes: u64,
    /// Resident memory of the daemon in bytes.
    pub resident_bytes: u64,
    /// Trees that are watched.
    pub watched: Vec<String>,
    /// How sending to the collector stands; none where the host is not enrolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collector: Option<CollectorBody>,
    /// What `tracer doctor` shows.
    pub doctor: Vec<CheckBody>,
}

/// How sending to the collector stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectorBody {
    /// Where the collector is.
    pub url: String,
    /// Number of the newest change that it has acknowledged.
    pub sent_seq: u64,
    /// How many changes wait.
    pub waiting: u64,
    /// When it answered last, since the daemon started.
    pub reached: Option<Timestamp>,
    /// Since when it takes nothing; none while it does.
    pub failing_since: Option<Timestamp>,
    /// Why not.
    pub problem: Option<String>,
    /// Until when this host's certificate holds.
    pub certificate_expires: Timestamp,
    /// How far this host's clock is ahead of the collector's, beyond what the answer's way explains.
    pub clock_ahead_ns: Option<i64>,
}

/// Counts since the daemon started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Records read from the kernel.
    pub records: u64,
    /// Records about files in watched trees.
    pub file_records: u64,
    /// Records lost before they could be read.
    pub lost: u64,
    /// Changes written to the store.
    pub changes: u64,
}

/// One thing that `tracer doctor` looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckBody {
    /// What was looked at, like a probe's name.
    pub name: String,
    /// How it stands.
    pub state: CheckState,
    /// What that means, and what to do.
    pub detail: String,
}

/// How a checked thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckState {
    /// As it should be.
    Ok,
    /// Works in part: something is not seen.
    Degraded,
    /// Does not work.
    Missing,
}

/// Says whether the store is as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyBody {
    /// Whether nothing was found.
    pub intact: bool,
    /// How many changes were looked at.
    pub changes: u64,
    /// How many contents were looked at.
    pub contents: u64,
    /// How many contents were forgotten, of which there is nothing to look at.
    pub forgotten: u64,
    /// Where the log ends: `SEQ:HASH`, to be kept elsewhere and passed to a later verification.
    pub head: String,
    /// What is not as it was written, in the order of the log.
    pub findings: Vec<Finding>,
    /// Whether so much was found that the search was given up.
    pub gave_up: bool,
}

/// One thing that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What sort of damage it is.
    pub kind: FindingKind,
    /// The change it was found at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// For a range of changes the last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_seq: Option<u64>,
    /// Which rows it can be, in words.
    pub detail: String,
}

/// Says in which way something is not as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// A change, or something that it refers to, is another one than was written.
    Altered,
    /// Changes are missing.
    Removed,
    /// A change was put in.
    Inserted,
    /// A content is missing, or its bytes are not those of its hash.
    Content,
    /// The log ends otherwise than was noted.
    Head,
    /// The database file is damaged.
    File,
}

impl FindingKind {
    /// Every kind with the word for it.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Altered, "altered"),
        (Self::Removed, "removed"),
        (Self::Inserted, "inserted"),
        (Self::Content, "content"),
        (Self::Head, "head"),
        (Self::File, "file"),
    ];

    /// The word for it in JSON and tables.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or("", |(_, word)| word)
    }
}

/// Tells what was purged of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgetBody {
    /// Whose content it was.
    pub subject: Subject,
    /// The change that records it; none where there was nothing to purge.
    pub seq: Option<u64>,
    /// How many contents are gone.
    pub forgotten: u64,
    /// How many bytes they had.
    pub bytes: u64,
    /// Files that have or had some of the same contents, which are therefore still kept.
    pub shared_with: Vec<Subject>,
    /// Whether the file has one of these contents now, so that it still lies on the disk itself.
    pub is_current: bool,
}

/// Tells of a copy of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupBody {
    /// The copy.
    pub file: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Number of the newest change in it.
    pub last_seq: u64,
    /// Where its log ends: `SEQ:HASH`, as `tracer verify --head` takes it.
    pub head: String,
}

/// An error, as `application/problem+json` (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A word for the sort of problem, as a relative reference.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status code.
    pub status: u16,
    /// What is wrong, in a few words.
    pub title: String,
    /// What was tried, on what, and what to do.
    pub detail: String,
}
