//! The tracer of one host: modules in reading order.

pub mod answers;
pub mod api;
pub mod client;
pub mod config;
pub mod output;
pub mod store;
pub mod when;
