//! The contents of changes in the making: when they are to be read, and where they wait.

use change::{FileState, Text, Timestamp};

use super::Assembler;
use crate::capture::Captured;
use crate::observed::Inode;

/// How much content waits with the changes that it belongs to; what is more is handed over before.
const MAX_CONTENT: usize = 8 << 20;

impl Assembler {
    /// The paths whose content should be read now, each once. What is being written is only read
    /// when it has been quiet.
    pub fn take_touched(&mut self) -> Vec<Text> {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        touched.retain(|path| {
            self.pending
                .get(path)
                .is_some_and(|pending| !pending.is_gone() && !pending.writing)
        });
        touched
    }

    /// What the kernel saw last of the file that is to be read.
    pub fn expected(&self, path: &Text) -> Option<Inode> {
        self.pending.get(path)?.inode
    }

    /// Hands over what was read of a path that [`Assembler::take_touched`] told, and until when.
    pub fn set_captured(&mut self, path: &Text, captured: Captured, until: Timestamp) {
        if let Some(pending) = self.pending.get_mut(path) {
            self.content_bytes += captured.content_len();
            if let Some(hidden) = pending.settle_doubt(captured, until) {
                self.finish(path);
                self.begin(hidden);
            }
        }
    }

    /// Takes away the content that waits where it has become much, to be kept at once: its changes
    /// still name it by its hash.
    pub fn take_excess(&mut self) -> Vec<(FileState, Vec<u8>)> {
        if self.content_bytes <= MAX_CONTENT {
            return Vec::new();
        }
        self.content_bytes = 0;
        let pending = self
            .pending
            .values_mut()
            .map(|pending| &mut pending.captured);
        let finished = self
            .finished
            .iter_mut()
            .map(|assembled| &mut assembled.captured);
        let all = pending.chain(finished).flatten();
        all.filter_map(Captured::take_content).collect()
    }
}
