//! A small fleet of simulated hosts, with the program that answers for it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use change::wire::{Batch, FactNow};
use change::{Change, FactValue, Kind, Op, Run, Timestamp};
use serde_json::Value;
use simulation::deeds::{change, person};
use simulation::host::{Host, through_a_frame};
use simulation::inventory::{Role, attributes, setting, subject};
use simulation::server::store_for;
use tempfile::TempDir;
use tracer_collector::follow::Follower;
use tracer_collector::store::{Location, Store};

const MINUTE_NS: i64 = 60_000_000_000;
/// The tests' beginning of time was so many minutes ago.
pub(crate) const AGO: i64 = 120;
/// The hosts' baselines were taken then.
const BASELINE: i64 = -60 * 60;

/// Some hosts in one store. Times are minutes from the tests' beginning of time.
pub(crate) struct Fleet {
    folder: TempDir,
    /// Where the store is, unless it is in the folder.
    url: Option<String>,
    store: Store,
    hosts: Vec<Sending>,
    now: Timestamp,
}

/// A host, and what it says of itself.
struct Sending {
    host: RefCell<Host>,
    labels: BTreeMap<String, String>,
    log: String,
}

/// What the program said.
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The server, which is killed when dropped.
pub(crate) struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Fleet {
    /// So many database servers, whose names are `n1`, `n2` and so on.
    pub(crate) fn of(count: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = store_for(module_path!());
        let within = || Location::within(folder.path());
        let location = url.as_ref().map_or_else(within, |url| url.parse().unwrap());
        let now = jiff::Timestamp::now().as_nanosecond();
        let mut fleet = Self {
            store: Store::open(&location).unwrap(),
            url,
            folder,
            hosts: Vec::new(),
            now: Timestamp::from_nanos(i64::try_from(now).unwrap()),
        };
        for number in 1..=count {
            fleet.join(number, BASELINE);
        }
        fleet
    }

    /// A host tells of its first facts.
    pub(crate) fn join(&mut self, number: u64, minutes: i64) {
        self.add(number, format!("log-{number}"));
        let baseline = self.host(number).host.borrow().baseline(self.time(minutes));
        self.send(number, &baseline, minutes);
    }

    fn add(&mut self, number: u64, log: String) {
        let host = RefCell::new(Host::new(number, Role::Db));
        let labels = BTreeMap::new();
        self.hosts.push(Sending { host, labels, log });
    }

    /// A host that has told of nothing but its name.
    pub(crate) fn bare(&mut self, number: u64) {
        self.add(number, format!("log-{number}"));
        let mut baseline = self
            .host(number)
            .host
            .borrow()
            .baseline(self.time(BASELINE));
        baseline.facts = vec![FactNow {
            subject: subject(Kind::Host, "name"),
            value: Some(setting("bare")),
            since: self.time(BASELINE),
        }];
        self.send(number, &baseline, BASELINE);
    }

    /// Installs a host anew: another log begins under its machine id.
    pub(crate) fn reinstall(&mut self, number: u64, minutes: i64) {
        let log = format!("log-{number} anew");
        let sending = self
            .hosts
            .iter_mut()
            .find(|one| one.host.borrow().number == number);
        let sending = sending.unwrap();
        *sending.host.borrow_mut() = Host::new(number, Role::Db);
        sending.log = log;
        let baseline = self.host(number).host.borrow().baseline(self.time(minutes));
        self.send(number, &baseline, minutes);
    }

    fn host(&self, number: u64) -> &Sending {
        let mut hosts = self.hosts.iter();
        hosts
            .find(|one| one.host.borrow().number == number)
            .unwrap()
    }

    pub(crate) fn time(&self, minutes: i64) -> Timestamp {
        self.now.plus_nanos((minutes - AGO) * MINUTE_NS)
    }

    /// So many minutes after the test began.
    pub(crate) fn now_time(&self, minutes: i64) -> Timestamp {
        self.time(AGO + minutes)
    }

    pub(crate) fn label(&mut self, number: u64, label: &str, value: &str) {
        let mut hosts = self.hosts.iter_mut();
        let sending = hosts
            .find(|one| one.host.borrow().number == number)
            .unwrap();
        sending.labels.insert(label.to_owned(), value.to_owned());
        self.log(number, Vec::new(), BASELINE + 1);
    }

    pub(crate) fn send(&self, number: u64, batch: &Batch, minutes: i64) {
        let Sending { host, labels, log } = self.host(number);
        let mut batch = through_a_frame(batch).unwrap();
        batch.sender.labels.extend(labels.clone());
        batch.sender.log.clone_from(log);
        let id = host.borrow().id();
        self.store.ingest(&id, batch, self.time(minutes)).unwrap();
    }

    pub(crate) fn log(&self, number: u64, changes: Vec<Change>, minutes: i64) {
        self.log_with(number, changes, Vec::new(), minutes);
    }

    pub(crate) fn log_with(
        &self,
        number: u64,
        changes: Vec<Change>,
        runs: Vec<Run>,
        minutes: i64,
    ) -> Batch {
        let sent = self.time(minutes);
        let batch = self.host(number).host.borrow_mut().log(changes, runs, sent);
        self.send(number, &batch, minutes);
        batch
    }

    /// All hosts say that they are there.
    pub(crate) fn report(&self, minutes: i64) {
        for number in 1..=self.hosts.len() as u64 {
            self.log(number, Vec::new(), minutes);
        }
    }

    /// Writes a file of rules, in the place of the last one.
    pub(crate) fn rules(&self, text: &str) -> String {
        let path = self.folder.path().join("rules.toml");
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Follows by rules, from the beginning of time on.
    pub(crate) fn follower(&self, rules: &str) -> Follower {
        let path = self.rules(rules);
        let path = Path::new(&path);
        let mut follower = Follower::open(self.store.location(), Some(path), self.time(0)).unwrap();
        self.pass(&mut follower, 0);
        follower
    }

    /// A pass, when all hosts have just reported.
    pub(crate) fn pass(&self, follower: &mut Follower, minutes: i64) {
        self.report(minutes);
        self.pass_alone(follower, minutes);
    }

    /// A pass, whether or not anybody has reported.
    pub(crate) fn pass_alone(&self, follower: &mut Follower, minutes: i64) {
        while follower.pass(self.time(minutes)).unwrap() {}
    }

    fn program(&self) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_tracer-collector"));
        program
            .env("TZ", "UTC")
            .arg("--state-dir")
            .arg(self.folder.path());
        program.envs(self.url.iter().map(|url| ("TRACER_COLLECTOR_STORE", url)));
        program
    }

    /// Runs the program. Nobody is stale unless the test says so.
    pub(crate) fn ask(&self, args: &[&str]) -> Answer {
        let mut program = self.program();
        if !args.contains(&"--stale-before") {
            program.args(["--stale-before", "100h ago"]);
        }
        let output = program.args(args).output().unwrap();
        Answer {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let answer = self.ask(&[args, &["--json"]].concat());
        assert!(!answer.stdout.is_empty(), "{args:?}: {}", answer.stderr);
        serde_json::from_str(&answer.stdout).unwrap()
    }

    pub(crate) fn lines(&self, args: &[&str]) -> Vec<Value> {
        let answer = self.ask(&[args, &["--json"]].concat());
        assert!(answer.code <= 1, "{args:?}: {}", answer.stderr);
        let lines = answer.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    pub(crate) fn serve(&self, rules: &str) -> Server {
        self.report(AGO);
        self.start(&["--rules", rules])
    }

    pub(crate) fn serve_without_rules(&self) -> Server {
        self.start(&[])
    }

    fn start(&self, args: &[&str]) -> Server {
        let mut program = self.program();
        program
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(args);
        Server(program.stderr(Stdio::null()).spawn().unwrap())
    }

    /// Asks until it is so; a minute is long enough for anything here.
    pub(crate) fn wait_until(&self, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(
                begun.elapsed() < Duration::from_mins(1),
                "it does not come to be so"
            );
        }
    }
}

/// Somebody sets a kernel parameter.
pub(crate) fn set(key: &str, values: [&str; 2], time: Timestamp, who: &str) -> Change {
    let actor = person(who, &format!("sysctl -w {key}={}", values[1]), time);
    let values = values.map(|value| Some(setting(value)));
    change(
        subject(Kind::Sysctl, key),
        Op::Set,
        values,
        time,
        Some(&actor),
    )
}

/// A version of a package.
pub(crate) fn version(version: &str) -> FactValue {
    attributes(&[("version", version), ("arch", "amd64")])
}
