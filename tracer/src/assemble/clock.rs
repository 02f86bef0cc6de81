//! A clock that somebody sets while changes are in the making.

use std::cmp::Reverse;

use super::Assembler;

impl Assembler {
    /// The clock was set by so many nanoseconds, and what is in the making, or waits for its turn, bears
    /// the new time: it rests as long as it would have, and stays in its order with what follows.
    pub fn set_clock(&mut self, step_ns: i64) {
        for pending in self.pending.values_mut() {
            pending.set_clock(step_ns);
        }
        for assembled in &mut self.finished {
            assembled.time = assembled.time.plus_nanos(step_ns);
        }
        let due = std::mem::take(&mut self.due).into_iter();
        self.due = due
            .map(|Reverse((time, path))| Reverse((time.plus_nanos(step_ns), path)))
            .collect();
        self.early_until = self.early_until.plus_nanos(step_ns);
    }
}
