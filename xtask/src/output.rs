//! What xtask prints. Everything else hands its words to this file.

#![expect(clippy::print_stdout, reason = "this is the place that prints")]

use std::fmt::Display;

/// Says why the task has failed.
pub(crate) fn error(error: &anyhow::Error) {
    println!("error: {error:#}");
}

/// Announces a step of the task.
pub(crate) fn step(text: impl Display) {
    println!("\n== {text}");
}

/// Prints a line.
pub(crate) fn line(text: impl Display) {
    println!("{text}");
}

/// Prints a block of foreign output, with its name above and below.
pub(crate) fn block(name: &str, text: &str) {
    println!("--- {name}\n{}\n--- end of {name}", text.trim_end());
}
