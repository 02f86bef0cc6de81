//! Opening a file by its absolute path: of any length, any bytes, and never through a symbolic link.

use change::Text;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// `BTRFS_SUPER_MAGIC` of `include/uapi/linux/magic.h`.
const BTRFS: u64 = 0x9123_683e;

/// What the kernel takes in one call, with the NUL at the end: `PATH_MAX` in `path_resolution(7)`.
const PATH_MAX: usize = 4096;

/// Opens the file itself (`O_PATH`), a symbolic link included, which has no effect on the file:
/// a pipe is not waited for and a device not woken.
///
/// A symbolic link on the way is an error (`ELOOP`). The paths of watched files come from the
/// kernel and have none, so a link there was put in place afterwards: to follow it could show a
/// secret under the name of a file that is none.
pub(crate) fn file(path: &Text) -> rustix::io::Result<OwnedFd> {
    with_flags(path.as_bytes(), OFlags::PATH | OFlags::NOFOLLOW)
}

/// Whether a file lies on Btrfs.
pub(crate) fn is_on_btrfs(path: &Text) -> bool {
    let fs = file(path).and_then(rustix::fs::fstatfs);
    fs.is_ok_and(|fs| u64::try_from(fs.f_type) == Ok(BTRFS))
}

/// Opens a directory for listing it.
pub(crate) fn directory(path: &[u8]) -> rustix::io::Result<OwnedFd> {
    with_flags(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW)
}

/// A path to what the descriptor stands for, for calls that know only paths; see `/proc/pid/fd` in
/// proc(5).
pub(crate) fn path_of(descriptor: impl AsFd) -> String {
    use std::os::fd::AsRawFd as _;
    format!("/proc/self/fd/{}", descriptor.as_fd().as_raw_fd())
}

fn with_flags(path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let mut base: Option<OwnedFd> = None;
    let mut rest = path;
    while rest.len() >= PATH_MAX {
        let slash = rest[..PATH_MAX - 1].iter().rposition(|&byte| byte == b'/');
        // A name longer than `NAME_MAX` exists on no file system that Linux has.
        let slash = slash.filter(|&at| at > 0).ok_or(Errno::NAMETOOLONG)?;
        let piece = &rest[..slash];
        let inner = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        base = Some(at(base.as_ref().map(AsFd::as_fd), piece, inner)?);
        rest = &rest[slash + 1..];
    }
    at(base.as_ref().map(AsFd::as_fd), rest, flags)
}

fn at(base: Option<BorrowedFd<'_>>, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let base = base.unwrap_or(CWD);
    let flags = flags | OFlags::CLOEXEC;
    rustix::fs::openat2(base, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trees::path;

    #[test]
    fn a_path_longer_than_one_call_takes_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let mut path = Text::from(folder.path().as_os_str().as_encoded_bytes());
        for _ in 0..40 {
            let parent = file(&path).unwrap();
            let name = [b'x'; 200];
            rustix::fs::mkdirat(&parent, name.as_slice(), Mode::RWXU).unwrap();
            path = path::join(path.as_bytes(), &name);
        }
        assert!(path.as_bytes().len() > 8000);
        assert!(file(&path).is_ok());
        assert!(directory(path.as_bytes()).is_ok());
    }

    #[test]
    fn a_symbolic_link_is_opened_itself_and_never_followed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("real")).unwrap();
        std::fs::write(folder.path().join("real/file"), "x").unwrap();
        std::os::unix::fs::symlink("real", folder.path().join("link")).unwrap();
        let base = folder.path().as_os_str().as_encoded_bytes();
        let link = path::join(base, b"link");
        assert!(file(&link).is_ok());
        assert_eq!(
            file(&path::join(link.as_bytes(), b"file")).unwrap_err(),
            Errno::LOOP
        );
    }
}
