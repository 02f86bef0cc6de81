//! Tests of the store as a whole: the same for each database.

use simulation::server::shared;

use super::Location;

#[path = "tests"]
mod sqlite {
    use tempfile::TempDir;

    use super::*;

    /// A place for a store, and what keeps it.
    fn place() -> (Location, Option<TempDir>) {
        let folder = tempfile::tempdir().unwrap();
        (Location::within(folder.path()), Some(folder))
    }

    #[path = "suite.rs"]
    mod suite;
}

mod far;

#[path = "tests"]
mod postgres {
    use tempfile::TempDir;

    use super::*;

    /// A place for a store, which the server keeps.
    fn place() -> (Location, Option<TempDir>) {
        (shared().place().unwrap().parse().unwrap(), None)
    }

    #[expect(clippy::duplicate_mod, reason = "one suite for both")]
    #[path = "suite.rs"]
    mod suite;
}
