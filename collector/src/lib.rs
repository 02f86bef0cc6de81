//! The collector: takes the changes of every tracer, knows the state of each host at every moment, and says
//! what is different.

pub mod authority;

pub mod fleet;
pub mod selector;
pub mod store;

pub mod rules;

pub mod questions;

pub mod follow;
pub mod metrics;

pub mod admission;
pub mod api;
pub mod serve;
pub mod tidying;

pub mod view;

pub mod doctor;

pub mod cli;
pub mod output;

mod clock;

use change::wire::Token;
use sha2::{Digest as _, Sha256};

/// What the store keeps of a token: its secret is random, so one round of hashing keeps it.
fn token_hash(token: &Token) -> [u8; 32] {
    Sha256::digest(token.secret).into()
}
