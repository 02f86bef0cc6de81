//! The tracer of one host: modules in the order in which a change passes them.

mod bounded;
pub mod bus;
mod command;
pub mod observed;
mod random;
mod secret;

pub mod probes;

pub mod decode;

pub mod fanotify;

pub mod assemble;
pub mod capture;
pub mod conclude;
pub mod enrich;
pub mod inventory;
pub mod persisted;
pub mod reconcile;
pub mod sysctl;
pub mod trees;
pub mod written;

pub mod store;

pub mod answers;
pub mod blame;
pub mod diff;
pub mod recap;

pub mod api;
pub mod client;

pub mod cli;
pub mod output;

mod push;

pub mod config;
pub mod daemon;
#[cfg(test)]
mod docs;
pub mod doctor;
pub mod fuzz;
