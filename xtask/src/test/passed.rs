//! What a guest's tests said when they passed, by all that the guest was made of: while nothing of that is another, they
//! need not run again. Only for a day: what fails once in a while is to be seen.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};

use crate::cache;
use crate::guests::{self, Binaries, Guest};
use crate::kernels::Kernel;

/// What passed longer ago passes anew.
const GOOD_FOR: Duration = Duration::from_hours(24);

/// Where it is kept that a guest's tests passed.
pub(super) struct Record {
    file: PathBuf,
}

/// What is known of tests that passed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// How long ago.
    pub(super) ago: Duration,
    /// What they said, line by line.
    pub(super) said: Vec<String>,
}

impl Record {
    /// The record of a run with these programs and arguments.
    pub(super) fn of(
        (guest, kernel): (Guest, &Kernel),
        binaries: &Binaries<'_>,
        arguments: &[String],
    ) -> Result<Self> {
        let read =
            |path: &Path| fs::read(path).with_context(|| format!("read `{}`", path.display()));
        let collector = binaries.collector.map(read).transpose()?;
        let key = cache::key(&[
            &read(binaries.tracer)?,
            &read(binaries.tests)?,
            &collector.unwrap_or_default(),
            guests::made_of(guest, kernel)?.as_bytes(),
            arguments.join("\0").as_bytes(),
        ]);
        let name = format!("{}-{}-{key}", guest.name(), kernel.release);
        let file = cache::folder("passed")?.join(name);
        Ok(Self { file })
    }

    /// What they said, where they passed lately.
    pub(super) fn known(&self) -> Option<Known> {
        let passed = fs::metadata(&self.file).ok()?.modified().ok()?;
        let ago = passed.elapsed().ok().filter(|ago| *ago < GOOD_FOR)?;
        let text = fs::read_to_string(&self.file).ok()?;
        let said = text.lines().map(str::to_owned).collect();
        Some(Known { ago, said })
    }

    /// Keeps what they said, as they have passed, and forgets what is good for nothing any more.
    pub(super) fn keep(&self, said: &[String]) -> Result<()> {
        let partial = self.file.with_extension("partial");
        fs::write(&partial, said.join("\n"))
            .and_then(|()| fs::rename(&partial, &self.file))
            .with_context(|| format!("write `{}`", self.file.display()))?;
        let folder = self.file.parent().unwrap_or(Path::new("."));
        for entry in fs::read_dir(folder)?.flatten() {
            let modified = entry.metadata().and_then(|found| found.modified());
            let is_old = |at: SystemTime| at.elapsed().is_ok_and(|ago| ago > GOOD_FOR);
            if modified.is_ok_and(is_old) {
                // Another xtask may have removed it, too.
                drop(fs::remove_file(entry.path()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn what_passed_is_known_for_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let record = Record {
            file: folder.path().join("tiny-6.12-x"),
        };
        assert_eq!(record.known(), None);
        let old = folder.path().join("tiny-6.12-y");
        let made = File::create(&old).unwrap();
        let now = made.metadata().unwrap().modified().unwrap();
        let yesterday = now - GOOD_FOR - Duration::from_secs(1);
        made.set_modified(yesterday).unwrap();
        let said = ["running 1 test".to_owned(), "test result: ok".to_owned()];
        record.keep(&said).unwrap();
        assert_eq!(record.known().unwrap().said, said);
        assert!(!old.exists());
        let kept = File::options().write(true).open(&record.file).unwrap();
        kept.set_modified(yesterday).unwrap();
        assert_eq!(record.known(), None);
    }
}
