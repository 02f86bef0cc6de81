//! Examples for the tests of the store and of what answers from it: a store in a temporary folder,
//! and changes as people make them. Times count seconds from the epoch.

use std::path::PathBuf;

use change::wire::SessionBody;
use change::{
    Actor, Ancestor, Certainty, Change, FactValue, FileState, Gap, GapReason, Op, Process, Run,
    RunKind, Session, SessionKind, Subject, Timestamp, User,
};
use rusqlite::Connection;
use tempfile::TempDir;

use super::{Batch, Content, Fact, Reader, Writer, content_name};

/// A store that is gone when it is dropped.
pub(crate) struct Example {
    dir: TempDir,
    writer: Option<Writer>,
    is_tampered: bool,
}

impl Example {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let writer = Writer::open(&dir.path().join("tracer.db")).unwrap();
        Self {
            dir,
            writer: Some(writer),
            is_tampered: false,
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("tracer.db")
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader::open(&self.path()).unwrap()
    }

    pub(crate) fn connection(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    /// Alters rows behind the writer's back.
    pub(crate) fn tamper(&mut self, sql: &str) {
        self.is_tampered = true;
        let connection = self.connection();
        let unchecked = format!("PRAGMA foreign_keys = OFF; {sql}");
        connection.execute_batch(&unchecked).unwrap();
    }

    pub(crate) fn reopen(&mut self) {
        drop(self.writer.take());
        self.writer = Some(Writer::open(&self.path()).unwrap());
    }

    pub(crate) fn writer(&mut self) -> &mut Writer {
        self.writer.as_mut().unwrap()
    }

    pub(crate) fn commit(&mut self, batch: Batch) -> Vec<Change> {
        self.writer().commit(batch).unwrap()
    }

    /// Writes changes as the daemon does: with the facts that they lead to.
    pub(crate) fn log(&mut self, changes: Vec<Change>) -> Vec<Change> {
        let facts = changes.iter().flat_map(facts_of).collect();
        self.commit(Batch {
            changes,
            facts,
            ..Batch::default()
        })
    }

    /// Keeps contents.
    pub(crate) fn keep(&mut self, texts: &[&str]) {
        let contents = texts.iter().map(|text| content(text.as_bytes())).collect();
        self.commit(Batch {
            contents,
            ..Batch::default()
        });
    }
}

/// Every test's store is checked for references that lead nowhere.
impl Drop for Example {
    fn drop(&mut self) {
        drop(self.writer.take());
        if !std::thread::panicking() && !self.is_tampered {
            let connection = self.connection();
            let mut check = connection.prepare("PRAGMA foreign_key_check").unwrap();
            assert!(!check.exists([]).unwrap(), "a reference leads nowhere");
        }
    }
}

fn facts_of(change: &Change) -> Vec<Fact> {
    let fact = |subject: Subject, value| Fact {
        subject,
        value,
        identity: None,
        time: change.time,
    };
    let from = change.from.iter().map(|from| Subject::file(from.0.clone()));
    let mut facts: Vec<_> = from.map(|from| fact(from, None)).collect();
    facts.push(fact(change.subject.clone(), change.after.clone()));
    facts
}

pub(crate) fn time(seconds: i64) -> Timestamp {
    Timestamp::from_parts(seconds, 0)
}

pub(crate) fn file(path: &str) -> Subject {
    Subject::file(path)
}

pub(crate) fn content(bytes: &[u8]) -> Content {
    Content {
        hash: *blake3::hash(bytes).as_bytes(),
        bytes: bytes.to_vec(),
    }
}

/// The state of a regular file with that text.
pub(crate) fn text_state(text: &str) -> FactValue {
    FactValue::File(FileState {
        hash: Some(content_name(blake3::hash(text.as_bytes()).as_bytes())),
        size: text.len() as u64,
        mode: "0644".to_owned(),
        inode: 4711,
        ..FileState::default()
    })
}

pub(crate) fn text_fact(path: &str, text: &str, seconds: i64) -> Fact {
    Fact {
        subject: file(path),
        value: Some(text_state(text)),
        identity: None,
        time: time(seconds),
    }
}

/// Somebody edits a file: its text before and after.
pub(crate) fn edit(path: &str, texts: [&str; 2], seconds: i64, actor: Option<Actor>) -> Change {
    let [before, after] = texts.map(text_state);
    Change {
        host: "5f3c".to_owned(),
        hostname: "web-1".to_owned(),
        seq: 0,
        time: time(seconds),
        subject: file(path),
        op: Op::Modify,
        from: None,
        before: Some(before),
        after: Some(after),
        certainty: if actor.is_some() {
            Certainty::Exact
        } else {
            Certainty::Late
        },
        between: actor.is_none().then(|| [time(0), time(seconds)]),
        run: None,
        operations: 1,
        package: None,
        notes: Vec::new(),
        actor: actor.map(std::sync::Arc::new),
    }
}

pub(crate) fn create(path: &str, text: &str, seconds: i64, actor: Option<Actor>) -> Change {
    Change {
        op: Op::Create,
        before: None,
        ..edit(path, ["", text], seconds, actor)
    }
}

pub(crate) fn delete(path: &str, text: &str, seconds: i64, actor: Option<Actor>) -> Change {
    Change {
        op: Op::Delete,
        after: None,
        ..edit(path, [text, ""], seconds, actor)
    }
}

pub(crate) fn rename([from, to]: [&str; 2], text: &str, seconds: i64) -> Change {
    Change {
        op: Op::Rename,
        from: Some(change::RenamedFrom(from.into())),
        ..edit(to, [text, text], seconds, Some(alice(41)))
    }
}

pub(crate) fn user(uid: u32, name: &str) -> User {
    User {
        uid,
        name: Some(name.to_owned()),
    }
}

/// Alice with her editor, by way of sudo, in an ssh session.
pub(crate) fn alice(session: u32) -> Actor {
    person(user(1000, "alice"), session, &["vim", "/etc/a"])
}

/// A person with a command by way of sudo, in an ssh session.
pub(crate) fn person(login: User, session: u32, argv: &[&str]) -> Actor {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let exe = |name: &str| Some(format!("/usr/bin/{name}"));
    let ancestor = |pid, name: &str, argv: &[&str]| Ancestor {
        pid,
        exe: exe(name),
        argv: words(argv),
    };
    let tty = format!("pts/{session}");
    told(Actor {
        user: user(0, "root"),
        process: Process {
            pid: 4711,
            start: time(i64::from(session)),
            exe: exe(argv[0]),
            argv: words(argv),
            argv_truncated: false,
            cwd: Some("/root".to_owned()),
        },
        ancestry: vec![
            ancestor(4700, "sudo", &[&["sudo"], argv].concat()),
            ancestor(4650, "bash", &["-bash"]),
            ancestor(4640, "sshd", &["sshd: alice@pts/0"]),
        ],
        session: Some(Session {
            id: session,
            kind: SessionKind::Ssh,
            tty: Some(tty),
            remote: Some("10.1.2.3".to_owned()),
        }),
        login_user: Some(login),
        unit: Some(format!("session-{session}.scope")),
        container: None,
        by: None,
    })
}

/// An actor with the author that the store keeps for it.
fn told(actor: Actor) -> Actor {
    Actor {
        by: Some(actor.author()),
        ..actor
    }
}

/// A run that began at a time and is at work.
pub(crate) fn run(id: u64, kind: RunKind, actor: &Actor, start: i64, parent: Option<u64>) -> Run {
    Run {
        id,
        kind,
        tool: actor.process.argv[0].clone(),
        actor: std::sync::Arc::new(actor.clone()),
        start: time(start),
        end: None,
        exit_code: None,
        signal: None,
        running: true,
        parent,
        more: 0,
        changes: 0,
    }
}

/// A job of a service, which nobody logged in for.
pub(crate) fn service(name: &str) -> Actor {
    let mut actor = person(user(0, "root"), 0, &[name]);
    actor.login_user = None;
    actor.ancestry.clear();
    actor.session = Some(Session {
        id: 0,
        kind: SessionKind::Service,
        tty: None,
        remote: None,
    });
    actor.by = None;
    told(actor)
}

pub(crate) fn session(id: u32, start: i64) -> SessionBody {
    SessionBody {
        session: Session {
            id,
            kind: SessionKind::Ssh,
            tty: Some("pts/0".to_owned()),
            remote: Some("10.1.2.3".to_owned()),
        },
        user: Some(user(1000, "alice")),
        start: time(start),
        end: None,
        changes: 0,
    }
}

pub(crate) fn gap(reason: GapReason, from: i64, to: Option<i64>) -> Gap {
    Gap {
        id: 0,
        from: time(from),
        to: to.map(time),
        reason,
        detail: "for the test".to_owned(),
    }
}
