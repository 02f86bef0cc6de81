//! The packages that are installed, as the databases of the package managers have them: of the
//! distribution, and those for the whole system of pip, npm and gem. Who wrote a database makes no
//! difference.

mod apk;
mod dpkg;
mod lines;
mod named;
mod owners;
mod pacman;
mod places;
mod rpm;
mod versions;

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use change::{FactValue, Op, Text, Timestamp};

use self::owners::Origin;
pub use self::owners::Owners;
use self::places::Place;
pub(crate) use self::rpm::fuzz as fuzz_rpm_header;
use super::Facts;
use crate::trees::{Trees, path};

/// The attribute that is the version; of several that are installed, the one that counts.
const VERSION: &str = "version";
const ARCH: &str = "arch";
/// Where it is installed.
const FOLDER: &str = "folder";
/// Versions that are installed besides.
const ALSO: &str = "also";

/// So many packages are taken of one manager, the first ones.
const MOST_PACKAGES: usize = 32_768;

/// Names and versions are kept up to so many characters.
const LONGEST: usize = 256;

/// Says who has installed packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "these are the programs' own names")]
pub enum Manager {
    Dpkg,
    Rpm,
    Apk,
    Pacman,
    Pip,
    Npm,
    Gem,
}

impl Manager {
    /// What the keys of its packages begin with; nothing for those of dpkg, whose names have no
    /// slash.
    fn prefix(self) -> &'static str {
        match self {
            Self::Dpkg => "",
            Self::Rpm => "rpm/",
            Self::Apk => "apk/",
            Self::Pacman => "pacman/",
            Self::Pip => "pip/",
            Self::Npm => "npm/",
            Self::Gem => "gem/",
        }
    }

    /// Whether a fact is one of its packages.
    pub(super) fn owns(self, key: &Text) -> bool {
        match self {
            Self::Dpkg => !key.as_bytes().contains(&b'/'),
            _ => key.as_bytes().starts_with(self.prefix().as_bytes()),
        }
    }

    fn key(self, name: &str) -> Text {
        let name: String = name.chars().take(LONGEST).collect();
        format!("{}{name}", self.prefix()).as_str().into()
    }

    /// Whether its database is nothing that people change by hand, so that the files of it are no
    /// news.
    pub(super) fn hides_files(self) -> bool {
        matches!(self, Self::Dpkg | Self::Rpm | Self::Apk | Self::Pacman)
    }

    /// Whether one thing that it does is more than one write to its database, so that what that
    /// says in between is no news.
    pub(super) fn works_in_steps(self) -> bool {
        !matches!(self, Self::Dpkg | Self::Apk)
    }

    /// What leads from one state of a package to another.
    pub(super) fn op(self, before: &FactValue, after: &FactValue) -> Op {
        let version = |value: &FactValue| versions::of(self, value.attribute(VERSION)?);
        match (version(before), version(after)) {
            (Some(old), Some(new)) if old < new => Op::Upgrade,
            (Some(old), Some(new)) if new < old => Op::Downgrade,
            _ if before.attribute(VERSION) != after.attribute(VERSION) => Op::Upgrade,
            _ => Op::Set,
        }
    }
}

/// Knows where the databases are.
#[derive(Clone, Debug)]
pub(super) struct Packages {
    /// The file of dpkg that has the state of each package.
    dpkg: PathBuf,
    /// What the places of the others are below of; empty where they are not looked for.
    root: PathBuf,
    /// Where a database may be copied to, to be read as it was.
    scratch: PathBuf,
}

impl Packages {
    pub(super) fn new(dpkg: PathBuf, root: PathBuf, scratch: PathBuf) -> Self {
        Self {
            dpkg,
            root,
            scratch,
        }
    }

    /// Patterns of the names whose coming and going tells of packages.
    pub(super) fn patterns(&self) -> Vec<String> {
        let of_dpkg = [&self.dpkg].into_iter().filter(|path| is_some(path));
        let of_dpkg = of_dpkg.map(|path| path.display().to_string());
        let root = is_some(&self.root).then_some(&self.root);
        let others = root.into_iter().flat_map(|root| {
            let root = root.display().to_string();
            let root = root.trim_end_matches('/').to_owned();
            places::ALL.map(move |place| format!("{root}/{}/*", place.folder))
        });
        of_dpkg.chain(others).collect()
    }

    /// Which package a file belongs to; none where no manager is asked.
    pub(super) fn owners(&self, trees: Arc<Trees>) -> Option<Owners> {
        let of_dpkg = || (Origin::Dpkg(self.dpkg.with_file_name("info")), "/".into());
        let of = |manager| (Origin::Of(manager, self.root.clone()), self.root.clone());
        let mut origins: Vec<_> = is_some(&self.dpkg).then(of_dpkg).into_iter().collect();
        if is_some(&self.root) {
            origins.extend(Origin::MANAGERS.map(of));
        }
        (!origins.is_empty()).then(|| Owners::new(origins, trees))
    }

    /// The manager whose database a file is, or is part of.
    pub(super) fn manager_of(&self, path: &Text) -> Option<Manager> {
        let path = path.as_bytes();
        // Neither a manager that this host lacks nor a file that is not known has a name.
        if is_some(&self.dpkg) && self.dpkg.as_os_str().as_bytes() == path {
            return Some(Manager::Dpkg);
        }
        let below = self.below_root(path)?;
        let slash = below.iter().rposition(|&byte| byte == b'/')?;
        let (folder, name) = (&below[..slash], &below[slash + 1..]);
        let is_its = |place: &&Place| place.is_of(folder) && place.tells(name);
        places::ALL.iter().find(is_its).map(|place| place.manager)
    }

    /// The managers whose databases may be in a folder, or deeper in it.
    pub(super) fn managers_in(&self, folder: &Text) -> Vec<Manager> {
        let below = self.below_root(folder.as_bytes());
        let leads = |place: &&Place| below.is_some_and(|folder| place.is_within(folder));
        let mut managers: Vec<Manager> = places::ALL
            .iter()
            .filter(leads)
            .map(|place| place.manager)
            .collect();
        managers.dedup();
        managers
    }

    /// A path relative to the root of the places.
    fn below_root<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        let root = self.root.as_os_str().as_bytes();
        is_some(&self.root).then(|| path::below(path, root))?
    }

    /// Where the database of a manager is; for messages.
    pub(super) fn database(&self, manager: Manager) -> &Path {
        match manager {
            Manager::Dpkg => &self.dpkg,
            _ => &self.root,
        }
    }

    /// All packages of a manager; none where it is not looked for.
    pub(super) fn read(&self, manager: Manager) -> io::Result<Option<Facts>> {
        if manager == Manager::Dpkg {
            return if is_some(&self.dpkg) {
                dpkg::read(&self.dpkg)
            } else {
                Ok(None)
            };
        }
        if !is_some(&self.root) {
            return Ok(None);
        }
        let folders = places::folders(&self.root, manager);
        let found = match manager {
            Manager::Rpm => rpm::read(&folders, &self.scratch)?,
            Manager::Apk => apk::read(&folders)?,
            _ => named::read(manager, &folders),
        };
        Ok(Some(found))
    }

    /// Whether what a manager is at work on says by itself that it is not done.
    pub(super) fn is_unfinished(&self, manager: Manager) -> bool {
        let folders = places::folders(&self.root, manager);
        let mut folders = folders.iter();
        folders.any(|folder| named::is_unfinished(manager, folder))
    }

    /// When the database of a manager changed last; none where there is none.
    pub(super) fn changed_at(&self, manager: Manager) -> Option<Timestamp> {
        let changed_at = |path: &Path| {
            let found = path.metadata().ok()?;
            let nanos = u32::try_from(found.ctime_nsec()).ok()?;
            Some(Timestamp::from_parts(found.ctime(), nanos))
        };
        if manager == Manager::Dpkg {
            return changed_at(&self.dpkg);
        }
        let folders = places::folders(&self.root, manager);
        let files = folders.iter().flat_map(|folder| match manager {
            Manager::Rpm => rpm::files(folder).to_vec(),
            Manager::Apk => vec![folder.join(apk::FILE)],
            _ => vec![folder.clone()],
        });
        files.filter_map(|file| changed_at(&file)).max()
    }

    /// What of the packages cannot be read, and what to do.
    pub(super) fn unread(&self) -> Option<String> {
        let folders = places::folders(&self.root, Manager::Rpm);
        folders.iter().find_map(|folder| rpm::unread(folder))
    }
}

fn is_some(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}

/// A value of these attributes, each kept within its limit.
fn value<'n>(pairs: impl IntoIterator<Item = (&'n str, String)>) -> FactValue {
    super::part::attributes(
        pairs
            .into_iter()
            .map(|(name, value)| (name, value.chars().take(LONGEST).collect())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const ALL: [Manager; 7] = [
        Manager::Dpkg,
        Manager::Rpm,
        Manager::Apk,
        Manager::Pacman,
        Manager::Pip,
        Manager::Npm,
        Manager::Gem,
    ];

    fn packages() -> Packages {
        let dpkg = "/var/lib/dpkg/status".into();
        Packages::new(dpkg, "/".into(), "/nowhere".into())
    }

    #[test]
    fn what_tells_of_packages_is_known_by_its_path() {
        let of = |path: &str| packages().manager_of(&path.into());
        for (path, manager) in [
            ("/var/lib/dpkg/status", Manager::Dpkg),
            ("/var/lib/rpm/rpmdb.sqlite", Manager::Rpm),
            ("/usr/lib/sysimage/rpm/rpmdb.sqlite-wal", Manager::Rpm),
            ("/lib/apk/db/installed", Manager::Apk),
            ("/usr/lib/apk/db/installed", Manager::Apk),
            ("/var/lib/pacman/local/bash-5.2-1", Manager::Pacman),
            (
                "/usr/lib/python3/dist-packages/six-1.16.0.egg-info",
                Manager::Pip,
            ),
            (
                "/usr/local/lib/python3.11/site-packages/a-1.dist-info",
                Manager::Pip,
            ),
            ("/usr/lib/node_modules/npm", Manager::Npm),
            ("/usr/local/lib/node_modules/@vue/cli", Manager::Npm),
            (
                "/var/lib/gems/3.1.0/specifications/rack-2.gemspec",
                Manager::Gem,
            ),
            (
                "/usr/lib/ruby/gems/3.1.0/specifications/default/json-2.6.gemspec",
                Manager::Gem,
            ),
        ] {
            assert_eq!(of(path), Some(manager), "{path}");
        }
        for path in [
            "",
            "/",
            "/var/lib/dpkg/status-old",
            "/var/lib/rpm/rpmdb.sqlite-shm",
            "/lib/apk/db/installed.new",
            "/usr/lib/python3/dist-packages/six.py",
            "/usr/lib/python3/dist-packages/a-1.dist-info/METADATA",
            "/usr/lib/python2.7/dist-packages/a-1.dist-info",
            "/usr/lib/node_modules/.npm-Xy",
            "/usr/lib/node_modules/npm/package.json",
            "/home/alice/usr/lib/node_modules/npm",
        ] {
            assert_eq!(of(path), None, "{path}");
        }
        let none = Packages::new(PathBuf::new(), PathBuf::new(), PathBuf::new());
        assert_eq!(none.manager_of(&"".into()), None);
        assert_eq!(none.manager_of(&"/var/lib/rpm/rpmdb.sqlite".into()), None);
        assert!(none.patterns().is_empty());
        for manager in ALL {
            assert_eq!(none.read(manager).unwrap(), None);
        }
    }

    #[test]
    fn a_folder_leads_to_the_databases_that_may_be_in_it() {
        let below = |path: &str| packages().managers_in(&path.into());
        let [rpm, pip, npm, gem] = [Manager::Rpm, Manager::Pip, Manager::Npm, Manager::Gem];
        assert_eq!(below("/usr/local/lib"), [pip, npm, gem]);
        assert_eq!(below("/usr/local/lib/node_modules"), [npm]);
        assert_eq!(below("/usr/lib/node_modules/@scope"), [npm]);
        assert_eq!(below("/usr/lib/python3.13"), [pip]);
        assert_eq!(below("/var/lib/rpm"), [rpm]);
        assert_eq!(below("/var/lib/gems"), [gem]);
        for path in [
            "/etc",
            "/usr/lib/node_modules/npm",
            "/var/lib/rpm/tmp",
            "/usr/lib/python2",
        ] {
            assert_eq!(below(path), [], "{path}");
        }
        let none = Packages::new(PathBuf::new(), PathBuf::new(), PathBuf::new());
        assert_eq!(none.managers_in(&"/usr".into()), []);
    }

    #[test]
    fn a_key_belongs_to_one_manager() {
        for (key, owner) in [
            ("libc6:i386", Manager::Dpkg),
            ("rpm/bash", Manager::Rpm),
            ("npm/@vue/cli", Manager::Npm),
            ("pip/requests", Manager::Pip),
        ] {
            let owners = ALL.into_iter();
            let owners: Vec<_> = owners.filter(|manager| manager.owns(&key.into())).collect();
            assert_eq!(owners, [owner], "{key}");
        }
    }

    #[test]
    fn this_host_s_packages_are_read_in_no_time() {
        let begun = std::time::Instant::now();
        for manager in ALL {
            packages().read(manager).unwrap();
        }
        assert!(begun.elapsed().as_secs() < 2, "{:?}", begun.elapsed());
    }
}
