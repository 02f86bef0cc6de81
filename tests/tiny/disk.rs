//! What happens to the store's disk: it is full, read-only, or loses its power.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use rustix::ioctl::{Setter, ioctl, opcode};
use serde_json::Value;
use tests::{Daemon, Options, run, wait_for};

use crate::{COMPARES, is_one_of};

/// An ext4 file system with a journal, which xtask made.
const DISK: &str = "/usr/lib/tracer-tests/disk.img.gz";

/// `EXT4_IOC_SHUTDOWN`, with `EXT4_GOING_FLAGS_NOLOGFLUSH`: nothing that is not on the disk gets there
/// any more, fs/ext4/ext4.h.
const SHUTDOWN: rustix::ioctl::Opcode = opcode::read::<u32>(b'X', 125);
const NO_LOG_FLUSH: u32 = 2;

/// The power is cut so often, on one kernel: the others differ in nothing that matters to it.
const CUTS: usize = 3;

fn prepare(name: &'static str) -> Daemon {
    let daemon = Daemon::prepare(&Options {
        name,
        settings: COMPARES.to_owned(),
        ..Options::default()
    });
    fs::create_dir(daemon.state()).unwrap();
    daemon
}

fn does(program: &str, arguments: &[&str]) {
    let ended = run(Command::new(program).args(arguments));
    assert_eq!(ended.code, Some(0), "{program} {arguments:?}: {ended:?}");
}

/// A file system over a folder, until it is dropped.
struct Mount(PathBuf);

impl Mount {
    fn new(options: &[&str], folder: &Path) -> Self {
        let at = folder.to_str().unwrap();
        does("mount", &[options, &[at]].concat());
        Self(folder.to_owned())
    }

    fn remount_read_only(&self) {
        does("mount", &["-o", "remount,ro", self.0.to_str().unwrap()]);
    }
}

impl Drop for Mount {
    /// Away from the folder at once, and for good when the last file of it is closed: after a failure
    /// the daemon still has some open.
    fn drop(&mut self) {
        let mut umount = Command::new("umount");
        let options: &[&str] = if thread::panicking() { &["-l"] } else { &[] };
        let ended = run(umount.args(options).arg(&self.0));
        assert!(thread::panicking() || ended.code == Some(0), "{ended:?}");
    }
}

/// Takes all the room there is.
fn fill(file: &Path) {
    let mut file = File::create(file).unwrap();
    for size in [1 << 16, 1 << 12, 1] {
        while file.write_all(&vec![7; size]).is_ok() {}
    }
}

fn store_check(daemon: &Daemon) -> Option<Value> {
    let asked = daemon.tracer(&["doctor", "--json"]).output;
    let checks = asked
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    checks.into_iter().find(|check| check["name"] == "store")
}

#[test]
fn a_full_disk_is_told_and_is_a_gap_once_there_is_room() {
    if !is_one_of(&["5.10", "7"]) {
        return;
    }
    let mut daemon = prepare("full-disk");
    let disk = Mount::new(&["-t", "tmpfs", "-o", "size=8m", "tmpfs"], &daemon.state());
    daemon.start_again();
    let before = daemon.tree().join("before");
    fs::write(&before, "before\n").unwrap();
    let told = daemon.one(&before);

    let filler = daemon.state().join("filler");
    fill(&filler);
    let check = wait_for("the daemon says that its disk is full", || {
        let while_full = daemon.tree().join("while-full");
        fs::write(while_full, "x\n".repeat(5000)).unwrap();
        store_check(&daemon).ok_or(daemon.read_log())
    });
    let detail = check["detail"].as_str().unwrap_or_default();
    assert!(
        detail.contains("full") && detail.contains("free some space"),
        "{detail}"
    );
    assert!(
        daemon.read_log().contains("until there is room"),
        "{}",
        daemon.read_log()
    );
    assert_eq!(daemon.status()["complete_since"], Value::Null);
    assert_eq!(daemon.one(&before), told);
    let behind = daemon.tracer(&["who", before.to_str().unwrap()]).errors;
    assert!(behind.contains("may be missing"), "{behind}");

    fs::remove_file(&filler).unwrap();
    let gap = wait_for("there is a gap", || {
        let gaps = daemon.gaps();
        let lost = gaps.iter().find(|gap| gap["reason"] == "lost").cloned();
        lost.ok_or(format!("{gaps:#?}\n{}", daemon.read_log()))
    });
    assert!(gap["detail"].as_str().unwrap().contains("full"), "{gap:#}");
    assert!(gap["to"].is_string(), "{gap:#}");
    let late = wait_for("what changed meanwhile is found", || {
        let changes = daemon.who(daemon.tree().join("while-full"));
        changes.first().cloned().ok_or(daemon.read_log())
    });
    assert!(
        ["late", "exact"].contains(&late["certainty"].as_str().unwrap()),
        "{late:#}"
    );
    assert_eq!(late["after"]["size"], 10_000, "{late:#}");
    assert_eq!(store_check(&daemon), None);
    assert!(daemon.status()["complete_since"].is_string());
    let verified = daemon.tracer(&["verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    assert_eq!(daemon.terminate(), Some(0));
    drop(disk);
}

#[test]
fn a_read_only_disk_is_refused_by_name_and_its_store_verifies() {
    if !is_one_of(&["5.10", "7"]) {
        return;
    }
    let mut daemon = prepare("read-only-disk");
    let disk = Mount::new(&["-t", "tmpfs", "-o", "size=8m", "tmpfs"], &daemon.state());
    daemon.start_again();
    let path = daemon.tree().join("file");
    fs::write(&path, "x\n").unwrap();
    daemon.one(&path);
    assert_eq!(daemon.terminate(), Some(0));
    disk.remount_read_only();
    let refused = daemon.tracer(&["run"]);
    assert_eq!(refused.code, Some(4), "{refused:?}");
    let says = &refused.errors;
    assert!(says.contains(daemon.state().to_str().unwrap()), "{says}");
    assert!(says.contains("Read-only"), "{says}");
    let verified = daemon.tracer(&["verify", "--state-dir", daemon.state().to_str().unwrap()]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    drop(disk);
}

/// Cuts the power of the disk below a folder.
#[expect(unsafe_code, reason = "no library has this call")]
fn cut_power(folder: &Path) {
    let folder = File::open(folder).unwrap();
    // SAFETY: the call reads one number of 32 bits, and that is what it gets.
    unsafe { ioctl(&folder, Setter::<SHUTDOWN, u32>::new(NO_LOG_FLUSH)) }.unwrap();
}

#[test]
fn what_was_answered_is_there_after_a_power_cut_and_the_rest_is_a_gap() {
    if !is_one_of(&["6.1"]) {
        return;
    }
    let mut daemon = prepare("power-cut");
    let image = daemon.outside().join("disk.img");
    does(
        "sh",
        &[
            "-c",
            &format!("modprobe loop; gunzip -c {DISK} > {}", image.display()),
        ],
    );
    let state = daemon.state();
    let mount = || {
        Mount::new(
            &["-t", "ext4", "-o", "loop", image.to_str().unwrap()],
            &state,
        )
    };
    let mut disk = Some(mount());
    daemon.start_again();
    let mut answered = Vec::new();
    for cut in 0..CUTS {
        for file in 0..5 {
            let path = daemon.tree().join(format!("{cut}-{file}"));
            fs::write(&path, format!("{cut} {file}\n")).unwrap();
            answered.extend(daemon.who(&path));
        }
        let last = daemon.tree().join("last");
        fs::write(&last, format!("{cut}\n")).unwrap();
        answered.extend(daemon.who(&last).into_iter().take(1));
        // Nobody asked for this one, and nobody synced this file.
        fs::write(daemon.tree().join(format!("unasked-{cut}")), "x\n").unwrap();
        fs::write(state.join("unsynced"), "x\n").unwrap();
        cut_power(&state);
        daemon.kill();
        drop(disk.take());
        disk = Some(mount());
        let unsynced = fs::read(state.join("unsynced")).unwrap_or_default();
        assert!(unsynced.is_empty(), "the power was not cut");
        daemon.start_again();
        for change in &answered {
            let found = daemon.ask(&["show", &change["seq"].to_string()]);
            assert_eq!(found.first(), Some(change), "after cut {cut}");
        }
        let unasked = daemon.who(daemon.tree().join(format!("unasked-{cut}")));
        assert!(!unasked.is_empty(), "after cut {cut}");
    }
    let gaps = daemon.gaps();
    let stopped = gaps.iter().filter(|gap| gap["reason"] == "stopped").count();
    assert_eq!(stopped, CUTS, "{gaps:#?}");
    let verified = daemon.tracer(&["verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    assert_eq!(daemon.terminate(), Some(0));
    drop(disk);
}
