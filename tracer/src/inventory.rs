//! What a host is made of besides files: facts that have their truth in a place of their own, such as a
//! package manager's database. Read as a whole; what has changed is found by comparing.

mod dpkg;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use change::{FactValue, Kind, Op, Text};

/// Holds the facts of one source by their keys.
pub type Facts = BTreeMap<Text, FactValue>;

/// Says where facts of one kind have their truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The database of Debian's package manager.
    Dpkg,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 1] = [Self::Dpkg];

    /// The kind of its facts.
    pub fn kind(self) -> Kind {
        match self {
            Self::Dpkg => Kind::Package,
        }
    }

    /// What leads from one value of a fact to another; none where that is no change.
    pub fn op(self, before: Option<&FactValue>, after: Option<&FactValue>) -> Option<Op> {
        match (self, before, after) {
            (_, None, None) => None,
            (Self::Dpkg, None, Some(_)) => Some(Op::Install),
            (Self::Dpkg, Some(_), None) => Some(Op::Remove),
            (_, Some(before), Some(after)) if before == after => None,
            (Self::Dpkg, Some(before), Some(after)) => Some(dpkg::op(before, after)),
        }
    }
}

/// Knows where the sources lie on this host.
#[derive(Clone, Debug)]
pub struct Inventory {
    dpkg: PathBuf,
}

impl Inventory {
    /// The sources whose databases have these names; a name that is empty stands for none.
    pub fn new(dpkg: PathBuf) -> Self {
        Self { dpkg }
    }

    /// The files that tell of a change of a source when they are written.
    pub fn databases(&self) -> impl Iterator<Item = &PathBuf> {
        Source::ALL
            .into_iter()
            .map(|source| self.database(source))
            .filter(|path| !path.as_os_str().is_empty())
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
        }
    }
}
