//! Keeping the collector running: copies of its store, a store put back, and what `doctor` says. The real program.
#![expect(clippy::unwrap_used, reason = "whatever fails here fails a test")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use change::{Kind, Op, Timestamp};
use serde_json::{Value, json};
use simulation::deeds::{change, person};
use simulation::host::Host;
use simulation::inventory::{Role, setting, subject};
use tempfile::TempDir;
use tracer_collector::fleet::{Fleet as _, LogQuery};
use tracer_collector::store::{
    Applicant, Certificate, Enrolment, HealthReader, Location, Permit, Reader, Store, back_up,
};

/// Minutes before now.
fn ago(minutes: i64) -> Timestamp {
    Timestamp::from_parts(jiff::Timestamp::now().as_second() - minutes * 60, 0)
}

/// The store's file.
fn file_in(state_dir: &Path) -> PathBuf {
    state_dir.join("collector.db")
}

fn run(state_dir: &Path, args: &[&str]) -> Output {
    let mut collector = Command::new(env!("CARGO_BIN_EXE_tracer-collector"));
    collector.env_remove("TRACER_LOG").env("TZ", "UTC");
    collector.arg("--state-dir").arg(state_dir).args(args);
    collector.output().unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn done(output: &Output) -> Vec<Value> {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    lines(output)
}

fn said(output: &Output) -> (Option<i32>, String) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

/// A collector that has an authority and three hosts, and a folder for copies.
struct Collector {
    state: TempDir,
    copies: TempDir,
    hosts: Vec<Host>,
    store: Store,
}

impl Collector {
    fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        done(&run(state.path(), &["enrol", "--json"]));
        let mut collector = Self {
            store: Store::open(&Location::within(state.path())).unwrap(),
            state,
            copies: tempfile::tempdir().unwrap(),
            hosts: (1..=3).map(|number| Host::new(number, Role::Db)).collect(),
        };
        for host in &collector.hosts {
            let baseline = host.baseline(ago(60));
            collector
                .store
                .ingest(&host.id(), baseline, ago(60))
                .unwrap();
        }
        collector.log("60", "10");
        collector
    }

    fn path(&self) -> &Path {
        self.state.path()
    }

    /// Each host logs one more change.
    fn log(&mut self, before: &str, after: &str) {
        for host in &mut self.hosts {
            let values = [before, after].map(|value| Some(setting(value)));
            let alice = person("alice", "sysctl -w", ago(1));
            let swappiness = subject(Kind::Sysctl, "vm.swappiness");
            let change = change(swappiness, Op::Set, values, ago(1), Some(&alice));
            let batch = host.log(vec![change], Vec::new(), ago(0));
            self.store.ingest(&host.id(), batch, ago(0)).unwrap();
        }
    }

    fn copy(&self, name: &str, args: &[&str]) -> (PathBuf, Value) {
        let file = self.copies.path().join(name);
        let copied = run(
            self.path(),
            &[&["backup", file.to_str().unwrap(), "--json"], args].concat(),
        );
        (file.clone(), done(&copied).remove(0))
    }
}

fn checks(state_dir: &Path) -> (Option<i32>, Vec<Value>) {
    let output = run(state_dir, &["doctor", "--json"]);
    (output.status.code(), lines(&output))
}

fn state<'a>(checks: &'a [Value], name: &str) -> (&'a str, &'a str) {
    let check = checks.iter().find(|check| check["name"] == name);
    assert!(check.is_some(), "no {name} in {checks:#?}");
    let check = check.unwrap();
    (
        check["state"].as_str().unwrap(),
        check["detail"].as_str().unwrap(),
    )
}

#[test]
fn a_store_that_was_put_back_answers_as_it_did_when_the_copy_was_taken() {
    let mut collector = Collector::new();
    let log = |state_dir: &Path| done(&run(state_dir, &["log", "--json"]));
    let before = log(collector.path());
    // The writer has the store open, and more is in its log than in the file.
    let (file, told) = collector.copy("copy", &[]);
    assert_eq!(
        (&told["hosts"], &told["changes"], &told["authority"]),
        (&json!(3), &json!(3), &json!(true))
    );
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    collector.log("10", "20");
    assert_eq!(log(collector.path()).len(), 6);

    let other = tempfile::tempdir().unwrap();
    let hash = told["hash"].as_str().unwrap();
    let restore = ["restore", file.to_str().unwrap(), "--hash", hash, "--json"];
    let restored = done(&run(other.path(), &restore)).remove(0);
    assert!(
        restored["taken"].as_str() < restored["restored"].as_str(),
        "{restored}"
    );
    assert_eq!(log(other.path()), before);
    let authority = |dir: &Path| fs::read(dir.join("authority.pem")).unwrap();
    assert_eq!(authority(other.path()), authority(collector.path()));
    let names = fs::read_dir(other.path()).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names.retain(|name| name != "collector.db-wal" && name != "collector.db-shm");
    assert_eq!(names, ["authority.pem", "collector.db"]);
    // The key is not left behind in the store.
    let store = fs::read(file_in(other.path())).unwrap();
    assert!(!store.windows(11).any(|some| some == b"PRIVATE KEY"));
    // Hosts go on where the copy ends, each change once.
    let store = Store::open(&Location::within(other.path())).unwrap();
    for host in &mut collector.hosts {
        let mut again = Host::new(host.number, Role::Db);
        let values = [Some(setting("10")), Some(setting("20"))];
        let alice = person("alice", "sysctl -w", ago(1));
        let one = |values| {
            change(
                subject(Kind::Sysctl, "vm.swappiness"),
                Op::Set,
                values,
                ago(1),
                Some(&alice),
            )
        };
        let batch = again.log(
            vec![one([Some(setting("60")), Some(setting("10"))]), one(values)],
            Vec::new(),
            ago(0),
        );
        let taken = store.ingest(&host.id(), batch, ago(0)).unwrap();
        assert_eq!(taken.durable_seq, 2);
    }
    assert_eq!(log(other.path()).len(), 6);
    let (code, found) = checks(other.path());
    assert_eq!(
        (code, state(&found, "store").0),
        (Some(0), "ok"),
        "{found:#?}"
    );
    assert!(
        state(&found, "store").1.contains("put back from a copy"),
        "{found:#?}"
    );
    // The token that was open when the copy was taken may have been used since.
    assert!(
        state(&found, "host tokens").1.starts_with("open 0"),
        "{found:#?}"
    );
}

#[test]
fn copies_that_are_taken_while_hosts_send_are_each_of_one_moment() {
    let mut collector = Collector::new();
    let copies = tempfile::tempdir().unwrap();
    let store = file_in(collector.path());
    let is_over = AtomicBool::new(false);
    let counts = thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                collector.log("10", "20");
            }
        });
        let counts: Vec<_> = (0..5)
            .map(|number| {
                let folder = copies.path().join(number.to_string());
                fs::create_dir(&folder).unwrap();
                let made = back_up(&store, &file_in(&folder), None, ago(0));
                made.map(|copy| (folder, copy.changes))
            })
            .collect();
        // Whatever went wrong, the one who writes must end.
        is_over.store(true, Ordering::Relaxed);
        counts
    });
    let counts: Vec<_> = counts.into_iter().map(Result::unwrap).collect();
    for (folder, changes) in &counts {
        let damage = HealthReader::open(&Location::within(folder))
            .unwrap()
            .damage(true);
        assert_eq!(damage.unwrap(), [""; 0]);
        let copy = Reader::open(&Location::within(folder)).unwrap();
        let hosts = copy.hosts().unwrap();
        let all = LogQuery {
            limit: usize::MAX,
            ..LogQuery::default()
        };
        // What is said to be there and what is there are of the same moment.
        let said: u64 = hosts.iter().map(|host| host.durable_seq).sum();
        let there = copy.log(&all).unwrap().len() as u64;
        assert_eq!((said, there), (*changes, *changes));
    }
    assert!(counts[4].1 > counts[0].1, "nothing was sent meanwhile");
}

#[test]
fn what_is_no_whole_copy_is_refused_and_leaves_nothing() {
    let collector = Collector::new();
    let (file, told) = collector.copy("copy", &[]);
    let other = tempfile::tempdir().unwrap();
    let refused = |file: &Path, args: &[&str]| {
        let args = [&["restore", file.to_str().unwrap()], args].concat();
        let told = said(&run(other.path(), &args));
        assert_eq!(fs::read_dir(other.path()).unwrap().count(), 0, "{told:?}");
        told
    };
    let bytes = fs::read(&file).unwrap();
    let damaged = collector.copies.path().join("damaged");
    for (what, bytes) in [
        ("cut", &bytes[..bytes.len() / 2]),
        ("empty", &[][..]),
        ("letter", b"this is a letter, and no database".as_slice()),
    ] {
        fs::write(&damaged, bytes).unwrap();
        let (code, told) = refused(&damaged, &[]);
        assert_eq!(code, Some(4), "{what}: {told}");
        assert!(told.contains("damaged"), "{what}: {told}");
    }
    let mut turned = bytes.clone();
    let place = turned.len() / 2;
    turned[place] ^= 1;
    fs::write(&damaged, &turned).unwrap();
    let hash = told["hash"].as_str().unwrap();
    let (code, told) = refused(&damaged, &["--hash", hash]);
    assert!(code == Some(4) && told.contains("and not b3:"), "{told}");
    let (code, told) = refused(&collector.copies.path().join("none"), &[]);
    assert!(code == Some(4) && told.contains("No such file"), "{told}");
    // A store is not a copy: what is in its log would be missing.
    let (code, told) = refused(&file_in(collector.path()), &[]);
    assert!(code == Some(4) && told.contains("no copy that"), "{told}");
    let other_program = collector.copies.path().join("songs.db");
    fs::copy(&file, &other_program).unwrap();
    let mut bytes = fs::read(&other_program).unwrap();
    // The application id in SQLite's header.
    bytes[68..72].copy_from_slice(b"song");
    fs::write(&other_program, &bytes).unwrap();
    let (code, told) = refused(&other_program, &[]);
    assert!(
        code == Some(4) && told.contains("no collector's store"),
        "{told}"
    );
    // The schema there.
    bytes[68..72].copy_from_slice(b"trcc");
    bytes[60..64].copy_from_slice(&999_u32.to_be_bytes());
    fs::write(&other_program, &bytes).unwrap();
    let (code, told) = refused(&other_program, &[]);
    assert!(code == Some(4) && told.contains("schema 999"), "{told}");
}

#[test]
fn nothing_that_is_there_is_written_over() {
    let collector = Collector::new();
    let (file, _) = collector.copy("copy", &[]);
    let before = fs::read(&file).unwrap();
    let again = run(collector.path(), &["backup", file.to_str().unwrap()]);
    let (code, told) = said(&again);
    assert!(code == Some(4) && told.contains("File exists"), "{told}");
    assert!(
        fs::read(&file).unwrap() == before,
        "the first copy was written over"
    );
    let (code, told) = said(&run(collector.path(), &["restore", file.to_str().unwrap()]));
    assert!(code == Some(2) && told.contains("not empty"), "{told}");
    let none = tempfile::tempdir().unwrap();
    let new = collector.copies.path().join("new");
    let (code, _) = said(&run(none.path(), &["backup", new.to_str().unwrap()]));
    assert!(code == Some(4) && !new.exists());
}

#[test]
fn a_copy_without_the_key_is_put_back_beside_the_key() {
    let collector = Collector::new();
    let (file, told) = collector.copy("copy", &["--without-authority"]);
    assert_eq!(told["authority"], false);
    let bytes = fs::read(&file).unwrap();
    assert!(!bytes.windows(11).any(|some| some == b"PRIVATE KEY"));
    let other = tempfile::tempdir().unwrap();
    let restore = ["restore", file.to_str().unwrap()];
    let (code, told) = said(&run(other.path(), &restore));
    assert!(code == Some(2) && told.contains("authority.pem"), "{told}");
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 0);
    let key = other.path().join("authority.pem");
    fs::copy(collector.path().join("authority.pem"), &key).unwrap();
    done(&run(other.path(), &[&restore[..], &["--json"]].concat()));
    assert_eq!(done(&run(other.path(), &["log", "--json"])).len(), 3);
}

#[test]
fn doctor_says_what_is_wrong_and_ends_so() {
    let collector = Collector::new();
    let (code, found) = checks(collector.path());
    assert_eq!(code, Some(0), "{found:#?}");
    for name in [
        "files",
        "authority",
        "store",
        "clock",
        "hosts",
        "certificates",
        "chains",
    ] {
        assert_eq!(state(&found, name).0, "ok", "{name}: {found:#?}");
    }
    assert!(
        state(&found, "host tokens")
            .1
            .contains("open 1, of which for any host 1"),
        "{found:#?}"
    );

    let stale = run(
        collector.path(),
        &["doctor", "--json", "--stale-before", "2262-01-01"],
    );
    assert_eq!(state(&lines(&stale), "hosts").0, "degraded");
    assert!(state(&lines(&stale), "hosts").1.contains("stale 3 ("));
}

#[test]
fn doctor_looks_at_the_authority_and_who_can_read_it() {
    let collector = Collector::new();
    let key = collector.path().join("authority.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, found) = checks(collector.path());
    assert_eq!((code, state(&found, "files").0), (Some(4), "missing"));
    assert!(state(&found, "files").1.contains("chmod 600"), "{found:#?}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();

    // The key of another authority under the certificate of this one.
    let other = tempfile::tempdir().unwrap();
    done(&run(other.path(), &["enrol", "--json"]));
    let [own, foreign] =
        [&key, &other.path().join("authority.pem")].map(|file| fs::read_to_string(file).unwrap());
    let begin = "-----BEGIN CERTIFICATE-----";
    let mixed =
        foreign.split(begin).next().unwrap().to_owned() + begin + own.split(begin).nth(1).unwrap();
    fs::write(&key, mixed).unwrap();
    let (code, found) = checks(collector.path());
    assert_eq!((code, state(&found, "authority").0), (Some(4), "missing"));
    assert!(
        state(&found, "authority")
            .1
            .contains("not that of its certificate"),
        "{found:#?}"
    );
    fs::write(&key, own).unwrap();
    assert_eq!(checks(collector.path()).0, Some(0));
}

#[test]
fn doctor_names_hosts_to_look_at() {
    let collector = Collector::new();
    let mut enrolment = Enrolment::open(&Location::within(collector.path())).unwrap();
    let hash = [7; 32];
    let permit = Permit {
        hostname: None,
        labels: [].into(),
        replaces: false,
        expires: ago(-60),
    };
    enrolment.permit(&hash, &permit, ago(0)).unwrap();
    let applicant = Applicant {
        name: "5f3c".to_owned(),
        hostname: "web-1".to_owned(),
    };
    let certificate = Certificate {
        fingerprint: [1; 32],
        issued: ago(120),
        expires: ago(60),
    };
    enrolment
        .enrol(&hash, &applicant, certificate, ago(0))
        .unwrap();
    enrolment
        .mark_rewritten("5f3c", "another log", ago(0))
        .unwrap();
    let (code, found) = checks(collector.path());
    assert_eq!((code, state(&found, "chains").0), (Some(4), "missing"));
    assert!(
        state(&found, "certificates").1.contains("(web-1)"),
        "{found:#?}"
    );
    assert_eq!(state(&found, "certificates").0, "degraded");
}

#[test]
fn doctor_finds_a_damaged_store_and_one_that_is_not_there() {
    let Collector {
        state: dir, store, ..
    } = Collector::new();
    drop(store);
    let path = file_in(dir.path());
    let mut bytes = fs::read(&path).unwrap();
    // A page in the middle, of whichever table.
    let (page, middle) = (4096, bytes.len() / 2 / 4096 * 4096);
    bytes[middle..middle + page].fill(0xEE);
    fs::write(&path, bytes).unwrap();
    let (code, found) = checks(dir.path());
    assert_eq!(
        (code, state(&found, "store").0),
        (Some(4), "missing"),
        "{found:#?}"
    );
    assert!(state(&found, "store").1.contains("restore"), "{found:#?}");
    let nowhere = dir.path().join("none");
    let (code, found) = checks(&nowhere);
    assert_eq!(
        (code, state(&found, "store").0),
        (Some(4), "missing"),
        "{found:#?}"
    );
    assert!(!nowhere.exists(), "doctor made something");
}

#[test]
fn a_question_without_a_store_says_what_makes_one() {
    let nowhere = tempfile::tempdir().unwrap();
    let (code, told) = said(&run(nowhere.path(), &["hosts"]));
    assert_eq!(code, Some(4), "{told}");
    assert!(told.contains("No such file"), "{told}");
    assert!(told.contains("`tracer-collector serve` makes"), "{told}");
    assert_eq!(fs::read_dir(nowhere.path()).unwrap().count(), 0);
}
