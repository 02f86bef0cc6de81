//! What runs by itself at its time: entries of cron and anacron, scripts that are run each day or week, and timers
//! of systemd. Each is what some file says, whoever wrote it in which way.

mod cron;
pub(super) mod timers;

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use change::{Text, Timestamp};

use super::Facts;
use super::part::{self, Lines};

const CRONTAB: &str = "etc/crontab";
const FOLDER: &str = "etc/cron.d";
const ANACRON: &str = "etc/anacrontab";
/// Where the crontabs of users are on Debian, and elsewhere.
const SPOOLS: [&str; 2] = ["var/spool/cron/crontabs", "var/spool/cron"];
/// How often the scripts of a folder are run.
const PERIODS: [&str; 4] = ["hourly", "daily", "weekly", "monthly"];

/// So many names of a folder are looked at.
const MOST_NAMES: usize = 16_384;

/// What some of the files decide together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Crontab,
    /// A file of packages and administrators, by its name.
    Folder(Text),
    /// What a user has set up, by the user's name.
    User(Text),
    /// The scripts that are run so often.
    Scripts(&'static str),
    Anacron,
    Timers,
}

impl Part {
    /// The part that a file decides, by its absolute path.
    pub(super) fn of(path: &Text) -> Option<Self> {
        let path = path.as_bytes().strip_prefix(b"/")?;
        if path == CRONTAB.as_bytes() {
            return Some(Self::Crontab);
        }
        if path == ANACRON.as_bytes() {
            return Some(Self::Anacron);
        }
        if timers::is_about(path) {
            return Some(Self::Timers);
        }
        let slash = path.iter().rposition(|&byte| byte == b'/')?;
        let (folder, name) = (path.get(..slash)?, path.get(slash + 1..)?);
        if SPOOLS.iter().any(|spool| spool.as_bytes() == path) || !cron::is_run(name) {
            return None;
        }
        if folder == FOLDER.as_bytes() {
            return Some(Self::Folder(name.into()));
        }
        if SPOOLS.iter().any(|spool| spool.as_bytes() == folder) {
            return Some(Self::User(name.into()));
        }
        let period = folder.strip_prefix(b"etc/cron.")?;
        let period = PERIODS.iter().find(|name| name.as_bytes() == period)?;
        Some(Self::Scripts(period))
    }

    /// What the keys of its facts begin with.
    pub(super) fn prefix(&self) -> Text {
        match self {
            Self::Crontab => "cron/crontab/".into(),
            Self::Folder(name) => part::key(&[b"cron/cron.d", name.as_bytes(), b""]),
            Self::User(name) => part::key(&[b"crontab", name.as_bytes(), b""]),
            Self::Scripts(period) => format!("cron/cron.{period}/").as_str().into(),
            Self::Anacron => "anacron/".into(),
            Self::Timers => "timer/".into(),
        }
    }

    /// Whether it counts that a file may be run, and not only what is in it.
    pub(super) fn is_of_modes(&self) -> bool {
        matches!(self, Self::Scripts(_))
    }
}

/// Knows where the files are: below `/`, or a sample of it.
#[derive(Clone, Debug)]
pub(super) struct Jobs {
    root: PathBuf,
    /// What timers do; none where the service manager was not asked.
    timers: Option<timers::States>,
}

impl Jobs {
    pub(super) fn below(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            timers: None,
        }
    }

    pub(super) fn set_timers(&mut self, states: timers::States) {
        self.timers = Some(states);
    }

    pub(super) fn timers(&self) -> Option<&timers::States> {
        self.timers.as_ref()
    }

    /// All parts that there are.
    pub(super) fn parts(&self) -> Vec<Part> {
        let files = self.names(FOLDER).into_iter().map(Part::Folder);
        let users = SPOOLS.iter().flat_map(|spool| self.names(spool));
        let users = users.filter(|name| name.as_bytes() != b"crontabs");
        let scripts = PERIODS.map(Part::Scripts);
        [Part::Crontab, Part::Anacron, Part::Timers]
            .into_iter()
            .chain(scripts)
            .chain(files)
            .chain(users.map(Part::User))
            .collect()
    }

    /// What the files of a part say now.
    pub(super) fn read(&self, part: &Part) -> Facts {
        let prefix = part.prefix();
        match part {
            Part::Crontab => cron::of_system(&prefix, &Lines::of(&self.root.join(CRONTAB))),
            Part::Folder(name) => {
                let file = self.root.join(FOLDER).join(part::path(name));
                cron::of_system(&prefix, &Lines::of(&file))
            }
            Part::User(name) => {
                let file = |spool: &&str| self.root.join(spool).join(part::path(name));
                let lines = SPOOLS
                    .iter()
                    .map(|spool| Lines::of_users_file(&file(spool)));
                cron::of_user(&prefix, name, lines)
            }
            Part::Scripts(period) => {
                let folder = format!("etc/cron.{period}");
                let files = self.names(&folder).into_iter();
                let files =
                    files.map(|name| (self.root.join(&folder).join(part::path(&name)), name));
                cron::scripts(&prefix, period, files)
            }
            Part::Anacron => cron::of_anacron(&prefix, &Lines::of(&self.root.join(ANACRON))),
            Part::Timers => timers::read(&self.root, self.timers.as_ref()),
        }
    }

    /// When a file of a part changed last; none where there is none.
    pub(super) fn changed_at(&self, part: &Part) -> Option<Timestamp> {
        let path = |path: &str| self.root.join(path);
        let files = match part {
            Part::Crontab => vec![path(CRONTAB)],
            Part::Anacron => vec![path(ANACRON)],
            Part::Folder(name) => vec![path(FOLDER).join(part::path(name))],
            Part::User(name) => SPOOLS
                .map(|spool| path(spool).join(part::path(name)))
                .into(),
            Part::Scripts(period) => {
                let folder = format!("etc/cron.{period}");
                let names = self.names(&folder).into_iter();
                let files = names.map(|name| path(&folder).join(part::path(&name)));
                files.chain([path(&folder)]).collect()
            }
            Part::Timers => timers::files(&self.root),
        };
        part::changed_at(&files)
    }

    /// The files of a folder that cron runs, by their names.
    fn names(&self, folder: &str) -> Vec<Text> {
        let entries = std::fs::read_dir(self.root.join(folder));
        let entries = entries.into_iter().flatten().flatten().take(MOST_NAMES);
        let names = entries.map(|entry| Text::from(entry.file_name().as_bytes()));
        let mut names: Vec<Text> = names.filter(|name| cron::is_run(name.as_bytes())).collect();
        names.sort();
        names
    }
}

/// The files of a folder with their names, in the order of these.
fn entries(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let entries = entries.take(MOST_NAMES);
    let mut all: Vec<_> = entries
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
        .collect();
    all.sort();
    all
}

#[cfg(test)]
mod tests;
