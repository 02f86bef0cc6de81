//! How many living processes each audit session has, to know when one ends.

use std::collections::HashMap;

/// Counts the living processes of audit sessions.
#[derive(Debug, Default)]
pub(super) struct SessionSizes {
    living: HashMap<u32, u32>,
    emptied: Vec<u32>,
}

impl SessionSizes {
    pub(super) fn join(&mut self, session: Option<u32>) {
        if let Some(session) = session {
            *self.living.entry(session).or_default() += 1;
        }
    }

    pub(super) fn leave(&mut self, session: Option<u32>) {
        let Some(session) = session else { return };
        let Some(count) = self.living.get_mut(&session) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            self.living.remove(&session);
            self.emptied.push(session);
        }
    }

    /// The sessions that have lost their last process since the last call, and got no other.
    pub(super) fn take_emptied(&mut self) -> Vec<u32> {
        let mut emptied = std::mem::take(&mut self.emptied);
        emptied.retain(|session| !self.living.contains_key(session));
        emptied
    }
}
