//! Mounts and swap space as facts, and who changes them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, FsPickFlags, MountAttrFlags, MoveMountFlags, fsconfig_create,
    fsconfig_reconfigure, fsconfig_set_flag, fsmount, fsopen, fspick, move_mount,
};
use serde_json::Value;
use tests::{Daemon, Options, wait_for};

use crate::modules::done_by;
use crate::{daemon, is_one_of};

/// A fresh directory that is not watched.
fn point(daemon: &Daemon, name: &str) -> PathBuf {
    let point = daemon.outside().join(name);
    fs::create_dir(&point).unwrap();
    point
}

fn changes(daemon: &Daemon, key: &str) -> Vec<Value> {
    daemon.who(format!("mount:{key}"))
}

/// The newest of so many changes of a mount, which was seen as this process did it.
fn seen(point: &Path, count: usize, op: &str, pid: u32) -> Value {
    let key = point.to_str().unwrap();
    let mut all = changes(daemon(), key);
    assert_eq!(all.len(), count, "{key}: {all:#?}");
    let change = all.remove(0);
    assert_eq!(change["op"], op, "{change:#}");
    assert_eq!(change["subject"]["kind"], "mount", "{change:#}");
    assert_eq!(change["certainty"], "exact", "{change:#}");
    assert_eq!(change["actor"]["process"]["pid"], pid, "{change:#}");
    change
}

fn done(program: &str, arguments: &[&str]) -> u32 {
    let (pid, is_done) = done_by(program, arguments);
    assert!(is_done, "{program} {arguments:?}");
    pid
}

fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn who_mounts_remounts_moves_and_unmounts_is_named() {
    let [one, two] = ["one", "two"].map(|name| point(daemon(), &format!("mounted-{name}")));
    let pid = done(
        "mount",
        &["-t", "tmpfs", "-o", "size=1m", "some", name(&one)],
    );
    let change = seen(&one, 1, "mount", pid);
    assert_eq!(change["before"], Value::Null, "{change:#}");
    assert_eq!(change["after"]["type"], "tmpfs", "{change:#}");
    assert_eq!(change["after"]["source"], "some", "{change:#}");
    let options = change["after"]["options"].as_str().unwrap();
    assert!(options.starts_with("rw"), "{change:#}");
    let super_options = change["after"]["super_options"].as_str().unwrap();
    assert!(super_options.contains("size=1024k"), "{change:#}");

    let pid = done("mount", &["-o", "remount,ro,noexec", name(&one)]);
    let all = changes(daemon(), name(&one));
    let is_its = |change: &&Value| change["actor"]["process"]["pid"] == pid;
    // The file system's options and the mount's can be seen one after the other.
    let count = all.iter().filter(is_its).count();
    assert!((1..=2).contains(&count), "{all:#?}");
    let change = seen(&one, 1 + count, "set", pid);
    let options = change["after"]["options"].as_str().unwrap();
    assert!(
        options.starts_with("ro") && options.contains("noexec"),
        "{change:#}"
    );
    let said = daemon().tell(&["who", &format!("mount:{}", name(&one))]);
    assert!(said.contains("options rw"), "{said}");

    let pid = done("mount", &["--move", name(&one), name(&two)]);
    let change = seen(&two, 1, "mount", pid);
    assert_eq!(change["after"]["source"], "some", "{change:#}");
    seen(&one, 2 + count, "unmount", pid);

    let pid = done("umount", &[name(&two)]);
    let change = seen(&two, 2, "unmount", pid);
    assert_eq!(change["after"], Value::Null, "{change:#}");
    let (_, again) = done_by("umount", &[name(&two)]);
    assert!(!again, "nothing is mounted any more");
    assert_eq!(changes(daemon(), name(&two)).len(), 2);
}

#[test]
fn a_bind_mount_says_what_it_shows_and_one_on_top_says_what_it_hides() {
    let [shown, point] = ["shown", "point"].map(|name| point(daemon(), &format!("bound-{name}")));
    let pid = done("mount", &["--bind", name(&shown), name(&point)]);
    let change = seen(&point, 1, "mount", pid);
    let root = change["after"]["root"].as_str().unwrap();
    assert!(root.ends_with("/outside/bound-shown"), "{change:#}");
    let pid = done("mount", &["-t", "tmpfs", "top", name(&point)]);
    let change = seen(&point, 2, "mount", pid);
    assert_eq!(change["after"]["hides"], "1", "{change:#}");
    let pid = done("umount", &[name(&point)]);
    let change = seen(&point, 3, "unmount", pid);
    assert_eq!(change["after"]["root"], root, "{change:#}");
    let pid = done("umount", &["-l", name(&point)]);
    seen(&point, 4, "unmount", pid);
}

#[test]
fn the_newer_calls_are_seen_as_the_older_ones_are() {
    daemon();
    let own = std::process::id();
    let place = point(daemon(), "newer");
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
    fsconfig_create(&context).unwrap();
    let flags = (FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty());
    let mount = fsmount(&context, flags.0, flags.1).unwrap();
    let from_root = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    let nowhere = daemon().outside().join("nowhere");
    move_mount(&mount, "", CWD, &nowhere, from_root).unwrap_err();
    move_mount(&mount, "", CWD, &place, from_root).unwrap();
    drop(mount);
    let change = seen(&place, 1, "mount", own);
    assert_eq!(change["after"]["type"], "tmpfs", "{change:#}");

    let context = fspick(CWD, &place, FsPickFlags::FSPICK_CLOEXEC).unwrap();
    fsconfig_set_flag(&context, "ro").unwrap();
    fsconfig_reconfigure(&context).unwrap();
    let change = seen(&place, 2, "set", own);
    let options = change["after"]["super_options"].as_str().unwrap();
    assert!(options.starts_with("ro"), "{change:#}");
    let pid = done("umount", &[name(&place)]);
    seen(&place, 3, "unmount", pid);
}

#[test]
fn swap_space_is_turned_on_and_off_by_somebody() {
    daemon();
    let file = daemon().outside().join("swap");
    // With every block of its own, which a hole has not.
    fs::write(&file, vec![0; 1 << 20]).unwrap();
    File::open(&file).unwrap().sync_all().unwrap();
    done("mkswap", &[name(&file)]);
    let key = PathBuf::from(format!("swap:{}", file.display()));
    let pid = done("swapon", &[name(&file)]);
    let change = swap_seen(&key, 1, "mount", pid);
    assert_eq!(change["after"]["type"], "file", "{change:#}");
    let priority = change["after"]["priority"].as_str().unwrap();
    assert!(priority.parse::<i32>().is_ok(), "{change:#}");
    let said = daemon().tell(&["who", &format!("mount:{}", name(&key))]);
    assert!(said.contains("turned on swap on it"), "{said}");
    let pid = done("swapoff", &[name(&file)]);
    swap_seen(&key, 2, "unmount", pid);
}

/// The newest of so many changes of swap space. On 5.10 the argument of the call has no known type, and who did
/// it is not known.
fn swap_seen(key: &Path, count: usize, op: &str, pid: u32) -> Value {
    if !is_one_of(&["5.10"]) {
        return seen(key, count, op, pid);
    }
    let change = wait_for("the swap space is found", || {
        let mut all = changes(daemon(), name(key));
        let is_new = all.len() == count;
        is_new.then(|| all.remove(0)).ok_or(format!("{all:#?}"))
    });
    assert_eq!(change["op"], op, "{change:#}");
    assert_eq!(change["certainty"], "late", "{change:#}");
    assert_eq!(change["actor"], Value::Null, "{change:#}");
    change
}

#[test]
fn what_another_mount_namespace_mounts_is_not_the_host_s() {
    let point = point(daemon(), "foreign");
    let script = "mount -t tmpfs none \"$1\" && umount \"$1\"";
    done("unshare", &["-m", "sh", "-c", script, "sh", name(&point)]);
    assert!(changes(daemon(), name(&point)).is_empty());
    let facts = daemon().ask(&["facts", "--kind", "mount"]);
    let keys: Vec<&str> = facts
        .iter()
        .filter_map(|fact| fact["subject"]["key"].as_str())
        .collect();
    assert!(keys.contains(&"/") && keys.contains(&"/proc"), "{keys:?}");
    assert!(!keys.contains(&name(&point)), "{keys:?}");
}

#[test]
fn what_was_mounted_while_nobody_watched_is_late() {
    if !is_one_of(&["6.12", "7.3"]) {
        return;
    }
    let mut own = Daemon::start(&Options {
        name: "mounted",
        settings: "mode = \"trampolines\"".to_owned(),
        ..Options::default()
    });
    let place = point(&own, "late");
    let before = changes(&own, name(&place));
    assert!(before.is_empty(), "{before:#?}");
    assert_eq!(own.terminate(), Some(0));
    done("mount", &["-t", "tmpfs", "none", name(&place)]);
    own.start_again();
    let change = wait_for("the mount is found", || {
        let mut all = changes(&own, name(&place));
        all.pop().ok_or(own.read_log())
    });
    assert_eq!(change["op"], "mount", "{change:#}");
    assert_eq!(change["certainty"], "late", "{change:#}");
    assert_eq!(change["actor"], Value::Null, "{change:#}");
    done("umount", &[name(&place)]);
    let all = changes(&own, name(&place));
    assert_eq!(all.len(), 2, "{all:#?}");
    assert_eq!(all[0]["certainty"], "exact", "{all:#?}");
}
