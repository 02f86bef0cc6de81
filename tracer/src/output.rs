//! The only file that prints. What is printed for people is put into words in `output/`, as strings
//! that depend on nothing but what is passed in.

mod account;
mod actor;
mod amount;
mod blame;
mod chain;
mod change;
mod collector;
mod diff;
mod difference;
mod escape;
mod fact;
#[cfg(test)]
mod fixture;
mod gap;
mod job;
mod log;
mod names;
mod run;
mod sentence;
mod session;
mod status;
mod store;

use std::env;
use std::io::{self, IsTerminal as _, Write as _};

pub use blame::blame;
pub use change::{change_in_full, nothing_known, who};
pub use collector::enrolment;
pub use diff::diff;
pub use difference::difference;
pub use escape::{argument, escape_lines, escape_text};
pub use fact::{fact_line, unknown_facts, volatile};
pub use gap::{gap_line, gap_warning};
use jiff::Zoned;
pub use log::log_line;
pub use names::Names;
pub use run::{folded, run_in_full, run_line};
use serde::Serialize;
pub use session::{recap, session_line};
pub use status::{checks, status};
pub use store::{backup, forgotten, verification};

/// Says when to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, and as the environment says
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What the words depend on: the clock with its zone, whether to use colour, names of owners.
#[derive(Clone, Debug)]
pub struct View {
    /// The present moment, in the zone to show times in.
    pub now: Zoned,
    /// Whether to use colour.
    pub color: bool,
    /// Names for numeric owners.
    pub names: Names,
}

impl View {
    fn paint(&self, code: &str, text: &str) -> String {
        if self.color && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    fn red(&self, text: &str) -> String {
        self.paint("31", text)
    }

    fn green(&self, text: &str) -> String {
        self.paint("32", text)
    }

    fn yellow(&self, text: &str) -> String {
        self.paint("33", text)
    }

    fn cyan(&self, text: &str) -> String {
        self.paint("36", text)
    }
}

/// Prints to standard output, and talks on standard error.
#[derive(Clone, Debug)]
pub struct Output {
    /// Whether to print JSON.
    pub json: bool,
    /// Whether standard output is a terminal.
    pub terminal: bool,
    /// What the words depend on.
    pub view: View,
}

impl Output {
    /// Looks at the terminal and at the environment once.
    pub fn new(json: bool, color: Color, now: Zoned) -> Self {
        let terminal = io::stdout().is_terminal();
        let variable = |name: &str| env::var(name).ok();
        let color = wants_color(color, terminal, &variable);
        Self {
            json,
            terminal,
            view: View {
                now,
                color,
                names: Names::of_host(),
            },
        }
    }

    /// Prints one answer: as JSON, or as what `in_words` makes of it.
    pub fn answer<T: Serialize>(
        &self,
        answer: &T,
        in_words: impl FnOnce(&T, &View) -> String,
    ) -> io::Result<()> {
        if self.json {
            self.json(answer)
        } else {
            self.text(&in_words(answer, &self.view))
        }
    }

    /// Prints text and ends the line.
    pub fn text(&self, text: &str) -> io::Result<()> {
        self.bytes(&[text.as_bytes(), b"\n"].concat())
    }

    /// Prints one JSON object on a line.
    pub fn json(&self, object: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(object)?;
        line.push(b'\n');
        self.bytes(&line)
    }

    /// Prints bytes as they are.
    pub fn bytes(&self, bytes: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        stdout.flush()
    }

    /// Tells something beside the answer.
    pub fn note(&self, text: &str) {
        complain(text);
    }
}

/// Writes one line to standard error. Where even that fails there is nobody left to tell.
pub fn complain(text: &str) {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    drop(writeln!(
        io::stderr().lock(),
        "tracer: {}",
        escape_text(&line)
    ));
}

/// The rules that most tools follow: the flag, then `NO_COLOR`, `CLICOLOR_FORCE`, `CLICOLOR`,
/// `TERM`.
fn wants_color(color: Color, terminal: bool, variable: &dyn Fn(&str) -> Option<String>) -> bool {
    let is_set = |name| variable(name).is_some_and(|value| !value.is_empty() && value != "0");
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto if variable("NO_COLOR").is_some_and(|value| !value.is_empty()) => false,
        Color::Auto if is_set("CLICOLOR_FORCE") => true,
        Color::Auto => {
            let dumb = variable("TERM").is_some_and(|term| term == "dumb");
            let off = variable("CLICOLOR").is_some_and(|value| value == "0");
            terminal && !dumb && !off
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_wins_over_the_environment_and_that_over_the_terminal() {
        let wants = |color, terminal, set: &[(&str, &str)]| {
            let variable = |name: &str| {
                set.iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| (*value).to_owned())
            };
            wants_color(color, terminal, &variable)
        };
        assert!(wants(Color::Auto, true, &[]));
        assert!(!wants(Color::Auto, false, &[]));
        assert!(wants(Color::Auto, false, &[("CLICOLOR_FORCE", "1")]));
        assert!(!wants(
            Color::Auto,
            true,
            &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]
        ));
        assert!(!wants(Color::Auto, true, &[("TERM", "dumb")]));
        assert!(!wants(Color::Auto, true, &[("CLICOLOR", "0")]));
        assert!(wants(Color::Always, false, &[("NO_COLOR", "1")]));
        assert!(!wants(Color::Never, true, &[]));
    }
}
