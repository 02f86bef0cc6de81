//! Ways in which a file is not where its path says, or not in the kernel's memory: ideas of the tests
//! that inotify and fanotify have.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use nix::sys::wait::waitpid;

use super::content::{BEFORE, open};
use super::mounts::is_tiny_guest;
use super::reach::by;
use super::tasks::begun;
use super::{Acting, Outcome, Way, by_fanotify, file, nothing};

const MODIFIED: &[&str] = &["modify file"];

/// The longest that a name can be.
const LONGEST_NAME: &str = concat!(
    "file",
    "123456789-123456789-123456789-123456789-123456789-",
    "123456789-123456789-123456789-123456789-123456789-",
    "123456789-123456789-123456789-123456789-123456789-",
    "123456789-123456789-123456789-123456789-123456789-",
    "123456789-123456789-123456789-123456789-123456789-",
    "1",
);

pub(super) const WAYS: &[Way] = &[
    Way::new(
        "a name of 255 bytes",
        nothing,
        |f| fs::write(f.join(LONGEST_NAME), "new\n").unwrap(),
        &[concat!(
            "create file",
            "123456789-123456789-123456789-123456789-123456789-",
            "123456789-123456789-123456789-123456789-123456789-",
            "123456789-123456789-123456789-123456789-123456789-",
            "123456789-123456789-123456789-123456789-123456789-",
            "123456789-123456789-123456789-123456789-123456789-",
            "1"
        )],
    ),
    Way::telling(
        "O_CREAT and O_EXCL by two processes, of which one wins",
        nothing,
        race,
        &["create file"],
    ),
    Way::new(
        "write to an open file that has been removed",
        file,
        |f| {
            let mut file = open(f);
            fs::remove_file(f.join("file")).unwrap();
            file.write_all(b"new").unwrap();
        },
        &["delete file"],
    ),
    Way::new(
        "write to an open file whose directory is renamed",
        directory,
        |f| {
            let mut file = File::options()
                .append(true)
                .open(f.join("old/file"))
                .unwrap();
            fs::rename(f.join("old"), f.join("new")).unwrap();
            file.write_all(b"new").unwrap();
        },
        &["modify new/file", "rename new"],
    ),
    Way::new(
        "rename from directory to directory, and again",
        |f| {
            file(f);
            for name in ["one", "two", "three"] {
                fs::create_dir(f.join(name)).unwrap();
            }
        },
        |f| {
            let mut at = f.join("file");
            for name in ["one", "two", "three"] {
                let next = f.join(name).join("file");
                fs::rename(&at, &next).unwrap();
                at = next;
            }
        },
        &["rename three/file"],
    ),
    Way::new(
        "open through symbolic links that lead in a circle",
        |f| {
            symlink("second", f.join("first")).unwrap();
            symlink("first", f.join("second")).unwrap();
        },
        |f| {
            let opened = File::options()
                .create(true)
                .append(true)
                .open(f.join("first"));
            assert!(opened.is_err(), "{opened:?}");
        },
        &[],
    ),
    Way::telling(
        "write to a file that was evicted from memory",
        evicted,
        |f| {
            if !is_tiny_guest() {
                return Acting::Missing("the host's caches are the host's own".to_owned());
            }
            open(f).write_all(b"new").unwrap();
            Acting::Done
        },
        MODIFIED,
    ),
    Way::new(
        "removed, and made again under its name",
        file,
        |f| {
            fs::remove_file(f.join("file")).unwrap();
            fs::write(f.join("file"), "new\n").unwrap();
        },
        MODIFIED,
    )
    .limited(&[by_fanotify(
        Outcome::Otherwise(&["create file", "delete file"]),
        "fanotify looks at what it tells of only afterwards, when the name is of another file",
    )]),
    Way::new(
        "a directory that is removed and made again",
        directory,
        |f| {
            fs::remove_dir_all(f.join("old")).unwrap();
            fs::create_dir(f.join("old")).unwrap();
            fs::write(f.join("old/file"), "new\n").unwrap();
        },
        &["modify old", "modify old/file"],
    )
    .limited(&[by_fanotify(
        Outcome::Otherwise(&["create old/file", "delete old/file", "modify old"]),
        "fanotify looks at what it tells of only afterwards, when the name is of another file",
    )]),
];

fn directory(folder: &Path) {
    fs::create_dir(folder.join("old")).unwrap();
    fs::write(folder.join("old/file"), BEFORE).unwrap();
}

/// Two children create the same file; the one that does it writes.
fn race(folder: &Path) -> Acting {
    let (mut told, tell) = std::io::pipe().unwrap();
    let (start, go) = std::io::pipe().unwrap();
    let create = || {
        // Both begin at the same moment.
        (&start).read_exact(&mut [0]).unwrap();
        let mut options = File::options();
        let opened = options
            .write(true)
            .create_new(true)
            .open(folder.join("file"));
        if let Ok(mut file) = opened {
            file.write_all(b"mine\n").unwrap();
            let pid = std::process::id().to_string();
            (&tell).write_all(pid.as_bytes()).unwrap();
        }
    };
    let children = [begun(create), begun(create)];
    (&go).write_all(b"go").unwrap();
    for child in children {
        waitpid(child, None).unwrap();
    }
    drop(tell);
    let mut pid = String::new();
    told.read_to_string(&mut pid).unwrap();
    by(pid.parse().expect("one of them wins, and tells"))
}

/// A file of which only the disk knows.
fn evicted(folder: &Path) {
    file(folder);
    if is_tiny_guest() {
        rustix::fs::sync();
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo 3 > /proc/sys/vm/drop_caches"]);
        assert!(shell.status().unwrap().success());
    }
}
