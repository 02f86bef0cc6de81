//! Files of the state directory: whose they are, who can read them, and whether there is room.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use change::wire::{CheckBody, CheckState};
use rustix::fs::statvfs;

use super::check;
use crate::authority;
use crate::store::Location;

/// With less room than this the collector may take no batch any more.
const LEAST_BYTES: u64 = 256 << 20;
/// With less than this part of the disk, or less than a copy of the store, it is time to do something.
const LEAST_PART: u64 = 10;

/// Whether nobody but the collector can read its files, and it can.
pub(super) fn modes(state_dir: &Path, location: &Location) -> CheckBody {
    let name = "files";
    let Ok(folder) = fs::metadata(state_dir) else {
        let detail = format!(
            "there is no `{}`; the first `serve` makes it",
            state_dir.display()
        );
        return check(name, CheckState::Missing, detail);
    };
    let store = location.file().into_iter();
    let store = store.flat_map(|file| [file.to_owned()].into_iter().chain(beside(file)));
    let files = [authority::file(state_dir)].into_iter().chain(store);
    let found = files.filter_map(|file| Some((fs::metadata(&file).ok()?, file)));
    let mut wrong = found.filter_map(|(found, file)| what_is_wrong(&folder, &found, &file));
    wrong.next().map_or_else(
        || {
            let detail = format!("`{}`, for user {} alone", state_dir.display(), folder.uid());
            check(name, CheckState::Ok, detail)
        },
        |wrong| check(name, CheckState::Missing, wrong),
    )
}

/// What `SQLite` keeps beside a database.
fn beside(database: &Path) -> [PathBuf; 2] {
    ["-wal", "-shm"].map(|suffix| {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        name.into()
    })
}

fn what_is_wrong(folder: &Metadata, found: &Metadata, file: &Path) -> Option<String> {
    let path = file.display();
    if found.mode() & 0o077 != 0 {
        let mode = found.mode() & 0o777;
        return Some(format!(
            "others can get at `{path}`, which has mode {mode:04o}: `chmod 600` it, and think of what they may have seen"
        ));
    }
    if found.uid() != folder.uid() {
        let (own, its) = (folder.uid(), found.uid());
        return Some(format!(
            "`{path}` is of user {its} and its directory of user {own}, so the collector may not read it: `chown` it, and \
             run commands as that user"
        ));
    }
    None
}

/// Whether there is room on the disk.
pub(super) fn space(state_dir: &Path, location: &Location) -> CheckBody {
    let name = "disk";
    let found = match statvfs(state_dir) {
        Ok(found) => found,
        Err(error) => return check(name, CheckState::Missing, error.to_string()),
    };
    let left = found.f_bavail.saturating_mul(found.f_frsize);
    let all = found.f_blocks.saturating_mul(found.f_frsize);
    room(left, all, location.file_bytes().unwrap_or_default())
}

fn room(left: u64, all: u64, store: u64) -> CheckBody {
    let name = "disk";
    let mib = left >> 20;
    let what_to_do = "make room or move the state directory; hosts keep what they cannot send";
    if left < LEAST_BYTES {
        let detail = format!("{mib} MiB are left, too few to go on for long: {what_to_do}");
        check(name, CheckState::Missing, detail)
    } else if left < all / LEAST_PART || left < store {
        let detail = format!(
            "{mib} MiB are left beside a store of {} MiB: {what_to_do}",
            store >> 20
        );
        check(name, CheckState::Degraded, detail)
    } else {
        check(name, CheckState::Ok, format!("{mib} MiB are left"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_held_against_the_disk_and_the_store() {
        let state =
            |left: u64, all: u64, store: u64| room(left << 20, all << 20, store << 20).state;
        assert_eq!(state(255, 1_000, 1), CheckState::Missing);
        assert_eq!(state(300, 10_000, 1), CheckState::Degraded);
        assert_eq!(state(2_000, 10_000, 3_000), CheckState::Degraded);
        assert_eq!(state(2_000, 10_000, 100), CheckState::Ok);
    }
}
