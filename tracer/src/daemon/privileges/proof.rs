//! Tries, with the rights that are left, what should fail: what `tracer doctor` says of them is seen
//! and not believed.

use std::path::Path;

use change::wire::{CheckBody, CheckState};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use super::Own;

/// Folders in which root may write and nobody else.
const FOLDERS: [&str; 8] = [
    "/", "/etc", "/usr", "/root", "/boot", "/var/lib", "/dev", "/opt",
];

/// What root may write though no file of a disk lies behind it: by the second it could have a program
/// of its choice run as root.
const SETTINGS: [&str; 2] = ["/proc/sys/kernel/hostname", "/proc/sys/kernel/core_pattern"];

/// Tries to write beyond what is the daemon's own, in ways that leave nothing behind where they
/// succeed.
pub(in crate::daemon) fn prove(own: &Own, problem: Option<&anyhow::Error>) -> CheckBody {
    let folders = FOLDERS.iter().filter(|path| may_write_in(Path::new(path)));
    let settings = SETTINGS.iter().filter(|path| may_write(Path::new(path)));
    let mut open: Vec<String> = folders
        .chain(settings)
        .map(|path| (*path).to_owned())
        .collect();
    if may_set_mode(&own.store) {
        open.push("the modes of files".to_owned());
    }
    let why = problem.map(|problem| format!("{problem:#}"));
    let (state, detail) = match (open.as_slice(), why) {
        ([], None) => {
            let folder = own.state_dir.display();
            let detail = format!("tried: can write only its own folders, such as `{folder}`");
            (CheckState::Ok, detail)
        }
        ([], Some(why)) => (CheckState::Degraded, why),
        (open, why) => {
            let why = why.map_or_else(String::new, |why| format!("; {why}"));
            let detail = format!("could change more than its own: {}{why}", open.join(", "));
            (CheckState::Degraded, detail)
        }
    };
    CheckBody {
        name: "own rights".to_owned(),
        state,
        detail,
    }
}

/// Whether a file without a name could be made there; it is gone at once. That the file system has
/// no such files is said only to whom the folder is open: open(2).
fn may_write_in(folder: &Path) -> bool {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let made = rustix::fs::open(folder, flags, Mode::RUSR);
    matches!(made, Ok(_) | Err(Errno::OPNOTSUPP))
}

fn may_write(file: &Path) -> bool {
    rustix::fs::open(file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).is_ok()
}

/// Whether it could set a mode, tried on a file of its own with the mode that it has.
fn may_set_mode(own: &Path) -> bool {
    let mode = Mode::RUSR | Mode::WUSR;
    rustix::fs::chmodat(CWD, own, mode, AtFlags::empty()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_write_more_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        std::fs::write(&store, "").unwrap();
        assert!(may_write_in(folder.path()));
        assert!(may_write(&store));
        let own = Own {
            state_dir: folder.path().to_owned(),
            store,
            socket_dir: None,
        };
        let check = prove(&own, None);
        assert_eq!(check.state, CheckState::Degraded, "{check:?}");
        assert!(check.detail.contains("the modes of files"), "{check:?}");
    }
}
