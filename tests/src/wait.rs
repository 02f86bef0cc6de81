//! Waiting for a condition, never for a time.

use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for what must come; under emulation everything takes ten times as long.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Looks again and again until there is a result, and returns it.
///
/// # Panics
/// When it does not come in time; the message has what was seen last.
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Result<T, String>) -> T {
    wait_long_for(what, PATIENCE, look)
}

/// Waits like [`wait_for`] for what takes longer.
///
/// # Panics
/// When it does not come in time.
pub fn wait_long_for<T>(
    what: &str,
    patience: Duration,
    mut look: impl FnMut() -> Result<T, String>,
) -> T {
    let begin = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(last) if begin.elapsed() > patience => {
                panic!("{what}: not within {patience:?}; last seen: {last}")
            }
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    }
}
