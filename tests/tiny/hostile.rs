//! What somebody could do to bring the daemon down, or to make it lose its memory: it goes on
//! telling, says where it had to cut, and stays small.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::time::{ClockId, clock_gettime, clock_settime};
use tests::{act, may_not_stop};

use crate::{daemon, is_one_of};

/// The longest name of a file: `NAME_MAX` of limits.h.
const NAME_MAX: usize = 255;
/// The longest path in one call, with the byte that ends it: `PATH_MAX`.
const PATH_MAX: usize = 4096;
const HOUR: i64 = 3600;

/// Folders of the longest names below each other, until the path is so long.
fn long_folder(folder: &Path, length: usize) -> PathBuf {
    let mut path = folder.to_owned();
    loop {
        let room = length - path.as_os_str().len() - 1;
        if room <= NAME_MAX {
            return path.join("d".repeat(room));
        }
        // What is left must be a name, too.
        path.push("d".repeat(NAME_MAX.min(room - 2)));
    }
}

#[test]
fn a_path_of_4095_bytes_is_told_in_full() {
    let acted = act(
        daemon,
        |folder| fs::create_dir_all(long_folder(folder, PATH_MAX - 6)).unwrap(),
        |folder| fs::write(long_folder(folder, PATH_MAX - 6).join("file"), "x").unwrap(),
    );
    let path = long_folder(&acted.folder, PATH_MAX - 6).join("file");
    assert_eq!(path.as_os_str().len(), PATH_MAX - 1);
    let change = acted.only("create", path.to_str().unwrap());
    assert_eq!(change["after"]["size"], 1, "{change:#}");
    daemon().is_small();
}

#[test]
fn a_path_that_no_call_takes_stops_nothing() {
    let acted = act(
        daemon,
        |_| {},
        |folder| {
            // Step by step, as no call takes it as a whole.
            let flags = OFlags::DIRECTORY | OFlags::RDONLY;
            let mut at = rustix::fs::openat(CWD, folder, flags, Mode::empty()).unwrap();
            for _ in 0..30 {
                let name = "d".repeat(NAME_MAX);
                rustix::fs::mkdirat(&at, name.as_str(), Mode::RWXU).unwrap();
                at = rustix::fs::openat(&at, name.as_str(), flags, Mode::empty()).unwrap();
            }
            let flags = OFlags::CREATE | OFlags::WRONLY;
            drop(rustix::fs::openat(&at, "deepest", flags, Mode::RWXU).unwrap());
            fs::write(folder.join("afterwards"), "x").unwrap();
        },
    );
    let told = acted.told();
    let last = told.last().map(String::as_str);
    assert_eq!(last, Some("create afterwards"), "{told:#?}");
    // As far down as one call names them.
    assert!(told.len() >= 15, "{told:#?}");
    daemon().is_small();
}

#[test]
fn names_of_255_bytes_that_are_no_text_keep_each_byte() {
    fn names() -> impl Iterator<Item = Vec<u8>> {
        (0x80..0x90_u8).map(|byte| vec![byte; NAME_MAX])
    }
    let acted = act(
        daemon,
        |_| {},
        |folder| {
            for name in names() {
                fs::write(folder.join(OsStr::from_bytes(&name)), "x").unwrap();
            }
        },
    );
    let told: Vec<_> = acted
        .changes
        .iter()
        .map(|change| {
            let encoded = change["subject"]["key_base64"].as_str().unwrap_or_default();
            STANDARD.decode(encoded).expect("it is base64")
        })
        .collect();
    let paths = names().map(|name| acted.folder.join(OsStr::from_bytes(&name)));
    let paths: Vec<_> = paths
        .map(|path| path.into_os_string().into_encoded_bytes())
        .collect();
    assert_eq!(told, paths);
    daemon().is_small();
}

#[test]
fn two_megabytes_of_arguments_are_cut_in_the_process_and_its_children() {
    let acted = act(
        daemon,
        |_| {},
        |folder| {
            // 8 MiB of stack allow a quarter of it for the arguments, with their pointers: execve(2).
            let words = vec!["a word in a very long command line"; 47_000];
            let mut shell = Command::new("/bin/busybox");
            // Not the last command, or the shell would become it.
            let script = "touch \"$0\"; true";
            shell.args(["sh", "-c", script]).arg(folder.join("file"));
            assert!(shell.args(words).status().unwrap().success());
        },
    );
    let change = acted.changes.first().expect("a change is told");
    let shell = &change["actor"]["ancestry"][0];
    let argv = shell["argv"].as_array().expect("the shell has arguments");
    assert_eq!(argv[1], "sh", "{change:#}");
    assert_eq!(argv.last().unwrap(), "…", "{change:#}");
    let bytes: usize = argv
        .iter()
        .filter_map(|word| word.as_str())
        .map(str::len)
        .sum();
    assert!(bytes <= 4096 + "…".len(), "{bytes}");
    daemon().is_small();
}

#[test]
fn two_thousand_processes_at_once_are_told_apart() {
    if !is_one_of(&["5.10", "7"]) {
        return;
    }
    let acted = act(
        daemon,
        |_| {},
        |folder| {
            // Each makes two, ten times, and one of the last writes.
            let bomb = "bomb() { [ $1 = 0 ] && { [ $2 = 1111111111 ] && echo deep > deep; return; }
                bomb $(($1 - 1)) ${2}0 & bomb $(($1 - 1)) ${2}1 & wait; }
                bomb 10 ''; echo done > done";
            let mut shell = Command::new("/bin/busybox");
            shell.args(["sh", "-c", bomb]).current_dir(folder);
            assert!(shell.status().unwrap().success());
        },
    );
    assert_eq!(acted.told(), ["create deep", "create done"]);
    let [deep, done] = acted.changes.as_slice() else {
        panic!("not two changes but {:#?}", acted.changes);
    };
    let shell = &done["actor"]["process"]["pid"];
    let ancestry = deep["actor"]["ancestry"].as_array().unwrap();
    assert_eq!(&ancestry[9]["pid"], shell, "{deep:#}");
    assert_eq!(ancestry[10]["pid"], acted.pid, "{deep:#}");
    // Kernel 7 skips some of the programs then, and counts them: that is never silent.
    let lost = daemon().status()["counters"]["lost"].as_u64().unwrap();
    let is_gap = daemon().gaps().iter().any(|gap| gap["reason"] == "lost");
    assert!(lost == 0 || is_gap, "{lost} lost without a gap");
    daemon().is_small();
}

#[test]
fn a_clock_that_jumps_by_hours_leaves_the_order_as_it_was() {
    let folder = daemon().tree().join("jumps");
    fs::create_dir(&folder).unwrap();
    daemon().one(&folder);
    let jumps = [0, 5 * HOUR, -10 * HOUR, 30 * HOUR, -25 * HOUR];
    for (step, hours) in jumps.into_iter().enumerate() {
        let path = folder.join(step.to_string());
        // One was just made when the clock jumps, one is being made, and one is made afterwards.
        fs::write(&path, "before").unwrap();
        let mut during = File::create(path.with_extension("during")).unwrap();
        set_clock_by(hours);
        // The daemon notices by what happens next.
        fs::write(path.with_extension("after"), "after").unwrap();
        thread::sleep(Duration::from_millis(100));
        during.write_all(b"during").unwrap();
        drop(during);
        for made in ["after", "during"] {
            let change = daemon().one(path.with_extension(made));
            assert_eq!(change["certainty"], "exact", "{change:#}");
        }
    }
    let mut changes = daemon().log(&folder);
    changes.sort_by_key(|change| change["seq"].as_u64());
    let key = |change: &serde_json::Value| change["subject"]["key"].as_str().unwrap().to_owned();
    let told: Vec<String> = changes.iter().map(key).collect();
    let names = |step| ["", ".after", ".during"].map(|made| format!("{step}{made}"));
    let names = (0..jumps.len()).flat_map(names);
    let made: Vec<String> = names
        .map(|name| folder.join(name).to_str().unwrap().to_owned())
        .collect();
    assert_eq!(told, made);
}

fn set_clock_by(seconds: i64) {
    let mut now = clock_gettime(ClockId::Realtime);
    now.tv_sec += seconds;
    clock_settime(ClockId::Realtime, now).unwrap();
}

#[test]
fn an_ordinary_user_cannot_stop_it_nor_read_what_it_keeps() {
    may_not_stop(daemon());
    let file = daemon().tree().join("undisturbed");
    fs::write(&file, "x").unwrap();
    daemon().one(&file);
}
