//! File handles: how fanotify names a directory, and how to learn the name before an event.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use crate::trees::open;

/// Names a file for as long as it exists, whatever happens to its path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Handle {
    /// The file system's id as in `statfs(2)`.
    pub(super) fs_id: u64,
    /// The sort of handle.
    pub(super) kind: i32,
    /// What the file system needs to find the file; opaque.
    pub(super) bytes: Vec<u8>,
}

/// Finds the handles of directories.
///
/// `name_to_handle_at(2)` would do, but no safe wrapper of it exists. The kernel shows the same
/// handle in the `fdinfo` of a watch (`f_handle` in proc(5), section "inotify files"): so a
/// directory is watched for a moment, and for nothing that happens.
#[derive(Debug)]
pub(super) struct Handles {
    watches: OwnedFd,
}

impl Handles {
    pub(super) fn new() -> rustix::io::Result<Self> {
        // Kept, since closing one waits for a grace period of the kernel.
        let watches = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self { watches })
    }

    /// The handle of an open directory.
    pub(super) fn of(&self, directory: impl AsFd) -> io::Result<Handle> {
        let fs_id = rustix::fs::fstatvfs(directory.as_fd())?.f_fsid;
        // Its own deletion is all that is watched for.
        let flags = WatchFlags::DELETE_SELF | WatchFlags::ONLYDIR;
        let watch = inotify::add_watch(&self.watches, open::path_of(directory), flags)?;
        let shown = std::fs::read(format!("/proc/self/fdinfo/{}", self.watches.as_raw_fd()));
        let removed = inotify::remove_watch(&self.watches, watch);
        self.drain();
        let shown = shown?;
        let prefix = format!("inotify wd:{watch:x} ");
        let mut lines = shown.split(|&byte| byte == b'\n');
        let line = lines.find(|line| line.starts_with(prefix.as_bytes()));
        // A directory that was deleted meanwhile has taken its watch with it.
        removed?;
        line.and_then(|line| parse(line, fs_id))
            .ok_or_else(|| io::Error::from(Errno::OPNOTSUPP))
    }

    /// Throws away the notices that a watch was removed.
    fn drain(&self) {
        let mut notices = [0; 512];
        while matches!(rustix::io::read(&self.watches, &mut notices), Ok(1..)) {}
    }
}

/// Takes the handle from `inotify wd:1 ino:… … fhandle-bytes:8 fhandle-type:1 f_handle:02e09900…`.
fn parse(line: &[u8], fs_id: u64) -> Option<Handle> {
    let line = str::from_utf8(line).ok()?;
    let field = |name: &str| line.split(' ').find_map(|field| field.strip_prefix(name));
    let digits = field("f_handle:")?;
    let bytes = (0..digits.len()).step_by(2).map(|at| {
        let byte = digits.get(at..at + 2)?;
        u8::from_str_radix(byte, 16).ok()
    });
    Some(Handle {
        fs_id,
        kind: i32::from_str_radix(field("fhandle-type:")?, 16).ok()?,
        bytes: bytes.collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_read_as_the_kernel_shows_it() {
        let line = b"inotify wd:1 ino:99e002 sdev:fe00000 mask:200 ignored_mask:0 \
                     fhandle-bytes:8 fhandle-type:81 f_handle:02e09900d9d821d7";
        let handle = parse(line, 7).unwrap();
        assert_eq!((handle.fs_id, handle.kind), (7, 0x81));
        assert_eq!(handle.bytes, [0x02, 0xe0, 0x99, 0, 0xd9, 0xd8, 0x21, 0xd7]);
        assert_eq!(parse(b"inotify wd:1 ino:99e002", 7), None);
    }

    #[test]
    fn a_directory_keeps_its_handle_and_shares_it_with_none() {
        let folder = tempfile::tempdir().unwrap();
        let handles = Handles::new().unwrap();
        let make = |name: &str| {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::File::open(folder.path().join(name)).unwrap()
        };
        let (a, b) = (make("a"), make("b"));
        let before = handles.of(&a).unwrap();
        std::fs::rename(folder.path().join("a"), folder.path().join("c")).unwrap();
        assert_eq!(handles.of(&a).unwrap(), before);
        assert_ne!(handles.of(&b).unwrap(), before);
    }
}
