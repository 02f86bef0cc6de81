//! Bringing the write-ahead log to the disk without a commit: SQLite does so by itself only before it
//! writes the log back, as with each commit it would cost too much under load.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The write-ahead log of a store. It carries none of SQLite's locks, which would go with the
/// descriptor of another of its files.
pub(super) struct LogFile {
    path: PathBuf,
    open: Option<File>,
}

impl LogFile {
    /// The log beside a store; it is opened when it is needed, as the first commit makes it.
    pub(super) fn of(store: &Path) -> Self {
        let mut name = store.as_os_str().to_owned();
        name.push("-wal");
        Self {
            path: name.into(),
            open: None,
        }
    }

    /// Waits until all that was written to it is on the disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let file = match &mut self.open {
            Some(file) => file,
            open @ None => {
                let file = match File::open(&self.path) {
                    // All of it was written back.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                    file => file?,
                };
                // Its name too, which the first commit made.
                File::open(self.path.parent().unwrap_or(Path::new("/")))?.sync_all()?;
                open.insert(file)
            }
        };
        file.sync_data()
    }
}
