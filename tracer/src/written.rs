//! Writes to sysctls and settings that wait to be told.
//!
//! The kernel tells that one was written and not which value that left, as it may take another than was
//! asked for: this is read right afterwards, and held against what the next write found. Reading is the
//! caller's.

use std::collections::BTreeMap;

use change::{Text, Timestamp};

use crate::observed::Who;

/// How long a write waits for the record of another that was before its value was read.
const REST_NS: i64 = 1_000_000_000;

/// Describes a write to one setting of this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Write {
    /// When it began.
    pub time: Timestamp,
    /// When the kernel had taken it; none where it is not known whether it did, or will.
    pub ended: Option<Timestamp>,
    /// The value as it began, where that is known.
    pub before: Option<String>,
    /// What was asked for, where that is known, as the kernel would print it.
    pub asked: Option<String>,
    /// Who wrote: named when it is told, as by then all is known of a process that lived for a moment.
    pub who: Option<Who>,
}

/// Says what a write did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The write.
    pub write: Write,
    /// The value that it left, where that is known.
    pub after: Option<String>,
    /// How much the value is to be trusted.
    pub trust: Trust,
}

/// Says how a value that a write left is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It was read, by us or by the kernel for the next writer.
    Read,
    /// It is what was asked for: another wrote at the same time, and nobody could read it.
    MovedOn,
    /// It is what was asked for: the kernel took it, and it cannot be read.
    Taken,
    /// It is what was asked for, and the kernel may not have taken it.
    Unconfirmed,
}

struct Waiting {
    write: Write,
    /// What it left, as it was read after the record came.
    seen: Option<String>,
    seen_at: Timestamp,
}

/// Holds the newest write to each setting, until it is known what it left.
#[derive(Default)]
pub struct Writes {
    waiting: BTreeMap<Text, Waiting>,
}

impl Writes {
    /// Takes in a write after which `seen` was read, at that time. Gives what the one before it did, if
    /// that still waited.
    pub fn take(
        &mut self,
        key: Text,
        write: Write,
        seen: Option<String>,
        seen_at: Timestamp,
    ) -> Option<Outcome> {
        let next = (write.time, write.before.clone());
        let waiting = Waiting {
            write,
            seen,
            seen_at,
        };
        let before = self.waiting.insert(key, waiting)?;
        Some(before.followed_by(next))
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What those did that have rested, where `read` gives the value that a setting has now.
    pub fn rested(
        &mut self,
        now: Timestamp,
        read: &dyn Fn(&Text) -> Option<String>,
    ) -> Vec<(Text, Outcome)> {
        // A clock that was set back is none to wait for.
        let has_rested = |waiting: &Waiting| {
            !(0..REST_NS).contains(&(now.as_nanos() - waiting.seen_at.as_nanos()))
        };
        self.finish(read, &has_rested)
    }

    /// What those did that are known to be over, or have left a trace, and all if `now_or_never`: no
    /// record of an earlier write is on its way any more.
    pub fn settled(
        &mut self,
        now_or_never: bool,
        read: &dyn Fn(&Text) -> Option<String>,
    ) -> Vec<(Text, Outcome)> {
        for (key, waiting) in &mut self.waiting {
            if waiting.write.ended.is_none() {
                waiting.seen = read(key);
            }
        }
        self.finish(read, &|waiting| {
            let has_trace = waiting.seen != waiting.write.before;
            now_or_never || waiting.write.ended.is_some() || has_trace
        })
    }

    fn finish(
        &mut self,
        read: &dyn Fn(&Text) -> Option<String>,
        which: &dyn Fn(&Waiting) -> bool,
    ) -> Vec<(Text, Outcome)> {
        let finished = self.waiting.extract_if(.., |_, waiting| which(waiting));
        let outcome = |(key, waiting): (Text, Waiting)| {
            let now = || read(&key);
            let outcome = waiting.last(now);
            (key, outcome)
        };
        finished.map(outcome).collect()
    }
}

impl Waiting {
    /// What it did, where nobody has written since.
    fn last(self, now: impl FnOnce() -> Option<String>) -> Outcome {
        let Self {
            write,
            seen,
            seen_at: _,
        } = self;
        let is_over = write.ended.is_some();
        // When the record came it may not have been over.
        let seen = if is_over { seen } else { now() };
        let (after, trust) = match (seen, is_over) {
            (Some(seen), _) => (Some(seen), Trust::Read),
            (None, true) => (write.asked.clone(), Trust::Taken),
            (None, false) => (write.asked.clone(), Trust::Unconfirmed),
        };
        Outcome {
            write,
            after,
            trust,
        }
    }

    /// What it did, where somebody else wrote since, at that time and from that value.
    fn followed_by(self, (time, before): (Timestamp, Option<String>)) -> Outcome {
        let Self {
            write,
            seen,
            seen_at,
        } = self;
        let is_over = write.ended.is_some();
        let was_over = write.ended.is_none_or(|ended| ended <= time);
        let (after, trust) = match (seen, before) {
            (Some(seen), _) if is_over && seen_at < time => (Some(seen), Trust::Read),
            (_, Some(before)) if was_over => (Some(before), Trust::Read),
            _ => (write.asked.clone(), Trust::MovedOn),
        };
        Outcome {
            write,
            after,
            trust,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "vm.swappiness";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_parts(second, 0)
    }

    fn write(time: i64, ended: Option<i64>, before: &str, asked: &str) -> Write {
        Write {
            time: at(time),
            ended: ended.map(at),
            before: Some(before.to_owned()),
            asked: Some(asked.to_owned()),
            who: None,
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is what reading gives")]
    fn value(value: &str) -> Option<String> {
        Some(value.to_owned())
    }

    fn only(outcomes: Vec<(Text, Outcome)>) -> Outcome {
        let [(_, outcome)] = <[_; 1]>::try_from(outcomes).unwrap();
        outcome
    }

    /// Takes in a write, after which that was read at a time.
    fn take(
        writes: &mut Writes,
        write: Write,
        found: Option<String>,
        time: i64,
    ) -> Option<Outcome> {
        writes.take(KEY.into(), write, found, at(time))
    }

    #[test]
    fn the_value_that_the_kernel_took_is_what_was_read_and_not_what_was_asked_for() {
        let mut writes = Writes::default();
        take(&mut writes, write(1, Some(2), "60", "999"), value("200"), 3);
        assert!(writes.rested(at(3), &|_| value("7")).is_empty());
        let outcome = only(writes.rested(at(4), &|_| value("7")));
        assert_eq!(outcome.after, value("200"));
        assert_eq!(outcome.trust, Trust::Read);
        assert!(writes.is_empty());
    }

    #[test]
    fn of_two_writers_each_has_its_own_value() {
        let mut writes = Writes::default();
        // The second wrote before the first one's value was read.
        take(&mut writes, write(1, Some(2), "60", "10"), value("20"), 9);
        let first = take(&mut writes, write(3, Some(4), "10", "20"), value("20"), 9);
        assert_eq!(first.unwrap().after, value("10"));
        assert_eq!(only(writes.settled(false, &|_| None)).after, value("20"));
        // Both at once: what was in between nobody has read.
        take(&mut writes, write(1, Some(4), "60", "10"), value("20"), 9);
        let first = take(&mut writes, write(2, Some(5), "60", "20"), value("20"), 9);
        let first = first.unwrap();
        assert_eq!((first.after, first.trust), (value("10"), Trust::MovedOn));
    }

    #[test]
    fn a_write_whose_end_is_not_told_waits_for_a_trace() {
        let mut writes = Writes::default();
        take(&mut writes, write(1, None, "60", "10"), value("60"), 1);
        assert!(writes.settled(false, &|_| value("60")).is_empty());
        assert_eq!(
            only(writes.settled(false, &|_| value("10"))).after,
            value("10")
        );
        take(&mut writes, write(1, None, "60", "999"), value("60"), 1);
        let outcome = only(writes.rested(at(2), &|_| value("60")));
        assert_eq!(outcome.after, outcome.write.before, "it was refused");
    }

    #[test]
    fn what_cannot_be_read_is_what_was_asked_for_and_says_so() {
        let mut writes = Writes::default();
        take(&mut writes, write(1, Some(2), "0", "2"), None, 3);
        let outcome = only(writes.settled(true, &|_| None));
        assert_eq!((outcome.after, outcome.trust), (value("2"), Trust::Taken));
        take(&mut writes, write(1, None, "0", "2"), None, 3);
        let outcome = only(writes.settled(true, &|_| None));
        assert_eq!(outcome.trust, Trust::Unconfirmed);
    }
}
