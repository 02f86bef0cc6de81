//! The daemon and command line of one host.
pub mod answers;
pub mod assemble;
pub mod blame;
pub mod capture;
pub mod conclude;
pub mod daemon;
pub mod decode;
pub mod diff;
pub mod enrich;
pub mod fanotify;
pub mod observed;
pub mod probes;
pub mod recap;
pub mod reconcile;
pub mod store;
pub mod trees;
