//! Reads files that anyone may have made: never more than a limit, and without waiting.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::FileType;

use crate::trees::open;

/// Reads the first `limit` bytes of a file; none where it cannot be read. Never waits, not even for a
/// pipe's other end.
pub(crate) fn read(path: &Path, limit: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(limit).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Reads the first `limit` bytes of a file as text; what is no UTF-8 is replaced.
pub(crate) fn read_text(path: &Path, limit: u64) -> Option<String> {
    Some(String::from_utf8_lossy(&read(path, limit)?).into_owned())
}

/// Reads the first `limit` bytes of a regular file whose folder may belong to anyone: a link, also on the way, is
/// not followed, and a device is not woken.
pub(crate) fn read_regular(path: &Path, limit: u64) -> Option<Vec<u8>> {
    let file = open::file(&path.as_os_str().as_encoded_bytes().into()).ok()?;
    let stat = rustix::fs::fstat(&file).ok()?;
    let is_regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    is_regular.then(|| read(Path::new(&open::path_of(&file)), limit))?
}

/// Opens a file to read it, without waiting.
pub(crate) fn open(path: &Path) -> Option<File> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, Mode, mknodat};

    use super::*;

    #[test]
    fn no_more_than_the_limit_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, [b'a', b'b', 0xff, b'c']).unwrap();
        assert_eq!(read(&file, 2).unwrap(), b"ab");
        assert_eq!(read_text(&file, 9).unwrap(), "ab\u{fffd}c");
        assert_eq!(read(&folder.path().join("none"), 9), None);
    }

    #[test]
    fn only_a_regular_file_that_no_link_leads_to_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("folder")).unwrap();
        fs::write(path("folder/file"), "abc").unwrap();
        symlink("file", path("folder/link")).unwrap();
        symlink("folder", path("other")).unwrap();
        mknodat(CWD, path("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(read_regular(&path("folder/file"), 2).unwrap(), b"ab");
        for name in ["folder", "folder/link", "other/file", "pipe", "none"] {
            assert_eq!(read_regular(&path(name), 2), None, "{name}");
        }
    }

    #[test]
    fn a_pipe_without_a_writer_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(read(&pipe, 9).unwrap(), b"");
    }
}
