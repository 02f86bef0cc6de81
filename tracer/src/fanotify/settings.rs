//! Writes to the switches of sysfs, in a group of its own: before 6.6 sysfs has no handles by which its
//! files could be named, so that each event brings an open file.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

use change::Text;
use nix::errno::Errno;
use nix::sys::fanotify::{EventFFlags, Fanotify, FanotifyEvent, InitFlags, MarkFlags, MaskFlags};

use crate::trees::open;

/// How often the queue is read at once: each time some 170 events.
const READINGS: usize = 64;

/// Tells of writes to files of sysfs that succeeded.
#[derive(Debug)]
pub(super) struct Settings {
    group: Fanotify,
}

/// What came out of the queue.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Which file was written, by the path that it is known by, and by which process.
    pub(super) files: Vec<(Text, u32)>,
    /// Whether events were lost.
    pub(super) overflow: bool,
}

impl Settings {
    pub(super) fn open() -> io::Result<Self> {
        let flags = InitFlags::FAN_CLASS_NOTIF | InitFlags::FAN_CLOEXEC | InitFlags::FAN_NONBLOCK;
        let group = Fanotify::init(flags, EventFFlags::O_RDONLY | EventFFlags::O_CLOEXEC)?;
        let flags = MarkFlags::FAN_MARK_ADD | MarkFlags::FAN_MARK_FILESYSTEM;
        let sysfs = rustix::fs::open(
            "/sys",
            rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        )?;
        group.mark(flags, MaskFlags::FAN_MODIFY, &sysfs, Some("."))?;
        Ok(Self { group })
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.group.as_fd()
    }

    /// What was written until now.
    pub(super) fn read(&self) -> Written {
        let mut written = Written::default();
        for _ in 0..READINGS {
            match self.group.read_events() {
                Ok(events) if events.is_empty() => break,
                Ok(events) => events.iter().for_each(|event| take(event, &mut written)),
                Err(Errno::EAGAIN) => break,
                // Of a file that cannot be opened for reading there is an error in place of its event.
                Err(error) => tracing::debug!("read an event of sysfs: {error}"),
            }
        }
        written
    }
}

fn take(event: &FanotifyEvent, written: &mut Written) {
    let Some(file) = event.fd() else {
        written.overflow |= event.mask().contains(MaskFlags::FAN_Q_OVERFLOW);
        return;
    };
    let path = rustix::fs::readlink(open::path_of(file), Vec::new());
    if let (Ok(path), Ok(pid)) = (path, u32::try_from(event.pid())) {
        written.files.push((path.into_bytes().into(), pid));
    }
}
