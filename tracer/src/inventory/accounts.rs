//! Who may use the host, and how: users, their passwords as far as these are no secret, groups, the rules of sudo,
//! and the keys that let somebody in over ssh. Each is what some file says, whoever wrote it in which way.

mod groups;
mod keys;
mod passwords;
mod sudo;
mod users;

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use change::{Text, Timestamp};

use super::Facts;
use super::part::{self, Lines, Show};

const USERS: &str = "etc/passwd";
const PASSWORDS: &str = "etc/shadow";
const GROUPS: &str = "etc/group";
const SUDO: &str = "etc/sudoers";
const SUDO_FOLDER: &str = "etc/sudoers.d";
const ROOT_HOME: &str = "root";
const HOMES: &str = "home";
const SSH_FOLDER: &str = ".ssh";
const KEYS: [&str; 2] = ["authorized_keys", "authorized_keys2"];

/// So many homes are looked into.
const MOST_HOMES: usize = 4096;

/// What some of the files decide together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Users,
    Passwords,
    Groups,
    Sudo,
    /// The keys that let in as the user whose home has this name.
    Keys(Text),
}

impl Part {
    /// The part that a file decides, by its absolute path.
    pub(super) fn of(path: &Text) -> Option<Self> {
        let path = path.as_bytes().strip_prefix(b"/")?;
        let names: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
        let is_whole = |path: &str| names.join(&b'/') == path.as_bytes();
        let is_keys = |names: &[&[u8]]| match names {
            [folder] => *folder == SSH_FOLDER.as_bytes(),
            [folder, file] => {
                *folder == SSH_FOLDER.as_bytes() && KEYS.iter().any(|name| name.as_bytes() == *file)
            }
            names => names.is_empty(),
        };
        match names.as_slice() {
            _ if is_whole(USERS) => Some(Self::Users),
            _ if is_whole(PASSWORDS) => Some(Self::Passwords),
            _ if is_whole(GROUPS) => Some(Self::Groups),
            _ if is_whole(SUDO) || is_whole(SUDO_FOLDER) => Some(Self::Sudo),
            [folder @ .., name] if folder.join(&b'/') == SUDO_FOLDER.as_bytes() => {
                is_read_by_sudo(name).then_some(Self::Sudo)
            }
            [root, rest @ ..] if *root == ROOT_HOME.as_bytes() && is_keys(rest) => {
                Some(Self::Keys(ROOT_HOME.into()))
            }
            [homes, owner, rest @ ..] if *homes == HOMES.as_bytes() && is_keys(rest) => {
                Some(Self::Keys((*owner).into()))
            }
            _ => None,
        }
    }

    /// What the keys of its facts begin with.
    pub(super) fn prefix(&self) -> Text {
        match self {
            Self::Users => "user/".into(),
            Self::Passwords => "password/".into(),
            Self::Groups => "group/".into(),
            Self::Sudo => "sudo/".into(),
            Self::Keys(owner) => part::key(&[b"key", owner.as_bytes(), b""]),
        }
    }
}

/// Knows where the files are: below `/`, or a sample of it.
#[derive(Clone, Debug)]
pub(super) struct Accounts(PathBuf);

impl Accounts {
    pub(super) fn below(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    /// All parts that there are.
    pub(super) fn parts(&self) -> Vec<Part> {
        let homes = std::fs::read_dir(self.0.join(HOMES));
        let homes = homes.into_iter().flatten().flatten().take(MOST_HOMES);
        let owners = homes.map(|home| Text::from(home.file_name().as_bytes()));
        let owners = std::iter::once(Text::from(ROOT_HOME)).chain(owners);
        let parts = [Part::Users, Part::Passwords, Part::Groups, Part::Sudo];
        parts.into_iter().chain(owners.map(Part::Keys)).collect()
    }

    /// What the files of a part say now.
    pub(super) fn read(&self, part: &Part, show: Show<'_>) -> Facts {
        let lines = |file: &str| Lines::of(&self.0.join(file));
        match part {
            Part::Users => users::read(&lines(USERS), show),
            Part::Passwords => passwords::read(&lines(PASSWORDS), show),
            Part::Groups => groups::read(&lines(GROUPS), show),
            Part::Sudo => sudo::read(&self.0, &self.sudo_files()),
            Part::Keys(owner) => {
                let files = KEYS.map(|name| self.ssh_folder(owner).join(name));
                let files = files.map(|file| Lines::of_users_file(&file));
                keys::read(owner, &files, show)
            }
        }
    }

    /// When a file of a part changed last; none where there is none.
    pub(super) fn changed_at(&self, part: &Part) -> Option<Timestamp> {
        let file = |file: &str| vec![self.0.join(file)];
        let files = match part {
            Part::Users => file(USERS),
            Part::Passwords => file(PASSWORDS),
            Part::Groups => file(GROUPS),
            Part::Sudo => [file(SUDO_FOLDER), self.sudo_files()].concat(),
            Part::Keys(owner) => {
                let folder = self.ssh_folder(owner);
                let files = KEYS.map(|name| folder.join(name));
                files.into_iter().chain([folder]).collect()
            }
        };
        part::changed_at(&files)
    }

    /// The files that sudo reads, in their order: not those that an editor or a package manager left.
    fn sudo_files(&self) -> Vec<PathBuf> {
        let folder = std::fs::read_dir(self.0.join(SUDO_FOLDER));
        let entries = folder.into_iter().flatten().flatten();
        let entries = entries.filter(|entry| is_read_by_sudo(entry.file_name().as_bytes()));
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        files.sort();
        files.insert(0, self.0.join(SUDO));
        files
    }

    fn ssh_folder(&self, owner: &Text) -> PathBuf {
        let owner = part::path(owner);
        let home = if owner == Path::new(ROOT_HOME) {
            self.0.join(ROOT_HOME)
        } else {
            self.0.join(HOMES).join(owner)
        };
        home.join(SSH_FOLDER)
    }
}

/// Whether sudo reads a file of this name: not what an editor or a package manager left.
fn is_read_by_sudo(name: &[u8]) -> bool {
    !name.contains(&b'.') && !name.ends_with(b"~")
}

#[cfg(test)]
mod tests;
