//! The ring buffer that the programs fill.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use aya::Ebpf;
use aya::maps::{MapData, RingBuf};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Error, map};

/// Reads records in the order in which the kernel reserved them.
pub struct Records {
    ring: RingBuf<MapData>,
}

impl Records {
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, Error> {
        Ok(Self {
            ring: map(ebpf, "RECORDS")?,
        })
    }

    /// Hands every record that is there to `take`; tells how many there were.
    pub fn drain(&mut self, mut take: impl FnMut(&[u8])) -> usize {
        let mut count = 0;
        while let Some(record) = self.ring.next() {
            take(&record);
            count += 1;
        }
        count
    }

    /// Whether nothing is in the ring, not even a record that a program is still filling in, behind
    /// which others wait. The kernel counts those as readable (`ringbuf_map_poll`, 5.8 and newer),
    /// reading stops at them.
    pub fn is_empty(&self) -> bool {
        let ring = self.ring.as_fd();
        let mut fds = [PollFd::new(&ring, PollFlags::IN)];
        let ready = poll(&mut fds, Some(&Timespec::default()));
        ready.is_ok_and(|count| count == 0)
    }

    /// Waits until a program wakes the daemon, or `timeout` has passed, or `also` can be read.
    pub fn wait(&self, timeout: Duration, also: BorrowedFd<'_>) {
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        let ring = self.ring.as_fd();
        let mut fds = [
            PollFd::new(&ring, PollFlags::IN),
            PollFd::new(&also, PollFlags::IN),
        ];
        if let Err(error) = poll(&mut fds, Some(&timeout)) {
            // The caller looks again anyway.
            tracing::debug!("waiting for records was cut short: {error}");
        }
    }
}
