//! Where it stands which files a package consists of: a file for each package (dpkg, pacman), one for all (apk), or the
//! headers in a database (rpm).

use std::env::consts;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io::{self, BufReader};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::lists::{Gathering, Stamp};
use crate::bounded;
use crate::inventory::packages::{Manager, apk, pacman, places, rpm};

/// Lists are read so far.
const LONGEST_LIST: u64 = 16 << 20;
/// So many names of dpkg's folder are looked at, of which a few for each package are no lists.
const MOST_NAMES: usize = 262_144;

/// Says where the lists of a manager are.
pub(in crate::inventory::packages) enum Origin {
    /// dpkg's folder of lists.
    Dpkg(PathBuf),
    /// The database of another manager, which is looked for below this.
    Of(Manager, PathBuf),
}

/// Says how far what is there can be told from what was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    /// There is nothing, or nothing that can be read now.
    Unknown,
    /// It is being written: it is to be looked at each time.
    Moving,
    /// It is as it was written then.
    Written(Stamp),
}

impl Origin {
    /// The managers that know the files of their packages.
    pub(in crate::inventory::packages) const MANAGERS: [Manager; 3] =
        [Manager::Rpm, Manager::Apk, Manager::Pacman];

    pub(super) fn stand(&self) -> Stand {
        match self {
            Self::Dpkg(info) => stand(info.metadata()),
            Self::Of(manager, root) => {
                folder(*manager, root).map_or(Stand::Unknown, |folder| match manager {
                    Manager::Rpm if rpm::is_in_log(&folder) => Stand::Unknown,
                    Manager::Rpm => stand(rpm::files(&folder)[0].metadata()),
                    Manager::Apk => stand(folder.join(apk::FILE).metadata()),
                    // The file is there as long as pacman is at work.
                    _ if folder.with_file_name(pacman::LOCK).exists() => Stand::Moving,
                    _ => stand(folder.metadata()),
                })
            }
        }
    }

    /// Gathers the lists as they are now.
    ///
    /// # Errors
    /// Where they cannot be read, or are being written.
    pub(super) fn read(&self, lists: &mut Gathering<'_>) -> io::Result<()> {
        match self {
            Self::Dpkg(info) => read_dpkg(info, lists),
            Self::Of(manager, root) => {
                let Some(folder) = folder(*manager, root) else {
                    return Ok(());
                };
                match manager {
                    Manager::Rpm => read_rpm(&folder, lists),
                    Manager::Apk => read_apk(&folder.join(apk::FILE), lists),
                    _ => {
                        read_pacman(&folder, lists);
                        Ok(())
                    }
                }
            }
        }
    }
}

/// The folder that a manager's database is in.
fn folder(manager: Manager, root: &Path) -> Option<PathBuf> {
    let has_database = |folder: &PathBuf| match manager {
        Manager::Rpm => rpm::files(folder)[0].exists(),
        Manager::Apk => folder.join(apk::FILE).exists(),
        _ => true,
    };
    let folders = places::folders(root, manager);
    folders.into_iter().find(has_database)
}

fn stand(found: io::Result<Metadata>) -> Stand {
    found.map_or(Stand::Unknown, |found| Stand::Written(stamp(&found)))
}

fn stamp(found: &Metadata) -> Stamp {
    [found.mtime(), found.mtime_nsec(), found.ino().cast_signed()]
}

fn read_dpkg(info: &Path, lists: &mut Gathering<'_>) -> io::Result<()> {
    for entry in fs::read_dir(info)?.flatten().take(MOST_NAMES) {
        let name = entry.file_name();
        let Some(package) = name.as_bytes().strip_suffix(b".list") else {
            continue;
        };
        if lists.is_full() {
            break;
        }
        let Ok(found) = entry.metadata() else {
            continue;
        };
        let stamp = stamp(&found);
        if !lists.keep(package, stamp) {
            let bytes = bounded::read_regular(&entry.path(), LONGEST_LIST).unwrap_or_default();
            lists.add((package, stamp), &key_of_dpkg(package), lines(&bytes));
        }
    }
    Ok(())
}

/// The key of a package by the name of its list, which has the architecture also where it is the host's.
fn key_of_dpkg(list: &[u8]) -> String {
    let own = match consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let name = OsStr::from_bytes(list).to_string_lossy();
    let plain = name
        .strip_suffix(own)
        .and_then(|name| name.strip_suffix(':'));
    plain.unwrap_or(&name).to_owned()
}

/// Each header of a package is written once.
fn read_rpm(folder: &Path, lists: &mut Gathering<'_>) -> io::Result<()> {
    let inode = rpm::files(folder)[0].metadata()?.ino().cast_signed();
    rpm::each_package(folder, |number, header| {
        let (name, stamp) = (number.to_be_bytes(), [inode, number, 0]);
        if lists.is_full() || lists.keep(&name, stamp) {
            return Ok(());
        }
        let header = header()?;
        if let Some((package, files)) = rpm::files_of(&header) {
            lists.add((&name, stamp), &package.to_string(), files);
        }
        Ok(())
    })
}

/// The file is written anew as a whole.
fn read_apk(installed: &Path, lists: &mut Gathering<'_>) -> io::Result<()> {
    let file = fs::File::open(installed)?;
    let stamp = stamp(&file.metadata()?);
    apk::each_list(BufReader::new(file), |package, files| {
        if !lists.is_full() {
            lists.add(
                (package.as_bytes(), stamp),
                &Manager::Apk.key(package).to_string(),
                files,
            );
        }
    })
}

fn read_pacman(local: &Path, lists: &mut Gathering<'_>) {
    for name in places::names(local) {
        let path = local.join(OsStr::from_bytes(&name)).join(pacman::FILES);
        let (Ok(found), false) = (path.symlink_metadata(), lists.is_full()) else {
            continue;
        };
        let stamp = stamp(&found);
        if !lists.keep(&name, stamp) {
            let Some((package, _)) = pacman::name_and_version(&String::from_utf8_lossy(&name))
            else {
                continue;
            };
            let bytes = bounded::read_regular(&path, LONGEST_LIST).unwrap_or_default();
            let package = Manager::Pacman.key(&package).to_string();
            lists.add((&name, stamp), &package, pacman::files(&bytes));
        }
    }
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|&byte| byte == b'\n')
}
