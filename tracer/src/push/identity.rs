//! Who this host is to its collector: key and certificate, in one file that only the daemon and root can read.
//!
//! A new one is a new file beside the old one, so that a crash leaves one of both, and no name is ever changed,
//! which the daemon may not.

use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use change::Timestamp;
use change::wire::EnrolledBody;
use rustix::fs::{Gid, Uid};
use serde::{Deserialize, Serialize};

/// The folder within the state directory.
const FOLDER: &str = "collector";
const PREFIX: &str = "identity-";

/// Where everything about the collector is kept.
pub(crate) fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join(FOLDER)
}

/// Who this host is to its collector.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The collector that it was enrolled with.
    pub(crate) url: String,
    /// Random, made when the host was enrolled: part of the name of its log.
    pub(crate) enrolment: String,
    /// The private key, PEM.
    pub(crate) key: String,
    /// What the collector gave.
    pub(crate) given: EnrolledBody,
}

/// Without the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("url", &self.url)
            .field("host", &self.given.host)
            .finish_non_exhaustive()
    }
}

/// Says why there is no identity to work with.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file or the folder cannot be read or written.
    #[error("{doing} `{path}`: {source}", path = path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// Which one.
        path: PathBuf,
        /// Why it did not work.
        source: io::Error,
    },
    /// A file does not hold what was written.
    #[error("read identity `{path}`: {what}; enrol the host again", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

impl Identity {
    /// The newest one in the folder; none where the host is not enrolled.
    pub(crate) fn load(folder: &Path) -> Result<Option<Self>, IdentityError> {
        let (mut found, mut damaged) = (Vec::new(), None);
        for path in files(folder)? {
            match read(&path) {
                Ok(identity) => found.push(identity),
                // Half written, before the system went down, beside the one before it.
                Err(error) => damaged = Some(error),
            }
        }
        let newest = found.into_iter().max_by_key(|found| found.given.issued);
        match (newest, damaged) {
            (None, Some(error)) => Err(error),
            (newest, _) => Ok(newest),
        }
    }

    /// Keeps it in the folder of a state directory, and none of those before.
    pub(crate) fn save(&self, folder: &Path) -> Result<(), IdentityError> {
        let at = |doing: &'static str, path: &Path| {
            let path = path.to_owned();
            move |source| IdentityError::File {
                doing,
                path,
                source,
            }
        };
        make(folder).map_err(at("make folder", folder))?;
        let older = files(folder)?;
        let path = folder.join(format!("{PREFIX}{}.json", self.given.issued.as_nanos()));
        let written = write(&path, self).and_then(|()| File::open(folder)?.sync_all());
        written.map_err(at("write identity", &path))?;
        for older in older.iter().filter(|older| **older != path) {
            fs::remove_file(older).map_err(at("remove identity", older))?;
        }
        Ok(())
    }

    /// When to get the next certificate: two thirds into the time of this one.
    pub(crate) fn renewal(&self) -> Timestamp {
        let EnrolledBody {
            issued, expires, ..
        } = &self.given;
        let lifetime = expires.as_nanos().saturating_sub(issued.as_nanos());
        issued.plus_nanos(lifetime / 3 * 2)
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, IdentityError> {
    let unreadable = |source| IdentityError::File {
        doing: "read folder",
        path: folder.to_owned(),
        source,
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            files.push(entry.path());
        }
    }
    Ok(files)
}

fn read(path: &Path) -> Result<Identity, IdentityError> {
    let text = fs::read_to_string(path).map_err(|source| IdentityError::File {
        doing: "read identity",
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_str(&text).map_err(|error| IdentityError::Damaged {
        path: path.to_owned(),
        what: error.to_string(),
    })
}

fn write(path: &Path, identity: &Identity) -> io::Result<()> {
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    serde_json::to_writer(&file, identity)?;
    file.flush()?;
    file.sync_all()?;
    give_as(&file, path.parent())
}

/// Makes the folder, and gives it to whose the state directory is.
fn make(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    match builder.recursive(true).mode(0o700).create(folder) {
        // The daemon may make none, and has no need to.
        Err(_) if folder.is_dir() => Ok(()),
        made => {
            made?;
            give_as(&File::open(folder)?, folder.parent())
        }
    }
}

/// Makes a file of root's that of whoever has the folder: of the daemon's own user.
fn give_as(file: &File, folder: Option<&Path>) -> io::Result<()> {
    let Some(folder) = folder.filter(|_| rustix::process::geteuid().is_root()) else {
        return Ok(());
    };
    let owner = fs::metadata(folder)?;
    let (user, group) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
    Ok(rustix::fs::fchown(file.as_fd(), Some(user), Some(group))?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn identity(issued: i64) -> Identity {
        Identity {
            url: "https://collector:7443".to_owned(),
            enrolment: "e".to_owned(),
            key: "secret".to_owned(),
            given: EnrolledBody {
                host: "5f3c".to_owned(),
                certificate: "c".to_owned(),
                authority: "a".to_owned(),
                countersigns_by: "04".to_owned(),
                issued: Timestamp::from_nanos(issued),
                expires: Timestamp::from_nanos(issued + 300),
            },
        }
    }

    #[test]
    fn the_newest_identity_is_kept_for_its_owner_alone() {
        let state = tempfile::tempdir().unwrap();
        let folder = folder(state.path());
        assert_eq!(Identity::load(&folder).unwrap(), None);
        identity(1).save(&folder).unwrap();
        identity(2).save(&folder).unwrap();
        assert_eq!(Identity::load(&folder).unwrap(), Some(identity(2)));
        let files = files(&folder).unwrap();
        assert_eq!(files.len(), 1);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&files[0]), mode(&folder)), (0o600, 0o700));
        assert!(!format!("{:?}", identity(1)).contains("secret"));
    }

    #[test]
    fn one_that_was_half_written_leaves_the_one_before() {
        let state = tempfile::tempdir().unwrap();
        let folder = folder(state.path());
        identity(1).save(&folder).unwrap();
        fs::write(folder.join("identity-9.json"), "{\"url\":").unwrap();
        assert_eq!(Identity::load(&folder).unwrap(), Some(identity(1)));
        fs::remove_file(folder.join("identity-1.json")).unwrap();
        let said = Identity::load(&folder).unwrap_err().to_string();
        assert!(said.contains("enrol the host again"), "{said}");
    }

    #[test]
    fn it_is_renewed_two_thirds_into_its_time() {
        assert_eq!(identity(1000).renewal(), Timestamp::from_nanos(1200));
    }
}
