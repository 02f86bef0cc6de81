//! Several collectors on one PostgreSQL database, as processes: one dies, or the database does, and hosts go on with
//! another one. Nothing is lost, and nothing is there twice.

#![expect(
    clippy::unwrap_used,
    reason = "what goes wrong here is a test that fails"
)]

#[path = "serving/host.rs"]
mod host;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use change::wire::{ACKNOWLEDGED, BATCHES, Batch, ENROL, EnrolBody, encode};
use change::{Change, FactValue};
use rcgen::KeyPair;
use serde_json::Value;
use simulation::server::Server;
use tempfile::TempDir;
use tokio::sync::Mutex;
use tracer_collector::fleet::{Fleet as _, HostKey, LogQuery};
use tracer_collector::store::{Location, Reader};

use self::host::{Host, change, exchange, head, request, send};

/// So many hosts send batches of so many changes, until so often somebody has died.
const HOSTS: usize = 6;
const BATCH: u64 = 25;
const DEATHS: usize = 6;
const PATIENCE: Duration = Duration::from_mins(1);

/// A collector in a process of its own; ends when dropped.
struct Collector {
    child: Child,
    address: SocketAddr,
}

/// What collectors share: the database, and the directory with the authority.
struct Site {
    state: TempDir,
    store: String,
}

impl Site {
    fn new(server: &Server) -> Self {
        Self {
            state: tempfile::tempdir().unwrap(),
            store: server.place().unwrap(),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tracer-collector"));
        command.arg("--state-dir").arg(self.state.path());
        // Not among the arguments, where everybody can read it.
        command.env("TRACER_COLLECTOR_STORE", &self.store);
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command().args(args).output().unwrap()
    }

    fn serve(&self) -> Collector {
        let mut serve = self.command();
        serve.args(["serve", "--listen", "127.0.0.1:0"]);
        let mut child = serve.stderr(Stdio::piped()).spawn().unwrap();
        let log = child.stderr.take().unwrap();
        Collector {
            child,
            address: address_in(log),
        }
    }

    fn authority(&self) -> String {
        fs::read_to_string(self.state.path().join("authority.pem")).unwrap()
    }

    async fn enrol(&self, at: SocketAddr, machine: &str) -> Host {
        let made = self.run(&["enrol", "--label", "role=db"]);
        let token = String::from_utf8(made.stdout).unwrap();
        let key = KeyPair::generate().unwrap();
        let body = EnrolBody {
            token: token.trim().to_owned(),
            machine: machine.to_owned(),
            hostname: format!("host-{machine}"),
            request: request(&key),
        };
        let body = serde_json::to_vec(&body).unwrap();
        let authority = self.authority();
        let answer = exchange((at, &authority), None, ("POST", ENROL), &body).await;
        let (status, answer) = answer.unwrap();
        assert_eq!(status, 200, "{answer}");
        Host {
            key: key.serialize_pem(),
            given: serde_json::from_value(answer).unwrap(),
        }
    }

    fn reader(&self) -> Reader {
        let location: Location = self.store.parse().unwrap();
        Reader::open(&location).unwrap()
    }
}

impl Collector {
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn address_in(log: ChildStderr) -> SocketAddr {
    let (mut log, mut said) = (BufReader::new(log), String::new());
    loop {
        let mut line = String::new();
        let read = log.read_line(&mut line).unwrap();
        assert!(read > 0, "the collector ended: {said}");
        if let Some((_, address)) = line.split_once("listening on ") {
            // Whoever writes a log wants it read.
            thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
            return address.trim().parse().unwrap();
        }
        said.push_str(&line);
    }
}

/// Each change sets one of ten settings to its own number.
fn change_of(machine: &str, seq: u64) -> Change {
    let mut change = Change {
        host: machine.to_owned(),
        hostname: format!("host-{machine}"),
        ..change(seq)
    };
    change.subject.key = format!("vm.setting{}", seq % 10).as_str().into();
    change.before = (seq > 10).then(|| FactValue::Setting {
        value: (seq - 10).to_string(),
    });
    change
}

fn batch_of(machine: &str, from: u64) -> Batch {
    let to = from + BATCH - 1;
    let mut batch = host::batch(from, to);
    machine.clone_into(&mut batch.sender.machine);
    batch.sender.hostname = format!("host-{machine}");
    batch.before = head(from - 1, machine);
    batch.chain = head(to, machine);
    batch.changes = (from..=to).map(|seq| change_of(machine, seq)).collect();
    batch
}

/// Where the collectors are by now.
type Addresses = Arc<Mutex<[SocketAddr; 2]>>;

/// Sends a log, as a tracer does, until all deaths were died: where a batch is not acknowledged, it asks a collector how
/// far its log is there. Each third batch goes to both at once. The number of the last change.
async fn send_log(
    (machine, host): (String, Host),
    authority: String,
    addresses: Addresses,
    deaths: Arc<AtomicUsize>,
) -> u64 {
    let (mut next, mut turn, begun) = (1, 0_usize, Instant::now());
    while next <= BATCH || deaths.load(Ordering::Relaxed) < DEATHS {
        assert!(begun.elapsed() < PATIENCE * 3, "{machine} does not get on");
        turn += 1;
        let both = *addresses.lock().await;
        let frame = encode(&batch_of(&machine, next)).unwrap();
        let push = |to: usize| {
            let at = (both[to % 2], authority.as_str());
            exchange(at, Some(&host), ("POST", BATCHES), &frame)
        };
        let mut answers = Vec::new();
        if turn.is_multiple_of(3) {
            let (a, b) = tokio::join!(push(turn), push(turn + 1));
            answers.extend([a, b]);
        } else {
            answers.push(push(turn).await);
        }
        let taken = answers
            .iter()
            .flatten()
            .filter(|(status, _)| *status == 200);
        let taken: Option<u64> = taken
            .filter_map(|(_, body)| body["next_seq"].as_u64())
            .max();
        if let Some(taken) = taken {
            assert!(taken > next, "{machine} was told {taken} after {next}");
            next = taken;
            continue;
        }
        for (status, body) in answers.iter().flatten() {
            // Another copy of the batch is at work, or the database is away.
            assert!(
                [409, 429, 503].contains(status),
                "{machine}: {status} {body}"
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        let asked = format!("{ACKNOWLEDGED}?log=log");
        let at = (both[turn % 2], authority.as_str());
        if let Ok((200, known)) = exchange(at, Some(&host), ("GET", &asked), b"").await {
            let known = known["next_seq"].as_u64().unwrap();
            assert!(
                known >= next,
                "{machine} was told {next}, and {known} is there"
            );
            next = known;
        }
    }
    next - 1
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_once_whatever_dies() {
    let mut server = Server::begin().unwrap();
    let site = Site::new(&server);
    let mut collectors = [site.serve(), site.serve()];
    let addresses: Addresses = Arc::new(Mutex::new([collectors[0].address, collectors[1].address]));
    let deaths = Arc::new(AtomicUsize::new(0));
    let mut hosts = Vec::new();
    for number in 1..=HOSTS {
        let machine = format!("m{number}");
        let host = site.enrol(collectors[number % 2].address, &machine).await;
        let sending = send_log(
            (machine, host),
            site.authority(),
            Arc::clone(&addresses),
            Arc::clone(&deaths),
        );
        hosts.push(tokio::spawn(sending));
    }
    for death in 1..=DEATHS {
        tokio::time::sleep(Duration::from_millis(500)).await;
        if death % 3 == 0 {
            server.crash().unwrap();
            server.resume().unwrap();
        } else {
            let which = death % 2;
            collectors[which].kill();
            collectors[which] = site.serve();
            addresses.lock().await[which] = collectors[which].address;
        }
        deaths.fetch_add(1, Ordering::Relaxed);
    }
    let mut sent = BTreeMap::new();
    for (number, host) in (1..).zip(hosts) {
        sent.insert(format!("m{number}"), host.await.unwrap());
    }
    let checked = tokio::task::spawn_blocking(move || {
        let reader = site.reader();
        let known = reader.hosts().unwrap();
        assert_eq!(known.len(), HOSTS);
        let mut of_first = 0;
        for host in known {
            // The answer to the last batch may have been lost.
            let (told, count) = (sent[&host.machine], host.durable_seq);
            assert!((told..=told + BATCH).contains(&count), "{count} of {told}");
            check(&reader, host.key, (&host.machine, count));
            of_first += count.div_ceil(10);
        }
        let first = change_of("m1", 1).subject;
        let first = reader.key_of(&first).unwrap().unwrap();
        assert_eq!(reader.history(first).unwrap().len() as u64, of_first);
    });
    checked.await.unwrap();
}

/// The log is the one that was sent, and the state is its fold.
fn check(reader: &Reader, host: HostKey, (machine, count): (&str, u64)) {
    let query = LogQuery {
        hosts: Some([host].into_iter().collect()),
        limit: usize::MAX,
        ..LogQuery::default()
    };
    let mut log = reader.log(&query).unwrap();
    log.reverse();
    let sent: Vec<_> = (1..=count).map(|seq| change_of(machine, seq)).collect();
    assert!(
        log == sent,
        "{machine}: {} changes of {}",
        log.len(),
        sent.len()
    );
    let facts = reader.facts(host, None).unwrap();
    let mut seqs: Vec<_> = facts.iter().filter_map(|fact| fact.seq).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (count - 9..=count).collect::<Vec<_>>());
    for fact in facts {
        let holdings = reader.holdings(fact.subject, usize::MAX).unwrap();
        let with: Vec<_> = holdings
            .iter()
            .filter(|(_, hosts)| hosts.contains(host))
            .collect();
        assert_eq!(with.len(), 1, "{machine} holds one value of each subject");
        assert_eq!(with[0].0, fact.value);
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_hosts_are_told_to_come_again() {
    let mut server = Server::begin().unwrap();
    let site = Site::new(&server);
    let collector = site.serve();
    let host = site.enrol(collector.address, "m1").await;
    let authority = site.authority();
    let frame = encode(&batch_of("m1", 1)).unwrap();
    let at = (collector.address, authority.as_str());
    let push = || exchange(at, Some(&host), ("POST", BATCHES), &frame);
    assert_eq!(push().await.unwrap().0, 200);
    server.crash().unwrap();
    let post = format!(
        "POST {BATCHES} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        frame.len()
    );
    let answer = send(at, Some(&host), post.as_bytes(), &frame)
        .await
        .unwrap();
    let answer = String::from_utf8_lossy(&answer).to_lowercase();
    assert!(answer.starts_with("http/1.1 503"), "{answer}");
    assert!(answer.contains("\r\nretry-after: "), "{answer}");
    let hosts = site.run(&["hosts"]);
    assert_eq!(hosts.status.code(), Some(4), "{}", said(&hosts));
    assert!(
        said(&hosts).contains("open store `postgres://postgres@"),
        "{}",
        said(&hosts)
    );
    assert_eq!(said(&hosts).lines().count(), 1, "{}", said(&hosts));
    server.resume().unwrap();
    let begun = Instant::now();
    while push().await.unwrap().0 != 200 {
        assert!(
            begun.elapsed() < PATIENCE,
            "the collector does not find it again"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(site.run(&["hosts"]).status.code(), Some(0));
    drop(collector);
}

#[test]
fn a_server_that_may_lose_what_it_has_is_refused_and_doctor_says_so() {
    let server = Server::begin().unwrap();
    let site = Site::new(&server);
    drop(site.serve());
    let fine = site.run(&["doctor", "--json"]);
    let store = store_check(&fine);
    assert_eq!(store["state"], "ok", "{store}");
    server.say("ALTER SYSTEM SET fsync = off").unwrap();
    server.say("SELECT pg_reload_conf()").unwrap();
    let begun = Instant::now();
    let refused = loop {
        let tokens = site.run(&["token", "revoke", "nobody"]);
        if tokens.status.code() == Some(4) {
            break tokens;
        }
        assert!(begun.elapsed() < PATIENCE, "{}", said(&tokens));
    };
    assert!(said(&refused).contains("fsync = off"), "{}", said(&refused));
    let found = site.run(&["doctor", "--json"]);
    let store = store_check(&found);
    assert_eq!(store["state"], "missing", "{store}");
    let backup = site.run(&["backup", "/nowhere"]);
    assert_eq!(backup.status.code(), Some(2));
    assert!(said(&backup).contains("pg_dump"), "{}", said(&backup));
}

#[test]
fn a_collector_with_an_authority_of_its_own_is_refused() {
    let server = Server::begin().unwrap();
    let site = Site::new(&server);
    drop(site.serve());
    let other = Site {
        state: tempfile::tempdir().unwrap(),
        store: site.store.clone(),
    };
    for args in [["serve", "--listen=127.0.0.1:0"], ["enrol", "web-1"]] {
        let refused = other.run(&args);
        assert_eq!(refused.status.code(), Some(4), "{}", said(&refused));
        assert!(
            said(&refused).contains("authority.pem"),
            "{}",
            said(&refused)
        );
    }
    let authority = other.state.path().join("authority.pem");
    fs::copy(site.state.path().join("authority.pem"), authority).unwrap();
    drop(other.serve());
}

fn store_check(doctor: &Output) -> Value {
    let text = String::from_utf8_lossy(&doctor.stdout);
    let mut checks = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    checks.find(|check| check["name"] == "store").unwrap()
}

#[test]
fn a_file_that_somebody_names_as_a_store_is_none() {
    let state = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer-collector"));
    command.arg("--state-dir").arg(state.path());
    let refused = command
        .args(["--store", "/var/lib/x.db", "hosts"])
        .output()
        .unwrap();
    assert!(said(&refused).contains("--state-dir"), "{}", said(&refused));
    assert!(Path::new(state.path()).read_dir().unwrap().next().is_none());
}
