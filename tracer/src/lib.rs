//! x

pub mod answers;
pub mod blame;
pub mod diff;
pub mod recap;
pub mod store;
