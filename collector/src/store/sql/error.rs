//! What can go wrong with either database.

use tokio_postgres::error::SqlState;

/// The outcome of an operation of the database.
pub(in crate::store) type Result<T> = std::result::Result<T, Error>;

/// Says why the database did not do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `SQLite` says so.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The PostgreSQL server says so, or the way to it.
    #[error("{}", words(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// There is no connection to the server now.
    #[error("PostgreSQL is not reachable: {0}")]
    Unreachable(String),
    /// An answer has no row where it must have one.
    #[error("there is no such row")]
    NoRow,
    /// A column holds something else than it must.
    #[error("column {index}: {what}")]
    Column {
        /// Which one, from 0.
        index: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// The time that was set for it is over.
    #[error("the time for it is over")]
    OutOfTime,
}

impl Error {
    /// Whether the time that was set for it was over.
    pub(in crate::store) fn is_out_of_time(&self) -> bool {
        match self {
            Self::Sqlite(error) => {
                error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted)
            }
            Self::Postgres(error) => error.code() == Some(&SqlState::QUERY_CANCELED),
            Self::OutOfTime => true,
            Self::Unreachable(_) | Self::NoRow | Self::Column { .. } => false,
        }
    }

    /// Whether it may go well when all of the transaction is done again: two have waited for each other.
    pub(in crate::store) fn is_a_clash(&self) -> bool {
        let Self::Postgres(error) = self else {
            return false;
        };
        let clashes = [
            &SqlState::T_R_DEADLOCK_DETECTED,
            &SqlState::T_R_SERIALIZATION_FAILURE,
        ];
        error.code().is_some_and(|code| clashes.contains(&code))
    }
}

/// What the server said, or what is the matter with the connection, on one line.
pub(in crate::store) fn words(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("PostgreSQL: {}", said.message());
    }
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        let source_words = source.to_string();
        if !words.contains(&source_words) {
            words = format!("{words}: {source_words}");
        }
        cause = source.source();
    }
    format!("PostgreSQL: {words}")
}
