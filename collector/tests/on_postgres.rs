//! The tests of questions and of drift once more, with the store on a PostgreSQL server.

#[path = "drift.rs"]
mod drift;
#[path = "fleet.rs"]
mod fleet;
#[path = "questions.rs"]
mod questions;
