//! Deeds: what people and programs do to a host, as the changes and runs that its tracer would log.

use std::sync::Arc;

use change::{
    Actor, Ancestor, Author, Certainty, Change, FactValue, Op, Process, Run, RunKind, Session,
    SessionKind, Subject, Timestamp, User,
};

/// A person who logs in over ssh and types a command.
pub fn person(name: &str, typed: &str, time: Timestamp) -> Arc<Actor> {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let argv = words(typed);
    Arc::new(Actor {
        user: User {
            uid: 0,
            name: Some("root".to_owned()),
        },
        login_user: Some(User {
            uid: 1000,
            name: Some(name.to_owned()),
        }),
        process: Process {
            pid: 4711,
            start: time,
            exe: Some(format!("/usr/bin/{}", argv[0])),
            argv,
            argv_truncated: false,
            cwd: Some("/root".to_owned()),
        },
        ancestry: vec![Ancestor {
            pid: 4700,
            exe: Some("/usr/bin/bash".to_owned()),
            argv: words("-bash"),
        }],
        session: Some(Session {
            id: 41,
            kind: SessionKind::Ssh,
            tty: Some("pts/0".to_owned()),
            remote: Some("10.1.2.3".to_owned()),
        }),
        unit: Some("session-41.scope".to_owned()),
        container: None,
        by: None,
    })
}

/// The nightly run of configuration management.
pub fn automation(time: Timestamp) -> Arc<Actor> {
    let actor = person("root", "puppet agent --onetime", time);
    Arc::new(Actor {
        login_user: None,
        session: None,
        unit: Some("puppet.service".to_owned()),
        by: Some(Author::Automation),
        ..Arc::unwrap_or_clone(actor)
    })
}

/// A run of a tool by an actor.
pub fn run(id: u64, tool: &str, actor: &Arc<Actor>, start: Timestamp) -> Run {
    Run {
        id,
        kind: RunKind::PackageManager,
        tool: tool.to_owned(),
        actor: Arc::clone(actor),
        start,
        end: Some(start.plus_nanos(9_000_000_000)),
        exit_code: Some(0),
        signal: None,
        running: false,
        parent: None,
        more: 0,
        changes: 1,
    }
}

/// One transition of a fact, by an actor. Host, name and number are given when it is sent.
pub fn change(
    subject: Subject,
    op: Op,
    [before, after]: [Option<FactValue>; 2],
    time: Timestamp,
    actor: Option<&Arc<Actor>>,
) -> Change {
    Change {
        host: String::new(),
        hostname: String::new(),
        seq: 0,
        time,
        subject,
        op,
        from: None,
        before,
        after,
        certainty: Certainty::Exact,
        between: None,
        run: None,
        operations: 1,
        notes: Vec::new(),
        package: None,
        actor: actor.map(Arc::clone),
    }
}
