//! Names of users: from `/etc/passwd`, else from the name service through `getent`, because a
//! static binary cannot load the name service's modules itself.

use std::collections::HashMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use change::{Timestamp, User};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::bounded;

/// How often the file is looked at.
const CHECK_NS: i64 = 1_000_000_000;

/// How long an answer of the name service holds.
const ANSWER_NS: i64 = 300_000_000_000;

/// How long the name service is left alone after it took too long.
const REST_NS: i64 = 60_000_000_000;

/// How long the name service may take.
const TIMEOUT: Duration = Duration::from_millis(200);

/// How many answers are kept.
const MAX_ANSWERS: usize = 4096;

const MAX_PASSWD_BYTES: u64 = 16 << 20;

/// Knows the users' names as of now.
#[derive(Debug)]
pub(super) struct Users {
    passwd: PathBuf,
    getent: PathBuf,
    names: HashMap<u32, String>,
    stamp: Option<Stamp>,
    next_check: Timestamp,
    answers: HashMap<u32, Answer>,
    rest_until: Timestamp,
}

/// Tells one version of the file from another.
type Stamp = (u64, u64, i64, i64, i64);

#[derive(Debug)]
struct Answer {
    name: Option<String>,
    until: Timestamp,
}

enum Reply {
    Name(Option<String>),
    TooLate,
}

impl Users {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            passwd: root.join("etc/passwd"),
            getent: root.join("usr/bin/getent"),
            names: HashMap::new(),
            stamp: None,
            next_check: Timestamp::from_nanos(i64::MIN),
            answers: HashMap::new(),
            rest_until: Timestamp::from_nanos(i64::MIN),
        }
    }

    /// Reads the file again if it has changed; tells if it has.
    pub(super) fn refresh(&mut self, now: Timestamp) -> bool {
        // The clock may have been set back.
        if now < self.next_check && now.plus_nanos(CHECK_NS) >= self.next_check {
            return false;
        }
        self.next_check = now.plus_nanos(CHECK_NS);
        let stamp = fs::metadata(&self.passwd).ok().map(|file| {
            (
                file.dev(),
                file.ino(),
                file.mtime(),
                file.mtime_nsec(),
                file.ctime_nsec(),
            )
        });
        if stamp == self.stamp {
            return false;
        }
        self.stamp = stamp;
        let text = bounded::read(&self.passwd, MAX_PASSWD_BYTES).unwrap_or_default();
        self.names = parse_passwd(&String::from_utf8_lossy(&text));
        self.answers.clear();
        true
    }

    /// The user of an id.
    pub(super) fn user(&mut self, uid: u32, now: Timestamp) -> User {
        self.refresh(now);
        let name = match self.names.get(&uid) {
            Some(name) => Some(name.clone()),
            None => self.answer(uid, now),
        };
        User { uid, name }
    }

    fn answer(&mut self, uid: u32, now: Timestamp) -> Option<String> {
        if let Some(answer) = self.answers.get(&uid)
            && now < answer.until
        {
            return answer.name.clone();
        }
        if now < self.rest_until {
            return None;
        }
        let name = match ask(&self.getent, uid) {
            Reply::Name(name) => name,
            Reply::TooLate => {
                tracing::warn!(uid, "ask the name service for a user: no answer in time");
                self.rest_until = now.plus_nanos(REST_NS);
                None
            }
        };
        if self.answers.len() >= MAX_ANSWERS {
            self.answers.clear();
        }
        let until = now.plus_nanos(ANSWER_NS);
        self.answers.insert(
            uid,
            Answer {
                name: name.clone(),
                until,
            },
        );
        name
    }
}

/// Names by id; the first line of an id counts, as for `getpwuid(3)`.
fn parse_passwd(text: &str) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split(':');
        if let (Some(name), Some(_), Some(uid)) = (fields.next(), fields.next(), fields.next())
            && let Ok(uid) = uid.parse()
            && !name.is_empty()
        {
            names.entry(uid).or_insert_with(|| name.to_owned());
        }
    }
    names
}

fn ask(getent: &Path, uid: u32) -> Reply {
    let child = Command::new(getent)
        .args(["passwd", &uid.to_string()])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else {
        return Reply::Name(None);
    };
    let text = read_in_time(&mut child);
    // Killed in any case, so that waiting for it cannot last; one that has ended does not mind.
    let ended = child.kill().and_then(|()| child.wait());
    match (text, ended) {
        (Some(text), Ok(_)) => Reply::Name(parse_passwd(&text).remove(&uid)),
        _ => Reply::TooLate,
    }
}

fn read_in_time(child: &mut Child) -> Option<String> {
    let deadline = Instant::now() + TIMEOUT;
    let mut stdout = child.stdout.take()?;
    let mut text = Vec::new();
    let mut part = [0; 1024];
    loop {
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).ok()?;
        let mut waiting = [PollFd::new(&stdout, PollFlags::IN)];
        if poll(&mut waiting, Some(&left)).ok()? == 0 {
            return None;
        }
        match stdout.read(&mut part).ok()? {
            0 => return Some(String::from_utf8_lossy(&text).into_owned()),
            length if text.len() < 64 * 1024 => text.extend_from_slice(&part[..length]),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn tree(passwd: &str, getent: &str) -> (tempfile::TempDir, Users) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc")).unwrap();
        fs::create_dir_all(root.path().join("usr/bin")).unwrap();
        fs::write(root.path().join("etc/passwd"), passwd).unwrap();
        let program = root.path().join("usr/bin/getent");
        fs::write(&program, format!("#!/bin/sh\n{getent}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let users = Users::new(root.path());
        (root, users)
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_parts(seconds, 0)
    }

    #[test]
    fn names_follow_the_file() {
        let (root, mut users) = tree(
            "root:x:0:0:::\nalice:x:1000:1000:::\nbob:x:1000::::\n",
            "exit 2",
        );
        assert_eq!(users.user(1000, at(1)).name.as_deref(), Some("alice"));
        fs::write(root.path().join("etc/new"), "carol:x:1000:1000:::\n").unwrap();
        fs::rename(root.path().join("etc/new"), root.path().join("etc/passwd")).unwrap();
        assert!(users.refresh(at(3)));
        assert_eq!(users.user(1000, at(3)).name.as_deref(), Some("carol"));
        assert_eq!(users.user(0, at(3)).name, None);
    }

    #[test]
    fn the_name_service_is_asked_once_for_an_unknown_user() {
        let (root, mut users) = tree(
            "",
            r#"/bin/echo x >> "${0%/*}/asked"; [ "$2" = 5000 ] && echo "dave:x:5000:1:::""#,
        );
        for second in 1..5 {
            assert_eq!(users.user(5000, at(second)).name.as_deref(), Some("dave"));
            assert_eq!(users.user(5001, at(second)).name, None);
        }
        let asked = fs::read_to_string(root.path().join("usr/bin/asked")).unwrap();
        assert_eq!(asked, "x\nx\n");
    }

    #[test]
    fn a_slow_name_service_is_left_alone() {
        let (_root, mut users) = tree("", "exec /bin/sleep 30");
        let begun = Instant::now();
        for uid in 1..50 {
            assert_eq!(users.user(uid, at(1)).name, None);
        }
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
