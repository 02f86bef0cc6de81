//! What the end-to-end tests share: a daemon of their own, processes that act for a test, the ways to
//! change a file, and waiting for what is to come.

#![expect(
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "what goes wrong here is a test that fails"
)]

mod acting;
mod daemon;
mod http;
mod strangers;
mod wait;
pub mod ways;

pub use acting::{Acted, act};
pub use daemon::{Daemon, Ended, Options, run};
pub use strangers::{STRANGER, as_stranger, may_not_stop};
pub use wait::{PATIENCE, wait_for, wait_long_for};
