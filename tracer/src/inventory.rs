//! What a host is made of besides files: facts that have their truth in a place of their own, such as a
//! package manager's database. Read as a whole; what has changed is found by comparing.

mod dpkg;
mod machine;
mod modules;
mod mounts;
mod settings;
mod sysctls;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use change::{FactValue, Kind, Op, Text, Timestamp};

use self::machine::Machine;
use self::mounts::Noise;
pub use self::mounts::{Mounted, Places};
use crate::capture::Capture;
use crate::config;
use crate::sysctl;

/// Holds the facts of one source by their keys.
pub type Facts = BTreeMap<Text, FactValue>;

/// The mounts of this process's mount namespace, which is the host's; tells of each change (`proc(5)`).
pub const MOUNTS: &str = "/proc/self/mountinfo";
/// Swap space, likewise.
pub const SWAPS: &str = "/proc/swaps";

/// The name of the host, likewise.
pub const HOST_NAME: &str = "/proc/sys/kernel/hostname";
/// The fact of [`Source::Host`] that is this name.
pub const NAME: &str = "name";

/// Says where facts of one kind have their truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The database of Debian's package manager.
    Dpkg,
    /// The kernel's list of modules.
    Modules,
    /// What is mounted, and swap space.
    Mounts,
    /// The running kernel.
    Kernel,
    /// What the machine is made of.
    Hardware,
    /// The firmware of the machine and of its parts.
    Firmware,
    /// How the host is set up.
    Host,
    /// `/proc/sys` of the own namespaces.
    Sysctls,
    /// The kernel's switches under `/sys`.
    Settings,
}

impl Source {
    /// What is compared each time that the trees are.
    pub const COMPARED: [Self; 4] = [Self::Dpkg, Self::Modules, Self::Sysctls, Self::Settings];
    /// What hardly ever changes and takes longer to read.
    pub const MACHINE: [Self; 4] = [Self::Kernel, Self::Hardware, Self::Firmware, Self::Host];

    /// The kind of its facts.
    pub fn kind(self) -> Kind {
        match self {
            Self::Dpkg => Kind::Package,
            Self::Modules => Kind::Module,
            Self::Mounts => Kind::Mount,
            Self::Kernel => Kind::Kernel,
            Self::Hardware => Kind::Hardware,
            Self::Firmware => Kind::Firmware,
            Self::Host => Kind::Host,
            Self::Sysctls => Kind::Sysctl,
            Self::Settings => Kind::KernelSetting,
        }
    }

    /// Of the facts those that only a boot can have changed.
    pub fn fixed_at_boot(self, facts: &Facts) -> BTreeSet<Text> {
        let is_fixed = |key: &&Text| match self {
            Self::Kernel => true,
            Self::Firmware => key.as_bytes() == machine::BIOS.as_bytes(),
            _ => false,
        };
        facts.keys().filter(is_fixed).cloned().collect()
    }

    /// What leads from one value of a fact to another; none where that is no change.
    pub fn op(self, before: Option<&FactValue>, after: Option<&FactValue>) -> Option<Op> {
        match (self, before, after) {
            // Settings come and go with modules and devices: nobody has set them.
            (_, None, None)
            | (Self::Sysctls | Self::Settings, None, _)
            | (Self::Sysctls | Self::Settings, _, None) => None,
            (Self::Dpkg | Self::Hardware | Self::Firmware, None, Some(_)) => Some(Op::Install),
            (Self::Dpkg | Self::Hardware | Self::Firmware, Some(_), None) => Some(Op::Remove),
            (Self::Modules, None, Some(_)) => Some(Op::Load),
            (Self::Modules, Some(_), None) => Some(Op::Unload),
            (Self::Mounts, None, Some(_)) => Some(Op::Mount),
            (Self::Mounts, Some(_), None) => Some(Op::Unmount),
            (_, Some(before), Some(after)) if before == after => None,
            (Self::Dpkg, Some(before), Some(after)) => Some(dpkg::op(before, after)),
            (Self::Mounts, Some(before), Some(after)) => Some(mounts::op(before, after)),
            // Parameters are settings of their own.
            (Self::Modules, Some(before), Some(after)) => {
                modules::is_another(before, after).then_some(Op::Set)
            }
            _ => Some(Op::Set),
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
    machine: Machine,
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
    ///
    /// # Errors
    /// Where what the configuration says of mounts are no globs.
    pub fn new(dpkg: PathBuf, mounts: &config::Mounts, capture: Arc<Capture>) -> io::Result<Self> {
        Ok(Self {
            dpkg,
            modules: "/proc/modules".into(),
            mounts: MOUNTS.into(),
            noise: Noise::new(mounts)?,
            machine: Machine::below("/"),
            sysctls: sysctl::ROOT.into(),
            settings: "/sys".into(),
            capture,
            of_root: Facts::new(),
        })
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
            // Neither a source that this host lacks nor a file that is not known has a name.
            !database.is_empty() && database == path.as_bytes()
        };
        Source::COMPARED.into_iter().find(is_its)
    }

    /// The fact of [`Source::Host`] that a file decides.
    pub fn decides(path: &Text) -> Option<Text> {
        machine::key_of(path).map(Text::from)
    }

    /// Where the database of a source is.
    pub fn database(&self, source: Source) -> &Path {
        match source {
            Source::Dpkg => &self.dpkg,
            Source::Modules => &self.modules,
            Source::Mounts => &self.mounts,
            Source::Kernel => Path::new("/proc"),
            Source::Hardware | Source::Firmware => Path::new("/sys"),
            Source::Host => Path::new("/etc"),
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
            _ => None,
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
            Source::Kernel => Ok(Some(self.machine.kernel())),
            Source::Hardware => Ok(Some(self.machine.hardware())),
            Source::Firmware => Ok(Some(self.machine.firmware())),
            Source::Host => Ok(Some(self.machine.host())),
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
