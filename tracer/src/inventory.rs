//! What a host is made of besides files: facts that have their truth in a place of their own, such as a
//! package manager's database. Read as a whole; what has changed is found by comparing.

mod dpkg;
mod modules;
mod mounts;

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use change::{FactValue, Kind, Op, Text, Timestamp};

pub use self::mounts::Mounted;
use self::mounts::Noise;
use crate::config;

/// Holds the facts of one source by their keys.
pub type Facts = BTreeMap<Text, FactValue>;

/// The mounts of this process's mount namespace, which is the host's; tells of each change (`proc(5)`).
pub const MOUNTS: &str = "/proc/self/mountinfo";
/// Swap space, likewise.
pub const SWAPS: &str = "/proc/swaps";

/// Says where facts of one kind have their truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The database of Debian's package manager.
    Dpkg,
    /// The kernel's list of modules.
    Modules,
    /// What is mounted, and swap space.
    Mounts,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 3] = [Self::Dpkg, Self::Modules, Self::Mounts];

    /// The kind of its facts.
    pub fn kind(self) -> Kind {
        match self {
            Self::Dpkg => Kind::Package,
            Self::Modules => Kind::Module,
            Self::Mounts => Kind::Mount,
        }
    }

    /// What leads from one value of a fact to another; none where that is no change.
    pub fn op(self, before: Option<&FactValue>, after: Option<&FactValue>) -> Option<Op> {
        match (self, before, after) {
            (_, None, None) => None,
            (Self::Dpkg, None, Some(_)) => Some(Op::Install),
            (Self::Dpkg, Some(_), None) => Some(Op::Remove),
            (Self::Modules, None, Some(_)) => Some(Op::Load),
            (Self::Modules, Some(_), None) => Some(Op::Unload),
            (Self::Mounts, None, Some(_)) => Some(Op::Mount),
            (Self::Mounts, Some(_), None) => Some(Op::Unmount),
            (_, Some(before), Some(after)) if before == after => None,
            (Self::Dpkg, Some(before), Some(after)) => Some(dpkg::op(before, after)),
            (Self::Modules, Some(_), Some(_)) => Some(Op::Set),
            (Self::Mounts, Some(before), Some(after)) => Some(mounts::op(before, after)),
        }
    }
}

/// Knows where the sources lie on this host.
#[derive(Clone, Debug)]
pub struct Inventory {
    dpkg: PathBuf,
    modules: PathBuf,
    mounts: PathBuf,
    noise: Noise,
}

impl Inventory {
    /// The sources whose databases have these names; a name that is empty stands for none.
    ///
    /// # Errors
    /// Where what the configuration says of mounts are no globs.
    pub fn new(dpkg: PathBuf, mounts: &config::Mounts) -> io::Result<Self> {
        Ok(Self {
            dpkg,
            modules: "/proc/modules".into(),
            mounts: MOUNTS.into(),
            noise: Noise::new(mounts)?,
        })
    }

    /// The files that tell of a change of a source when they are written.
    pub fn databases(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.dpkg]
            .into_iter()
            .filter(|path| !path.as_os_str().is_empty())
    }

    /// Whether a module is neither at work nor away, so that it is too early to look.
    pub fn is_changing(&self, module: &Text) -> bool {
        modules::is_changing(&self.modules, module)
    }

    /// The source that a file is the database of.
    pub fn source_of(&self, path: &Text) -> Option<Source> {
        let is_its = |source: &Source| {
            let database = self.database(*source).as_os_str().as_encoded_bytes();
            database == path.as_bytes()
        };
        Source::ALL.into_iter().find(is_its)
    }

    /// Where the database of a source is.
    pub fn database(&self, source: Source) -> &PathBuf {
        match source {
            Source::Dpkg => &self.dpkg,
            Source::Modules => &self.modules,
            Source::Mounts => &self.mounts,
        }
    }

    /// When the database of a source changed last; none where that is not known.
    pub fn changed_at(&self, source: Source) -> Option<Timestamp> {
        match source {
            Source::Dpkg => {
                let found = self.dpkg.metadata().ok()?;
                let nanos = u32::try_from(found.ctime_nsec()).ok()?;
                Some(Timestamp::from_parts(found.ctime(), nanos))
            }
            Source::Modules | Source::Mounts => None,
        }
    }

    /// What is mounted now, with where.
    pub fn mounted(&self) -> io::Result<Mounted> {
        mounts::read(&self.mounts, Path::new(SWAPS), &self.noise)
    }

    /// All facts of a source as they are now; none where this host does not have it.
    pub fn read(&self, source: Source) -> io::Result<Option<Facts>> {
        let database = self.database(source);
        if database.as_os_str().is_empty() {
            return Ok(None);
        }
        match source {
            Source::Dpkg => dpkg::read(database),
            Source::Modules => modules::read(database, Path::new("/sys/module")),
            Source::Mounts => Ok(Some(self.mounted()?.facts)),
        }
    }
}
