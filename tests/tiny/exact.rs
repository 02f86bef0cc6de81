//! The content of a change is what that change left, or the change says that it is not known.

use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::act;

use crate::{daemon, is_one_of};

/// The limits of the shared daemon, which are the defaults.
const KEEP_BYTES: u64 = 1 << 20;
const HASH_BYTES: u64 = 64 << 20;

/// What is written again and again.
const LINE: &str = "one more line\n";
/// How often a file is replaced, without a pause.
const REPLACEMENTS: usize = 300;

fn name_of(bytes: &[u8]) -> Value {
    format!("b3:{}", blake3::hash(bytes).to_hex()).into()
}

/// What stands in the file after its replacement of that number.
fn replacement(number: usize) -> String {
    format!("this is number {number}\n")
}

/// Whether the change says that it does not know the content that it left.
fn is_unknown(change: &Value) -> bool {
    let after = &change["after"];
    after["hash"].is_null()
        && ["moved-on", "shed"]
            .map(Value::from)
            .contains(&after["content"])
}

#[test]
fn a_file_that_is_replaced_without_a_pause_never_shows_a_later_content() {
    let acted = act(
        daemon,
        |folder| fs::write(folder.join("file"), "before\n").unwrap(),
        |folder| {
            for number in 0..REPLACEMENTS {
                fs::write(folder.join("new"), replacement(number)).unwrap();
                fs::rename(folder.join("new"), folder.join("file")).unwrap();
            }
        },
    );
    assert_eq!(acted.changes.len(), REPLACEMENTS, "{:#?}", acted.told());
    for (number, change) in acted.changes.iter().enumerate() {
        acted.check(change, "modify", "file");
        let is_own = change["after"]["hash"] == name_of(replacement(number).as_bytes());
        assert!(is_own || is_unknown(change), "number {number}: {change:#}");
    }
    let last = acted.changes.last().unwrap();
    assert!(!is_unknown(last), "{last:#}");
}

#[test]
fn a_file_that_is_written_for_long_shows_each_time_what_was_there() {
    if !is_one_of(&["6.18"]) {
        return;
    }
    let acted = act(
        daemon,
        |_| {},
        |folder| {
            let mut file = File::create(folder.join("file")).unwrap();
            let begun = Instant::now();
            // Longer than anything is kept in hand.
            while begun.elapsed() < Duration::from_secs(12) {
                file.write_all(LINE.as_bytes()).unwrap();
                thread::sleep(Duration::from_millis(300));
            }
        },
    );
    assert_eq!(acted.told()[0], "create file");
    assert!(acted.changes.len() > 1, "{:#?}", acted.told());
    let mut sizes = Vec::new();
    for change in &acted.changes {
        let size = change["after"]["size"].as_u64().unwrap();
        let count = usize::try_from(size).unwrap() / LINE.len();
        let is_own = change["after"]["hash"] == name_of(LINE.repeat(count).as_bytes());
        assert!(is_own || is_unknown(change), "{change:#}");
        sizes.push(size);
    }
    assert!(sizes.is_sorted(), "{sizes:?}");
    let last = acted.changes.last().unwrap();
    let whole = fs::read(acted.folder.join("file")).unwrap();
    assert_eq!(last["after"]["hash"], name_of(&whole), "{last:#}");
}

#[test]
fn what_two_processes_write_in_turn_is_never_shown_as_the_other_s() {
    /// How often each writes, in place.
    const TURNS: usize = 200;

    // 7.3 is preemptible, and leaves out programs under this load: a gap says so.
    if !is_one_of(&["5.10", "6.1", "6.12", "6.18"]) {
        return;
    }
    let folder = daemon().tree().join("in-turn");
    fs::create_dir(&folder).unwrap();
    let path = folder.join("file");
    fs::write(&path, "0000\n").unwrap();
    daemon().one(&path);
    // `dd` opens, writes in place and closes; each letter is a process of its own, and no child of a
    // loop that would make one change of them all. Now and then one rests, or hardly any content would
    // be known.
    let script = r#"i=0
        while [ $i -lt "$3" ]; do
            printf '%s%03d\n' "$2" $i | dd of="$1" conv=notrunc 2> /dev/null
            i=$((i + 1))
            [ $((i % 10)) != 0 ] || sleep 0.05
        done"#;
    let writer = |letter: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(&path);
        shell.args([letter, &TURNS.to_string()]).spawn().unwrap()
    };
    let mut writers = ["a", "b"].map(|letter| (letter, writer(letter)));
    let pids: Vec<(u32, &str)> = (writers.iter())
        .map(|(letter, writer)| (writer.id(), *letter))
        .collect();
    for (_, writer) in &mut writers {
        assert!(writer.wait().unwrap().success());
    }
    let changes = daemon().who(&path);
    let (mut known, mut wrong) = (0, Vec::new());
    for change in &changes[..changes.len() - 1] {
        let notes = change["notes"].as_array().into_iter().flatten();
        let is_shared = notes.into_iter().any(|note| note == "same-tick");
        let ancestry = change["actor"]["ancestry"].as_array().unwrap();
        let by = |pid: &u32| ancestry.iter().any(|kin| kin["pid"] == *pid);
        let (_, letter) = pids.iter().find(|(pid, _)| by(pid)).unwrap();
        if is_shared || is_unknown(change) {
            continue;
        }
        let own = |turn: usize| {
            change["after"]["hash"] == name_of(format!("{letter}{turn:03}\n").as_bytes())
        };
        known += 1;
        if !(0..TURNS).any(own) {
            wrong.push(change);
        }
    }
    assert!(known > 0, "{} changes", changes.len());
    assert!(wrong.is_empty(), "{} of {known}: {wrong:#?}", wrong.len());
}

#[test]
fn a_file_larger_than_what_is_kept_has_its_hash_and_no_content() {
    let acted = act(
        daemon,
        |_| {},
        |folder| fs::write(folder.join("file"), content(KEEP_BYTES + 1)).unwrap(),
    );
    let change = acted.only("create", "file");
    let after = &change["after"];
    assert_eq!(after["content"], "too-large", "{change:#}");
    assert_eq!(after["size"], KEEP_BYTES + 1, "{change:#}");
    assert_eq!(
        after["hash"],
        name_of(&content(KEEP_BYTES + 1)),
        "{change:#}"
    );
    let sentence = daemon().tell(&["who", acted.folder.join("file").to_str().unwrap()]);
    assert!(sentence.contains("too large"), "{sentence}");
}

fn content(size: u64) -> Vec<u8> {
    (0..size).map(|at| (at % 251) as u8).collect()
}

#[test]
fn a_sparse_file_is_as_large_as_it_says_and_costs_nothing() {
    let acted = act(
        daemon,
        |_| {},
        |folder| {
            let sparse = |name: &str, size: u64| {
                let file = File::create(folder.join(name)).unwrap();
                file.write_all_at(b"end", size - 3).unwrap();
            };
            sparse("small", 100_000);
            sparse("huge", 100 * HASH_BYTES);
        },
    );
    assert_eq!(acted.told(), ["create small", "create huge"]);
    let [small, huge] = [&acted.changes[0], &acted.changes[1]];
    let whole = fs::read(acted.folder.join("small")).unwrap();
    assert_eq!(small["after"]["hash"], name_of(&whole), "{small:#}");
    assert_eq!(huge["after"]["size"], 100 * HASH_BYTES, "{huge:#}");
    assert_eq!(huge["after"]["content"], "too-large", "{huge:#}");
    assert!(huge["after"]["hash"].is_null(), "{huge:#}");
}

#[test]
fn a_binary_file_is_kept_and_its_diff_says_what_it_is() {
    let acted = act(
        daemon,
        |folder| fs::write(folder.join("file"), b"\x7fELF\0\0\0\x01").unwrap(),
        |folder| overwrite(&folder.join("file"), 7, b"\x02"),
    );
    let change = acted.only("modify", "file");
    let after = b"\x7fELF\0\0\0\x02";
    assert_eq!(change["after"]["hash"], name_of(after), "{change:#}");
    let told = daemon().who(acted.folder.join("file")).remove(0);
    assert_eq!(
        told["diff"], "binary files differ (8 → 8 bytes)\n",
        "{told:#}"
    );
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = File::options().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}
