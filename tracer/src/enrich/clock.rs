//! Brings the two clocks together: records and starts of processes count from the boot, people
//! count from 1970.

use change::Timestamp;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// By how much the offset may be off before it is corrected. A smaller step, as time services make
/// all the time, must not make one process look like two that started at different times.
const TOLERANCE_NS: i64 = 1_000_000_000;

/// Converts between time since the boot and wall time.
#[derive(Clone, Debug)]
pub(super) struct BootClock {
    read_offset: fn() -> i64,
    offset_ns: i64,
}

impl BootClock {
    /// Takes what reads `CLOCK_REALTIME` minus `CLOCK_BOOTTIME` in nanoseconds.
    pub(super) fn new(read_offset: fn() -> i64) -> Self {
        Self {
            read_offset,
            offset_ns: read_offset(),
        }
    }

    /// Follows the wall clock if it was set to another time.
    pub(super) fn follow(&mut self) {
        let offset_ns = (self.read_offset)();
        if offset_ns.abs_diff(self.offset_ns) > TOLERANCE_NS.unsigned_abs() {
            self.offset_ns = offset_ns;
        }
    }

    /// The wall time of a moment since the boot.
    pub(super) fn wall(&self, boot_ns: u64) -> Timestamp {
        Timestamp::from_nanos(self.offset_ns).plus_nanos(i64::try_from(boot_ns).unwrap_or(i64::MAX))
    }

    /// The time since the boot of a moment.
    pub(super) fn since_boot(&self, time: Timestamp) -> u64 {
        u64::try_from(time.as_nanos().saturating_sub(self.offset_ns)).unwrap_or(0)
    }
}

/// `CLOCK_REALTIME` minus `CLOCK_BOOTTIME` of this host.
pub(super) fn host_offset() -> i64 {
    let nanos = |time: Timespec| time.tv_sec.saturating_mul(1_000_000_000) + time.tv_nsec;
    nanos(clock_gettime(ClockId::Realtime)) - nanos(clock_gettime(ClockId::Boottime))
}
