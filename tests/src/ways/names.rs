//! Ways to give a file a name, and to take it away.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags};

use super::{Outcome, Way, by_fanotify, file, nothing, outside};

const SWAP: &str = "fanotify tells of a swap as of one rename, with one of the names";
const OUT: &str = "fanotify does not tell of names that are not watched";

pub(super) const WAYS: &[Way] = &[
    Way::new(
        "open with O_CREAT",
        nothing,
        |f| fs::write(f.join("file"), "new\n").unwrap(),
        &["create file"],
    ),
    Way::new(
        "O_TMPFILE and linkat",
        nothing,
        |f| {
            let flags = OFlags::TMPFILE | OFlags::WRONLY;
            let mut file = File::from(rustix::fs::open(f, flags, Mode::from(0o600)).unwrap());
            file.write_all(b"whole\n").unwrap();
            let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
            let follow = AtFlags::SYMLINK_FOLLOW;
            rustix::fs::linkat(CWD, unnamed, CWD, f.join("file"), follow).unwrap();
        },
        &["create file"],
    ),
    Way::new(
        "O_TMPFILE without a name",
        nothing,
        |f| {
            let flags = OFlags::TMPFILE | OFlags::WRONLY;
            let mut file = File::from(rustix::fs::open(f, flags, Mode::from(0o600)).unwrap());
            file.write_all(b"whole\n").unwrap();
        },
        &[],
    ),
    Way::new(
        "mknod, a file",
        nothing,
        |f| node(f, FileType::RegularFile),
        &["create node"],
    ),
    Way::new(
        "mknod, a pipe",
        nothing,
        |f| node(f, FileType::Fifo),
        &["create node"],
    ),
    Way::new(
        "mknod, a device",
        nothing,
        |f| node(f, FileType::CharacterDevice),
        &["create node"],
    ),
    Way::new(
        "bind of a socket",
        nothing,
        |f| {
            std::env::set_current_dir(f).unwrap();
            drop(UnixListener::bind("socket").unwrap());
        },
        &["create socket"],
    ),
    Way::new(
        "mkdir",
        nothing,
        |f| fs::create_dir(f.join("new")).unwrap(),
        &["create new"],
    ),
    Way::new(
        "rmdir",
        |f| fs::create_dir(f.join("old")).unwrap(),
        |f| fs::remove_dir(f.join("old")).unwrap(),
        &["delete old"],
    ),
    Way::new(
        "unlink",
        file,
        |f| fs::remove_file(f.join("file")).unwrap(),
        &["delete file"],
    ),
    Way::new(
        "link",
        file,
        |f| fs::hard_link(f.join("file"), f.join("second")).unwrap(),
        &["link second"],
    ),
    Way::new(
        "symlink",
        nothing,
        |f| symlink("target", f.join("link")).unwrap(),
        &["symlink link"],
    ),
    Way::new(
        "rename",
        file,
        |f| fs::rename(f.join("file"), f.join("moved")).unwrap(),
        &["rename moved"],
    ),
    Way::new(
        "rename over another",
        two,
        |f| fs::rename(f.join("file"), f.join("other")).unwrap(),
        &["rename other"],
    ),
    Way::new(
        "RENAME_NOREPLACE",
        file,
        |f| rename(f, "file", "moved", RenameFlags::NOREPLACE),
        &["rename moved"],
    ),
    Way::new(
        "RENAME_EXCHANGE",
        two,
        |f| rename(f, "file", "other", RenameFlags::EXCHANGE),
        &["rename file", "rename other"],
    ),
    Way::new(
        "RENAME_EXCHANGE with a file outside",
        |f| {
            file(f);
            fs::write(outside(f), "outside\n").unwrap();
        },
        |f| {
            let exchange = RenameFlags::EXCHANGE;
            rustix::fs::renameat_with(CWD, outside(f), CWD, f.join("file"), exchange).unwrap();
        },
        &["rename file"],
    )
    .limited(&[by_fanotify(Outcome::Late(&["modify file"]), SWAP)]),
    Way::new(
        "RENAME_WHITEOUT",
        file,
        |f| rename(f, "file", "moved", RenameFlags::WHITEOUT),
        &["create file", "rename moved"],
    )
    .limited(&[by_fanotify(
        Outcome::Otherwise(&["rename moved"]),
        "fanotify does not tell of a whiteout",
    )]),
    Way::new(
        "rename onto a name of the same file",
        |f| {
            file(f);
            fs::hard_link(f.join("file"), f.join("second")).unwrap();
        },
        |f| fs::rename(f.join("file"), f.join("second")).unwrap(),
        &[],
    ),
    Way::new(
        "rename into the tree",
        |f| fs::write(outside(f), "outside\n").unwrap(),
        |f| fs::rename(outside(f), f.join("inside")).unwrap(),
        &["rename inside"],
    ),
    Way::new(
        "rename out of the tree",
        file,
        |f| fs::rename(f.join("file"), outside(f)).unwrap(),
        &["rename from file"],
    )
    .limited(&[by_fanotify(Outcome::Otherwise(&["delete file"]), OUT)]),
    Way::new(
        "rename of a directory",
        directory,
        |f| fs::rename(f.join("old"), f.join("new")).unwrap(),
        &["rename new"],
    ),
    Way::new(
        "rename of a directory into the tree",
        |f| {
            fs::create_dir(outside(f)).unwrap();
            fs::write(outside(f).join("file"), "outside\n").unwrap();
        },
        |f| fs::rename(outside(f), f.join("new")).unwrap(),
        &["create new/file", "rename new"],
    ),
    Way::new(
        "rename of a directory out of the tree",
        directory,
        |f| fs::rename(f.join("old"), outside(f)).unwrap(),
        &["rename from old"],
    )
    .limited(&[by_fanotify(Outcome::Otherwise(&["delete old"]), OUT)]),
];

fn two(folder: &Path) {
    file(folder);
    fs::write(folder.join("other"), "the other\n").unwrap();
}

fn directory(folder: &Path) {
    fs::create_dir(folder.join("old")).unwrap();
    fs::write(folder.join("old/file"), "file\n").unwrap();
}

fn node(folder: &Path, kind: FileType) {
    let null = rustix::fs::makedev(1, 3);
    rustix::fs::mknodat(CWD, folder.join("node"), kind, Mode::from(0o640), null).unwrap();
}

fn rename(folder: &Path, from: &str, to: &str, flags: RenameFlags) {
    rustix::fs::renameat_with(CWD, folder.join(from), CWD, folder.join(to), flags).unwrap();
}
