//! A simulated fleet: hosts with the inventories of real Debian servers, the noise that real ones have, and planted
//! truths that the questions must find. What it sends are frames, as tracers send them.

mod chance;
pub mod deeds;
pub mod host;
pub mod inventory;
pub mod server;
pub mod truths;
