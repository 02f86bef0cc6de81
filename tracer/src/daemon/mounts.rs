//! Notices that something is mounted or unmounted: files come and go with it, and no probe tells.

use std::fs::File;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::kernel::Settler;

/// Mounts come in groups, and are looked at together.
const REST: Duration = Duration::from_millis(100);

/// Tells of each change of the mounts of this namespace, as long as the process lives.
pub(super) fn watch(settler: &Settler) {
    let mounts = match File::open("/proc/self/mountinfo") {
        Ok(mounts) => mounts,
        Err(error) => {
            tracing::warn!(
                "watch `/proc/self/mountinfo`: {error}; what is mounted over watched files is seen at \
                 the next comparison"
            );
            return;
        }
    };
    loop {
        // An event is an exceptional condition there: proc(5).
        let mut polled = [PollFd::new(&mounts, PollFlags::PRI)];
        match poll(&mut polled, None) {
            Ok(_) => {
                thread::sleep(REST);
                settler.mounts_changed();
            }
            Err(Errno::INTR) => {}
            Err(error) => {
                tracing::error!("wait for a change of the mounts: {error}");
                return;
            }
        }
    }
}
