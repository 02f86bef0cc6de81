//! What a host is made of besides files: facts that have their truth in a place of their own, such as a
//! package manager's database. Read as a whole; what has changed is found by comparing.

mod accounts;
mod jobs;
mod machine;
mod modules;
mod mounts;
mod packages;
mod part;
mod services;
mod settings;
mod source;
mod sysctls;
mod value;

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use change::{FactValue, Text, Timestamp};

use self::accounts::Accounts;
use self::jobs::Jobs;
use self::machine::Machine;
pub use self::modules::name_of as module_name;
use self::mounts::Noise;
pub use self::mounts::{Mounted, Places};
use self::packages::Packages;
pub(crate) use self::packages::fuzz_rpm_header;
pub use self::packages::{Manager, Owners};
pub use self::part::Part;
use self::part::What;
pub use self::services::{
    Active, Ending, Services, is_same_set_up, key_of as service_key, started as is_started,
    unit_of_drop_ins,
};
pub use self::source::Source;
use crate::capture::Capture;
use crate::config::{self, Config};
use crate::sysctl;
use crate::trees::Trees;

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

/// Knows where the sources lie on this host.
#[derive(Clone, Debug)]
pub struct Inventory {
    packages: Packages,
    modules: PathBuf,
    mounts: PathBuf,
    noise: Noise,
    machine: Machine,
    accounts: Accounts,
    jobs: Jobs,
    sysctls: PathBuf,
    settings: PathBuf,
    capture: Arc<Capture>,
    /// Sysctls that only root may read, as they were when the daemon was root, and as they were written
    /// since.
    of_root: Facts,
}

impl Inventory {
    /// The sources as the configuration has them. Values that are secrets are kept as `capture`
    /// keeps them.
    ///
    /// # Errors
    /// Where what the configuration says of mounts are no globs.
    pub fn new(config: &Config, capture: Arc<Capture>) -> io::Result<Self> {
        let config::Packages { dpkg, root } = config.packages.clone();
        Ok(Self {
            packages: Packages::new(dpkg, root, config.state_dir.clone()),
            modules: "/proc/modules".into(),
            mounts: MOUNTS.into(),
            noise: Noise::new(&config.mounts)?,
            machine: Machine::below("/"),
            accounts: Accounts::below("/"),
            jobs: Jobs::below("/"),
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

    /// Patterns of the names that tell of a change of a source when something happens to them.
    pub fn databases(&self) -> Vec<String> {
        self.packages.patterns()
    }

    /// Which package a watched file belongs to.
    pub fn owners(&self, trees: &Arc<Trees>) -> Option<Owners> {
        self.packages.owners(Arc::clone(trees))
    }

    /// What of the packages cannot be read, and what to do.
    pub fn unread_packages(&self) -> Option<String> {
        self.packages.unread()
    }

    /// Whether a module is neither at work nor away, so that it is too early to look.
    pub fn is_changing(&self, module: &Text) -> bool {
        modules::is_changing(&self.modules, module)
    }

    /// Puts to modules that were found what is known of the files that they came from: of those `loaded` since the list was
    /// read last, of those that are believed, and of others.
    pub fn add_module_files(
        &self,
        found: &mut Facts,
        believed: &Facts,
        loaded: &BTreeMap<Text, Option<Text>>,
    ) {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let folder = Path::new("/lib/modules").join(release.trim());
        modules::add_files(found, believed, loaded, &folder);
    }

    /// The source that a file is the database of, or part of that.
    pub fn source_of(&self, path: &Text) -> Option<Source> {
        self.packages.manager_of(path).map(Source::Packages)
    }

    /// The sources whose databases may be in a folder, or deeper in it.
    pub fn sources_in(&self, folder: &Text) -> Vec<Source> {
        let managers = self.packages.managers_in(folder).into_iter();
        managers.map(Source::Packages).collect()
    }

    /// Whether what somebody is doing to a source is not done, by what can be seen there.
    pub fn is_unfinished(&self, source: Source) -> bool {
        matches!(source, Source::Packages(manager) if self.packages.is_unfinished(manager))
    }

    /// The fact of [`Source::Host`] that a file decides.
    pub fn decides(path: &Text) -> Option<Text> {
        machine::key_of(path).map(Text::from)
    }

    /// The part of a source that a file decides.
    pub fn part_of(path: &Text) -> Option<Part> {
        let account = accounts::Part::of(path).map(What::Account);
        account
            .or_else(|| jobs::Part::of(path).map(What::Job))
            .map(Part)
    }

    /// What the files of a part say now.
    pub fn read_part(&self, part: &Part) -> Facts {
        let show = |value: &str, is_secret| self.capture.shown(value, is_secret);
        match &part.0 {
            What::Account(part) => self.accounts.read(part, &show),
            What::Job(part) => self.jobs.read(part),
        }
    }

    /// Learns what the timers do that the service manager knows.
    pub fn set_timers(&mut self, states: BTreeMap<String, String>) {
        self.jobs.set_timers(states);
    }

    /// Takes the timers, all but one, for started that were before a boot, which may be about to start them.
    pub fn expect_timers(
        states: &mut BTreeMap<String, String>,
        believed: &Facts,
        but: Option<&str>,
    ) {
        let was_active =
            |(_, value): &(&Text, &FactValue)| Active::of(Some(value)) == Active::Active;
        let units = believed.iter().filter(was_active);
        let units = units.filter_map(|(key, _)| jobs::timers::unit_of(key));
        for unit in units.filter(|unit| Some(*unit) != but) {
            let state = states.entry(unit.to_owned()).or_default();
            if Active::Failed.as_str() != state {
                Active::Active.as_str().clone_into(state);
            }
        }
    }

    /// The timers that are believed, or one of them, with what they do now where that is known.
    pub fn timers(&self, believed: &Facts, only: Option<&str>) -> Facts {
        let Some(states) = self.jobs.timers() else {
            return Facts::new();
        };
        let only = only.map(jobs::timers::key_of);
        let timers = believed.iter().filter_map(|(key, value)| {
            let unit = jobs::timers::unit_of(key)?;
            let is_meant = only.as_ref().is_none_or(|only| only == key);
            is_meant.then(|| (key.clone(), jobs::timers::with_state(value, unit, states)))
        });
        timers.collect()
    }

    /// Puts what timers are believed to do to those that were found, where that is not known.
    pub fn keep_timers(&self, found: &mut Facts, believed: &Facts) {
        if self.jobs.timers().is_some() {
            return;
        }
        for (key, value) in found {
            if let Some(other) = believed.get(key) {
                *value = jobs::timers::with_state_of(value, other);
            }
        }
    }

    /// The parts of a source that there are.
    pub fn parts(&self, source: Source) -> Vec<Part> {
        let parts: Vec<What> = match source {
            Source::Accounts => self
                .accounts
                .parts()
                .into_iter()
                .map(What::Account)
                .collect(),
            Source::Jobs => self.jobs.parts().into_iter().map(What::Job).collect(),
            _ => Vec::new(),
        };
        parts.into_iter().map(Part).collect()
    }

    /// When a file of a part changed last; none where there is none.
    pub fn part_changed_at(&self, part: &Part) -> Option<Timestamp> {
        match &part.0 {
            What::Account(part) => self.accounts.changed_at(part),
            What::Job(part) => self.jobs.changed_at(part),
        }
    }

    /// Where the database of a source is.
    pub fn database(&self, source: Source) -> &Path {
        match source {
            Source::Packages(manager) => self.packages.database(manager),
            Source::Modules => &self.modules,
            Source::Mounts => &self.mounts,
            Source::Kernel => Path::new("/proc"),
            Source::Hardware | Source::Firmware => Path::new("/sys"),
            Source::Host | Source::Accounts | Source::Jobs => Path::new("/etc"),
            Source::Sysctls => &self.sysctls,
            Source::Settings => &self.settings,
            Source::Services => Path::new(services::STARTED),
        }
    }

    /// When the database of a source changed last; none where that is not known.
    pub fn changed_at(&self, source: Source) -> Option<Timestamp> {
        match source {
            Source::Packages(manager) => self.packages.changed_at(manager),
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
        match source {
            Source::Packages(manager) => self.packages.read(manager),
            Source::Modules => modules::read(database, Path::new("/sys/module")),
            Source::Mounts => Ok(Some(self.mounted()?.facts)),
            Source::Kernel => Ok(Some(self.machine.kernel())),
            Source::Hardware => Ok(Some(self.machine.hardware())),
            Source::Firmware => Ok(Some(self.machine.firmware())),
            Source::Host => Ok(Some(self.machine.host())),
            Source::Accounts | Source::Jobs => {
                let parts = self.parts(source).into_iter();
                Ok(Some(parts.flat_map(|part| self.read_part(&part)).collect()))
            }
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
            Source::Services => {
                let is_secret = |path: &Path, bytes: &[u8]| self.capture.is_secret(path, bytes);
                Ok(Some(Services::read(Path::new("/"), &is_secret).facts()))
            }
            Source::Settings => Ok(Some(settings::read(database, &|value| {
                self.capture.shown(value, false)
            }))),
        }
    }
}
