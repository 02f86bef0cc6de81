//! Packages that are known by what stands in a folder: pip, gem and pacman write name and version
//! into the names there, npm has a folder for each.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::FileType;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use change::FactValue;
use serde::Deserialize;

use super::{
    ALSO, FOLDER, Facts, MOST_PACKAGES, Manager, VERSION, pacman, places, value, versions,
};
use crate::bounded;

/// So much is read of a file that describes a package.
const LONGEST_FILE: u64 = 1 << 20;
/// What describes a package of npm.
const NPM_FILE: &str = "package.json";

/// What was found of one name: version and folder, as they count.
type Found = Vec<(String, PathBuf)>;

/// Reads all packages. One that is there more than once has the version that counts, and the others
/// besides.
pub(super) fn read(manager: Manager, folders: &[PathBuf]) -> Facts {
    let mut all: BTreeMap<String, Found> = BTreeMap::new();
    for folder in folders {
        let mut here: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for entry in places::names(folder) {
            if all.len() + here.len() >= MOST_PACKAGES {
                break;
            }
            if let Some((name, version)) = package(manager, folder, &entry) {
                here.entry(name).or_default().push(version);
            }
        }
        for (name, mut versions) in here {
            versions.sort_by(|one, other| versions::newest_first(manager, one, other));
            versions.dedup();
            let versions = versions
                .into_iter()
                .map(|version| (version, folder.clone()));
            all.entry(name).or_default().extend(versions);
        }
    }
    let facts = all.into_iter();
    facts
        .map(|(name, found)| (manager.key(&name), fact(manager, found)))
        .collect()
}

fn fact(manager: Manager, found: Found) -> FactValue {
    let mut found = found.into_iter();
    let (version, folder) = found.next().unwrap_or_default();
    let also = found.map(|(version, other)| {
        if other == folder {
            version
        } else {
            format!("{version} in {}", other.display())
        }
    });
    let also = also.collect::<Vec<_>>().join(", ");
    let folder = match manager {
        // There is but one.
        Manager::Pacman => String::new(),
        _ => folder.display().to_string(),
    };
    value([(VERSION, version), (FOLDER, folder), (ALSO, also)])
}

/// Name and version of what stands in a folder, if that is a package.
fn package(manager: Manager, folder: &Path, entry: &[u8]) -> Option<(String, String)> {
    let path = folder.join(OsStr::from_bytes(entry));
    let text = String::from_utf8_lossy(entry);
    // Links are not followed: where they lead may be anybody's.
    let kind = || Some(path.symlink_metadata().ok()?.file_type());
    let is_folder = |kind: FileType| kind.is_dir();
    match manager {
        Manager::Pip => of_pip(&text, &path, kind),
        Manager::Gem => of_gem(text.strip_suffix(".gemspec")?, kind),
        Manager::Pacman => {
            pacman::name_and_version(&text).filter(|_| kind().is_some_and(is_folder))
        }
        Manager::Npm => of_npm(folder, &text, &path),
        Manager::Dpkg | Manager::Rpm | Manager::Apk => None,
    }
}

/// `Name_with-dots-1.0.dist-info` (the specification of installed projects), or setuptools'
/// `.egg-info`.
fn of_pip(
    entry: &str,
    path: &Path,
    kind: impl Fn() -> Option<FileType>,
) -> Option<(String, String)> {
    let (stem, described_in) = match entry.strip_suffix(".dist-info") {
        Some(stem) => (stem, "METADATA"),
        None => (entry.strip_suffix(".egg-info")?, "PKG-INFO"),
    };
    // pip renames what it is about to remove.
    if stem.is_empty() || stem.starts_with('~') {
        return None;
    }
    let kind = kind()?;
    if !kind.is_dir() && !kind.is_file() {
        return None;
    }
    let mut parts = stem.split('-');
    let name = parts.next()?;
    let version = match parts.next() {
        Some(version) => version.to_owned(),
        None if kind.is_dir() => version_in(&path.join(described_in))?,
        None => version_in(path)?,
    };
    Some((normal(name), version)).filter(|(name, version)| !name.is_empty() && !version.is_empty())
}

/// The name as pip compares names.
fn normal(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

/// The version that a header of a description says.
fn version_in(file: &Path) -> Option<String> {
    let bytes = bounded::read_regular(file, LONGEST_FILE)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut header = text.lines().take_while(|line| !line.is_empty());
    let version = header.find_map(|line| line.strip_prefix("Version:"))?;
    Some(version.trim().to_owned())
}

/// `name-with-hyphens-1.0-platform.gemspec`: the version is the first part that looks like one.
fn of_gem(stem: &str, kind: impl Fn() -> Option<FileType>) -> Option<(String, String)> {
    let is_version = |part: &str| {
        let mut numbers = part.split('.');
        let first = numbers.next().unwrap_or_default();
        !first.is_empty()
            && first.bytes().all(|byte| byte.is_ascii_digit())
            && numbers
                .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric()))
    };
    let parts: Vec<&str> = stem.split('-').collect();
    let at = (1..parts.len()).find(|&at| is_version(parts[at]))?;
    kind()?
        .is_file()
        .then(|| (parts[..at].join("-"), parts[at].to_owned()))
}

/// A folder with its description; below one whose name begins with `@` the name is both.
fn of_npm(folder: &Path, entry: &str, path: &Path) -> Option<(String, String)> {
    #[derive(Deserialize)]
    struct Description {
        version: String,
    }
    if entry.starts_with(['.', '@']) {
        return None;
    }
    let bytes = bounded::read_regular(&path.join(NPM_FILE), LONGEST_FILE)?;
    let Description { version } = serde_json::from_slice(&bytes).ok()?;
    let scope = folder.file_name().unwrap_or_default().to_string_lossy();
    let name = if scope.starts_with('@') {
        format!("{scope}/{entry}")
    } else {
        entry.to_owned()
    };
    (!version.is_empty()).then_some((name, version))
}

/// Whether what is in a folder says that its manager is not done: npm makes the folder of a package before it
/// fetches it, and pip puts aside what is to be replaced until the other is there.
pub(super) fn is_unfinished(manager: Manager, folder: &Path) -> bool {
    let is_awaited = |name: &Vec<u8>| match manager {
        Manager::Npm => is_awaited_by_npm(folder, name),
        Manager::Pip => name.starts_with(b"~") && is_of_pip(name),
        _ => false,
    };
    places::names(folder).iter().any(is_awaited)
}

fn is_awaited_by_npm(folder: &Path, name: &[u8]) -> bool {
    let path = folder.join(OsStr::from_bytes(name));
    !name.starts_with(b".")
        && !name.starts_with(b"@")
        && path.symlink_metadata().is_ok_and(|found| found.is_dir())
        // It may be there and not be written yet.
        && package(Manager::Npm, folder, name).is_none()
}

/// Whether something of that name in a folder of Python's says what is installed there.
pub(super) fn is_of_pip(name: &[u8]) -> bool {
    name.ends_with(b".dist-info") || name.ends_with(b".egg-info")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;

    use change::Text;

    use super::*;

    struct Host(tempfile::TempDir);

    impl Host {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self, below: &str) -> PathBuf {
            self.0.path().join(below)
        }

        fn folder(&self, below: &str) {
            fs::create_dir_all(self.path(below)).unwrap();
        }

        fn file(&self, below: &str, content: &str) {
            let path = self.path(below);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }

        /// Each package as `key version also`.
        fn read(&self, manager: Manager) -> Vec<String> {
            let folders = places::folders(self.0.path(), manager);
            let facts = read(manager, &folders);
            let root = self.0.path().canonicalize().unwrap();
            let root = root.to_str().unwrap();
            let one = |(key, value): (&Text, &FactValue)| {
                let version = value.attribute(VERSION).unwrap();
                let also = value.attribute(ALSO).unwrap_or_default();
                let also = also.replace(root, "");
                format!("{key} {version} {also}").trim_end().to_owned()
            };
            facts.iter().map(one).collect()
        }
    }

    #[test]
    fn pip_s_packages_are_known_by_the_names_of_their_folders() {
        let host = Host::new();
        let packages = "usr/lib/python3/dist-packages";
        for name in [
            "requests-2.28.1.dist-info",
            "Zope.Interface_x-5.5.2.egg-info",
            "six-1.16.0-py3.11.egg-info",
            "~ld-1.dist-info",
            ".dist-info",
            "-1.dist-info",
            "requests",
        ] {
            host.folder(&format!("{packages}/{name}"));
        }
        host.file(&format!("{packages}/flat-0.1.egg-info"), "Version: 9");
        host.file(
            &format!("{packages}/setuptools.egg-info/PKG-INFO"),
            "Metadata-Version: 2.1\nName: setuptools\nVersion: 66.1.1\n\nVersion: 9\n",
        );
        host.folder(&format!("{packages}/none.egg-info"));
        symlink("/etc", host.path(&format!("{packages}/link-1.dist-info"))).unwrap();
        assert!(is_unfinished(Manager::Pip, &host.path(packages)));
        fs::remove_dir(host.path(&format!("{packages}/~ld-1.dist-info"))).unwrap();
        assert!(!is_unfinished(Manager::Pip, &host.path(packages)));
        host.folder("usr/local/lib/python3.11/dist-packages/requests-2.31.0.dist-info");
        assert_eq!(
            host.read(Manager::Pip),
            [
                "pip/flat 0.1",
                "pip/requests 2.31.0 2.28.1 in /usr/lib/python3/dist-packages",
                "pip/setuptools 66.1.1",
                "pip/six 1.16.0",
                "pip/zope-interface-x 5.5.2",
            ]
        );
    }

    #[test]
    fn gems_are_known_by_the_names_of_their_specifications() {
        let host = Host::new();
        for name in [
            "rack-2.2.4",
            "rack-2.2.10",
            "rails-i18n-7.0.6",
            "ruby-2captcha-1.2",
            "nokogiri-1.16.0-x86_64-linux",
            "google-apis-drive_v3-0.46.0",
            "none",
            "also-none-x.1",
        ] {
            let file = format!("var/lib/gems/3.1.0/specifications/{name}.gemspec");
            host.file(&file, "");
        }
        host.folder("var/lib/gems/3.1.0/specifications/folder-1.0.gemspec");
        assert_eq!(
            host.read(Manager::Gem),
            [
                "gem/google-apis-drive_v3 0.46.0",
                "gem/nokogiri 1.16.0",
                "gem/rack 2.2.10 2.2.4",
                "gem/rails-i18n 7.0.6",
                "gem/ruby-2captcha 1.2",
            ]
        );
    }

    #[test]
    fn pacman_s_packages_are_known_by_the_names_of_their_folders() {
        let host = Host::new();
        for name in [
            "bash-5.2.015-1",
            "ca-certificates-utils-20230428-1",
            "no-1",
            "--",
        ] {
            host.folder(&format!("var/lib/pacman/local/{name}"));
        }
        host.file("var/lib/pacman/local/ALPM_DB_VERSION", "9\n");
        host.file("var/lib/pacman/local/file-1-1", "");
        let expected = [
            "pacman/bash 5.2.015-1",
            "pacman/ca-certificates-utils 20230428-1",
        ];
        assert_eq!(host.read(Manager::Pacman), expected);
    }

    #[test]
    fn npm_s_packages_are_what_their_descriptions_say() {
        let host = Host::new();
        let modules = "usr/local/lib/node_modules";
        for (name, text) in [
            ("npm", r#"{"name":"other","version":"9.2.0","x":[1]}"#),
            ("@vue/cli", r#"{"version":"5.0.8"}"#),
            (".npm-Xy", r#"{"version":"9.1.0"}"#),
            ("no-version", "{}"),
            ("number", r#"{"version":5}"#),
            ("no-json", "version"),
        ] {
            host.file(&format!("{modules}/{name}/package.json"), text);
        }
        host.file("home/evil/package.json", r#"{"version":"6.6.6"}"#);
        symlink(
            host.path("home/evil"),
            host.path("usr/local/lib/node_modules/linked"),
        )
        .unwrap();
        assert_eq!(
            host.read(Manager::Npm),
            ["npm/@vue/cli 5.0.8", "npm/npm 9.2.0"]
        );
        for name in ["no-version", "number", "no-json"] {
            let path = host.path(&format!("{modules}/{name}"));
            assert!(is_unfinished(Manager::Npm, &host.path(modules)), "{name}");
            fs::remove_dir_all(path).unwrap();
        }
        assert!(!is_unfinished(Manager::Npm, &host.path(modules)));
        host.folder(&format!("{modules}/left-pad"));
        assert!(is_unfinished(Manager::Npm, &host.path(modules)));
    }

    #[test]
    fn names_that_are_no_text_are_read_as_far_as_they_make_sense() {
        let host = Host::new();
        let packages = host.path("usr/lib/python3/dist-packages");
        fs::create_dir_all(&packages).unwrap();
        for name in [
            b"\xff-1\xfe.dist-info".as_slice(),
            b"a\n-1.dist-info",
            b"\xff.dist-info",
        ] {
            fs::create_dir(packages.join(OsStr::from_bytes(name))).unwrap();
        }
        let found = host.read(Manager::Pip);
        assert_eq!(found, ["pip/a\\n 1", "pip/\u{fffd} 1\u{fffd}"]);
        let long = "x".repeat(240);
        host.folder(&format!("usr/lib/python3/dist-packages/{long}-1.dist-info"));
        assert_eq!(host.read(Manager::Pip).len(), 3);
    }
}
