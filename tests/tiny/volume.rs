//! Much of the same: loops and bursts.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use tests::{PATIENCE, act, wait_long_for};

use crate::{daemon, is_one_of};

#[test]
fn two_hundred_appends_in_a_loop_are_one_change() {
    let acted = act(
        daemon,
        |folder| fs::write(folder.join("file"), "0\n").unwrap(),
        |folder| {
            for count in 1..=200 {
                let mut file = File::options()
                    .append(true)
                    .open(folder.join("file"))
                    .unwrap();
                writeln!(file, "{count}").unwrap();
            }
        },
    );
    let change = acted.only("modify", "file");
    assert_eq!(change["operations"], 200, "{change:#}");
    let diff = daemon().who(acted.folder.join("file")).remove(0);
    let diff = diff["diff"].as_str().unwrap_or_default().to_owned();
    assert!(diff.contains("+200"), "{diff}");
}

#[test]
fn a_burst_of_new_files_loses_none() {
    let folder = daemon().tree().join("burst");
    fs::create_dir(&folder).unwrap();
    let status = daemon().status();
    let before = status["last_seq"].as_u64().unwrap();
    // Other tests may have lost some, which they tell of.
    let lost = &status["counters"]["lost"];
    // The whole of it on one kernel is enough: elsewhere it is only slow.
    let count = if is_one_of(&["6.12"]) { 10_000 } else { 2_000 };
    create(&folder, count);
    wait_long_for("all files are told", 8 * PATIENCE, || {
        let status = daemon().status();
        let told = status["last_seq"].as_u64().unwrap() - before;
        (told >= count).then_some(()).ok_or(status.to_string())
    });
    let status = daemon().status();
    // A program at a tracepoint may be skipped on 7, which is counted whatever the process was.
    if !is_one_of(&["7"]) {
        assert_eq!(&status["counters"]["lost"], lost, "{status:#}");
    }
    let changes = daemon().log(&folder);
    assert_eq!(changes.len() as u64, count);
    let exact = changes.iter().all(|change| {
        change["certainty"] == "exact" && change["actor"]["process"]["pid"] == std::process::id()
    });
    assert!(exact, "{:#}", changes[0]);
    daemon().is_small();
}

fn create(folder: &Path, count: u64) {
    for number in 0..count {
        drop(File::create(folder.join(number.to_string())).unwrap());
    }
}
