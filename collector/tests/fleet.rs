//! Questions about what happened on all hosts, and keeping only a part of it: each by the real program.
#![expect(clippy::unwrap_used, reason = "whatever fails here fails a test")]

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use change::wire::{Batch, SessionBody};
use change::{Actor, Change, Gap, GapReason, Kind, Op, Run, RunKind, Timestamp, User};
use serde_json::Value;
use simulation::deeds::{automation, change, person, run};
use simulation::host::{Host, through_a_frame};
use simulation::inventory::{Role, attributes, file, setting, subject};
use simulation::server::store_for;
use simulation::truths;
use tempfile::TempDir;
use tracer_collector::store::{Location, Store};

const MINUTE_NS: i64 = 60_000_000_000;

fn begun() -> Timestamp {
    "2026-11-20T08:00:00Z".parse().unwrap()
}

/// So many minutes after the beginning.
fn at(minutes: i64) -> Timestamp {
    begun().plus_nanos(minutes * MINUTE_NS)
}

/// A fleet whose hosts have sent nothing yet but what there was.
struct Fleet {
    state_dir: TempDir,
    /// Where the store is, unless it is in the directory.
    url: Option<String>,
    store: Store,
    hosts: Vec<Host>,
}

impl Fleet {
    /// Hosts by number, of which each second is a database server, and the first two are for tests.
    fn of(count: u64) -> Self {
        let state_dir = tempfile::tempdir().unwrap();
        let url = store_for(module_path!());
        let within = || Location::within(state_dir.path());
        let location = url.as_ref().map_or_else(within, |url| url.parse().unwrap());
        let store = Store::open(&location).unwrap();
        let role = |number: u64| {
            if number.is_multiple_of(2) {
                Role::Db
            } else {
                Role::Web
            }
        };
        let hosts: Vec<_> = (1..=count)
            .map(|number| Host::new(number, role(number)))
            .collect();
        let fleet = Self {
            state_dir,
            url,
            store,
            hosts,
        };
        for host in &fleet.hosts {
            let mut baseline = host.baseline(begun());
            // Few facts are enough here.
            baseline.facts.retain(|fact| match fact.subject.kind {
                Kind::Hardware | Kind::Host => true,
                Kind::Package => {
                    fact.subject.key.as_bytes().starts_with(b"n")
                        || fact.subject.key.as_bytes() == b"libc6"
                }
                _ => false,
            });
            fleet.take(host, baseline);
        }
        fleet
    }

    fn take(&self, host: &Host, mut batch: Batch) {
        let env = if host.number <= 2 { "test" } else { "prod" };
        batch.sender.labels.insert("env".to_owned(), env.to_owned());
        let batch = through_a_frame(&batch).unwrap();
        let sent = batch.sent;
        self.store.ingest(&host.id(), batch, sent).unwrap();
    }

    /// The next part of a host's log.
    fn log(&mut self, number: u64, changes: Vec<Change>, runs: Vec<Run>) {
        self.send(number, changes, |batch| batch.runs = runs);
    }

    fn send(&mut self, number: u64, changes: Vec<Change>, add: impl FnOnce(&mut Batch)) {
        let place = usize::try_from(number).unwrap() - 1;
        let sent = changes.iter().map(|change| change.time).max();
        let mut batch = self.hosts[place].log(changes, Vec::new(), sent.unwrap_or(at(600)));
        add(&mut batch);
        self.take(&self.hosts[place], batch);
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut collector = Command::new(env!("CARGO_BIN_EXE_tracer-collector"));
        collector
            .env("TZ", "UTC")
            .arg("--state-dir")
            .arg(self.state_dir.path());
        collector.envs(self.url.iter().map(|url| ("TRACER_COLLECTOR_STORE", url)));
        collector.args(["--stale-before", "2026-11-01"]).args(args);
        collector
    }

    fn ask(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn answer(&self, args: &[&str]) -> String {
        let output = self.ask(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn lines(&self, args: &[&str]) -> Vec<Value> {
        let answer = self.answer(&[args, &["--json"]].concat());
        answer
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// What a listing has in a field.
    fn field(&self, args: &[&str], field: &str) -> Vec<String> {
        let lines = self.lines(args);
        let texts = lines.iter().map(|line| match &line[field] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        texts.collect()
    }

    fn refused(&self, args: &[&str], part: &str) {
        let output = self.ask(args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(part), "{args:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }

    fn finds_nothing(&self, args: &[&str]) {
        let output = self.ask(args);
        assert_eq!(
            (output.status.code(), output.stdout.len()),
            (Some(1), 0),
            "{args:?}"
        );
    }
}

fn edited(path: &str, texts: [&str; 2], minutes: i64, actor: &Arc<Actor>) -> Change {
    let values = texts.map(|text| Some(file(path, text)));
    change(
        subject(Kind::File, path),
        Op::Modify,
        values,
        at(minutes),
        Some(actor),
    )
}

/// What alice does to nginx on a web server: a package with what belongs to it, and then a file by hand.
fn nginx(minutes: i64) -> (Vec<Change>, Vec<Run>) {
    let apt = person("alice", "apt install nginx", at(minutes));
    let version = |version| Some(attributes(&[("version", version), ("arch", "amd64")]));
    let package = change(
        subject(Kind::Package, "nginx"),
        Op::Upgrade,
        [version("1.22.1-9"), version("1.22.1-9+deb12u1")],
        at(minutes),
        Some(&apt),
    );
    let owned = (0..6).map(|number| Change {
        package: Some("nginx-common".to_owned()),
        ..edited(
            &format!("/etc/nginx/sites/{number}"),
            ["a", "b"],
            minutes,
            &apt,
        )
    });
    let mut changes: Vec<_> = [package].into_iter().chain(owned).collect();
    for change in &mut changes {
        change.run = Some(7);
    }
    let vim = person("bob", "vim /etc/nginx/nginx.conf", at(minutes + 30));
    changes.push(edited(
        "/etc/nginx/nginx.conf",
        ["1", "2"],
        minutes + 30,
        &vim,
    ));
    (
        changes,
        vec![Run {
            changes: 7,
            ..run(7, "apt", &apt, at(minutes))
        }],
    )
}

#[test]
fn who_touched_nginx_anywhere_last_night() {
    let mut fleet = Fleet::of(6);
    for (number, minutes) in [(1, 60), (3, 62), (5, 500)] {
        let (changes, runs) = nginx(minutes);
        fleet.log(number, changes, runs);
    }
    let puppet = automation(at(70));
    fleet.log(
        2,
        vec![edited("/etc/hosts", ["a", "b"], 70, &puppet)],
        Vec::new(),
    );

    let night = [
        "--since",
        "2026-11-20T08:30:00Z",
        "--until",
        "2026-11-20T10:00:00Z",
    ];
    let by_package = [&["log", "--package", "nginx*"], night.as_slice()].concat();
    let hosts = fleet.field(&by_package, "hostname");
    assert_eq!(
        hosts.iter().filter(|host| *host == "n3").count(),
        7,
        "{hosts:?}"
    );
    assert!(!hosts.contains(&"n5".to_owned()) && !hosts.contains(&"n2".to_owned()));
    let by_path = [
        &["log", "--path", "/etc/nginx/*", "--by", "human"],
        night.as_slice(),
    ]
    .concat();
    assert_eq!(fleet.field(&by_path, "hostname"), ["n3", "n1"]);
    let changes = fleet.lines(&by_path);
    assert_eq!(changes[0]["actor"]["login_user"]["name"], "bob");

    let who = ["who", "package:nginx"];
    assert_eq!(fleet.field(&who, "hostname"), ["n5", "n3", "n1"]);
    assert_eq!(
        fleet.field(&[&who, night.as_slice()].concat(), "hostname"),
        ["n3", "n1"]
    );
    let in_test = [who.as_slice(), &["--group", "role=web,env=test"]].concat();
    assert_eq!(fleet.field(&in_test, "hostname"), ["n1"]);

    // The filters of a host's own log; numbers of runs and sessions are each host's own.
    let of_run = fleet.lines(&["log", "--host", "n3", "--run", "7"]);
    assert_eq!(of_run.len(), 7);
    assert_eq!(
        fleet
            .lines(&["log", "--host", "n3", "--session", "41"])
            .len(),
        8
    );
    fleet.finds_nothing(&["log", "--host", "n2", "--session", "41"]);
    assert_eq!(
        fleet
            .lines(&["log", "--user", "1000", "--kind", "package"])
            .len(),
        3
    );
    assert_eq!(fleet.lines(&["log", "--by", "automation"]).len(), 1);
    fleet.refused(&["log", "--run", "7"], "--host");
    fleet.refused(&["log", "--path", "[", "-n", "1"], "read filter");
    fleet.refused(
        &[
            "log",
            "--since",
            "2026-11-20T10:00:00Z",
            "--until",
            "2026-11-20T09:00:00Z",
        ],
        "is before `--since`",
    );
}

#[test]
fn a_rename_is_found_by_both_names() {
    let mut fleet = Fleet::of(3);
    let actor = person("bob", "mv x y", at(5));
    let renamed = Change {
        from: Some(change::RenamedFrom("/etc/old.conf".into())),
        op: Op::Rename,
        ..edited("/etc/new.conf", ["a", "a"], 5, &actor)
    };
    fleet.log(
        2,
        vec![renamed, edited("/etc/new.conf", ["a", "b"], 6, &actor)],
        Vec::new(),
    );
    let ops = |args: &[&str]| fleet.field(args, "op");
    assert_eq!(ops(&["who", "/etc/old.conf"]), ["rename"]);
    assert_eq!(ops(&["who", "/etc/new.conf"]), ["modify", "rename"]);
    assert_eq!(ops(&["log", "--path", "/etc/old.*"]), ["rename"]);
    assert_eq!(ops(&["log", "--path", "/etc/*", "-n", "1"]), ["modify"]);
    assert_eq!(
        ops(&["log", "--path", "/etc/old.*", "--host", "n2"]),
        ["rename"]
    );
}

/// The same done to 37 of 40 hosts, the same later on one more, something else on another, and a gap.
fn busy_day() -> Fleet {
    let mut fleet = Fleet::of(40);
    for number in 1..=37_u64 {
        let (changes, runs) = nginx(60 + number.cast_signed() / 20);
        let puppet = automation(at(200));
        let set = change(
            subject(Kind::Sysctl, "vm.swappiness"),
            Op::Set,
            [Some(setting("60")), Some(setting("10"))],
            at(200).plus_nanos(number.cast_signed() * 1_000_000),
            Some(&puppet),
        );
        fleet.log(number, [changes, vec![set]].concat(), runs);
    }
    // The same, hours later, is another thing; and so is another value.
    let late = |value| {
        change(
            subject(Kind::Sysctl, "vm.swappiness"),
            Op::Set,
            [Some(setting("60")), Some(setting(value))],
            at(500),
            Some(&automation(at(500))),
        )
    };
    fleet.log(38, vec![late("10")], Vec::new());
    fleet.log(39, vec![late("11")], Vec::new());
    fleet.send(40, Vec::new(), |batch| {
        batch.gaps = vec![Gap {
            id: 1,
            from: at(100),
            to: Some(at(110)),
            reason: GapReason::Stopped,
            detail: "the daemon was not running".to_owned(),
        }];
    });
    fleet.answer(&[
        "mark",
        "deploy 4711",
        "--at",
        "2026-11-20T09:30:00Z",
        "--group",
        "role=web",
    ]);
    fleet
}

/// The timeline of that day.
const DAY: [&str; 5] = [
    "timeline",
    "--since",
    "2026-11-20T08:00:00Z",
    "--until",
    "2026-11-21T08:00:00Z",
];

#[test]
fn the_timeline_tells_the_same_on_many_hosts_once_and_runs_in_the_place_of_their_changes() {
    let fleet = busy_day();
    let items = fleet.lines(&DAY);
    let told: Vec<_> = items
        .iter()
        .map(|item| {
            (
                item["what"].as_str().unwrap(),
                item["count"].as_u64(),
                item["times"].as_u64(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("run", Some(37), Some(37)),
            ("marker", None, None),
            ("change", Some(37), Some(37)),
            ("gap", Some(1), Some(1)),
            ("change", Some(37), Some(37)),
            ("change", Some(1), Some(1)),
            ("change", Some(1), Some(1)),
        ],
        "{items:#?}"
    );
    let summary = items[0]["summary"].as_array().unwrap();
    assert_eq!(
        (&summary[0]["kind"], &summary[0]["count"]),
        (&"file".into(), &222.into())
    );
    assert_eq!(items[0]["run"]["tool"], "apt");
    // The line opens: by the host and the number that it names.
    let (host, number) = (
        &items[0]["hosts"][0]["hostname"],
        &items[0]["hosts"][0]["number"],
    );
    assert_eq!((host, number), (&"n1".into(), &7.into()));
    let opened = fleet.answer(&["runs", "--host", "n1", "7"]);
    assert!(
        opened.starts_with("alice ran `apt install nginx` on n1\n"),
        "{opened}"
    );
    assert_eq!(opened.matches("/etc/nginx/sites/").count(), 6, "{opened}");

    let text = fleet.answer(&DAY);
    assert!(text.contains("alice with apt  run `apt install nginx` (222 file modify, 37 package upgrade)  on 37 hosts (n1 run 7, n2 run 7, n3 run 7, …) until "), "{text}");
    assert!(text.contains("── deploy 4711 ──  on role=web"), "{text}");
    assert!(
        text.contains("! not complete: stopped, the daemon was not running  on n40"),
        "{text}"
    );
}

#[test]
fn a_timeline_can_be_of_some_hosts_of_each_change_and_of_the_newest_lines() {
    let fleet = busy_day();
    // Of the database servers only the marker is not told, as it is about the others.
    let of_db = fleet.field(&[DAY.as_slice(), &["--group", "role=db"]].concat(), "what");
    assert_eq!(of_db, ["run", "change", "gap", "change", "change"]);
    let each = fleet.lines(&[DAY.as_slice(), &["--each", "--package", "nginx*"]].concat());
    let changes = each.iter().filter(|item| item["what"] == "change");
    assert_eq!(changes.count(), 7);
    let newest = fleet.ask(&[DAY.as_slice(), &["-n", "2"]].concat());
    assert_eq!(String::from_utf8_lossy(&newest.stdout).lines().count(), 2);
    assert!(String::from_utf8_lossy(&newest.stderr).contains("5 older lines are left out"));
    fleet.refused(&["timeline", "--within", "soon"], "length of time");
}

#[test]
fn a_marker_can_stand_wherever_a_time_can() {
    let mut fleet = Fleet::of(3);
    let actor = person("carol", "sysctl -w a=1", at(10));
    let set = |value, minutes| {
        let values = [None, Some(setting(value))];
        change(
            subject(Kind::Sysctl, "a"),
            Op::Set,
            values,
            at(minutes),
            Some(&actor),
        )
    };
    fleet.log(1, vec![set("1", 10), set("2", 30)], Vec::new());
    let mark = |name: &str, time: &str| fleet.lines(&["mark", name, "--at", time]).remove(0);
    mark("incident", "2026-11-20T08:05:00Z");
    let second = mark("incident", "2026-11-20T08:20:00Z");
    let since = ["log", "--since", "marker:incident"];
    assert_eq!(fleet.lines(&since).len(), 1);
    let compared = fleet.answer(&["compare", "n1", "--since", "marker:incident"]);
    assert!(compared.contains("sysctl:a"), "{compared}");
    assert_eq!(fleet.field(&["markers"], "name"), ["incident", "incident"]);
    assert_eq!(
        fleet
            .lines(&["markers", "--since", "marker:incident"])
            .len(),
        1
    );
    fleet.answer(&["unmark", &second["id"].to_string()]);
    assert_eq!(fleet.lines(&since).len(), 2);
    fleet.finds_nothing(&["unmark", &second["id"].to_string()]);
    fleet.refused(
        &["log", "--since", "marker:party"],
        "no marker is called `party`",
    );
    fleet.refused(&["mark", "x", "--host", "n9"], "no host is called `n9`");
    fleet.refused(
        &["mark", "x", "--group", "role=cache"],
        "no host has the label",
    );
    fleet.refused(&["mark", "two\nlines"], "one line");
    fleet.refused(
        &["mark", "x", "--at", "2126-01-01T00:00:00Z"],
        "lies in the future",
    );
}

/// Two hosts on which alice was logged in twice, the second time to install nginx.
fn logged_in() -> Fleet {
    let mut fleet = Fleet::of(3);
    let shell = person("alice", "bash", at(0));
    let session = |start, end| SessionBody {
        session: shell.session.clone().unwrap(),
        user: Some(User {
            uid: 1000,
            name: Some("alice".to_owned()),
        }),
        start: at(start),
        end,
        changes: 0,
    };
    for number in [1, 3] {
        let (changes, runs) = nginx(60);
        let ls = person("alice", "ls /nowhere", at(50));
        let ls = Run {
            kind: RunKind::Command,
            exit_code: Some(2),
            changes: 0,
            ..run(6, "ls", &ls, at(50))
        };
        fleet.send(number, changes, |batch| {
            batch.runs = [vec![ls], runs].concat();
            // The number came again after a boot.
            batch.sessions = vec![session(0, Some(at(20))), session(40, None)];
        });
    }
    fleet.send(1, Vec::new(), |batch| {
        batch.sessions = vec![session(40, Some(at(100)))];
    });
    fleet
}

#[test]
fn sessions_of_all_hosts_are_known_with_what_they_changed() {
    let fleet = logged_in();
    let sessions = fleet.lines(&["sessions"]);
    let told: Vec<_> = sessions
        .iter()
        .map(|one| {
            (
                one["hostname"].as_str().unwrap(),
                one["changes"].as_u64().unwrap(),
                one["end"].is_null(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("n1", 8, false),
            ("n3", 8, true),
            ("n1", 0, false),
            ("n3", 0, false)
        ]
    );
    let since = fleet.lines(&[
        "sessions",
        "--since",
        "2026-11-20T10:00:00Z",
        "--user",
        "alice",
    ]);
    assert_eq!(since.len(), 1);
    fleet.finds_nothing(&["sessions", "--user", "mallory"]);
}

#[test]
fn what_was_typed_on_a_host_can_be_retraced() {
    let fleet = logged_in();
    let recap = fleet.answer(&["session", "n3", "41"]);
    let mut lines = recap.lines();
    assert_eq!(
        lines.next(),
        Some(
            "alice on n3, ssh from 10.1.2.3 (session 41, pts/0), since 2026-11-20 08:40: 8 changes"
        )
    );
    assert_eq!(
        lines.next(),
        Some("  2026-11-20 08:50:00  ls /nowhere  exit 2  run 6")
    );
    assert_eq!(
        lines.next(),
        Some("  2026-11-20 09:00:00  apt install nginx  run 7")
    );
    assert!(recap.contains("8  /etc/nginx/nginx.conf"), "{recap}");
    let body = fleet.lines(&["session", "n3", "41"]).remove(0);
    assert_eq!(body["commands"][1]["changes"].as_array().unwrap().len(), 7);
    fleet.finds_nothing(&["session", "n3", "9"]);
    fleet.refused(&["session", "n9", "41"], "no host is called");

    let changed = fleet.field(&["runs", "--changed"], "tool");
    assert_eq!(changed, ["apt", "apt"]);
    assert_eq!(
        fleet.field(&["runs", "--kind", "command", "--host", "n1"], "id"),
        ["6"]
    );
    fleet.finds_nothing(&["runs", "--group", "role=db"]);
}

#[test]
fn who_follows_the_log_is_told_what_comes() {
    let mut fleet = Fleet::of(3);
    let actor = person("bob", "vim x", at(1));
    fleet.log(1, vec![edited("/etc/a", ["1", "2"], 1, &actor)], Vec::new());
    let mut follower = fleet.command(&["log", "--follow", "--path", "/etc/**", "--json"]);
    let mut follower = follower.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["subject"]["key"], "/etc/a");
    fleet.log(
        3,
        vec![edited("/home/b", ["1", "2"], 2, &actor)],
        Vec::new(),
    );
    fleet.log(2, vec![edited("/etc/c", ["1", "2"], 3, &actor)], Vec::new());
    assert_eq!(next()["hostname"], "n2");
    fleet.log(2, vec![edited("/etc/d", ["1", "2"], 2, &actor)], Vec::new());
    assert_eq!(next()["subject"]["key"], "/etc/d");
    follower.kill().unwrap();
    follower.wait().unwrap();
}

/// Twelve hosts of two roles, which were set otherwise; on one that was forgotten.
fn tuned() -> Fleet {
    let mut fleet = Fleet::of(12);
    let set = |key, value, minutes| {
        let actor = person("dave", "ansible-playbook site.yml", at(minutes));
        let values = [None, Some(setting(value))];
        change(
            subject(Kind::Sysctl, key),
            Op::Set,
            values,
            at(minutes),
            Some(&actor),
        )
    };
    for number in 1..=12_u64 {
        let is_db = number.is_multiple_of(2);
        let mut changes = vec![set("same", "1", 5)];
        changes.push(set(
            "fs.aio-max-nr",
            if is_db { "1048576" } else { "65536" },
            6,
        ));
        // One database server was left out, another one is of neither opinion.
        if is_db && number != 12 {
            changes.push(set("vm.nr_hugepages", "512", 7));
        }
        changes.push(set("mixed", if number > 6 { "1" } else { "2" }, 8));
        fleet.log(number, changes, Vec::new());
    }
    fleet
}

/// The sysctls that a comparison tells of.
fn sysctls(compared: &Value) -> Vec<String> {
    let differences = compared["differences"].as_array().unwrap().iter();
    let sysctls = differences.filter(|one| one["subject"]["kind"] == "sysctl");
    sysctls
        .map(|one| one["subject"]["key"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn groups_are_compared_by_what_most_of_their_hosts_have() {
    let fleet = tuned();
    let compared = fleet.lines(&["compare", "role=web", "role=db"]).remove(0);
    assert_eq!(
        (
            &compared["sides"][0]["hosts"],
            &compared["sides"][1]["hosts"]
        ),
        (&6.into(), &6.into())
    );
    assert_eq!(sysctls(&compared), ["fs.aio-max-nr", "vm.nr_hugepages"]);
    let find = |compared: &Value, key: &str| {
        let mut differences = compared["differences"].as_array().unwrap().iter();
        differences
            .find(|one| one["subject"]["key"] == key)
            .unwrap()
            .clone()
    };
    let hugepages = find(&compared, "vm.nr_hugepages");
    assert_eq!(hugepages["values"][0][0]["value"], Value::Null);
    assert_eq!(
        (
            &hugepages["values"][1][0]["count"],
            &hugepages["values"][1][1]["count"]
        ),
        (&5.into(), &1.into())
    );
    assert_eq!(
        hugepages["openings"][1]["change"]["actor"]["login_user"]["name"],
        "dave"
    );
    // Packages of the one role are missing on the other.
    assert!(
        compared["differences"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["subject"]["key"] == "nginx")
    );
    assert!(compared["mixed"].as_u64().unwrap() >= 1 && compared["same"].as_u64().unwrap() > 10);
}

#[test]
fn a_host_is_compared_with_its_group_and_a_group_with_what_it_was() {
    let fleet = tuned();
    // A host against the others of its group.
    let own = fleet.lines(&["compare", "n12", "role=db"]).remove(0);
    assert_eq!(
        (sysctls(&own), &own["sides"][1]["hosts"]),
        (vec!["vm.nr_hugepages".to_owned()], &5.into())
    );
    // A group against what it was, and two groups at a past moment.
    let since = fleet
        .lines(&["compare", "role=db", "--since", "2026-11-20T08:06:30Z"])
        .remove(0);
    assert_eq!(sysctls(&since), ["vm.nr_hugepages"]);
    let then = [
        "compare",
        "role=web",
        "role=db",
        "--at",
        "2026-11-20T08:06:30Z",
    ];
    assert_eq!(sysctls(&fleet.lines(&then).remove(0)), ["fs.aio-max-nr"]);
    let text = fleet.answer(&["compare", "role=web,env=prod", "role=db,env=prod"]);
    assert!(
        text.starts_with("role=web,env=prod (5 hosts) and role=db,env=prod (5 hosts)\n"),
        "{text}"
    );
    assert!(
        text.contains("\n  role=db,env=prod  512 on 4, missing on 1  dave"),
        "{text}"
    );
    let same = fleet.ask(&["compare", "role=web", "role=web"]);
    assert_eq!(same.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&same.stdout).contains("6 hosts on both sides"));
    fleet.refused(
        &["compare", "role=web", "role=cache"],
        "no host has the label `role=cache`",
    );
    fleet.refused(&["compare", "role=web", "db"], "no host is called `db`");
}

#[test]
fn several_labels_are_one_group_wherever_a_group_can_stand() {
    let fleet = Fleet::of(8);
    assert_eq!(
        fleet.field(&["hosts", "--group", "role=web,env=prod"], "hostname"),
        ["n3", "n5", "n7"]
    );
    let found = fleet.ask(&["outliers", "--group", "role=db,env=prod", "--json"]);
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(found["hosts"], 3);
    let explained = fleet.lines(&[
        "explain",
        "--bad",
        "role=db,env=prod",
        "--good",
        "n1,role=web,env=prod",
    ]);
    let count = |side: &str| explained[0][side].as_array().unwrap().len();
    assert_eq!((count("bad"), count("good")), (3, 4));
    fleet.refused(&["outliers", "--group", "role=db,prod"], "is no group");
    fleet.refused(
        &["hosts", "--group", "role=db,env=moon"],
        "no host has all of the labels `role=db,env=moon`",
    );
    fleet.refused(
        &["outliers", "--group", "role=web,env=test"],
        "at least 3 hosts",
    );
}

#[test]
fn what_is_tidied_away_is_refused_and_the_rest_is_as_it_was() {
    let mut fleet = Fleet::of(4);
    for number in 1..=4 {
        let changes = truths::everyday(number, 200, begun());
        fleet.log(number, changes, Vec::new());
        let (mut upgrade, run) = truths::libc_upgrade("alice", at(2));
        upgrade.extend(truths::everyday(number, 20, at(300)));
        fleet.log(number, upgrade, vec![Run { changes: 2, ..run }]);
    }
    fleet.answer(&["mark", "before", "--at", "2026-11-20T08:10:00Z"]);
    let horizon = "2026-11-20T08:15:00Z";
    let asked: [&[&str]; 6] = [
        &[
            "compare",
            "n1",
            "n2",
            "--at",
            "2026-11-20T08:16:00Z",
            "--all",
        ],
        &["compare", "n1", "n2", "--at", horizon, "--all"],
        &["compare", "n3", "--since", "2026-11-20T08:20:00Z"],
        &["compare", "n1", "n4", "--all"],
        &["log", "--since", horizon],
        &["who", "package:libc6", "-n", "4"],
    ];
    let answers = asked.map(|args| fleet.answer(&[args, &["--json"]].concat()));
    let past = ["compare", "n1", "n2", "--at", "2026-11-20T08:14:59Z"];
    fleet.answer(&past);

    let planned = fleet
        .lines(&["tidy", "--before", horizon, "--dry-run"])
        .remove(0);
    assert!(planned["changes"].as_u64().unwrap() > 100, "{planned}");
    fleet.answer(&past);
    let tidied = fleet.lines(&["tidy", "--before", horizon]).remove(0);
    for sort in ["changes", "kept", "past_facts", "runs", "values", "actors"] {
        assert_eq!(tidied[sort], planned[sort], "{sort}");
    }
    assert!(tidied["kept"].as_u64().unwrap() > 0);
    fleet.refused(&past, "is kept from 2026-11-20T08:15:00.000000000Z on");
    fleet.refused(
        &["compare", "n1", "n2", "--at", "marker:before"],
        "what was older was removed",
    );
    fleet.refused(
        &["compare", "role=web", "role=db", "--at", "marker:before"],
        "what was older was removed",
    );
    fleet.refused(
        &["log", "--until", "marker:before"],
        "what was older was removed",
    );
    fleet.refused(
        &["suspects", "--at", "marker:before"],
        "what was older was removed",
    );
    for (args, answer) in asked.into_iter().zip(answers) {
        assert_eq!(
            fleet.answer(&[args, &["--json"]].concat()),
            answer,
            "{args:?}"
        );
    }
    // Where an answer reaches further back than what is kept, that is told.
    let log = fleet.ask(&["log", "--since", "2026-11-20T08:00:00Z"]);
    let said = String::from_utf8(log.stderr).unwrap();
    assert!(
        said.contains("what is older than 2026-11-20T08:15:00"),
        "{said}"
    );
    // What was long ago is still known of what it brought.
    let who = fleet.lines(&["who", "package:libc6"]);
    assert_eq!((who.len(), &who[0]["run"]), (4, &7.into()));
    assert_eq!(fleet.field(&["runs", "--host", "n1", "7"], "tool"), ["apt"]);
}

#[test]
fn a_tidied_store_goes_on_and_what_cannot_be_tidied_is_refused() {
    let mut fleet = Fleet::of(1);
    let horizon = "2026-11-20T08:15:00Z";
    fleet.log(1, truths::everyday(1, 200, begun()), Vec::new());
    fleet.answer(&["tidy", "--before", horizon]);
    let again = fleet.ask(&["tidy", "--before", horizon]);
    assert_eq!(again.status.code(), Some(1));
    fleet.refused(&["tidy"], "required");
    fleet.refused(&["tidy", "--keep", "1h"], "a day or more");
    fleet.refused(
        &["tidy", "--before", "2126-01-01T00:00:00Z"],
        "lies in the future",
    );
    // Hosts go on sending.
    let more = truths::everyday(9, 5, at(400));
    fleet.log(1, more, Vec::new());
    assert_eq!(
        fleet.field(&["log", "-n", "1", "--host", "n1"], "hostname"),
        ["n1"]
    );
    let nowhere = tempfile::tempdir().unwrap();
    let mut collector = Command::new(env!("CARGO_BIN_EXE_tracer-collector"));
    let output = collector
        .arg("--state-dir")
        .arg(nowhere.path())
        .args(["tidy", "--keep", "90d"])
        .output();
    assert_eq!(output.unwrap().status.code(), Some(4));
    assert_eq!(std::fs::read_dir(nowhere.path()).unwrap().count(), 0);
}
