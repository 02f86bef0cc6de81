//! What a host is made of besides files: facts that have their truth in a place of their own, such as a
//! package manager's database. Read as a whole; what has changed is found by comparing.

mod dpkg;
mod modules;
mod settings;
mod sysctls;

use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use change::{FactValue, Kind, Op, Text, Timestamp};

use crate::capture::Capture;
use crate::sysctl;

/// Holds the facts of one source by their keys.
pub type Facts = BTreeMap<Text, FactValue>;

/// Says where facts of one kind have their truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The database of Debian's package manager.
    Dpkg,
    /// The kernel's list of modules.
    Modules,
    /// `/proc/sys` of the own namespaces.
    Sysctls,
    /// The kernel's switches under `/sys`.
    Settings,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 4] = [Self::Dpkg, Self::Modules, Self::Sysctls, Self::Settings];

    /// The kind of its facts.
    pub fn kind(self) -> Kind {
        match self {
            Self::Dpkg => Kind::Package,
            Self::Modules => Kind::Module,
            Self::Sysctls => Kind::Sysctl,
            Self::Settings => Kind::KernelSetting,
        }
    }

    /// What leads from one value of a fact to another; none where that is no change.
    pub fn op(self, before: Option<&FactValue>, after: Option<&FactValue>) -> Option<Op> {
        match (self, before, after) {
            // Settings come and go with modules and devices: nobody has set them.
            (_, None, None)
            | (Self::Sysctls | Self::Settings, None, _)
            | (Self::Sysctls | Self::Settings, _, None) => None,
            (Self::Dpkg, None, Some(_)) => Some(Op::Install),
            (Self::Dpkg, Some(_), None) => Some(Op::Remove),
            (Self::Modules, None, Some(_)) => Some(Op::Load),
            (Self::Modules, Some(_), None) => Some(Op::Unload),
            (_, Some(before), Some(after)) if before == after => None,
            (Self::Dpkg, Some(before), Some(after)) => Some(dpkg::op(before, after)),
            // Parameters are settings of their own.
            (Self::Modules, Some(before), Some(after)) => {
                modules::is_another(before, after).then_some(Op::Set)
            }
            (Self::Sysctls | Self::Settings, Some(_), Some(_)) => Some(Op::Set),
        }
    }
}

/// Knows where the sources lie on this host.
#[derive(Debug)]
pub struct Inventory {
    dpkg: PathBuf,
    modules: PathBuf,
    sysctls: PathBuf,
    settings: PathBuf,
    capture: Arc<Capture>,
    /// Sysctls that only root may read, as they were when the daemon was root, and as they were written
    /// since.
    of_root: Facts,
}

impl Inventory {
    /// The sources whose databases have these names; a name that is empty stands for none. Values that
    /// are secrets are kept as `capture` keeps them.
    pub fn new(dpkg: PathBuf, capture: Arc<Capture>) -> Self {
        Self {
            dpkg,
            modules: "/proc/modules".into(),
            sysctls: sysctl::ROOT.into(),
            settings: "/sys".into(),
            capture,
            of_root: Facts::new(),
        }
    }

    /// Reads what only root may read, while the daemon is.
    pub fn read_as_root(&mut self) -> io::Result<()> {
        let found = sysctls::read(&self.sysctls, &|value, is_secret| {
            self.capture.shown(value, is_secret)
        })?;
        self.of_root = found.unwrap_or_default().of_root;
        Ok(())
    }

    /// The value of a sysctl now, as it may be kept; none where it cannot be read.
    pub fn sysctl(&self, key: &Text) -> Option<String> {
        let show = |value: &str, is_secret| self.capture.shown(value, is_secret);
        sysctls::value(&sysctl::path_of(key), key, &show)
    }

    /// A value of a sysctl as it may be kept.
    pub fn shown(&self, key: &Text, value: &str) -> String {
        self.capture.shown(value, sysctl::is_secret(key))
    }

    /// Whether a sysctl's value is a fact of this host.
    pub fn is_fact(key: &Text) -> bool {
        let is_passing = || sysctl::interface(key).is_some_and(|name| !sysctls::is_lasting(&name));
        !sysctl::is_moving(key) && !sysctl::is_act(key) && !is_passing()
    }

    /// A sysctl was written. Where only root may read it, this is how its value is known from now on.
    pub fn note_sysctl(&mut self, key: &Text, value: Option<FactValue>) {
        let is_of_root = self.of_root.remove(key).is_some();
        let value = value.filter(|_| is_of_root);
        self.of_root.extend(value.map(|value| (key.clone(), value)));
    }

    /// The key of the kernel setting that is written by a path; none where it is none.
    pub fn setting_of(path: &Text) -> Option<Text> {
        settings::key_of(path)
    }

    /// The value of a kernel setting now.
    pub fn setting(&self, key: &Text) -> Option<String> {
        let path = Path::new(std::ffi::OsStr::from_bytes(key.as_bytes()));
        settings::value(path, &|value| self.capture.shown(value, false))
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
            Source::Sysctls => &self.sysctls,
            Source::Settings => &self.settings,
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
            Source::Modules | Source::Sysctls | Source::Settings => None,
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
            Source::Sysctls => {
                let show = |value: &str, is_secret| self.capture.shown(value, is_secret);
                let found = sysctls::read(database, &show)?;
                Ok(found.map(|found| {
                    let mut all = self.of_root.clone();
                    all.retain(|key, _| sysctl::path_of(key).exists());
                    all.extend(found.all);
                    all
                }))
            }
            Source::Settings => Ok(Some(settings::read(database, &|value| {
                self.capture.shown(value, false)
            }))),
        }
    }
}
