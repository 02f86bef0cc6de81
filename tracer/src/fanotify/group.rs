//! The fanotify group: what it is asked for, marking directories, waiting and reading.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use nix::libc;
use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How much the kernel can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// A rename is one event with both names, and each event tells the file: Linux 5.17
    /// (`FAN_RENAME` and `FAN_REPORT_TARGET_FID` in `fanotify_mark(2)` and `fanotify_init(2)`).
    Full,
    /// A rename is two events, and the file is told by its name only: Linux 5.9
    /// (`FAN_REPORT_NAME`).
    NamesOnly,
}

/// Holds a group of marks and its queue of events.
#[derive(Debug)]
pub(super) struct Group {
    fanotify: Fanotify,
    mask: MaskFlags,
}

impl Group {
    /// Opens a group that tells as much as this kernel can.
    pub(super) fn open() -> io::Result<Self> {
        match Self::open_with(Detail::Full) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                Self::open_with(Detail::NamesOnly)
            }
            result => result,
        }
    }

    pub(super) fn open_with(detail: Detail) -> io::Result<Self> {
        let (report, renames) = match detail {
            Detail::Full => (libc::FAN_REPORT_DFID_NAME_TARGET, MaskFlags::FAN_RENAME),
            Detail::NamesOnly => (
                libc::FAN_REPORT_DFID_NAME,
                MaskFlags::FAN_MOVED_FROM | MaskFlags::FAN_MOVED_TO,
            ),
        };
        let flags = InitFlags::FAN_CLASS_NOTIF
            | InitFlags::FAN_CLOEXEC
            | InitFlags::FAN_NONBLOCK
            | InitFlags::FAN_UNLIMITED_QUEUE
            | InitFlags::FAN_UNLIMITED_MARKS
            // The crate names only those flags whose events it can read itself.
            | InitFlags::from_bits_retain(report);
        let event_flags = EventFFlags::O_RDONLY | EventFFlags::O_CLOEXEC;
        let mask = MaskFlags::FAN_CREATE
            | MaskFlags::FAN_DELETE
            | renames
            | MaskFlags::FAN_MODIFY
            | MaskFlags::FAN_CLOSE_WRITE
            | MaskFlags::FAN_ATTRIB
            | MaskFlags::FAN_ONDIR
            | MaskFlags::FAN_EVENT_ON_CHILD;
        let fanotify = Fanotify::init(flags, event_flags)?;
        Ok(Self { fanotify, mask })
    }

    /// Asks for all that happens to an open directory and to what is directly in it.
    pub(super) fn mark(&self, directory: BorrowedFd<'_>) -> io::Result<()> {
        let flags = MarkFlags::FAN_MARK_ADD | MarkFlags::FAN_MARK_ONLYDIR;
        self.fanotify.mark(flags, self.mask, directory, Some("."))?;
        Ok(())
    }

    /// Waits until there is something to read here or at `others`, but no longer than that. Tells
    /// whether there is something here.
    pub(super) fn wait(&self, timeout: Duration, others: [BorrowedFd<'_>; 2]) -> io::Result<bool> {
        let [one, another] = &others;
        let mut polled = [
            PollFd::new(&self.fanotify, PollFlags::IN),
            PollFd::new(one, PollFlags::IN),
            PollFd::new(another, PollFlags::IN),
        ];
        let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
        match poll(&mut polled, Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => return Ok(false),
            ready => ready?,
        };
        let [own, ..] = polled;
        Ok(!own.revents().is_empty())
    }

    /// Reads what fits into the buffer; nothing where the queue is empty.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match rustix::io::read(self.fanotify.as_fd(), buffer) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(0),
            result => Ok(result?),
        }
    }
}
