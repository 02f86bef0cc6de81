//! The only file that prints. What is printed for people is put into words in `output/`, as strings that depend
//! on nothing but what is passed in.

mod answers;
mod drift;
mod enrolled;
mod groups;
mod host;
mod marker;
mod operation;
mod runs;
mod tidied;
mod timeline;
mod token;
mod words;

use std::io::{self, Write as _};

use change::Text;
use jiff::Zoned;
use serde::Serialize;

pub use self::answers::{comparison, explanation, outliers, suspect};
pub use self::drift::{drift, happened};
pub use self::enrolled::enrolled_line;
pub use self::groups::group_comparison;
pub use self::host::{ListedHost, host_line};
pub use self::marker::marker_line;
pub use self::operation::{backup, check_line, restored};
pub use self::runs::{recap, run_in_full, run_line, session_line};
pub use self::tidied::tidied;
pub use self::timeline::timeline_line;
pub use self::token::token_line;
pub use self::words::change_line;
pub(crate) use self::words::safe;

/// What the words depend on.
#[derive(Clone, Debug)]
pub struct View {
    /// The present moment, in the zone to show times in.
    pub now: Zoned,
}

/// Prints to standard output.
#[derive(Clone, Debug)]
pub struct Output {
    /// Whether to print JSON.
    pub json: bool,
    /// What the words depend on.
    pub view: View,
}

impl Output {
    /// Prints one answer: as one JSON object on a line, or as what `in_words` makes of it.
    pub fn answer<T: Serialize + ?Sized>(
        &self,
        answer: &T,
        in_words: impl FnOnce(&T, &View) -> String,
    ) -> io::Result<()> {
        let mut text = if self.json {
            serde_json::to_string(answer)?
        } else {
            in_words(answer, &self.view)
        };
        text.push('\n');
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }
}

/// Writes one line to standard error. Where even that fails there is nobody left to tell.
pub fn complain(text: &str) {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = Text::from(line.as_str());
    drop(writeln!(io::stderr().lock(), "tracer-collector: {line}"));
}
