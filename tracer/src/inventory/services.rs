//! The services of systemd, from its unit files (systemd.unit(5)), the links that enable and mask them, and
//! `/run/systemd/units`, where the manager keeps a link for each unit that has been started until it is
//! inactive or has failed again.
//!
//! Whether one failed only the manager knows, and it tells nobody who has no account: it is told from how the
//! service's processes ended (`services/ending`).

mod ending;
mod environment;
mod environment_file;
mod unit_file;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use change::Text;

pub use self::ending::Ending;
use self::environment::Environment;
use self::environment_file::IsSecret;
use self::unit_file::UnitFile;
pub(super) use self::value::op;
pub use self::value::{Active, is_same_set_up};
use self::value::{ENABLED, MASKED, value_of};
use super::Facts;

/// Where the manager keeps what it has started, and how the links are called.
pub(super) const STARTED: &str = "run/systemd/units";
const INVOCATION: &str = "invocation:";

/// How the names of services end.
const SERVICE: &str = ".service";

/// How folders are called, behind the unit's name, whose files are put on top of its own.
const DROP_INS: &str = ".d";

/// The folders of unit files, the ones that hide others first, with what is said of links and masks there
/// (systemd.unit(5), "Unit File Load Path").
const FOLDERS: [(&str, Level); 10] = [
    ("etc/systemd/system.control", Level::Lasting),
    ("run/systemd/system.control", Level::Runtime),
    ("run/systemd/transient", Level::Transient),
    ("run/systemd/generator.early", Level::Generated),
    ("etc/systemd/system", Level::Lasting),
    ("run/systemd/system", Level::Runtime),
    ("run/systemd/generator", Level::Generated),
    ("usr/local/lib/systemd/system", Level::Lasting),
    ("usr/lib/systemd/system", Level::Lasting),
    ("run/systemd/generator.late", Level::Generated),
];

/// The folders whose links enable units: those of administrators.
const CONFIGURED: [&str; 2] = ["etc/systemd/system", "run/systemd/system"];

/// So many folders at most are watched for the environment of services.
const MOST_FOLDERS: usize = 64;

/// What logins and jobs start and end all the time.
const PASSING: [&str; 5] = ["user@", "user-runtime-dir@", "run-", "ssh@", "sshd@"];

/// Says how long what lies in a folder lasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Level {
    /// Beyond a boot.
    #[default]
    Lasting,
    /// Until the next boot.
    Runtime,
    /// As long as the unit.
    Transient,
    /// Made anew at each boot.
    Generated,
}

/// The key of a unit's fact; none where it is no service, a template, or what comes and goes all the time.
pub fn key_of(unit: &str) -> Option<&str> {
    let name = unit.strip_suffix(SERVICE)?;
    let is_passing = PASSING.iter().any(|begin| name.starts_with(begin));
    (!name.is_empty() && !name.ends_with('@') && !is_passing).then_some(name)
}

/// The service that a link in the folder of started units stands for.
pub fn started(link: &[u8]) -> Option<&str> {
    str::from_utf8(link).ok()?.strip_prefix(INVOCATION)
}

/// Knows the unit files of a host as they were read.
#[derive(Clone, Debug, Default)]
pub struct Services {
    root: PathBuf,
    /// Each service with its file and where that lies; those that links enable have none at times.
    units: BTreeMap<String, (Option<PathBuf>, Level)>,
    /// Other names, each with the unit that it stands for.
    aliases: BTreeMap<String, String>,
    /// What links enable, and whether that lasts.
    wanted: BTreeMap<String, Level>,
    /// What masks hide, and whether that lasts.
    masked: BTreeMap<String, Level>,
    /// What there is to be said of the others.
    words: BTreeMap<String, &'static str>,
    /// What their files say of their environment.
    environments: BTreeMap<String, Environment>,
}

impl Services {
    /// Reads all unit files below a root, which is `/` but for tests. `is_secret` says of what values are not kept.
    pub fn read(root: &Path, is_secret: IsSecret<'_>) -> Self {
        let mut services = Self {
            root: root.to_owned(),
            ..Self::default()
        };
        for (folder, level) in FOLDERS {
            services.read_folder(&root.join(folder), level);
        }
        for folder in CONFIGURED {
            let level = if folder.starts_with("run/") {
                Level::Runtime
            } else {
                Level::Lasting
            };
            services.read_wanted(&root.join(folder), level);
        }
        let names: Vec<String> = services.units.keys().cloned().collect();
        for name in names {
            let word = services.word(&name);
            let mut environment = services.file(&name).environment();
            environment.read_files(root, &name, is_secret);
            services.environments.insert(name.clone(), environment);
            services.words.insert(name, word);
        }
        services
    }

    /// The folders whose changes may change what is read.
    pub fn folders(root: &Path) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> = FOLDERS.iter().map(|(name, _)| root.join(name)).collect();
        for folder in CONFIGURED {
            let entries = entries(&root.join(folder));
            let inner =
                entries.filter(|(name, _)| is_wants(name) || unit_of_drop_ins(name).is_some());
            all.extend(inner.map(|(_, path)| path));
        }
        all
    }

    /// The folders where files lie that units take their environment from.
    pub fn environment_folders(&self) -> BTreeSet<PathBuf> {
        let patterns = self.environments.values().flat_map(Environment::patterns);
        let folders = patterns.filter_map(|pattern| {
            let folder = pattern.parent();
            folder.map(|folder| environment_file::matching(&self.root, folder))
        });
        folders.flatten().take(MOST_FOLDERS).collect()
    }

    /// The units that take their environment from a file.
    pub fn units_of_environment(&self, file: &Path) -> Vec<&str> {
        let matches = |environment: &Environment| {
            let mut patterns = environment.patterns();
            patterns.any(|pattern| environment_file::is_match(pattern, file))
        };
        let units = self.environments.iter();
        let units = units.filter(|(_, environment)| matches(environment));
        units.map(|(unit, _)| unit.as_str()).collect()
    }

    /// The folder where the manager keeps what it has started.
    pub fn started_folder(root: &Path) -> PathBuf {
        root.join(STARTED)
    }

    /// The link that stands for a unit in there.
    pub fn started_link(root: &Path, unit: &str) -> PathBuf {
        Self::started_folder(root).join(format!("{INVOCATION}{unit}"))
    }

    /// Whether a unit is known.
    pub fn has(&self, unit: &str) -> bool {
        self.words.contains_key(unit)
    }

    /// What else a unit is called.
    pub fn other_names(&self, unit: &str) -> Vec<&str> {
        let names = self.aliases.iter().filter(|(_, of)| *of == unit);
        names.map(|(name, _)| name.as_str()).collect()
    }

    /// The name that a unit goes by, which may have been called by another.
    pub fn canonical<'a>(&'a self, unit: &'a str) -> &'a str {
        self.aliases.get(unit).map_or(unit, String::as_str)
    }

    /// All services as they are now.
    pub fn facts(&self) -> Facts {
        let started: BTreeSet<String> = entries(&Self::started_folder(&self.root))
            .filter_map(|(name, _)| Some(started(name.as_bytes())?.to_owned()))
            .collect();
        let names = self.words.keys().chain(&started);
        let all: BTreeSet<&String> = names.collect();
        let fact = |unit: &String| {
            let key = key_of(unit)?;
            let is_active = started.contains(unit) && !self.is_job(unit);
            let active = if is_active {
                Active::Active
            } else {
                Active::Inactive
            };
            let environment = self.environments.get(unit);
            let value = value_of(active, self.enabled(unit), environment);
            Some((Text::from(key), value))
        };
        all.into_iter().filter_map(fact).collect()
    }

    /// Whether a service is a job that is done when its processes have ended.
    pub fn is_job(&self, unit: &str) -> bool {
        self.file(unit).is_job()
    }

    /// Whether a process of a service that ended like this made the service fail.
    pub fn is_failure(&self, unit: &str, ending: &Ending) -> bool {
        self.file(unit).is_failure(ending)
    }

    /// Whether the main process of a service is one that its first process leaves behind.
    pub fn is_forking(&self, unit: &str) -> bool {
        self.file(unit).is_forking()
    }

    fn enabled(&self, unit: &str) -> &'static str {
        let known = self.words.get(unit);
        known.copied().unwrap_or_else(|| self.word(unit))
    }

    /// What `systemctl is-enabled` would say.
    fn word(&self, unit: &str) -> &'static str {
        if let Some(level) = self.masked.get(unit) {
            return match level {
                Level::Lasting => MASKED,
                _ => "masked-runtime",
            };
        }
        match self.wanted.get(unit) {
            Some(Level::Lasting) => return ENABLED,
            Some(_) => return "enabled-runtime",
            None => {}
        }
        match self.source(unit) {
            Some((_, Level::Transient)) => "transient",
            Some((_, Level::Generated)) => "generated",
            Some(_) if self.file(unit).is_installable() => "disabled",
            Some(_) => "static",
            None => "not-found",
        }
    }

    /// The file of a unit, or of the template that it is made from.
    fn source(&self, unit: &str) -> Option<(&PathBuf, Level)> {
        let template = || {
            let (begin, _) = unit.split_once('@')?;
            self.units.get(&format!("{begin}@{SERVICE}"))
        };
        let (path, level) = self.units.get(unit).or_else(template)?;
        Some((path.as_ref()?, *level))
    }

    fn file(&self, unit: &str) -> UnitFile {
        let mut file = UnitFile::default();
        if let Some((path, _)) = self.source(unit) {
            file.take(path);
        }
        let folders = FOLDERS.iter().rev();
        for (folder, _) in folders {
            let folder = self.root.join(folder).join(format!("{unit}.d"));
            let mut more: Vec<PathBuf> = entries(&folder).map(|(_, path)| path).collect();
            more.retain(|path| path.extension() == Some(OsStr::new("conf")));
            more.sort();
            for path in &more {
                file.take(path);
            }
        }
        file
    }

    fn read_folder(&mut self, folder: &Path, level: Level) {
        for (name, path) in entries(folder) {
            let is_known = self.units.contains_key(&name)
                || self.aliases.contains_key(&name)
                || self.masked.contains_key(&name);
            if !name.ends_with(SERVICE) || is_known {
                continue;
            }
            let target = fs::read_link(&path).ok();
            let is_mask = target.as_deref() == Some(Path::new("/dev/null"));
            let other = target.as_deref().and_then(Path::file_name);
            let other = other.and_then(OsStr::to_str);
            match other.filter(|other| *other != name && other.ends_with(SERVICE)) {
                _ if is_mask => {
                    self.masked.insert(name.clone(), level);
                    self.units.insert(name, (None, level));
                }
                // A template may stand for an instance of it.
                Some(other) if !other.ends_with("@.service") => {
                    self.aliases.insert(name, other.to_owned());
                }
                _ => {
                    self.units.insert(name, (Some(path), level));
                }
            }
        }
    }

    /// A link in `*.wants` enables the unit of its name, another name the unit that it stands for.
    fn read_wanted(&mut self, folder: &Path, level: Level) {
        for (name, path) in entries(folder) {
            if is_wants(&name) {
                self.read_links(&path, level);
            } else if let Some(unit) = self.aliases.get(&name).cloned() {
                self.wanted.entry(unit).or_insert(level);
            }
        }
    }

    fn read_links(&mut self, folder: &Path, level: Level) {
        for (link, _) in entries(folder).filter(|(name, _)| name.ends_with(SERVICE)) {
            let unit = self.canonical(&link).to_owned();
            self.units.entry(unit.clone()).or_insert((None, level));
            self.wanted.entry(unit).or_insert(level);
        }
    }
}

/// The service that a folder is for whose files are put on top of the unit file.
pub fn unit_of_drop_ins(folder: &str) -> Option<&str> {
    let unit = folder.strip_suffix(DROP_INS)?;
    unit.ends_with(SERVICE).then_some(unit)
}

fn is_wants(name: &str) -> bool {
    [".wants", ".requires", ".upholds"]
        .iter()
        .any(|end| name.ends_with(end))
}

/// What is in a folder, by names that are text, as those of units are.
fn entries(folder: &Path) -> impl Iterator<Item = (String, PathBuf)> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let name = entry.file_name();
        Some((
            str::from_utf8(name.as_bytes()).ok()?.to_owned(),
            entry.path(),
        ))
    })
}

#[cfg(test)]
mod tests;
