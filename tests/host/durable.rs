//! The store of a running daemon: kills under load, a copy of it and its restoring, damage, tampering,
//! and what is forgotten.

use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tests::wait_for;

use crate::{is_exact, start};

const KILLS: usize = 24;

/// Writes new files and appends to old ones until it is told to end.
fn load(tree: &Path, is_over: &AtomicBool) {
    for number in 0_usize.. {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let new = tree.join(format!("new-{}", number % 200));
        fs::write(new, format!("{number}\n").repeat(1 + number % 90)).unwrap();
        if number % 50 == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn what_was_answered_is_there_after_kills_at_any_moment_under_load() {
    let mut daemon = start();
    let mut answered: Vec<Value> = Vec::new();
    for kill in 0..KILLS {
        let is_over = AtomicBool::new(false);
        let tree = daemon.tree();
        thread::scope(|scope| {
            scope.spawn(|| load(&tree, &is_over));
            // Each asks at some moment, and the kill comes at another one.
            for _ in 0..=kill % 3 {
                answered.extend(daemon.ask(&["log", "-n", "20"]));
            }
            let nanos = SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
            thread::sleep(Duration::from_micros(u64::from(nanos / 1000 % 60_000)));
            daemon.kill();
            is_over.store(true, Ordering::Relaxed);
        });
        daemon.start_again();
    }
    assert!(
        answered.len() > KILLS,
        "hardly anything was answered: {}",
        answered.len()
    );
    answered.dedup_by_key(|change| change["seq"].as_u64());
    for change in &answered {
        let seq = change["seq"].to_string();
        let mut found = daemon.ask(&["show", &seq]).remove(0);
        found.as_object_mut().unwrap().remove("diff");
        assert_eq!(found, *change);
    }
    let stopped = daemon.ask(&["gaps", "-n", "1000"]);
    let stopped = stopped.iter().filter(|gap| gap["reason"] == "stopped");
    assert_eq!(stopped.count(), KILLS);
    let verified = daemon.tracer(&["verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[test]
fn after_a_kill_a_quiet_daemon_is_known_to_have_been_there_half_a_minute_ago() {
    let mut daemon = start();
    let heartbeat = daemon.socket().with_extension("heartbeat");
    let noted = wait_for("it notes that it is there", || {
        fs::read_to_string(&heartbeat).map_err(|error| error.to_string())
    });
    daemon.kill();
    daemon.start_again();
    let gaps = daemon.gaps();
    let stopped = gaps.iter().find(|gap| gap["reason"] == "stopped");
    let from = stopped.expect("a kill is a gap")["from"].as_str().unwrap();
    // Nothing need have happened since; where something did, the store knows better.
    let noted = noted.split(' ').next().unwrap();
    assert!(from >= noted, "from {from}, noted {noted}");
}

#[test]
fn a_copy_of_the_store_is_taken_while_it_runs_and_can_be_restored() {
    let mut daemon = start();
    let (kept, lost) = (daemon.tree().join("kept"), daemon.tree().join("lost"));
    fs::write(&kept, "one\n").unwrap();
    let told = daemon.one(&kept);
    let copy = daemon.outside().join("copy");
    let taken = daemon.tracer(&["backup", copy.to_str().unwrap(), "--json"]);
    assert_eq!(taken.code, Some(0), "{taken:?}");
    let taken: Value = serde_json::from_str(&taken.output).unwrap();
    let mode = fs::metadata(&copy).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = daemon.tracer(&["backup", copy.to_str().unwrap()]);
    assert_eq!(again.code, Some(4), "{again:?}");
    let head = taken["head"].as_str().unwrap();
    let offline = daemon.tracer(&["verify", copy.to_str().unwrap(), "--head", head]);
    assert_eq!(offline.code, Some(0), "{offline:?}");

    fs::write(&lost, "after the copy\n").unwrap();
    daemon.one(&lost);
    daemon.terminate();
    fs::rename(daemon.state(), daemon.outside().join("old")).unwrap();
    fs::create_dir(daemon.state()).unwrap();
    fs::copy(&copy, daemon.state().join("tracer.db")).unwrap();
    daemon.start_again();
    assert_eq!(daemon.one(&kept), told);
    let found = daemon.one(&lost);
    assert_eq!(found["certainty"], "late", "{found:#}");
    let gaps = daemon.gaps();
    assert!(
        gaps.iter().any(|gap| gap["reason"] == "stopped"),
        "{gaps:#?}"
    );
    let verified = daemon.tracer(&["verify", "--head", head]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[test]
fn a_damaged_page_is_an_error_that_names_the_file_and_what_to_do() {
    let mut daemon = start();
    for number in 0..300 {
        fs::write(
            daemon.tree().join(number.to_string()),
            "x\n".repeat(number + 1),
        )
        .unwrap();
    }
    wait_for("all is told", || {
        let told = daemon.log(daemon.tree()).len();
        (told >= 300).then_some(()).ok_or(told.to_string())
    });
    daemon.terminate();
    let store = daemon.state().join("tracer.db");
    let length = fs::metadata(&store).unwrap().len();
    let mut file = File::options().write(true).open(&store).unwrap();
    for page in 2..length / 4096 {
        file.seek(SeekFrom::Start(page * 4096)).unwrap();
        file.write_all(&[0xa5; 4096]).unwrap();
    }
    drop(file);
    let ended = daemon.tracer(&["run"]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    let says = ended.errors.lines().last().unwrap_or_default();
    assert!(says.contains(store.to_str().unwrap()), "{says}");
    assert!(says.contains("move"), "{says}");
    let verified = daemon.tracer(&["verify", store.to_str().unwrap()]);
    assert_eq!(verified.code, Some(4), "{verified:?}");
    let all = verified.output + &verified.errors;
    assert!(
        all.contains("malformed") || all.contains("damaged"),
        "{all}"
    );
}

#[test]
fn what_is_forgotten_is_gone_from_the_files_and_the_log_says_so() {
    let daemon = start();
    let path = daemon.tree().join("file");
    fs::write(&path, "user=alice\n").unwrap();
    daemon.one(&path);
    fs::write(&path, "user=alice\nplain=correct-horse-battery\n").unwrap();
    assert_eq!(daemon.who(&path).len(), 2);
    fs::write(&path, "user=alice\n# gone\n").unwrap();
    assert_eq!(daemon.who(&path).len(), 3);
    let is_stored = || {
        let wanted = b"correct-horse-battery";
        fs::read_dir(daemon.state()).unwrap().any(|file| {
            let bytes = fs::read(file.unwrap().path()).unwrap();
            bytes.windows(wanted.len()).any(|window| window == wanted)
        })
    };
    assert!(is_stored(), "the search does not work");
    let forgot = daemon.tracer(&["forget", path.to_str().unwrap()]);
    assert_eq!(forgot.code, Some(0), "{forgot:?}");
    assert!(!is_stored(), "the content is in the store");
    let changes = daemon.who(&path);
    assert_eq!(changes[0]["op"], "forget", "{:#}", changes[0]);
    is_exact(&changes[0]);
    assert_eq!(
        changes[1]["after"]["content"], "forgotten",
        "{:#}",
        changes[1]
    );
    assert_eq!(changes[1]["diff"], Value::Null, "{:#}", changes[1]);
    for command in ["blame", "diff", "who"] {
        let said = daemon.tell(&[command, path.to_str().unwrap()]);
        let hides = !said.contains("correct-horse") && (command == "who" || said.contains("forg"));
        assert!(hides, "{command}: {said}");
    }
    let verified = daemon.tracer(&["verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let again = daemon.tracer(&["forget", path.to_str().unwrap()]);
    assert_eq!(again.code, Some(1), "{again:?}");
}
