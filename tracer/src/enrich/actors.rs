//! Actors that were told lately, to be told again at once.

use std::collections::HashMap;
use std::sync::Arc;

use change::{Actor, Timestamp};

use super::processes::Key;
use super::standing::Standing;

/// How many bytes of actors are kept.
const MAX_BYTES: usize = 4 << 20;

/// How many actors are kept.
const MAX_ACTORS: usize = 4096;

/// An actor with what it was told from.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) standing: Arc<Standing>,
    /// When it was told.
    pub(super) time: Timestamp,
    /// Since when the process has run the program; none where it ran no other that is still known.
    pub(super) since: Option<Timestamp>,
    pub(super) actor: Arc<Actor>,
}

/// The actors told lately.
#[derive(Debug, Default)]
pub(super) struct Actors {
    told: HashMap<Key, Told>,
    bytes: usize,
}

impl Actors {
    /// What was told of a process that holds at this time.
    pub(super) fn get(&self, key: Key, time: Timestamp) -> Option<&Told> {
        self.told
            .get(&key)
            .filter(|told| told.since.is_none_or(|since| time >= since))
    }

    pub(super) fn keep(&mut self, key: Key, told: Told) {
        self.forget(key);
        self.bytes += told.actor.size_bytes();
        self.told.insert(key, told);
        // All at once: whoever goes on changing things is told anew in no time.
        if self.bytes > MAX_BYTES || self.told.len() > MAX_ACTORS {
            self.clear();
        }
    }

    pub(super) fn forget(&mut self, key: Key) {
        if let Some(told) = self.told.remove(&key) {
            self.bytes = self.bytes.saturating_sub(told.actor.size_bytes());
        }
    }

    pub(super) fn clear(&mut self) {
        self.told.clear();
        self.bytes = 0;
    }
}
