//! Notices that the host slept, or that somebody set its clock.

use std::time::Duration;

use change::Timestamp;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Smaller steps are what NTP does every day, and what reading one clock after the other takes.
const STEP_NS: i64 = 1_000_000_000;

/// What the clocks showed at one moment, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    realtime: i64,
    /// Goes on while the host sleeps.
    boottime: i64,
    /// Stands still while the host sleeps.
    monotonic: i64,
}

impl Clocks {
    pub(super) fn read() -> Self {
        Self {
            realtime: nanos(clock_gettime(ClockId::Realtime)),
            boottime: nanos(clock_gettime(ClockId::Boottime)),
            monotonic: nanos(clock_gettime(ClockId::Monotonic)),
        }
    }

    /// The time of day of a moment in nanoseconds since the boot, by the clock as it was set then.
    pub(super) fn wall(&self, boot_ns: u64) -> Timestamp {
        let boot_ns = i64::try_from(boot_ns).unwrap_or(i64::MAX);
        Timestamp::from_nanos(self.realtime - self.boottime).plus_nanos(boot_ns)
    }

    /// The time of day now, by the clock as it was set then: it never jumps.
    pub(super) fn now(&self) -> Timestamp {
        let since_boot = nanos(clock_gettime(ClockId::Boottime));
        Timestamp::from_nanos(self.realtime - self.boottime).plus_nanos(since_boot)
    }

    /// How long the host has slept since, if it has.
    pub(super) fn slept_since(&self, before: &Self) -> Option<Duration> {
        let asleep = |clocks: &Self| clocks.boottime - clocks.monotonic;
        let slept = asleep(self) - asleep(before);
        (slept > STEP_NS).then(|| Duration::from_nanos(slept.unsigned_abs()))
    }

    /// By how much the clock was set since, in nanoseconds, if it was.
    pub(super) fn set_since(&self, before: &Self) -> Option<i64> {
        let offset = |clocks: &Self| clocks.realtime - clocks.boottime;
        let step = offset(self) - offset(before);
        (step.abs() > STEP_NS).then_some(step)
    }
}

fn nanos(time: Timespec) -> i64 {
    time.tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn clocks(realtime: i64, boottime: i64, monotonic: i64) -> Clocks {
        Clocks {
            realtime: realtime * SECOND,
            boottime: boottime * SECOND,
            monotonic: monotonic * SECOND,
        }
    }

    #[test]
    fn sleep_and_a_clock_that_was_set_are_told_apart() {
        let before = clocks(1000, 10, 10);
        let later = clocks(1005, 15, 15);
        assert_eq!(later.slept_since(&before), None);
        assert_eq!(later.set_since(&before), None);
        let woken = clocks(1065, 75, 15);
        assert_eq!(woken.slept_since(&before), Some(Duration::from_mins(1)));
        assert_eq!(woken.set_since(&before), None);
        let set_back = clocks(905, 15, 15);
        assert_eq!(set_back.slept_since(&before), None);
        assert_eq!(set_back.set_since(&before), Some(-100 * SECOND));
    }

    #[test]
    fn clocks_that_nobody_touched_show_nothing() {
        let before = Clocks::read();
        let now = Clocks::read();
        assert_eq!(now.slept_since(&before), None);
        assert_eq!(now.set_since(&before), None);
    }
}
