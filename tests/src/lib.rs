//! What the end-to-end tests share: a daemon of their own, processes that act for a test, the ways to
//! change a file, and waiting for what is to come.

#![expect(
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "what goes wrong here is a test that fails"
)]

mod acting;
mod chance;
mod collector;
mod daemon;
mod drift;
mod http;
mod program;
mod strangers;
mod used;
mod wait;
pub mod ways;

pub use acting::{Acted, act};
pub use chance::Chance;
pub use collector::Collector;
pub use daemon::{Daemon, Options};
pub use drift::drift;
pub use program::{Ended, objects, run};
pub use strangers::{STRANGER, as_stranger, may_not_stop};
pub use used::{peak_memory, processor_seconds};
pub use wait::{PATIENCE, wait_for, wait_long_for};
