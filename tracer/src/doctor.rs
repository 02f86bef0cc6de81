//! Stands in until the checks are merged.

use change::wire::CheckBody;

/// Looks at what this kernel allows without a daemon.
pub fn offline() -> Vec<CheckBody> {
    Vec::new()
}
