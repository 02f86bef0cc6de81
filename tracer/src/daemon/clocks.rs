//! Notices that the host slept, or that somebody set its clock.

use std::time::Duration;

use change::Timestamp;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Smaller steps are what NTP does every day, and what reading one clock after the other takes.
const STEP_NS: i64 = 1_000_000_000;

/// How often the clocks are read for the narrowest reading: whoever reads one after the other may be
/// stopped in between.
const READINGS: usize = 3;

/// How the clocks stood to each other at one moment, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    /// From the boot's clock, which goes on while the host sleeps, to the time of day.
    to_wall: i64,
    /// How long the host has slept since the boot.
    asleep: i64,
}

impl Clocks {
    pub(super) fn read() -> Self {
        let again = (1..READINGS).map(|_| Self::read_once());
        let narrower = |a: (i64, Self), b: (i64, Self)| if b.0 < a.0 { b } else { a };
        again.fold(Self::read_once(), narrower).1
    }

    /// Reads all clocks, and tells how long that took.
    fn read_once() -> (i64, Self) {
        let before = nanos(clock_gettime(ClockId::Boottime));
        let realtime = nanos(clock_gettime(ClockId::Realtime));
        let monotonic = nanos(clock_gettime(ClockId::Monotonic));
        let width = nanos(clock_gettime(ClockId::Boottime)) - before;
        let boottime = before + width / 2;
        let clocks = Self {
            to_wall: realtime - boottime,
            asleep: boottime - monotonic,
        };
        (width, clocks)
    }

    /// The time of day of a moment in nanoseconds since the boot, by the clock as it was set then.
    pub(super) fn wall(&self, boot_ns: u64) -> Timestamp {
        let boot_ns = i64::try_from(boot_ns).unwrap_or(i64::MAX);
        Timestamp::from_nanos(self.to_wall).plus_nanos(boot_ns)
    }

    /// The time of day now, by the clock as it was set then: it never jumps.
    pub(super) fn now(&self) -> Timestamp {
        let since_boot = nanos(clock_gettime(ClockId::Boottime));
        Timestamp::from_nanos(self.to_wall).plus_nanos(since_boot)
    }

    /// The same, but with the time of day as it was before: moments told by both are in their order,
    /// however finely the clock is being corrected.
    pub(super) fn with_time_of(self, before: &Self) -> Self {
        Self {
            to_wall: before.to_wall,
            ..self
        }
    }

    /// How long the host has slept since, if it has.
    pub(super) fn slept_since(&self, before: &Self) -> Option<Duration> {
        let slept = self.asleep - before.asleep;
        (slept > STEP_NS).then(|| Duration::from_nanos(slept.unsigned_abs()))
    }

    /// By how much the clock was set since, in nanoseconds, if it was.
    pub(super) fn set_since(&self, before: &Self) -> Option<i64> {
        let step = self.to_wall - before.to_wall;
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
            to_wall: (realtime - boottime) * SECOND,
            asleep: (boottime - monotonic) * SECOND,
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

    #[test]
    fn with_the_time_of_before_moments_keep_their_order_and_sleep_is_known() {
        let before = clocks(1000, 10, 10);
        let slewed = Clocks {
            to_wall: before.to_wall - 1_000_000,
            asleep: before.asleep + SECOND,
        };
        let kept = slewed.with_time_of(&before);
        assert_eq!(kept.wall(7), before.wall(7));
        assert_eq!(
            clocks(1090, 100, 10).slept_since(&kept),
            Some(Duration::from_secs(89))
        );
    }
}
