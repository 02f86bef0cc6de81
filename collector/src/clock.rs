//! The one clock; everything else is given the time.

use change::Timestamp;

/// Now.
#[expect(
    clippy::disallowed_methods,
    reason = "the one clock, which everything else is given"
)]
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_nanos(since.map_or(0, |since| {
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    }))
}
