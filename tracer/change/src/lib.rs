//! The change model: what one change is, who made it, and what can be asked about changes.
//! Shared by tracer and collector, and so light: serde, and behind [`wire`] what packs a frame. Storage and
//! transport live elsewhere.

mod actor;
mod author;
mod change;
mod fact;
mod gap;
mod newer;
mod query;
mod run;
mod subject;
mod text;
mod time;
pub mod wire;

pub use actor::{Actor, Ancestor, Container, Process, Session, SessionKind, User, words_bytes};
pub use author::{Tool, Tools, command_name, program_name};
pub use change::{Certainty, Change, Note, Op, RenamedFrom};
pub use fact::{ContentState, FactValue, FileState, FileType};
pub use gap::{Gap, GapReason};
pub use newer::NewerWord;
pub use query::{Author, ChangeQuery};
pub use run::{Run, RunKind, RunQuery};
pub use subject::{Kind, ParseSubjectError, Subject};
pub use text::Text;
pub use time::{ParseTimestampError, Timestamp};
