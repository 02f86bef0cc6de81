//! The daemon and command line of one host.
pub mod observed;
pub mod trees;
