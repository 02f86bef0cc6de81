//! The daemon and command line of one host.
pub mod capture;
pub mod fanotify;
pub mod observed;
pub mod reconcile;
pub mod trees;
