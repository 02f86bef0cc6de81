//! Changes to put into words in tests.

use change::wire::ChangeWithDiff;
use change::{
    Actor, Ancestor, Certainty, Change, FactValue, FileState, Op, Process, Session, SessionKind,
    Subject, Timestamp, User,
};
use jiff::Zoned;

use super::{Names, View};

pub(super) fn view() -> View {
    View {
        now: "2026-11-21T14:30:00[Europe/Berlin]"
            .parse::<Zoned>()
            .unwrap(),
        color: false,
        names: Names::parse("root:x:0:0:\n", "root:x:0:\nwww-data:x:33:\n"),
    }
}

pub(super) fn at(text: &str) -> Timestamp {
    when::parse(text, &view().now).unwrap()
}

pub(super) fn user(uid: u32, name: &str) -> User {
    User {
        uid,
        name: Some(name.to_owned()),
    }
}

/// An actor over ssh from its command lines, nearest first.
pub(super) fn actor(commands: &[&str]) -> Actor {
    let words = |line: &&str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let argv = |line: &&str| {
        if line.contains(": ") {
            vec![(*line).to_owned()]
        } else {
            words(line)
        }
    };
    let exe = |line: &&str| {
        line.split(' ')
            .next()
            .map(|exe| exe.trim_start_matches('-').to_owned())
    };
    Actor {
        user: user(0, "root"),
        login_user: Some(user(1000, "alice")),
        process: Process {
            pid: 9,
            start: Timestamp::default(),
            exe: exe(&commands[0]),
            argv: argv(&commands[0]),
            argv_truncated: false,
            cwd: None,
        },
        ancestry: commands[1..]
            .iter()
            .map(|line| Ancestor {
                pid: 8,
                exe: exe(line),
                argv: argv(line),
            })
            .collect(),
        session: Some(Session {
            id: 41,
            kind: SessionKind::Ssh,
            tty: Some("pts/0".to_owned()),
            remote: Some("10.1.2.3".to_owned()),
        }),
        unit: None,
        container: None,
        by: None,
    }
}

pub(super) fn file(hash: &str) -> FileState {
    FileState {
        hash: Some(hash.to_owned()),
        size: 1480,
        mode: "0644".to_owned(),
        ..FileState::default()
    }
}

/// Alice edits nginx's configuration, twelve minutes ago.
pub(super) fn edit() -> Change {
    Change {
        host: "5f3c".to_owned(),
        hostname: "web-1".to_owned(),
        seq: 1234,
        time: at("12 min ago"),
        subject: Subject::file("/etc/nginx/nginx.conf"),
        op: Op::Modify,
        from: None,
        before: Some(FactValue::File(file("b3:1"))),
        after: Some(FactValue::File(file("b3:2"))),
        certainty: Certainty::Exact,
        between: None,
        run: None,
        operations: 1,
        package: None,
        notes: Vec::new(),
        actor: Some(
            actor(&[
                "vim /etc/nginx/nginx.conf",
                "sudo vim /etc/nginx/nginx.conf",
                "-bash",
                "sshd: alice@pts/0",
            ])
            .into(),
        ),
    }
}

pub(super) fn late() -> Change {
    Change {
        certainty: Certainty::Late,
        between: Some([at("14:02"), at("14:07")]),
        actor: None,
        ..edit()
    }
}

pub(super) fn with_diff(change: Change) -> ChangeWithDiff {
    let diff = "--- before\n+++ after\n@@ -12,3 +12,3 @@\n events {\n-    worker_connections 768;\n+    worker_connections 4096;\n }\n";
    ChangeWithDiff {
        change,
        diff: Some(diff.to_owned()),
    }
}
