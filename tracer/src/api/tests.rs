//! The API over a real Unix socket, with answers that a fixture laid down.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use change::wire::{
    BlameBody, ChangeWithDiff, Counters, DiffBody, FindingKind, ForgetBody, Page, Problem,
    RecapBody, SessionBody, StatusBody, VerifyBody, WhoBody,
};
use change::{Change, Gap, GapReason, Op, Subject};
use serde::de::DeserializeOwned;
use tokio::sync::{broadcast, oneshot};
use tokio::task::JoinHandle;

use super::seats::SEATS;
use super::{ApiState, BEHIND, bind, serve};
use crate::answers::Answers;
use crate::client::{self, Request};
use crate::store::example::{Example, alice, create, edit, gap, session, time};
use crate::store::{Batch, content_name};

/// Alice does something to a file, in her session 41.
pub(super) fn change(seq: u64, path: &[u8], op: Op) -> Change {
    Change {
        seq,
        op,
        subject: Subject::file(path),
        ..edit(
            "/",
            ["one\n", "two\n"],
            i64::try_from(seq).unwrap(),
            Some(alice(41)),
        )
    }
}

/// A store with these changes, a session, a gap and a file whose content is kept.
fn store(changes: &[Change]) -> Example {
    let mut example = Example::new();
    example.keep(&["one\n", "two\n"]);
    example.log(changes.to_vec());
    example.commit(Batch {
        sessions: vec![session(41, 0)],
        gaps: vec![gap(GapReason::Stopped, 0, None)],
        ..Batch::default()
    });
    example
}

struct Api {
    folder: tempfile::TempDir,
    store: Arc<Mutex<Example>>,
    /// What the daemon has in hand and not yet written.
    in_hand: Arc<Mutex<Vec<Change>>>,
    /// Whether writing that takes too long.
    is_behind: Arc<AtomicBool>,
    state: ApiState,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Api {
    fn new(changes: &[Change]) -> Self {
        let store = store(changes);
        let answers = Answers::new(store.path());
        Self::with(store, answers)
    }

    fn with(store: Example, answers: Answers) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = bind(&folder.path().join("s"), None).unwrap();
        let listener = tokio::net::UnixListener::from_std(socket).unwrap();
        let status = || StatusBody {
            version: "0.1.0".to_owned(),
            host: "5f3c".to_owned(),
            hostname: "web-1".to_owned(),
            pid: 7,
            started: time(0),
            mode: "trampolines".to_owned(),
            last_seq: 3,
            complete_since: None,
            comparing: false,
            counters: Counters::default(),
            store_bytes: 1,
            resident_bytes: 1,
            watched: Vec::new(),
            collector: None,
            doctor: Vec::new(),
        };
        let store = Arc::new(Mutex::new(store));
        let in_hand = Arc::<Mutex<Vec<Change>>>::default();
        let is_behind = Arc::<AtomicBool>::default();
        let settle = {
            let (store, in_hand) = (Arc::clone(&store), Arc::clone(&in_hand));
            let is_behind = Arc::clone(&is_behind);
            move |_about| {
                let is_behind = is_behind.load(Ordering::Relaxed);
                let mut in_hand = in_hand.lock().unwrap();
                let written = usize::from(!is_behind) * in_hand.len();
                store
                    .lock()
                    .unwrap()
                    .log(in_hand.drain(..written).collect());
                !is_behind
            }
        };
        let state = ApiState {
            answers,
            changes: broadcast::channel(4).0,
            status: Arc::new(status),
            group: None,
            settle: Arc::new(settle),
            forget: Arc::new(|_| Err("the fixture forgets nothing".to_owned())),
            enrolled: Arc::new(|| {}),
        };
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { drop(stopped.await) };
        let served = tokio::spawn(serve(listener, state.clone(), shutdown));
        Self {
            folder,
            store,
            in_hand,
            is_behind,
            state,
            stop,
            served,
        }
    }

    async fn send(
        &self,
        request: &Request,
    ) -> Result<hyper::Response<hyper::body::Incoming>, client::Error> {
        client::send(&self.folder.path().join("s"), request).await
    }

    async fn bytes(&self, target: &str) -> Vec<u8> {
        let response = self.send(&Request::new(target)).await.unwrap();
        client::collected(response).await.unwrap().to_vec()
    }

    async fn get<T: DeserializeOwned>(&self, target: &str) -> T {
        serde_json::from_slice(&self.bytes(target).await).unwrap()
    }

    /// The client reads only what is `application/problem+json` as a refusal.
    async fn refused(&self, target: &str) -> Problem {
        match self.send(&Request::new(target)).await {
            Err(client::Error::Refused(problem)) => problem,
            Err(error) => panic!("{target}: {error}"),
            Ok(response) => panic!("{target}: {}", response.status()),
        }
    }

    /// What the server sends, head and all, to a request of any method.
    async fn raw(&self, method: &str, target: &str) -> String {
        let socket = self.folder.path().join("s");
        let request = format!("{method} {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let ask = move || {
            let mut stream = UnixStream::connect(socket).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        tokio::task::spawn_blocking(ask).await.unwrap()
    }

    /// Writes a change and tells of it, as the daemon does.
    fn record(&self, change: Change) {
        let written = self.store.lock().unwrap().log(vec![change]);
        for change in written {
            let _listeners = self.state.changes.send(Arc::new(change));
        }
    }

    async fn follow(&self, target: &str, after: Option<u64>) -> client::Events {
        let request = Request::new(target);
        let request = match after {
            Some(seq) => request.after(seq),
            None => request,
        };
        client::Events::new(self.send(&request).await.unwrap().into_body())
    }
}

fn kept(text: &str) -> String {
    content_name(blake3::hash(text.as_bytes()).as_bytes())
}

fn three() -> [Change; 3] {
    [
        create("/etc/a", "one\n", 1, Some(alice(41))),
        change(2, b"/etc/\xff b", Op::Modify),
        change(3, b"/etc/a", Op::Modify),
    ]
}

#[tokio::test]
async fn changes_are_listed_newest_first_and_paged() {
    let api = Api::new(&three());
    let seqs = |page: &Page<Change>| {
        page.items
            .iter()
            .map(|change| change.seq)
            .collect::<Vec<_>>()
    };
    let page: Page<Change> = api.get("/v1/changes?n=2").await;
    assert_eq!(seqs(&page), [3, 2]);
    let next = page.next.unwrap();
    let page: Page<Change> = api.get(&format!("/v1/changes?n=2&cursor={next}")).await;
    assert_eq!((seqs(&page), page.next), (vec![1], None));
    let page: Page<Change> = api.get("/v1/changes?op=create").await;
    assert_eq!(seqs(&page), [1]);
    let one: ChangeWithDiff = api.get("/v1/changes/2").await;
    assert_eq!(one.change, three()[1]);
    assert!(one.diff.unwrap().contains("+two"));
}

#[tokio::test]
async fn a_subject_that_is_not_utf8_is_found() {
    let api = Api::new(&three());
    let who: WhoBody = api.get("/v1/who?subject=%2Fetc%2F%ff+b&n=5").await;
    assert_eq!(who.subject, Subject::file(b"/etc/\xff b".as_slice()));
    assert_eq!(who.changes[0].change.seq, 2);
    let none: WhoBody = api.get("/v1/who?subject=/etc/none").await;
    assert!(none.changes.is_empty());
}

#[tokio::test]
async fn what_is_in_hand_is_written_before_a_question_is_answered() {
    let api = Api::new(&[]);
    api.in_hand.lock().unwrap().extend(three());
    let page: Page<Change> = api.get("/v1/changes").await;
    assert_eq!(page.items.len(), 3);
}

#[tokio::test]
async fn an_answer_that_may_lack_the_newest_says_so() {
    let api = Api::new(&three());
    let request = Request::new("/v1/changes");
    let response = api.send(&request).await.unwrap();
    assert!(!response.headers().contains_key(BEHIND));
    api.is_behind.store(true, Ordering::Relaxed);
    let response = api.send(&request).await.unwrap();
    assert!(response.headers().contains_key(BEHIND));
    let body = client::collected(response).await.unwrap();
    let page: Page<Change> = serde_json::from_slice(&body).unwrap();
    assert_eq!(page.items.len(), 3);
}

#[tokio::test]
async fn every_resource_answers() {
    let api = Api::new(&three());
    let diff: DiffBody = api
        .get("/v1/diff?subject=/etc/a&since=2026-01-01T00:00:00%2B01:00&until=2026-02-01T00:00:00Z")
        .await;
    assert_eq!(diff.since.to_string(), "2025-12-31T23:00:00.000000000Z");
    let by_path: BlameBody = api.get("/v1/blame?path=/etc/a").await;
    let by_subject: BlameBody = api.get("/v1/blame?subject=file:/etc/a").await;
    assert_eq!(by_path, by_subject);
    assert_eq!(
        api.bytes(&format!("/v1/content/{}", kept("two\n"))).await,
        b"two\n"
    );
    assert_eq!(
        api.bytes("/v1/content-at?path=/etc/a&at=2026-01-01T00:00:00Z")
            .await,
        b"two\n"
    );
    let sessions: Page<SessionBody> = api.get("/v1/sessions").await;
    let recap: RecapBody = api.get("/v1/sessions/41").await;
    assert_eq!(sessions.items, [recap.session]);
    let gaps: Page<Gap> = api.get("/v1/gaps?n=1").await;
    assert_eq!(gaps.items.len(), 1);
    let status: StatusBody = api.get("/v1/status").await;
    assert_eq!(status.last_seq, 3);
    assert_eq!(api.bytes("/healthz").await, b"ok\n");
    assert_eq!(api.bytes("/readyz").await, b"ready\n");
}

#[tokio::test]
async fn every_refusal_is_a_problem() {
    let api = Api::new(&three());
    let unknown = kept("three\n");
    let k3 = unknown.replace("b3:", "k3:");
    let table = [
        ("/v1/nothing", 404, "unknown-route"),
        ("/v1/sessions/%ff", 404, "unknown-route"),
        ("/", 404, "unknown-route"),
        ("/v1/changes?n=0", 400, "bad-parameter"),
        ("/v1/changes?since=yesterday", 400, "bad-parameter"),
        ("/v1/facts?at=2199-01-01T00:00:00Z", 400, "bad-parameter"),
        ("/v1/changes/x", 400, "bad-parameter"),
        ("/v1/changes?sicne=x", 400, "unknown-parameter"),
        ("/v1/status?x", 400, "unknown-parameter"),
        ("/v1/who", 400, "missing-parameter"),
        ("/v1/blame?subject=module:x", 400, "bad-parameter"),
        ("/v1/content/b3:12", 400, "bad-parameter"),
        ("/v1/stream?n=1", 400, "unknown-parameter"),
        ("/v1/changes/99", 404, "not-found"),
        ("/v1/sessions/99", 404, "not-found"),
        ("/v1/blame?path=/etc/none", 404, "not-found"),
        (
            "/v1/content-at?path=/etc/none&at=2026-01-01T00:00:00Z",
            404,
            "not-kept",
        ),
        (&format!("/v1/content/{k3}"), 404, "not-kept"),
        (&format!("/v1/content/{unknown}"), 404, "not-found"),
    ];
    for (target, status, kind) in table {
        let problem = api.refused(target).await;
        assert_eq!(
            (problem.status, problem.kind.as_str()),
            (status, kind),
            "{target}"
        );
        assert!(
            !problem.detail.is_empty() && !problem.title.is_empty(),
            "{target}"
        );
    }
}

#[tokio::test]
async fn another_method_is_a_problem_that_names_the_allowed_ones() {
    let api = Api::new(&[]);
    let answer = api.raw("POST", "/v1/changes").await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 405 "), "{answer}");
    assert!(answer.contains("\r\nallow: get,head\r\n"), "{answer}");
    assert!(
        answer.contains("\r\ncontent-type: application/problem+json\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_verification_and_a_purge_are_served() {
    let api = Api::new(&three());
    let body: VerifyBody = api.get("/v1/verify").await;
    assert!(body.intact && body.changes == 3, "{body:?}");
    let known: VerifyBody = api.get(&format!("/v1/verify?head={}", body.head)).await;
    assert!(known.intact, "{known:?}");
    let other = body.head.replace(|c: char| c.is_ascii_alphabetic(), "0");
    let other: VerifyBody = api.get(&format!("/v1/verify?head={other}")).await;
    assert_eq!(other.findings[0].kind, FindingKind::Head);
    assert_eq!(api.refused("/v1/verify?head=3").await.kind, "bad-parameter");
    assert_eq!(api.refused("/v1/forget?path=/etc/a").await.status, 405);
    let none = api.send(&Request::post("/v1/forget?path=/etc/none")).await;
    let none = client::collected(none.unwrap()).await.unwrap();
    let none: ForgetBody = serde_json::from_slice(&none).unwrap();
    assert_eq!((none.seq, none.forgotten), (None, 0));
    let refused = api
        .send(&Request::post("/v1/forget?path=/etc/a&shared=true"))
        .await;
    let client::Error::Refused(problem) = refused.unwrap_err() else {
        panic!("the fixture forgets nothing");
    };
    assert_eq!(problem.status, 500);
}

#[tokio::test]
async fn an_unreadable_store_is_told_without_its_inner_workings() {
    let api = Api::with(store(&[]), Answers::new("/no/store".into()));
    let problem = api.refused("/v1/changes").await;
    assert_eq!((problem.status, problem.kind.as_str()), (500, "internal"));
    assert!(!problem.detail.contains("/no/store"), "{}", problem.detail);
    assert_eq!(api.refused("/readyz").await.status, 503);
    assert_eq!(api.bytes("/healthz").await, b"ok\n");
}

#[tokio::test]
async fn the_stream_resumes_from_the_store_and_goes_on_live() {
    let api = Api::new(&three());
    let mut all = api.follow("/v1/stream", Some(1)).await;
    let mut new = api.follow("/v1/stream?op=delete", None).await;
    api.record(change(4, b"/etc/a", Op::Modify));
    api.record(change(5, b"/etc/a", Op::Delete));
    for seq in 2..=5 {
        let event = all.next().await.unwrap().unwrap();
        assert_eq!(
            (event.name.as_str(), event.id),
            ("change", Some(seq.to_string()))
        );
        assert_eq!(
            serde_json::from_str::<Change>(&event.data).unwrap().seq,
            seq
        );
    }
    assert_eq!(new.next().await.unwrap().unwrap().id.as_deref(), Some("5"));
}

#[tokio::test]
async fn the_stream_follows_a_subject_through_its_rename() {
    let api = Api::new(&[]);
    let mut events = api.follow("/v1/stream?subject=/etc/a", None).await;
    let renamed = Change {
        from: Some(change::RenamedFrom("/etc/a".into())),
        ..change(1, b"/etc/b", Op::Rename)
    };
    api.record(renamed);
    api.record(change(2, b"/etc/c", Op::Modify));
    api.record(change(3, b"/etc/b", Op::Modify));
    for seq in ["1", "3"] {
        assert_eq!(
            events.next().await.unwrap().unwrap().id.as_deref(),
            Some(seq)
        );
    }
}

#[tokio::test]
async fn a_slow_reader_is_told_and_loses_nothing() {
    let api = Api::new(&[]);
    let mut events = api.follow("/v1/stream", None).await;
    // On a runtime of one thread the stream cannot run before this test waits, so these are more
    // than the channel holds.
    for seq in 1..=20 {
        api.record(change(seq, b"/etc/a", Op::Modify));
    }
    let mut names = Vec::new();
    let mut seqs = Vec::new();
    while seqs.last() != Some(&20) {
        let event = events.next().await.unwrap().unwrap();
        names.push(event.name);
        seqs.extend(event.id.and_then(|id| id.parse::<u64>().ok()));
    }
    assert_eq!(seqs, (1..=20).collect::<Vec<_>>());
    assert_eq!(names.iter().filter(|name| *name == "lagged").count(), 1);
}

#[tokio::test]
async fn an_open_stream_does_not_hold_up_the_end() {
    let api = Api::new(&[]);
    let mut events = api.follow("/v1/stream", None).await;
    let Api {
        folder: _folder,
        state: _,
        store: _store,
        in_hand: _,
        is_behind: _,
        stop,
        served,
    } = api;
    stop.send(()).unwrap();
    assert_eq!(events.next().await.unwrap(), None);
    tokio::time::timeout(Duration::from_secs(4), served)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_all_seats_is_bounded_and_gives_them_back() {
    let api = Api::new(&[]);
    let socket = api.folder.path().join("s");
    let connect = || UnixStream::connect(&socket).unwrap();
    let ask = |mut stream: UnixStream| {
        // Closed by the other end it may not even be written to.
        let asked =
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        asked
            .and_then(|()| stream.read_to_string(&mut answer))
            .is_ok()
            && answer.contains("200 OK")
    };
    // They say nothing, and never will.
    let mut silent: Vec<UnixStream> = (0..SEATS).map(|_| connect()).collect();
    assert!(!ask(connect()), "there is no seat left");
    silent.pop();
    let has_room = async {
        while !ask(connect()) {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), has_room).await;
    waited.expect("a seat that was given back is taken again");
}
