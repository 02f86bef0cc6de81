//! The collector as hosts meet it: over TLS, in one process with the tests. What hosts may send that means no good.

#![expect(
    clippy::unwrap_used,
    reason = "what goes wrong here is a test that fails"
)]

#[path = "serving/host.rs"]
mod host;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use change::Timestamp;
use change::wire::{
    ACKNOWLEDGED, BATCHES, Batch, COLLECTOR_NAME, Content, ENROL, EnrolBody, MISSING, RENEW,
    RenewBody, Token, encode, hex,
};
use rcgen::KeyPair;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tracer_collector::authority::Authority;
use tracer_collector::serve::{Server, Serving, Viewing};
use tracer_collector::store::{
    Enrolment, Location, Permit, Scope, ViewToken, ViewTokens, back_up, take_backup,
};
use tracer_collector::view::Secret;

use self::host::{Host, MACHINE, batch, exchange, head, now, request, send, tls};

/// A collector on a port of its own; ends when dropped.
struct Collector {
    state: TempDir,
    address: SocketAddr,
    view: SocketAddr,
    _stop: oneshot::Sender<()>,
}

fn in_seconds(seconds: i64) -> Timestamp {
    now().plus_nanos(seconds * 1_000_000_000)
}

impl Collector {
    async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    async fn start_in(state: TempDir) -> Self {
        let server = Server::open(&Serving {
            state_dir: state.path().to_owned(),
            location: Location::within(state.path()),
            certificate_lifetime: Duration::from_hours(1),
            rules: None,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let server = server.unwrap();
        // Any address but the loopback's: viewers are spoken to with TLS.
        let viewers = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let viewing = Viewing {
            address: viewers.local_addr().unwrap(),
            certificate: None,
        };
        let view = server.view(&viewing).unwrap();
        tokio::spawn(view.run(viewers, std::future::pending()));
        tokio::spawn(server.run(listener, async move {
            drop(stopped.await);
        }));
        Self {
            state,
            address,
            view: SocketAddr::from(([127, 0, 0, 1], viewing.address.port())),
            _stop: stop,
        }
    }

    fn authority(&self) -> Authority {
        Authority::open(self.state.path(), now()).unwrap()
    }

    fn store(&self) -> Location {
        Location::within(self.state.path())
    }

    fn token(&self, number: u8, expires: Timestamp) -> Token {
        let token = Token {
            secret: [number; 20],
            authority: self.authority().fingerprint(),
        };
        let permit = Permit {
            hostname: None,
            labels: [("role".to_owned(), "db".to_owned())].into(),
            replaces: false,
            expires,
        };
        let hash = Sha256::digest(token.secret).into();
        let mut enrolment = Enrolment::open(&self.store()).unwrap();
        enrolment.permit(&hash, &permit, now()).unwrap();
        token
    }

    async fn enrol(&self, token: &Token, machine: &str) -> Result<Host, (u16, Value)> {
        let key = KeyPair::generate().unwrap();
        let body = EnrolBody {
            token: token.to_string(),
            machine: machine.to_owned(),
            hostname: format!("host-{machine}"),
            request: request(&key),
        };
        let body = serde_json::to_vec(&body).unwrap();
        let (status, answer) = self.post(None, ENROL, &body).await;
        if status != 200 {
            return Err((status, answer));
        }
        Ok(Host {
            key: key.serialize_pem(),
            given: serde_json::from_value(answer).unwrap(),
        })
    }

    async fn enrolled(&self, machine: &str) -> Host {
        let number = machine.bytes().fold(1_u8, u8::wrapping_add);
        let token = self.token(number, in_seconds(60));
        self.enrol(&token, machine).await.unwrap()
    }

    async fn push(&self, host: &Host, batch: &Batch) -> (u16, Value) {
        let frame = encode(batch).unwrap();
        self.post(Some(host), BATCHES, &frame).await
    }

    async fn post(&self, host: Option<&Host>, target: &str, body: &[u8]) -> (u16, Value) {
        self.exchange(host, ("POST", target), body).await.unwrap()
    }

    async fn get(&self, host: &Host, target: &str) -> (u16, Value) {
        self.exchange(Some(host), ("GET", target), b"")
            .await
            .unwrap()
    }

    async fn exchange(
        &self,
        host: Option<&Host>,
        (method, target): (&str, &str),
        body: &[u8],
    ) -> std::io::Result<(u16, Value)> {
        let authority = self.authority();
        exchange(
            (self.address, authority.pem()),
            host,
            (method, target),
            body,
        )
        .await
    }

    /// What `/metrics` says to whoever trusts the authority.
    async fn metrics(&self) -> String {
        let secret = Secret([5; 20]);
        let token = ViewToken {
            name: "prometheus".to_owned(),
            scopes: [Scope::Metrics].into(),
            made: now(),
            expires: in_seconds(60),
            revoked: None,
        };
        let mut tokens = ViewTokens::open(&self.store()).unwrap();
        tokens.keep(&secret.hash(), &token).unwrap();
        let name = ServerName::try_from(COLLECTOR_NAME).unwrap();
        let connector = TlsConnector::from(Arc::new(tls(self.authority().pem(), None)));
        let stream = TcpStream::connect(self.view).await.unwrap();
        let mut stream = connector.connect(name, stream).await.unwrap();
        let head = format!(
            "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: bearer {secret}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        drop(stream.read_to_string(&mut answer).await);
        answer
    }

    /// Sends any bytes, and reads what comes until the end.
    async fn send(
        &self,
        host: Option<&Host>,
        head: &[u8],
        body: &[u8],
    ) -> std::io::Result<Vec<u8>> {
        let authority = self.authority();
        send((self.address, authority.pem()), host, head, body).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_enrols_sends_and_is_asked_for_nothing_twice() {
    let collector = Collector::start().await;
    let host = collector.enrolled(MACHINE).await;
    let (status, asked) = collector
        .get(&host, &format!("{ACKNOWLEDGED}?log=log"))
        .await;
    assert_eq!(
        (status, &asked["next_seq"], &asked["head"]),
        (200, &json!(1), &Value::Null)
    );
    for _ in 0..2 {
        let (status, taken) = collector.push(&host, &batch(1, 20)).await;
        assert_eq!((status, &taken["next_seq"]), (200, &json!(21)), "{taken}");
        assert_eq!(taken["head"]["chain"], json!(head(20, "")), "{taken}");
    }
    let (status, asked) = collector
        .get(&host, &format!("{ACKNOWLEDGED}?log=log"))
        .await;
    assert_eq!((status, &asked["next_seq"]), (200, &json!(21)));
    let (_, other) = collector
        .get(&host, &format!("{ACKNOWLEDGED}?log=other"))
        .await;
    assert_eq!(other["next_seq"], 1, "{other}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_once_in_its_time_and_for_its_collector() {
    let collector = Collector::start().await;
    let token = collector.token(1, in_seconds(60));
    collector.enrol(&token, MACHINE).await.map(drop).unwrap();
    let refused = |refused: Result<Host, (u16, Value)>| {
        let (status, problem) = refused.map(drop).unwrap_err();
        (
            status,
            problem["detail"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let (status, why) = refused(collector.enrol(&token, "other").await);
    assert!(status == 403 && why.contains("was used"), "{status} {why}");
    let late = collector.token(2, now());
    let (status, why) = refused(collector.enrol(&late, "other").await);
    assert!(
        status == 403 && why.contains("was good until"),
        "{status} {why}"
    );
    let unknown = Token {
        secret: [9; 20],
        ..token
    };
    let (status, why) = refused(collector.enrol(&unknown, "other").await);
    assert!(status == 403 && why.contains("not known"), "{status} {why}");
    let copy = collector.token(3, in_seconds(60));
    let (status, why) = refused(collector.enrol(&copy, MACHINE).await);
    assert!(
        status == 409 && why.contains("enrolled already"),
        "{status} {why}"
    );
    for machine in ["", "a b", "../x", &"x".repeat(65)] {
        let (status, _) = refused(collector.enrol(&copy, machine).await);
        assert_eq!(status, 400, "{machine}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_certificate_of_this_authority_may_not_send() {
    let collector = Collector::start().await;
    let frame = encode(&batch(1, 1)).unwrap();
    let (status, problem) = collector.post(None, BATCHES, &frame).await;
    assert_eq!((status, &problem["type"]), (401, &json!("no-certificate")));
    let other = Collector::start().await;
    let stranger = other.enrolled(MACHINE).await;
    let refused = collector.exchange(Some(&stranger), ("POST", BATCHES), &frame);
    assert!(
        refused.await.is_err(),
        "another authority's certificate was taken"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_host_may_not_send_at_once() {
    let collector = Collector::start().await;
    let host = collector.enrolled(MACHINE).await;
    assert_eq!(collector.push(&host, &batch(1, 1)).await.0, 200);
    let mut enrolment = Enrolment::open(&collector.store()).unwrap();
    assert!(enrolment.revoke(MACHINE, now()).unwrap());
    let (status, problem) = collector.push(&host, &batch(2, 2)).await;
    assert_eq!((status, &problem["type"]), (403, &json!("revoked")));
    let body = RenewBody {
        request: request(&KeyPair::generate().unwrap()),
    };
    let body = serde_json::to_vec(&body).unwrap();
    assert_eq!(collector.post(Some(&host), RENEW, &body).await.0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_certificate_is_of_the_same_host() {
    let collector = Collector::start().await;
    let host = collector.enrolled(MACHINE).await;
    let key = KeyPair::generate().unwrap();
    let body = serde_json::to_vec(&RenewBody {
        request: request(&key),
    });
    let (status, given) = collector.post(Some(&host), RENEW, &body.unwrap()).await;
    assert_eq!((status, &given["host"]), (200, &json!(MACHINE)), "{given}");
    let next = Host {
        key: key.serialize_pem(),
        given: serde_json::from_value(given).unwrap(),
    };
    assert_eq!(collector.push(&next, &batch(1, 1)).await.0, 200);
    // The answer may not have reached the host: the one before holds for its time.
    assert_eq!(collector.push(&host, &batch(2, 2)).await.0, 200);
    let (status, _) = collector
        .post(Some(&host), RENEW, b"{\"request\":\"x\"}")
        .await;
    assert_eq!(status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_speaks_only_for_itself() {
    let collector = Collector::start().await;
    let host = collector.enrolled("other").await;
    let (status, problem) = collector.push(&host, &batch(1, 1)).await;
    assert_eq!((status, &problem["type"]), (403, &json!("other-host")));
    // The sender is its own, and a change is not.
    let mut mixed = batch(1, 1);
    mixed.sender.machine = "other".to_owned();
    let (status, problem) = collector.push(&host, &mixed).await;
    assert_eq!((status, &problem["type"]), (403, &json!("other-host")));
    let victim = collector.enrolled(MACHINE).await;
    let (_, asked) = collector
        .get(&victim, &format!("{ACKNOWLEDGED}?log=log"))
        .await;
    assert_eq!(asked["next_seq"], 1, "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_does_not_go_on_is_refused_and_its_host_marked() {
    let collector = Collector::start().await;
    let host = collector.enrolled(MACHINE).await;
    assert_eq!(collector.push(&host, &batch(1, 10)).await.0, 200);
    let kind = async |batch: &Batch| {
        let (status, problem) = collector.push(&host, batch).await;
        (
            status,
            problem["type"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let no_link = Batch {
        before: None,
        ..batch(11, 12)
    };
    assert_eq!(kind(&no_link).await.0, 400);
    assert_eq!(kind(&batch(12, 13)).await, (409, "hole".to_owned()));
    // Half of it is known: it would go on from a place that was never noted.
    assert_eq!(kind(&batch(6, 12)).await, (409, "hole".to_owned()));
    let marked = || {
        let hosts = Enrolment::open(&collector.store())
            .unwrap()
            .hosts()
            .unwrap();
        hosts[0].rewritten.clone()
    };
    assert_eq!(marked(), None);
    let rewritten = Batch {
        before: head(10, "another past"),
        ..batch(11, 12)
    };
    assert_eq!(kind(&rewritten).await, (409, "rewritten".to_owned()));
    assert!(
        marked().unwrap().what.contains("rewritten"),
        "{:?}",
        marked()
    );
    assert_eq!(kind(&batch(11, 12)).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_frames_are_refused_and_leave_the_collector_as_it_was() {
    let collector = Collector::start().await;
    let host = collector.enrolled(MACHINE).await;
    let frame = encode(&batch(1, 50)).unwrap();
    for cut in [0, 1, 2, frame.len() / 2, frame.len() - 1] {
        let (status, _) = collector.post(Some(&host), BATCHES, &frame[..cut]).await;
        assert_eq!(status, 400, "cut at {cut}");
    }
    let (status, _) = collector.post(Some(&host), BATCHES, &[7; 100]).await;
    assert_eq!(status, 400);
    let mut bomb = vec![frame[0]];
    zstd::stream::copy_encode(
        std::io::Read::take(std::io::repeat(0), 1 << 30),
        &mut bomb,
        3,
    )
    .unwrap();
    assert!(bomb.len() < 1 << 20, "a bomb is small");
    let (status, _) = collector.post(Some(&host), BATCHES, &bomb).await;
    assert_eq!(status, 413);
    let false_content = Batch {
        contents: vec![Content {
            hash: [7; 32],
            bytes: b"another".to_vec(),
        }],
        ..batch(1, 1)
    };
    assert_eq!(collector.push(&host, &false_content).await.0, 400);
    for length in ["99999999999", "-1", "18446744073709551616", "x"] {
        let head =
            format!("POST {BATCHES} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
        let answer = collector
            .send(Some(&host), head.as_bytes(), b"")
            .await
            .unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let is_refused = ["HTTP/1.1 400", "HTTP/1.1 413"].iter();
        assert!(
            is_refused.into_iter().any(|head| answer.starts_with(head)),
            "{length}: {answer}"
        );
    }
    let many = json!({"hashes": vec!["00"; 2000]}).to_string();
    let (status, _) = collector.post(Some(&host), MISSING, many.as_bytes()).await;
    assert_eq!(status, 400);
    let long = vec![b' '; 1 << 20];
    assert_eq!(collector.post(Some(&host), MISSING, &long).await.0, 413);
    // It still takes what is right.
    let (status, taken) = collector.post(Some(&host), BATCHES, &frame).await;
    assert_eq!((status, &taken["next_seq"]), (200, &json!(51)), "{taken}");
}

#[tokio::test(flavor = "multi_thread")]
async fn contents_are_asked_for_once_in_the_fleet() {
    let collector = Collector::start().await;
    let host = collector.enrolled(MACHINE).await;
    let bytes = b"worker_connections 768;\n".to_vec();
    let hash = *blake3::hash(&bytes).as_bytes();
    let body = json!({"hashes": [hex(&hash), hex(&[7; 32]), "no hash"]}).to_string();
    let missing = async || {
        collector
            .post(Some(&host), MISSING, body.as_bytes())
            .await
            .1
    };
    assert_eq!(
        missing().await["hashes"],
        json!([hex(&hash), hex(&[7; 32])])
    );
    let with_content = Batch {
        contents: vec![Content { hash, bytes }],
        ..batch(1, 1)
    };
    assert_eq!(collector.push(&host, &with_content).await.0, 200);
    assert_eq!(missing().await["hashes"], json!([hex(&[7; 32])]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_batch_of_a_host_comes_again_later() {
    let collector = Collector::start().await;
    let host = collector.enrolled(MACHINE).await;
    let frame = encode(&batch(1, 1)).unwrap();
    // The first announces its body and does not send it yet.
    let name = ServerName::try_from(COLLECTOR_NAME).unwrap();
    let connector = TlsConnector::from(Arc::new(tls(collector.authority().pem(), Some(&host))));
    let stream = TcpStream::connect(collector.address).await.unwrap();
    let mut slow = connector.connect(name, stream).await.unwrap();
    let head = format!(
        "POST {BATCHES} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        frame.len()
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    slow.write_all(&frame[..10]).await.unwrap();
    slow.flush().await.unwrap();
    let refused = loop {
        // Until the first has been let in.
        let (status, problem) = collector.post(Some(&host), BATCHES, &frame).await;
        if status != 200 {
            break (status, problem);
        }
    };
    assert_eq!((refused.0, &refused.1["type"]), (429, &json!("busy")));
    slow.write_all(&frame[10..]).await.unwrap();
    let mut answer = Vec::new();
    drop(slow.read_to_end(&mut answer).await);
    assert!(
        answer.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_and_refused_is_counted() {
    let collector = Collector::start().await;
    let host = collector.enrolled(MACHINE).await;
    assert_eq!(collector.push(&host, &batch(1, 10)).await.0, 200);
    assert_eq!(collector.push(&host, &batch(1, 10)).await.0, 200);
    assert_eq!(collector.push(&host, &batch(11, 14)).await.0, 200);
    assert_eq!(collector.push(&host, &batch(16, 17)).await.0, 409);
    assert_eq!(collector.post(None, BATCHES, b"x").await.0, 401);
    let told = collector.metrics().await;
    for line in [
        "tracer_collector_batches_total 3",
        "tracer_collector_changes_total 14",
        "tracer_collector_batches_refused_total{reason=\"hole\"} 1",
        "tracer_collector_batches_refused_total{reason=\"no-certificate\"} 1",
        "tracer_collector_acknowledge_seconds_count 3",
        "tracer_collector_enrolled_hosts 1",
        "tracer_collector_hosts{standing=\"fresh\"} 1",
    ] {
        assert!(told.lines().any(|one| one == line), "{line}\n{told}");
    }
    // Who speaks without TLS there is told nothing.
    let mut plain = TcpStream::connect(collector.view).await.unwrap();
    plain
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    drop(plain.read_to_end(&mut answer).await);
    assert!(
        !String::from_utf8_lossy(&answer).contains("ok"),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_go_on_after_the_collector_was_put_back_from_a_copy() {
    let collector = Collector::start().await;
    let (host, gone) = (
        collector.enrolled(MACHINE).await,
        collector.enrolled("gone").await,
    );
    let batch_of_gone = |first, last| {
        let mut batch = batch(first, last);
        batch.sender.machine = "gone".to_owned();
        batch
            .changes
            .iter_mut()
            .for_each(|change| change.host = "gone".to_owned());
        batch
    };
    assert_eq!(collector.push(&host, &batch(1, 10)).await.0, 200);
    assert_eq!(collector.push(&gone, &batch_of_gone(1, 3)).await.0, 200);
    let copy = collector.state.path().join("copy");
    let authority = std::fs::read_to_string(collector.state.path().join("authority.pem")).unwrap();
    back_up(
        collector.store().file().unwrap(),
        &copy,
        Some(&authority),
        now(),
    )
    .unwrap();

    // What comes after the copy: changes, a certificate, a host.
    assert_eq!(collector.push(&host, &batch(11, 20)).await.0, 200);
    let key = KeyPair::generate().unwrap();
    let body = serde_json::to_vec(&RenewBody {
        request: request(&key),
    })
    .unwrap();
    let (status, given) = collector.post(Some(&host), RENEW, &body).await;
    assert_eq!(status, 200);
    let renewed = Host {
        key: key.serialize_pem(),
        given: serde_json::from_value(given).unwrap(),
    };
    let late = collector.enrolled("late").await;

    let state = tempfile::tempdir().unwrap();
    Authority::restore(state.path(), &authority).unwrap();
    let draft = take_backup(
        &copy,
        Location::within(state.path()).file().unwrap(),
        None,
        now(),
    )
    .unwrap();
    draft.keep().unwrap();
    let restored = Collector::start_in(state).await;
    let asked = format!("{ACKNOWLEDGED}?log=log");
    let (status, has) = restored.get(&renewed, &asked).await;
    assert_eq!((status, &has["next_seq"]), (200, &json!(11)), "{has}");
    // It goes on behind what is here, through the head that is known here.
    assert_eq!(restored.push(&renewed, &batch(16, 20)).await.0, 409);
    let forged = Batch {
        before: head(10, "another past"),
        ..batch(11, 20)
    };
    assert_eq!(
        restored.push(&renewed, &forged).await.1["type"],
        "rewritten"
    );
    let (status, taken) = restored.push(&renewed, &batch(11, 20)).await;
    assert_eq!((status, &taken["next_seq"]), (200, &json!(21)), "{taken}");
    let (_, taken) = restored.push(&renewed, &batch(11, 20)).await;
    assert_eq!(taken["next_seq"], 21, "each change counts once");
    // The certificate of before holds for its time, too.
    assert_eq!(restored.get(&host, &asked).await.0, 200);
    let (status, problem) = restored.get(&late, &asked).await;
    assert_eq!(
        (status, &problem["type"]),
        (401, &json!("unknown-certificate"))
    );

    // Who is revoked now stays so, and who is enrolled anew has no older certificate.
    let mut enrolment = Enrolment::open(&restored.store()).unwrap();
    assert!(enrolment.revoke(MACHINE, now()).unwrap());
    assert_eq!(restored.get(&renewed, &asked).await.1["type"], "revoked");
    assert!(enrolment.revoke("gone", now()).unwrap());
    assert_eq!(restored.get(&gone, &asked).await.1["type"], "revoked");
}
