//! The tracer of one host: modules in reading order.

pub mod answers;
pub mod api;
pub mod cli;
pub mod client;
pub mod config;
pub mod daemon;
#[cfg(test)]
mod docs;
pub mod doctor;
pub mod output;
pub mod store;
pub mod when;
