//! Ways past the file system that is watched: layers, loops, the disk itself, and mounts that come.

use std::env;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::libc;
use nix::mount::{MsFlags, mount, umount};

use super::content::BEFORE;
use super::reach::own_mounts;
use super::{Acting, Limit, Outcome, Way, file, outside};

/// The mark in `trusted.` that the layer gets besides is left out.
const COPIED_UP: &[&str] = &["create upper/file"];

/// What an overlay of 5.10 or 6.1 hides, where writes to its layers are told under its own path.
const fn hidden(instead: Outcome) -> Limit {
    Limit {
        on: &["5.10", "6.1"],
        instead,
        why: "an overlay may write its layers' files under names that are not watched",
    }
}

pub(super) const WAYS: &[Way] = &[
    Way::telling(
        "overlayfs, write to a file of the watched upper layer",
        |f| {
            layers(f, &f.join("upper"), &outside(f).join("lower"));
            fs::write(f.join("upper/file"), BEFORE).unwrap();
        },
        |f| in_overlay(f, &f.join("upper"), &outside(f).join("lower"), write),
        &["modify upper/file"],
    )
    .limited(&[hidden(Outcome::Late(&["modify upper/file"]))]),
    Way::telling(
        "overlayfs, copy-up into the watched upper layer",
        |f| {
            layers(f, &f.join("upper"), &outside(f).join("lower"));
            fs::write(outside(f).join("lower/file"), BEFORE).unwrap();
        },
        |f| in_overlay(f, &f.join("upper"), &outside(f).join("lower"), write),
        COPIED_UP,
    )
    .limited(&[
        hidden(Outcome::Contentless(COPIED_UP)),
        Limit {
            on: &["6.18"],
            instead: Outcome::Contentless(COPIED_UP),
            why: "an overlay may write its layers' files under names that are not watched",
        },
    ]),
    Way::telling(
        "overlayfs, new file in the watched upper layer",
        |f| layers(f, &f.join("upper"), &outside(f).join("lower")),
        |f| {
            in_overlay(f, &f.join("upper"), &outside(f).join("lower"), |merged| {
                fs::write(merged.join("file"), "new\n").unwrap();
            })
        },
        &["create upper/file"],
    )
    .limited(&[hidden(Outcome::Contentless(&["create upper/file"]))]),
    Way::telling(
        "overlayfs, delete from the lower layer, upper watched",
        |f| {
            layers(f, &f.join("upper"), &outside(f).join("lower"));
            fs::write(outside(f).join("lower/file"), BEFORE).unwrap();
        },
        |f| {
            in_overlay(f, &f.join("upper"), &outside(f).join("lower"), |merged| {
                fs::remove_file(merged.join("file")).unwrap();
            })
        },
        &["rename upper/file"],
    ),
    Way::telling(
        "overlayfs, write while the lower layer is watched",
        |f| {
            layers(f, &outside(f).join("upper"), &f.join("lower"));
            fs::write(f.join("lower/file"), BEFORE).unwrap();
        },
        |f| in_overlay(f, &outside(f).join("upper"), &f.join("lower"), write),
        &[],
    ),
    Way::telling(
        "loop mount of a watched image",
        image,
        through_loop,
        &["modify image"],
    )
    .limited(&[Limit {
        on: &[""],
        instead: Outcome::Misattributed(&["modify image"]),
        why: "a worker of the loop device is named, which writes for whoever wrote to the mount",
    }]),
    Way::telling(
        "write to the disk below the file system",
        synced,
        below,
        &[],
    )
    .limited(&[Limit {
        on: &[""],
        instead: Outcome::Unseen,
        why: "neither the file nor its times are touched, so only reading every file would tell",
    }]),
    Way::telling(
        "mount over a watched directory",
        mount_point,
        mount_over,
        &["create sub/file"],
    )
    .tidied(unmount)
    .limited(&[Limit {
        on: &[""],
        instead: Outcome::Late(&["create sub/file", "mode sub"]),
        why: COMPARED,
    }]),
    Way::telling(
        "swap of a mount in the tree",
        |f| {
            mount_point(f);
            for source in ["one", "two"] {
                let source = outside(f).join(source);
                fs::create_dir_all(&source).unwrap();
                fs::write(source.join("file"), source.to_str().unwrap()).unwrap();
            }
            bind(f, "one").unwrap();
        },
        |f| match bind(f, "two") {
            Ok(()) if is_tiny_guest() => Acting::Done,
            Ok(()) => Acting::Missing("mounts are the host's own".to_owned()),
            Err(error) => Acting::Missing(format!("bind mount: {error}")),
        },
        &["modify sub/file"],
    )
    .tidied(|f| {
        unmount(f);
        unmount(f);
    })
    .limited(&[Limit {
        on: &[""],
        instead: Outcome::Late(&["modify sub/file"]),
        why: COMPARED,
    }]),
];

const COMPARED: &str =
    "what a mount shows and hides is found by comparing at once, and watched from then on";

/// Whether disks and devices are there to be spoiled.
pub(super) fn is_tiny_guest() -> bool {
    env::var_os("TRACER_GUEST").is_some_and(|guest| guest == "tiny")
}

fn write(merged: &Path) {
    let mut options = File::options();
    let mut file = options.append(true).open(merged.join("file")).unwrap();
    file.write_all(b"three\n").unwrap();
}

/// Makes the layers, and mounts them once: the first time an overlay marks its upper layer.
fn layers(folder: &Path, upper: &Path, lower: &Path) {
    let outside = outside(folder);
    fs::create_dir(&outside).unwrap();
    for layer in [upper, lower, &outside.join("work"), &outside.join("merged")] {
        fs::create_dir(layer).unwrap();
    }
    load("overlay");
    if overlay(folder, upper, lower).is_ok() {
        umount(&outside.join("merged")).unwrap();
    }
}

/// Acts in an overlay of the layers, in a mount namespace of its own.
fn in_overlay(folder: &Path, upper: &Path, lower: &Path, act: fn(&Path)) -> Acting {
    if let Err(missing) = own_mounts() {
        return missing;
    }
    match overlay(folder, upper, lower) {
        Ok(()) => act(&outside(folder).join("merged")),
        Err(error) => return Acting::Missing(format!("overlayfs: {error}")),
    }
    Acting::Done
}

fn overlay(folder: &Path, upper: &Path, lower: &Path) -> nix::Result<()> {
    let outside = outside(folder);
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.display(),
        upper.display(),
        outside.join("work").display()
    );
    let merged = outside.join("merged");
    let (kind, none) = (Some("overlay"), MsFlags::empty());
    mount(kind, &merged, kind, none, Some(options.as_str()))
}

/// Loads a module of the guest; elsewhere the kernel has what it has.
fn load(module: &str) {
    if is_tiny_guest() {
        run("modprobe", &[module]);
    }
}

fn run(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A small file system in a file.
fn image(folder: &Path) {
    load("loop");
    let path = folder.join("image");
    File::create(&path).unwrap().set_len(512 * 1024).unwrap();
    run("mke2fs", &["-F", path.to_str().unwrap()]);
    File::open(&path).unwrap().sync_all().unwrap();
    fs::create_dir(outside(folder)).unwrap();
}

fn through_loop(folder: &Path) -> Acting {
    if !is_tiny_guest() {
        return Acting::Missing("loop devices are the host's own".to_owned());
    }
    let (image, point) = (folder.join("image"), outside(folder));
    let arguments = [image.to_str().unwrap(), point.to_str().unwrap()];
    let mounted = run(
        "mount",
        &["-t", "ext2", "-o", "loop", arguments[0], arguments[1]],
    ) || run(
        "mount",
        &["-t", "ext4", "-o", "loop", arguments[0], arguments[1]],
    );
    if !mounted {
        return Acting::Missing("a loop mount".to_owned());
    }
    fs::write(point.join("file"), "inside\n").unwrap();
    umount(&point).unwrap();
    Acting::Done
}

fn synced(folder: &Path) {
    file(folder);
    File::open(folder.join("file")).unwrap().sync_all().unwrap();
}

nix::ioctl_readwrite_bad!(fibmap, 1, i32);

/// Writes where the file's bytes lie on the disk, and lets the kernel forget what it had read.
#[expect(unsafe_code, reason = "an ioctl, and a call that is not wrapped")]
fn below(folder: &Path) -> Acting {
    if !is_tiny_guest() {
        return Acting::Missing("not on a disk that somebody needs".to_owned());
    }
    let file = File::open(folder.join("file")).unwrap();
    let mut block = 0;
    // SAFETY: it reads and writes one number.
    unsafe { fibmap(file.as_raw_fd(), &raw mut block) }.unwrap();
    let size = rustix::fs::fstatvfs(&file).unwrap().f_bsize;
    let disk = File::options().write(true).open("/dev/vda").unwrap();
    let at = u64::try_from(block).unwrap() * size;
    disk.write_all_at(b"ONE", at).unwrap();
    disk.sync_all().unwrap();
    // SAFETY: it takes numbers.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    assert!(fs::read(folder.join("file")).unwrap().starts_with(b"ONE"));
    Acting::Done
}

fn mount_point(folder: &Path) {
    fs::create_dir(folder.join("sub")).unwrap();
}

fn unmount(folder: &Path) {
    if let Err(error) = umount(&folder.join("sub")) {
        eprintln!("unmount in `{}`: {error}", folder.display());
    }
}

/// Shows a folder from outside at the mount point.
fn bind(folder: &Path, source: &str) -> nix::Result<()> {
    if !is_tiny_guest() {
        return Ok(());
    }
    let source = outside(folder).join(source);
    let none = None::<&str>;
    mount(
        Some(&source),
        &folder.join("sub"),
        none,
        MsFlags::MS_BIND,
        none,
    )
}

fn mount_over(folder: &Path) -> Acting {
    if !is_tiny_guest() {
        return Acting::Missing("mounts are the host's own".to_owned());
    }
    let point: PathBuf = folder.join("sub");
    let (none, no_options) = (MsFlags::empty(), None::<&str>);
    if let Err(error) = mount(Some("tmpfs"), &point, Some("tmpfs"), none, no_options) {
        return Acting::Missing(format!("tmpfs: {error}"));
    }
    fs::write(point.join("file"), "new\n").unwrap();
    Acting::Done
}
