//! The collector as viewers meet it: the real program, asked over HTTP and by its commands.
#![expect(clippy::unwrap_used, reason = "whatever fails here fails a test")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use change::wire::{Batch, Content, FactNow, Sender, SessionBody};
use change::{Change, FactValue, FileState, Gap, GapReason, Kind, Op, Timestamp};
use serde_json::{Value, json};
use simulation::deeds::{change, person, run};
use simulation::inventory::{attributes, setting, subject};
use tracer_collector::fleet::HostId;
use tracer_collector::store::{Location, Store};

const OLD: &str = "worker_connections 768;\n";
const NEW: &str = "worker_connections 4096;\n";

/// Minutes before now.
fn ago(minutes: i64) -> Timestamp {
    let now = jiff::Timestamp::now().as_second() / 60 * 60;
    Timestamp::from_parts(now - minutes * 60, 0)
}

fn file_of(text: &str) -> FactValue {
    FactValue::File(FileState {
        hash: Some(format!("b3:{}", blake3::hash(text.as_bytes()).to_hex())),
        size: text.len() as u64,
        mode: "0644".to_owned(),
        ..FileState::default()
    })
}

fn libc(version: &str) -> FactValue {
    attributes(&[("version", version), ("arch", "amd64")])
}

/// A host's baseline, and what it logged since: an upgrade on the first two, and on each twenty settings of which many
/// were made at one moment.
fn batches(number: u32) -> [Batch; 2] {
    let version = |new| if new { libc("2.36-10") } else { libc("2.36-9") };
    let text = if number == 1 { NEW } else { OLD };
    let facts = [
        (Kind::Package, "libc6", version(false)),
        (Kind::Sysctl, "vm.swappiness", setting("60")),
        (Kind::File, "/etc/nginx.conf", file_of(text)),
    ];
    let sender = Sender {
        machine: format!("machine-{number}"),
        hostname: format!("web-{number}"),
        labels: BTreeMap::from([("role".to_owned(), "web".to_owned())]),
        tracer: "0.1.0".to_owned(),
        log: format!("log-{number}"),
    };
    let baseline = Batch {
        sender,
        sent: ago(600),
        first_seq: 1,
        facts: facts
            .map(|(kind, key, value)| FactNow {
                subject: subject(kind, key),
                value: Some(value),
                since: ago(600),
            })
            .to_vec(),
        contents: vec![Content {
            hash: *blake3::hash(text.as_bytes()).as_bytes(),
            bytes: text.as_bytes().to_vec(),
        }],
        ..Batch::default()
    };
    let alice = person("alice", "apt install libc6", ago(60));
    let mut changes: Vec<Change> = Vec::new();
    for round in 0..20 {
        let values = [Some(setting("60")), Some(setting("60"))];
        let time = ago(90 - round / 10);
        let swappiness = subject(Kind::Sysctl, "vm.swappiness");
        changes.push(change(swappiness, Op::Set, values, time, Some(&alice)));
    }
    if number <= 2 {
        let values = [version(false), version(true)].map(Some);
        let upgraded = subject(Kind::Package, "libc6");
        let upgrade = change(upgraded, Op::Upgrade, values, ago(30), Some(&alice));
        changes.push(Change {
            run: Some(1),
            ..upgrade
        });
    }
    let numbered = (1..).zip(changes).map(|(seq, change)| Change {
        host: baseline.sender.machine.clone(),
        hostname: baseline.sender.hostname.clone(),
        seq,
        ..change
    });
    let session = SessionBody {
        session: alice.session.clone().unwrap(),
        user: alice.login_user.clone(),
        start: ago(100),
        end: None,
        changes: 0,
    };
    let gap = Gap {
        id: 1,
        from: ago(400),
        to: Some(ago(390)),
        reason: GapReason::Stopped,
        detail: "the daemon was not running".to_owned(),
    };
    let log = Batch {
        changes: numbered.collect(),
        facts: Vec::new(),
        runs: vec![run(1, "apt", &alice, ago(31))],
        sessions: vec![session],
        gaps: vec![gap],
        sent: ago(0),
        ..baseline.clone()
    };
    [baseline, log]
}

/// What the hosts are to be like: two of them are not.
const RULES: &str = r#"
[[expect]]
that = "package:libc6 == 2.36-9 on role=web"
owner = "ops"

[[except]]
subject = "package:libc6"
hosts = ["web-2"]
reason = "a trial"
owner = "alice"
until = 2100-01-01
"#;

/// A running collector with six hosts; ends when dropped.
struct Collector {
    state: tempfile::TempDir,
    child: Child,
    address: String,
}

fn command(state_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer-collector"));
    command.env_remove("TRACER_LOG").env("TZ", "UTC");
    command.arg("--state-dir").arg(state_dir);
    command
}

impl Collector {
    fn start() -> Self {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::within(state.path())).unwrap();
        for number in 1..=6 {
            let id = HostId(format!("machine-{number}"));
            let [baseline, log] = batches(number);
            store.ingest(&id, baseline, ago(600)).unwrap();
            store.ingest(&id, log, ago(0)).unwrap();
        }
        fs::write(state.path().join("rules.toml"), RULES).unwrap();
        let (child, address) = serve(state.path());
        Self {
            state,
            child,
            address,
        }
    }

    fn run(&self, args: &[&str]) -> Output {
        command(self.state.path()).args(args).output().unwrap()
    }

    /// What a command prints as JSON, an object a line.
    fn lines(&self, args: &[&str]) -> Vec<Value> {
        let output = self.run(&[args, &["--json"]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {said}");
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn token(&self, name: &str, scopes: &str) -> String {
        let made = self.run(&["token", "make", name, "--scope", scopes]);
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{said}");
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    }

    /// Sends a request, and returns the status, the head and the body.
    fn request(&self, method: &str, target: &str, token: Option<&str>) -> (u16, String, String) {
        let token = token.map(|token| format!("authorization: Bearer {token}\r\n"));
        let token = token.unwrap_or_default();
        let head =
            format!("{method} {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{token}\r\n");
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_lowercase(), body.to_owned())
    }

    fn get(&self, target: &str, token: &str) -> (u16, Value) {
        let (status, _, body) = self.request("GET", target, Some(token));
        (status, serde_json::from_str(&body).unwrap_or(json!(body)))
    }

    fn answer(&self, target: &str, token: &str) -> Value {
        let (status, body) = self.get(target, token);
        assert_eq!(status, 200, "{target}: {body}");
        body
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Starts the server, and tells where viewers find it.
fn serve(state_dir: &Path) -> (Child, String) {
    let mut serve = command(state_dir);
    serve.args(["serve", "--listen", "127.0.0.1:0", "--view", "127.0.0.1:0"]);
    serve.arg("--rules").arg(state_dir.join("rules.toml"));
    let mut child = serve.stderr(Stdio::piped()).spawn().unwrap();
    let address = address_in(child.stderr.take().unwrap());
    (child, address)
}

fn address_in(log: ChildStderr) -> String {
    let (mut log, mut said) = (BufReader::new(log), String::new());
    loop {
        let mut line = String::new();
        let read = log.read_line(&mut line).unwrap();
        assert!(read > 0, "the collector ended: {said}");
        if let Some((_, address)) = line.split_once("viewers on ") {
            // Whoever writes a log wants it read.
            thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
            return address.trim().to_owned();
        }
        said.push_str(&line);
    }
}

#[test]
fn viewers_are_told_what_the_commands_tell() {
    let collector = Collector::start();
    let token = collector.token("me", "read,content");
    let (noon, moment) = (ago(20).to_string(), ago(590).to_string());
    let [suspects, compare] = [
        format!("/v1/suspects?at={noon}&group=role%3Dweb&window_hours=1.5"),
        format!("/v1/compare?host=web-1&since={moment}"),
    ];
    let listings: [(&str, &[&str]); 6] = [
        ("/v1/hosts?group=role=web", &["hosts"]),
        ("/v1/who?subject=package:libc6", &["who", "package:libc6"]),
        ("/v1/log?n=1000", &["log", "-n", "1000"]),
        (
            "/v1/log?op=upgrade&user=alice&host=web-2",
            &[
                "log", "--op", "upgrade", "--user", "alice", "--host", "web-2",
            ],
        ),
        ("/v1/log?path=/etc/**", &["log", "--path", "/etc/**"]),
        (
            &suspects,
            &[
                "suspects", "--at", &noon, "--group", "role=web", "--window", "1.5",
            ],
        ),
    ];
    for (target, args) in listings {
        let told = collector.answer(target, &token);
        let items = told["items"].as_array().unwrap();
        if items.is_empty() {
            assert_eq!(collector.run(args).status.code(), Some(1), "{target}");
        } else {
            assert_eq!(items, &collector.lines(args), "{target}");
        }
    }
    let answers: [(&str, &[&str]); 4] = [
        (
            "/v1/outliers?group=all&n=3",
            &["outliers", "--group", "all", "-n", "3"],
        ),
        (
            "/v1/explain?bad=web-1,web-2&good=role=web",
            &["explain", "--bad", "web-1,web-2", "--good", "role=web"],
        ),
        (
            "/v1/compare?host=web-1&other=web-3&noise=sysctl:net.*&all=true",
            &[
                "compare",
                "web-1",
                "web-3",
                "--noise",
                "sysctl:net.*",
                "--all",
            ],
        ),
        (&compare, &["compare", "web-1", "--since", &moment]),
    ];
    for (target, args) in answers {
        let mut told = collector.answer(target, &token);
        // Only an answer to a viewer can lack them.
        if let Some(withheld) = told.as_object_mut().unwrap().remove("contents_withheld") {
            assert_eq!(withheld, json!(false));
        }
        assert_eq!(vec![told], collector.lines(args), "{target}");
    }
    let explained = collector.answer("/v1/explain?bad=web-1,web-2&good=role=web", &token);
    assert_eq!(
        explained["splits"][0]["subject"]["key"], "libc6",
        "{explained}"
    );
}

#[test]
fn viewers_are_told_what_happened_as_the_commands_tell() {
    let collector = Collector::start();
    let token = collector.token("me", "read");
    let (hour, two) = (ago(60).to_string(), ago(120).to_string());
    collector.lines(&["mark", "deploy 4711", "--at", &hour, "--group", "role=web"]);
    collector.lines(&["snapshot", "before", "--at", &two, "--note", "trial"]);
    let events = ["drift", "--events", "--all"];
    wait_for("the drift of two hosts", || {
        let listed = collector.run(&[&events[..], &["--json"]].concat()).stdout;
        String::from_utf8(listed).unwrap().lines().count() == 2
    });
    let listings: [(&str, &[&str]); 11] = [
        ("/v1/timeline", &["timeline"]),
        (
            "/v1/timeline?each=true&op=upgrade",
            &["timeline", "--each", "--op", "upgrade"],
        ),
        ("/v1/markers", &["markers"]),
        ("/v1/runs", &["runs"]),
        (
            "/v1/runs?kind=package-manager&host=web-1&user=alice&changed=true",
            &[
                "runs",
                "--kind",
                "package-manager",
                "--host",
                "web-1",
                "--user",
                "alice",
                "--changed",
            ],
        ),
        ("/v1/sessions?group=role=web", &["sessions"]),
        ("/v1/drift-events?all=true", &events),
        ("/v1/snapshots", &["snapshots"]),
        ("/v1/run?host=web-2&id=1", &["runs", "--host", "web-2", "1"]),
        ("/v1/session?host=web-2&id=41", &["session", "web-2", "41"]),
        ("/v1/drift?all=true", &["drift", "--all"]),
    ];
    for (target, args) in listings {
        let told = collector.answer(target, &token);
        let told = match told["items"].as_array() {
            Some(items) => items.clone(),
            None => vec![told],
        };
        assert_eq!(told, collector.lines(args), "{target}");
    }
    let drift = collector.answer("/v1/drift", &token);
    assert_eq!(
        (&drift["drifting"], &drift["excepted"]),
        (&json!(1), &json!(1)),
        "{drift}"
    );
    let refused = |target: &str| {
        let (status, problem) = collector.get(target, &token);
        (
            status,
            problem["type"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let is = |status: u16, kind: &str| (status, kind.to_owned());
    assert_eq!(refused("/v1/run?host=web-2&id=9"), is(404, "not-found"));
    assert_eq!(refused("/v1/session?host=web-2&id=9"), is(404, "not-found"));
    assert_eq!(refused("/v1/run?host=web-2&id=x"), is(400, "bad-parameter"));
    assert_eq!(refused("/v1/run?host=web-2"), is(400, "missing-parameter"));
    assert_eq!(refused("/v1/runs?session=41"), is(400, "contradiction"));
    let backwards = format!("/v1/timeline?since={hour}&until={two}");
    assert_eq!(refused(&backwards), is(400, "contradiction"));
}

/// Waits until something is so, for as long as a busy machine may take.
fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_mins(1);
    while !is_so() {
        assert!(Instant::now() < until, "{what} is still to come");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_token_opens_what_its_scopes_say_until_it_is_revoked() {
    let collector = Collector::start();
    let reads = collector.token("reads", "read");
    let sees = collector.token("sees", "read,content");
    let counts = collector.token("counts", "metrics");
    let status = |target: &str, token: Option<&str>| {
        let (status, head, body) = collector.request("GET", target, token);
        let problem: Value = serde_json::from_str(&body).unwrap_or_default();
        let kind = problem["type"].as_str().unwrap_or_default().to_owned();
        assert_eq!(
            head.contains("www-authenticate: bearer"),
            status == 401,
            "{head}"
        );
        assert!(head.contains("cache-control: no-store"), "{head}");
        (status, kind)
    };
    let is = |status: u16, kind: &str| (status, kind.to_owned());
    assert_eq!(status("/v1/hosts", None), is(401, "no-token"));
    assert_eq!(status("/metrics", None), is(401, "no-token"));
    assert_eq!(
        status("/v1/hosts", Some("tracer-view1-00")),
        is(401, "bad-token")
    );
    let guessed = format!("tracer-view1-{}", "00".repeat(20));
    assert_eq!(status("/v1/hosts", Some(&guessed)), is(401, "bad-token"));
    assert_eq!(status("/v1/hosts", Some(&reads)), is(200, ""));
    assert_eq!(status("/metrics", Some(&reads)), is(403, "no-scope"));
    assert_eq!(status("/metrics", Some(&counts)), is(200, ""));
    assert_eq!(status("/v1/hosts", Some(&counts)), is(403, "no-scope"));
    assert_eq!(status("/healthz", None), is(200, ""));
    assert_eq!(status("/v1/openapi.json", None), is(200, ""));

    let compare = "/v1/compare?host=web-1&other=web-3";
    let diff = |token: &str| {
        let told = collector.answer(compare, token);
        let differences = told["differences"].as_array().unwrap().clone();
        let is_file = |one: &&Value| one["subject"]["kind"] == "file";
        let diff = differences.iter().find(is_file).unwrap()["diff"].clone();
        (diff, told["contents_withheld"].clone())
    };
    assert_eq!(diff(&reads), (Value::Null, json!(true)));
    let (shown, withheld) = diff(&sees);
    assert!(
        shown
            .as_str()
            .unwrap()
            .contains("-worker_connections 4096;"),
        "{shown}"
    );
    assert_eq!(withheld, false);

    let taken = collector.run(&["token", "make", "reads"]);
    assert_eq!(taken.status.code(), Some(2));
    let database = fs::read(collector.state.path().join("collector.db")).unwrap();
    let log = fs::read(collector.state.path().join("collector.db-wal")).unwrap();
    let secret = reads.rsplit('-').next().unwrap().as_bytes();
    let holds = |bytes: &[u8]| bytes.windows(secret.len()).any(|some| some == secret);
    assert!(
        !holds(&database) && !holds(&log),
        "the store has the secret itself"
    );
    let listed = collector.lines(&["token", "list"]);
    let names: Vec<_> = listed
        .iter()
        .map(|token| token["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["counts", "reads", "sees"]);
    assert!(
        collector
            .run(&["token", "revoke", "reads"])
            .status
            .success()
    );
    assert_eq!(status("/v1/hosts", Some(&reads)), is(401, "bad-token"));
    assert_eq!(
        collector.run(&["token", "revoke", "reads"]).status.code(),
        Some(2)
    );
    assert_eq!(status("/v1/hosts", Some(&sees)), is(200, ""));
}

#[test]
fn what_makes_no_sense_is_refused_with_what_does() {
    let collector = Collector::start();
    let token = collector.token("me", "read");
    let early = ago(6000).to_string();
    let too_early = format!("/v1/compare?host=web-1&since={early}");
    for (target, status, kind, part) in [
        (
            "/v1/hosts?limit=3",
            400,
            "unknown-parameter",
            "group, past, stale_before",
        ),
        (
            "/v1/hosts?group=all&past=true",
            400,
            "contradiction",
            "without `group`",
        ),
        ("/v1/hosts?group=web", 400, "no-group", "role=db"),
        ("/v1/hosts?group=role=db", 404, "empty-group", "role=db"),
        (
            "/v1/compare?host=web-9&other=web-1",
            404,
            "unknown-host",
            "web-9",
        ),
        ("/v1/compare?host=web-1", 400, "contradiction", "`since`"),
        (&too_early, 404, "too-early", "known from"),
        ("/v1/compare?other=web-1", 400, "missing-parameter", "host"),
        (
            "/v1/outliers?group=all&n=0",
            400,
            "bad-parameter",
            "from 1 to 1000",
        ),
        (
            "/v1/explain?bad=web-1&good=web-1",
            400,
            "both-sides",
            "web-1",
        ),
        (
            "/v1/suspects?at=noon",
            400,
            "bad-parameter",
            "2026-11-21T14:02:11Z",
        ),
        ("/v1/who?subject=nginx", 400, "bad-parameter", "kind:key"),
        ("/v1/log?path=%5B", 400, "bad-parameter", "path"),
        (
            "/v1/log?kind=package&path=/etc/*",
            400,
            "contradiction",
            "`kind`",
        ),
        ("/v1/log?cursor=1.2", 400, "bad-parameter", "`next`"),
        ("/v1/log?user=%FF", 400, "bad-parameter", "UTF-8"),
        ("/v1/hosts/web-1", 404, "unknown-route", "openapi.json"),
        ("/", 404, "unknown-route", "openapi.json"),
    ] {
        let (code, problem) = collector.get(target, &token);
        assert_eq!(
            (code, &problem["type"]),
            (status, &json!(kind)),
            "{target}: {problem}"
        );
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(part), "{target}: {detail}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE"] {
        let (status, head, _) = collector.request(method, "/v1/hosts", Some(&token));
        assert_eq!(status, 405, "{method}");
        assert!(head.contains("allow: get,head"), "{head}");
    }
    let long = format!("/v1/log?user={}", "x".repeat(100_000));
    assert_eq!(collector.request("GET", &long, Some(&token)).0, 414);
    // It still answers, and the store is as it was.
    let told = collector.answer("/v1/log?n=1000", &token);
    assert_eq!(told["items"].as_array().unwrap().len(), 122);
}

#[test]
fn a_log_is_read_page_by_page_without_a_hole_or_a_repeat() {
    let collector = Collector::start();
    let token = collector.token("me", "read");
    let whole = collector.answer("/v1/log?n=1000", &token);
    assert_eq!(whole["next"], Value::Null);
    let (mut items, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = collector.answer(&format!("/v1/log?n=7{cursor}"), &token);
        items.extend(page["items"].as_array().unwrap().clone());
        pages += 1;
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(&items, whole["items"].as_array().unwrap());
    assert_eq!(pages, 122_usize.div_ceil(7));
    let who = collector.answer("/v1/who?subject=package:libc6&n=1", &token);
    let next = who["next"].as_str().unwrap();
    let target = format!("/v1/who?subject=package:libc6&n=1&cursor={next}");
    let second = collector.answer(&target, &token);
    assert_eq!(
        [&who, &second].map(|page| &page["items"][0]["hostname"]),
        ["web-1", "web-2"]
    );
}

/// Whether a value has all that its schema tells of and nothing else.
fn check(value: &Value, schema: &Value, all: &Value, place: &str) -> Result<(), String> {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return check(value, &all[name], all, place);
    }
    if let Some(some) = schema["anyOf"].as_array() {
        let tried = some.iter().map(|one| check(value, one, all, place));
        let tried: Vec<_> = tried.collect();
        let is_one = tried.iter().any(Result::is_ok);
        return is_one.then_some(()).ok_or(format!("{tried:?}"));
    }
    let wrong = || Err(format!("{place} is {value}, and is to be {schema}"));
    let types = match &schema["type"] {
        Value::Array(types) => types.clone(),
        one => vec![one.clone()],
    };
    let own = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is_one = |one: &Value| one == own || (one == "number" && own == "integer");
    if !types.iter().any(is_one) {
        return wrong();
    }
    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
        check(item, &schema["items"], all, &format!("{place}[{number}]"))?;
    }
    let Some(fields) = value.as_object() else {
        return Ok(());
    };
    let required = schema["required"].as_array().into_iter().flatten();
    if let Some(lacks) = required
        .into_iter()
        .find(|name| !fields.contains_key(name.as_str().unwrap()))
    {
        return Err(format!("{place} lacks {lacks}"));
    }
    for (name, field) in fields {
        let known = schema["properties"]
            .get(name)
            .or(schema.get("additionalProperties"));
        let known = known.ok_or(format!("{place}.{name} is not described"))?;
        check(field, known, all, &format!("{place}.{name}"))?;
    }
    Ok(())
}

#[test]
fn every_answer_is_as_it_is_described() {
    let collector = Collector::start();
    let token = collector.token("me", "read,content");
    let described = collector.answer("/v1/openapi.json", &token);
    let schemas = &described["components"]["schemas"];
    let suspects = format!("/v1/suspects?at={}", ago(20));
    for target in [
        "/v1/hosts",
        "/v1/compare?host=web-1&other=web-3&all=true",
        "/v1/outliers?group=all",
        "/v1/explain?bad=web-1,web-2&good=all",
        &suspects,
        "/v1/who?subject=package:libc6",
        "/v1/log?n=3",
    ] {
        let told = collector.answer(target, &token);
        let path = target.split('?').next().unwrap();
        let operation = &described["paths"][path]["get"];
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        check(&told, schema, schemas, target).unwrap();
    }
    let (status, problem) = collector.get("/v1/hosts?x=1", &token);
    assert_eq!(status, 400);
    check(&problem, &schemas["Problem"], schemas, "problem").unwrap();
}

#[test]
fn metrics_tell_how_the_hosts_stand() {
    let collector = Collector::start();
    let token = collector.token("prometheus", "metrics,read");
    collector.answer("/v1/hosts", &token);
    let (status, head, text) = collector.request("GET", "/metrics", Some(&token));
    assert_eq!(status, 200);
    assert!(
        head.contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{head}"
    );
    for line in [
        "tracer_collector_hosts{standing=\"fresh\"} 6",
        "tracer_collector_hosts{standing=\"stale\"} 0",
        "tracer_collector_question_seconds_count{question=\"hosts\"} 1",
        "tracer_collector_batches_total 0",
    ] {
        assert!(text.lines().any(|told| told == line), "{line}\n{text}");
    }
}

#[test]
fn a_certificate_that_is_none_is_refused_at_the_start() {
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("pem");
    drop(File::create(&file).unwrap());
    let mut serve = command(state.path());
    serve.args(["serve", "--listen", "127.0.0.1:0", "--view", "127.0.0.1:0"]);
    let ended = serve.arg("--view-certificate").arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(4), "{said}");
    assert!(said.contains("there is no certificate in it"), "{said}");
}
