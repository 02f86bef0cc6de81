//! Where the databases of package managers lie, by the folders that distributions and the programs
//! themselves use.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::{Manager, apk, named, rpm};

/// So many names of a folder are looked at.
pub(super) const MOST_NAMES: usize = 32_768;

/// A folder, relative to the root; `*` stands for the rest of a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) manager: Manager,
    pub(super) folder: &'static str,
}

const fn of(manager: Manager, folder: &'static str) -> Place {
    Place { manager, folder }
}

/// All of them. Of two of one manager the one that comes first is what its programs take.
pub(super) const ALL: [Place; 30] = [
    of(Manager::Rpm, "usr/lib/sysimage/rpm"),
    of(Manager::Rpm, "var/lib/rpm"),
    of(Manager::Apk, "lib/apk/db"),
    of(Manager::Apk, "usr/lib/apk/db"),
    of(Manager::Pacman, "var/lib/pacman/local"),
    of(Manager::Pip, "usr/local/lib/python3*/dist-packages"),
    of(Manager::Pip, "usr/local/lib/python3*/site-packages"),
    of(Manager::Pip, "usr/local/lib64/python3*/site-packages"),
    of(Manager::Pip, "usr/lib/python3*/dist-packages"),
    of(Manager::Pip, "usr/lib/python3*/site-packages"),
    of(Manager::Pip, "usr/lib64/python3*/site-packages"),
    of(Manager::Npm, "usr/local/lib/node_modules"),
    of(Manager::Npm, "usr/local/lib/node_modules/@*"),
    of(Manager::Npm, "usr/lib/node_modules"),
    of(Manager::Npm, "usr/lib/node_modules/@*"),
    of(Manager::Gem, "usr/local/share/gems/specifications"),
    of(Manager::Gem, "usr/local/lib/ruby/gems/*/specifications"),
    of(
        Manager::Gem,
        "usr/local/lib/ruby/gems/*/specifications/default",
    ),
    of(Manager::Gem, "usr/local/bundle/specifications"),
    of(Manager::Gem, "var/lib/gems/*/specifications"),
    of(Manager::Gem, "usr/share/gems/specifications"),
    of(Manager::Gem, "usr/share/gems/specifications/default"),
    of(
        Manager::Gem,
        "usr/share/rubygems-integration/*/specifications",
    ),
    of(Manager::Gem, "usr/lib/ruby/gems/*/specifications"),
    of(Manager::Gem, "usr/lib/ruby/gems/*/specifications/default"),
    of(Manager::Gem, "usr/lib64/ruby/gems/*/specifications"),
    of(Manager::Gem, "usr/lib64/ruby/gems/*/specifications/default"),
    of(Manager::Gem, "usr/lib/ruby/*/gems/specifications"),
    of(Manager::Gem, "usr/share/ruby/gems/specifications"),
    of(Manager::Gem, "opt/ruby/lib/ruby/gems/*/specifications"),
];

impl Place {
    /// Whether a folder is this one, by its path relative to the root.
    pub(super) fn is_of(&self, folder: &[u8]) -> bool {
        let mut names = folder.split(|&byte| byte == b'/');
        let mut wanted = self.folder.split('/');
        loop {
            match (wanted.next(), names.next()) {
                (None, None) => return true,
                (Some(wanted), Some(name)) if is_named(wanted, name) => {}
                _ => return false,
            }
        }
    }

    /// Whether a folder is this one, or one on the way to it.
    pub(super) fn is_within(&self, folder: &[u8]) -> bool {
        let mut names = folder.split(|&byte| byte == b'/');
        let mut wanted = self.folder.split('/');
        names.all(|name| wanted.next().is_some_and(|wanted| is_named(wanted, name)))
    }

    /// Whether something of that name in the folder tells of packages.
    pub(super) fn tells(&self, name: &[u8]) -> bool {
        match self.manager {
            Manager::Dpkg => false,
            Manager::Rpm => rpm::NAMES.iter().any(|file| file.as_bytes() == name),
            Manager::Apk => name == apk::FILE.as_bytes(),
            Manager::Pacman => name.contains(&b'-'),
            Manager::Pip => named::is_of_pip(name),
            Manager::Npm => !name.starts_with(b".") && !name.starts_with(b"@"),
            Manager::Gem => name.ends_with(b".gemspec"),
        }
    }
}

fn is_named(wanted: &str, name: &[u8]) -> bool {
    match wanted.strip_suffix('*') {
        Some(begin) => name.starts_with(begin.as_bytes()),
        None => wanted.as_bytes() == name,
    }
}

/// The folders of a manager that there are, each once, those first that count first.
pub(super) fn folders(root: &Path, manager: Manager) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = Vec::new();
    for place in ALL.iter().filter(|place| place.manager == manager) {
        for folder in expand(root, place.folder) {
            // Such as `/usr/lib64`, which is another name of `/usr/lib` on some distributions.
            let folder = folder.canonicalize().unwrap_or(folder);
            if folder.is_dir() && !all.contains(&folder) {
                all.push(folder);
            }
        }
    }
    all
}

fn expand(root: &Path, folder: &str) -> Vec<PathBuf> {
    let mut reached = vec![root.to_owned()];
    for wanted in folder.split('/') {
        let next = reached
            .iter()
            .flat_map(|folder| match wanted.strip_suffix('*') {
                None => vec![folder.join(wanted)],
                Some(begin) => {
                    let mut names = names(folder);
                    names.retain(|name| name.starts_with(begin.as_bytes()));
                    names.sort_by_key(|name| std::cmp::Reverse(numbers(name)));
                    names
                        .iter()
                        .map(|name| folder.join(OsStr::from_bytes(name)))
                        .collect()
                }
            });
        reached = next.collect();
    }
    reached
}

/// The names in a folder.
pub(super) fn names(folder: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let entries = entries.take(MOST_NAMES);
    let mut names: Vec<Vec<u8>> = entries
        .map(|entry| entry.file_name().as_bytes().to_vec())
        .collect();
    names.sort();
    names
}

/// The numbers in a name, by which `python3.11` comes behind `python3.9`.
fn numbers(name: &[u8]) -> Vec<u64> {
    let parts = name.split(|byte| !byte.is_ascii_digit());
    let parts = parts.filter_map(|part| str::from_utf8(part).ok()?.parse().ok());
    parts.collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn folders_come_in_the_order_in_which_they_count_and_each_once() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        for folder in [
            "usr/lib/python3/dist-packages",
            "usr/lib/python3.9/site-packages",
            "usr/lib/python3.11/site-packages",
            "usr/lib/python2.7/site-packages",
            "usr/local/lib/python3.11/dist-packages",
        ] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        symlink("lib", root.join("usr/lib64")).unwrap();
        let found = folders(&root, Manager::Pip);
        let found: Vec<_> = found
            .iter()
            .map(|folder| folder.strip_prefix(&root).unwrap().to_str().unwrap())
            .collect();
        assert_eq!(
            found,
            [
                "usr/local/lib/python3.11/dist-packages",
                "usr/lib/python3/dist-packages",
                "usr/lib/python3.11/site-packages",
                "usr/lib/python3.9/site-packages",
            ]
        );
        assert!(folders(&root, Manager::Gem).is_empty());
    }
}
