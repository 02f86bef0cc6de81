//! The rules' file while it is followed: read anew when it was changed; one with faults changes nothing.

use std::fs::{self, File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::Error;
use crate::rules::{LONGEST_BYTES, Rules};

/// What tells one version of a file from another: inode, length, and when it was written.
type Version = (u64, u64, i64, i64);

/// A rules' file, and which version of it was read last.
pub(super) struct RulesFile {
    path: PathBuf,
    seen: Option<Version>,
}

impl RulesFile {
    /// Reads a file, and notes which version it was.
    pub(super) fn open(path: &Path) -> Result<(Self, String, Rules), Error> {
        let (text, seen) = read(path)?;
        let rules = parse(path, &text)?;
        let path = path.to_owned();
        let seen = Some(seen);
        Ok((Self { path, seen }, text, rules))
    }

    /// The rules of the file, where it was changed and can be read.
    pub(super) fn changed(&mut self) -> Option<(String, Rules)> {
        let found = fs::metadata(&self.path)
            .ok()
            .map(|metadata| version(&metadata));
        if found == self.seen {
            return None;
        }
        let read = read(&self.path).and_then(|(text, seen)| {
            self.seen = Some(seen);
            let rules = parse(&self.path, &text)?;
            Ok((text, rules))
        });
        match read {
            Ok(read) => {
                tracing::info!("rules `{}` were read anew", self.path.display());
                Some(read)
            }
            Err(error) => {
                self.seen = found;
                tracing::error!("{error}; the rules stay as they were");
                None
            }
        }
    }
}

/// Reads a file, no further than rules reach.
fn read(path: &Path) -> Result<(String, Version), Error> {
    let failed = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let seen = version(&file.metadata().map_err(failed)?);
    let mut text = String::new();
    let mut bounded = file.take(LONGEST_BYTES as u64 + 1);
    bounded.read_to_string(&mut text).map_err(failed)?;
    Ok((text, seen))
}

/// Reads the rules of a file's text.
fn parse(path: &Path, text: &str) -> Result<Rules, Error> {
    Rules::read(text).map_err(|faults| Error::Rules {
        path: path.to_owned(),
        more: faults.len().saturating_sub(1),
        fault: faults.into_iter().next().unwrap_or_default(),
    })
}

fn version(metadata: &Metadata) -> Version {
    (
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
    )
}

/// Reads a file of rules, once.
pub(crate) fn read_rules(path: &Path) -> Result<Rules, Error> {
    parse(path, &read(path)?.0)
}

/// Reads the text of a file of rules, whatever is in it.
pub(crate) fn read_text(path: &Path) -> Result<String, Error> {
    Ok(read(path)?.0)
}
