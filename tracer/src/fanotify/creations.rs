//! Regular files that were created and not closed yet: an open that creates is two events.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use change::Text;

use crate::trees::path;

/// So long a created file may stay open before its creation is told by itself: it may be one that
/// is never closed, or that no open created (`mknod`, a link of an unnamed file).
const PATIENCE: Duration = Duration::from_secs(1);

/// Holds the creations that are still to be told.
#[derive(Debug, Default)]
pub(super) struct Creations(HashMap<Text, Creation>);

#[derive(Debug)]
struct Creation {
    pid: u32,
    since: Instant,
}

impl Creations {
    pub(super) fn begin(&mut self, path: Text, pid: u32, now: Instant) {
        self.0.insert(path, Creation { pid, since: now });
    }

    /// Whether this process had created the file; then that is told by its closing.
    pub(super) fn close(&mut self, path: &Text, pid: u32) -> bool {
        let is_creator = self.0.get(path).is_some_and(|creation| creation.pid == pid);
        is_creator && self.0.remove(path).is_some()
    }

    /// Says that a file or a directory is gone.
    pub(super) fn forget(&mut self, tree: &Text) {
        self.0
            .retain(|path, _| !path::is_within(path.as_bytes(), tree.as_bytes()));
    }

    /// Says that a file or a directory has another name.
    pub(super) fn rename(&mut self, from: &Text, to: &Text) {
        self.forget(to);
        let moved = |path: &Text| path::moved(path.as_bytes(), from.as_bytes(), to.as_bytes());
        let all = std::mem::take(&mut self.0).into_iter();
        let renamed = all.map(|(path, creation)| (moved(&path).unwrap_or(path), creation));
        self.0 = renamed.collect();
    }

    /// The creations that waited long enough, with who made them.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(Text, u32)> {
        let is_due = |creation: &Creation| now.duration_since(creation.since) >= PATIENCE;
        let due = self.0.extract_if(|_, creation| is_due(creation));
        due.map(|(path, creation)| (path, creation.pid)).collect()
    }

    /// How long there is to wait until the next one is due.
    pub(super) fn next_due_in(&self, now: Instant) -> Option<Duration> {
        let oldest = self.0.values().map(|creation| creation.since).min()?;
        Some(PATIENCE.saturating_sub(now.duration_since(oldest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_closed_as_created_by_its_creator_only() {
        let now = Instant::now();
        let mut creations = Creations::default();
        creations.begin(Text::from("/a/x"), 1, now);
        assert!(!creations.close(&Text::from("/a/x"), 2));
        creations.rename(&Text::from("/a"), &Text::from("/b"));
        assert!(creations.close(&Text::from("/b/x"), 1));
        assert!(!creations.close(&Text::from("/b/x"), 1));
    }

    #[test]
    fn a_file_that_stays_open_is_told_after_a_while() {
        let now = Instant::now();
        let mut creations = Creations::default();
        creations.begin(Text::from("/x"), 1, now);
        creations.begin(Text::from("/gone"), 1, now);
        creations.forget(&Text::from("/gone"));
        assert!(creations.due(now).is_empty());
        assert_eq!(creations.next_due_in(now), Some(PATIENCE));
        assert_eq!(creations.due(now + PATIENCE), [(Text::from("/x"), 1)]);
        assert_eq!(creations.next_due_in(now), None);
    }
}
