//! A copy of the store while it is in use: one consistent moment of it, in one file, without the pages
//! that nothing uses.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::{fs, io};

use super::error::Doing as _;
use super::{Error, KnownHead, Reader, connection};

const DOING: &str = "copy the store";

/// Tells of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Its size in bytes.
    pub bytes: u64,
    /// Where its log ends.
    pub head: KnownHead,
}

/// Copies the store to a file that does not exist yet, and which only its owner may read. The copy
/// is on the disk when this returns; where it fails, nothing is left of it.
pub fn back_up(store: &Path, file: &Path) -> Result<Backup, Error> {
    let open_error = |source| Error::Write {
        path: file.to_owned(),
        source,
    };
    let not_utf8 = || open_error(io::Error::other("its name is not UTF-8"));
    let name = file.to_str().ok_or_else(not_utf8)?;
    let connection = connection::open_to_copy(store)?;
    // SQLite takes an empty file for none, and leaves its mode as it is.
    let made = fs::File::options()
        .write(true)
        .create_new(true)
        .mode(connection::MODE)
        .open(file)
        .map_err(open_error)?;
    let copied = connection
        .execute("VACUUM INTO ?1", [name])
        .doing(DOING)
        .map_err(|error| error.in_store(store));
    let written = copied.and_then(|_rows| {
        made.sync_all().map_err(open_error)?;
        let folder = file
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = fs::File::open(folder.unwrap_or(Path::new("."))).map_err(open_error)?;
        folder.sync_all().map_err(open_error)?;
        Ok(Backup {
            bytes: made.metadata().map_err(open_error)?.len(),
            head: Reader::open(file)?.head()?,
        })
    });
    if written.is_err() {
        // It is ours: it was made just now.
        drop(fs::remove_file(file));
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;
    use crate::store::example::{Example, alice, create, edit};
    use crate::store::{Batch, Writer};

    fn one(number: i64) -> Batch {
        Batch {
            contents: vec![crate::store::example::content(b"x")],
            changes: vec![create("/etc/a", "x", number, Some(alice(41)))],
            ..Batch::default()
        }
    }

    fn write_until(example: &mut Example, is_over: &AtomicBool) {
        for number in 1.. {
            if is_over.load(Ordering::Relaxed) {
                return;
            }
            example.commit(one(number));
        }
    }

    #[test]
    fn a_copy_that_is_taken_under_load_verifies_opens_and_goes_on() {
        let mut example = Example::new();
        example.commit(one(0));
        let store = example.path();
        let folder = tempfile::tempdir().unwrap();
        let is_over = AtomicBool::new(false);
        let heads = thread::scope(|scope| {
            scope.spawn(|| write_until(&mut example, &is_over));
            let copy = |number: u32| {
                let file = folder.path().join(number.to_string());
                back_up(&store, &file).map(|backup| backup.head)
            };
            let heads: Result<Vec<KnownHead>, Error> = (0..10).map(copy).collect();
            is_over.store(true, Ordering::Relaxed);
            heads
        });
        let heads = heads.unwrap();
        assert!(heads.windows(2).all(|pair| pair[0].seq <= pair[1].seq));
        assert!(heads[9].seq > heads[0].seq, "nothing was written meanwhile");
        for (number, head) in (0..).zip(heads) {
            let file = folder.path().join(format!("{number}"));
            assert_eq!(
                fs::metadata(&file).unwrap().permissions().mode() & 0o777,
                0o600
            );
            let body = Reader::open(&file).unwrap().verify(Some(head)).unwrap();
            assert!(body.intact && body.changes == head.seq, "{body:?}");
            // The running log still has what the copy has.
            assert!(example.reader().verify(Some(head)).unwrap().intact);
            let stored = Writer::open(&file).unwrap().commit(one(99)).unwrap();
            assert_eq!(stored[0].seq, head.seq + 1);
        }
    }

    #[test]
    fn a_file_that_exists_is_left_alone() {
        let mut example = Example::new();
        example.log(vec![edit("/etc/a", ["a", "b"], 1, None)]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("copy");
        fs::write(&file, "precious").unwrap();
        let said = back_up(&example.path(), &file).unwrap_err().to_string();
        assert!(
            said.contains("copy` exists already") || said.contains("File exists"),
            "{said}"
        );
        assert_eq!(fs::read(&file).unwrap(), b"precious");
        let nowhere = back_up(
            Path::new("/nonexistent/tracer.db"),
            &folder.path().join("new"),
        );
        assert!(nowhere.is_err() && !folder.path().join("new").exists());
    }
}
