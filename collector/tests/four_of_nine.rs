//! The story *four of nine*: nine database hosts, of which four misbehave. They are given to `explain`, and its
//! first answer is the package that differs, with the run, the person and the minute.
#![expect(clippy::unwrap_used, reason = "whatever fails here fails a test")]

use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, Weak};

use change::{Kind, Op, Timestamp};
use simulation::deeds::{change, person};
use simulation::host::{Host, through_a_frame};
use simulation::inventory::{Role, attributes, hostname, setting, subject, with_address};
use simulation::truths;
use tracer_collector::store::{Location, Store};

const MINUTE_NS: i64 = 60_000_000_000;
const BAD: [u64; 4] = [1, 2, 3, 4];

/// The store of nine hosts, with the moment at which they reported last.
struct Nine {
    state_dir: tempfile::TempDir,
}

fn begun() -> Timestamp {
    "2026-11-20T08:00:00Z".parse().unwrap()
}

fn upgraded() -> Timestamp {
    "2026-11-21T02:13:00Z".parse().unwrap()
}

/// Everything that a host logs after its baseline.
fn log_of(host: &mut Host) -> change::wire::Batch {
    let number = host.number;
    let mut runs = Vec::new();
    let mut changes = truths::everyday(number, 60, begun());
    // On two of the bad and on one of the good: it splits the sides a little.
    if [1, 2, 5].contains(&number) {
        let time = begun().plus_nanos(100 * MINUTE_NS);
        let values = ["60", "10"].map(|value| Some(setting(value)));
        let actor = person("bob", "sysctl -w vm.swappiness=10", time);
        let swappiness = subject(Kind::Sysctl, "vm.swappiness");
        changes.push(change(swappiness, Op::Set, values, time, Some(&actor)));
    }
    if BAD.contains(&number) {
        let time = upgraded().plus_nanos((number.cast_signed() - 1) * MINUTE_NS);
        let (upgrade, run) = truths::libc_upgrade("alice", time);
        changes.extend(upgrade);
        runs.push(run);
    }
    // On all but one bad host, later: it splits nearly as well.
    if number > 1 && BAD.contains(&number) {
        let time = upgraded().plus_nanos(600 * MINUTE_NS);
        let version = |version| Some(attributes(&[("version", version), ("arch", "amd64")]));
        let values = [version("3.0.19-1~deb12u2"), version("3.0.20-1~deb12u1")];
        let actor = person("dave", "apt install openssl", time);
        let openssl = subject(Kind::Package, "openssl");
        changes.push(change(openssl, Op::Upgrade, values, time, Some(&actor)));
    }
    changes.sort_by_key(|change| change.time);
    host.log(changes, runs, upgraded().plus_nanos(900 * MINUTE_NS))
}

impl Nine {
    /// The nine hosts, which tests that run at the same time share.
    fn get() -> Arc<Self> {
        static SHARED: Mutex<Weak<Nine>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap();
        if let Some(nine) = shared.upgrade() {
            return nine;
        }
        let nine = Arc::new(Self::new());
        *shared = Arc::downgrade(&nine);
        nine
    }

    fn new() -> Self {
        let state_dir = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::within(state_dir.path())).unwrap();
        for number in 1..=9 {
            let mut host = Host::new(number, Role::Db);
            let id = host.id();
            let baseline = through_a_frame(&host.baseline(begun())).unwrap();
            assert!(baseline.facts.len() > 2_500, "{}", baseline.facts.len());
            store.ingest(&id, baseline, begun()).unwrap();
            let log = through_a_frame(&log_of(&mut host)).unwrap();
            let taken = store.ingest(&id, log.clone(), log.sent).unwrap();
            assert_eq!(taken.durable_seq, log.changes.len() as u64);
        }
        Self { state_dir }
    }

    /// Runs the command line. The hosts have reported when the story was written, which is fresh enough.
    fn ask(&self, args: &[&str]) -> Output {
        ask(self.state_dir.path(), args)
    }

    fn answer(&self, args: &[&str]) -> String {
        let output = self.ask(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, args: &[&str]) -> serde_json::Value {
        let args = [args, &["--json"]].concat();
        serde_json::from_str(&self.answer(&args)).unwrap()
    }
}

fn ask(state_dir: &Path, args: &[&str]) -> Output {
    let mut collector = Command::new(env!("CARGO_BIN_EXE_tracer-collector"));
    collector.env("TZ", "UTC").arg("--state-dir").arg(state_dir);
    collector
        .args(["--stale-before", "2026-11-01"])
        .args(args)
        .output()
        .unwrap()
}

#[test]
fn four_of_nine_differ_in_libc6_since_alice_upgraded_it() {
    let nine = Nine::get();
    let asked = [
        "explain",
        "--bad",
        "n1,n2,n3,n4",
        "--good",
        "n5,n6,n7,n8,n9",
    ];
    let answer = nine.json(&asked);
    let first = &answer["splits"][0];
    assert_eq!(first["subject"]["kind"], "package", "{answer:#}");
    assert_eq!(first["subject"]["key"], "libc6");
    assert_eq!(first["score"], 1.0);
    assert_eq!(first["bad"][0]["value"]["version"], truths::BAD_LIBC);
    assert_eq!(first["bad"][0]["count"], 4);
    assert_eq!(first["good"][0]["value"]["version"], truths::GOOD_LIBC);
    assert_eq!(first["good"][0]["count"], 5);
    assert_eq!(first["parted"], "2026-11-21T02:13:01.000000000Z");
    assert_eq!(first["on"]["hostname"], hostname(1));
    let change = &first["opening"]["change"];
    assert_eq!(change["actor"]["login_user"]["name"], "alice");
    assert_eq!(first["opening"]["run"]["id"], 7);
    assert_eq!(first["opening"]["run"]["tool"], "apt");
    assert_eq!(
        first["files"][0]["key"],
        "/etc/ld.so.conf.d/x86_64-linux-gnu.conf"
    );
    // What is unique to each host is not even among the first.
    let keys = answer["splits"].as_array().unwrap().iter();
    let keys: Vec<_> = keys
        .map(|split| split["subject"]["key"].as_str().unwrap())
        .collect();
    assert_eq!(keys[1], "openssl", "{keys:?}");

    let told = nine.answer(&asked);
    let mut lines = told.lines().skip(2);
    assert_eq!(lines.next(), Some("1. package:libc6  (1.00)"));
    assert_eq!(lines.next(), Some("  bad:  2.36-9+deb12u15 on 4"));
    assert_eq!(lines.next(), Some("  good: 2.36-9+deb12u14 on 5"));
    let parted = lines.next().unwrap();
    assert!(
        parted.contains("parted on n1 by alice with apt at"),
        "{parted}"
    );
    assert!(parted.contains("02:13"), "{parted}");
    assert!(
        parted.contains("run 7 `apt install --only-upgrade libc6`"),
        "{parted}"
    );
}

#[test]
fn a_comparison_of_a_bad_and_a_good_host_shows_it_and_sets_noise_aside() {
    let nine = Nine::get();
    let now = nine.json(&["compare", "n3", "n9"]);
    let first = &now["differences"][0];
    assert_eq!(first["subject"]["key"], "libc6");
    assert_eq!(
        first["openings"][0]["change"]["actor"]["login_user"]["name"],
        "alice"
    );
    assert_eq!(first["openings"][1]["change"], serde_json::Value::Null);
    let keys = |answer: &serde_json::Value| {
        let differences = answer["differences"].as_array().unwrap().iter();
        let keys = differences.map(|one| one["subject"]["key"].as_str().unwrap().to_owned());
        keys.collect::<Vec<_>>()
    };
    assert!(!keys(&now).contains(&"/etc/hostname".to_owned()));
    let all = keys(&nine.json(&["compare", "n3", "n9", "--all"]));
    assert!(all.contains(&"/etc/hostname".to_owned()));
    let before = nine.json(&["compare", "n3", "n9", "--at", "2026-11-21T02:12:00Z"]);
    assert!(!keys(&before).contains(&"libc6".to_owned()));

    let own = nine.json(&["compare", "n3", "--since", "2026-11-21T02:12:00Z"]);
    assert!(keys(&own).contains(&"libc6".to_owned()));
    assert_eq!(
        own["differences"][0]["values"][0]["version"],
        truths::GOOD_LIBC
    );
}

#[test]
fn files_that_differ_by_the_hosts_own_addresses_are_noise() {
    let nine = Nine::get();
    let all = nine.json(&["compare", "n3", "n9", "--all"]);
    let noise = |path: &str| {
        let mut differences = all["differences"].as_array().unwrap().iter();
        let found = differences.find(|one| one["subject"]["key"] == path);
        found.unwrap()["noise"].clone()
    };
    // In the first one the names stand, too, which are too short here to be told from parts of words.
    for (path, _) in &with_address(3)[1..] {
        assert_eq!(
            noise(path),
            "the same but for the hosts' own names and addresses",
            "{path}"
        );
    }
    let told = nine.answer(&["compare", "n3", "n9"]);
    assert!(!told.contains("/opt/shop/listen.conf"), "{told}");
}

#[test]
fn who_and_log_and_suspects_ask_the_whole_fleet() {
    let nine = Nine::get();
    let who = nine.answer(&["who", "package:libc6", "--json"]);
    let hosts: Vec<serde_json::Value> = who
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names: Vec<_> = hosts
        .iter()
        .map(|change| change["hostname"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["n4", "n3", "n2", "n1"]);
    let log = nine.answer(&["log", "--user", "dave", "--kind", "package"]);
    assert_eq!(log.lines().count(), 3, "{log}");
    let log = nine.answer(&[
        "log", "--path", "/opt/**", "--host", "n5", "--by", "human", "-n", "5",
    ]);
    assert_eq!(log.lines().count(), 5, "{log}");
    let suspects = nine.answer(&[
        "suspects",
        "--at",
        "2026-11-21T02:20:00Z",
        "--group",
        "role=db",
    ]);
    let first = suspects.lines().next().unwrap();
    assert!(first.contains("package:libc6"), "{suspects}");
}

#[test]
fn what_makes_no_sense_has_a_clear_answer() {
    let nine = Nine::get();
    let refused = |args: &[&str], code: i32, part: &str| {
        let output = nine.ask(args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(part), "{args:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    };
    refused(&["compare", "n1", "n99"], 2, "no host is called `n99`");
    refused(
        &["outliers", "--group", "role=cache"],
        2,
        "no host has the label `role=cache`",
    );
    refused(&["outliers", "--group", "db"], 2, "`db` is no group");
    refused(
        &["explain", "--bad", "n1", "--good", "n1,n2"],
        2,
        "stands on both sides",
    );
    refused(
        &["explain", "--bad", "role=db", "--good", "role=db"],
        2,
        "the good side",
    );
    refused(
        &["compare", "n1", "--since", "2026-11-19"],
        2,
        "is known from",
    );
    refused(&["who", "libc6"], 2, "neither an absolute path");
    let nothing = nine.ask(&["who", "package:no-such"]);
    assert_eq!((nothing.status.code(), nothing.stdout.len()), (Some(1), 0));
    let empty = tempfile::tempdir().unwrap();
    let said = ask(empty.path(), &["hosts"]);
    assert_eq!(said.status.code(), Some(4));
}

#[test]
fn a_host_that_has_stopped_reporting_is_told_as_stale() {
    let nine = Nine::get();
    let mut collector = Command::new(env!("CARGO_BIN_EXE_tracer-collector"));
    collector.arg("--state-dir").arg(nine.state_dir.path());
    // By now all of them have.
    let output = collector.args(["compare", "n1", "n9", "--stale-before", "2026-11-22"]);
    let told = String::from_utf8(output.output().unwrap().stdout).unwrap();
    assert!(told.contains("! n1 is stale"), "{told}");
    let mut collector = Command::new(env!("CARGO_BIN_EXE_tracer-collector"));
    collector.arg("--state-dir").arg(nine.state_dir.path());
    let output = collector.args([
        "outliers",
        "--group",
        "role=db",
        "--stale-before",
        "2026-11-22",
    ]);
    let output = output.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("at least 3 hosts that report"), "{said}");
}
