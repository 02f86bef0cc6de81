//! Stands in until the store is merged.

/// Says why the store has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Stands in for every reason.
    #[error("read store: {0}")]
    Stub(String),
}
