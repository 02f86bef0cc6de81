//! The tracer of one host: modules in reading order.

pub mod config;
pub mod when;
