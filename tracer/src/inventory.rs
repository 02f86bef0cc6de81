//! What a host is made of besides files: facts that have their truth in a place of their own, such as a
//! package manager's database. Read as a whole; what has changed is found by comparing.

mod dpkg;
mod modules;

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use change::{FactValue, Kind, Op, Text, Timestamp};

/// Holds the facts of one source by their keys.
pub type Facts = BTreeMap<Text, FactValue>;

/// Says where facts of one kind have their truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The database of Debian's package manager.
    Dpkg,
    /// The kernel's list of modules.
    Modules,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 2] = [Self::Dpkg, Self::Modules];

    /// The kind of its facts.
    pub fn kind(self) -> Kind {
        match self {
            Self::Dpkg => Kind::Package,
            Self::Modules => Kind::Module,
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
            (_, Some(before), Some(after)) if before == after => None,
            (Self::Dpkg, Some(before), Some(after)) => Some(dpkg::op(before, after)),
            (Self::Modules, Some(_), Some(_)) => Some(Op::Set),
        }
    }
}

/// Knows where the sources lie on this host.
#[derive(Clone, Debug)]
pub struct Inventory {
    dpkg: PathBuf,
    modules: PathBuf,
}

impl Inventory {
    /// The sources whose databases have these names; a name that is empty stands for none.
    pub fn new(dpkg: PathBuf) -> Self {
        let modules = "/proc/modules".into();
        Self { dpkg, modules }
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
            Source::Modules => None,
        }
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
        }
    }
}
