//! Processes that act for a test, so that what they do is not the test's own.

use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::{env, fs, thread};

use serde_json::Value;

use crate::Daemon;

/// Says to a child of a test where it is to act.
const FOLDER: &str = "TRACER_TESTS_ACT_IN";

/// Holds what the acting process did.
#[derive(Debug)]
pub struct Acted {
    /// The folder that it acted in.
    pub folder: PathBuf,
    /// The process id that it had.
    pub pid: u32,
    /// The changes that were told of it, oldest first.
    pub changes: Vec<Value>,
}

/// Prepares a folder of the watched tree, lets a child of this process act in it, and returns what
/// the daemon told of it.
///
/// The child is this executable once more, running the same test: it skips everything up to here,
/// acts, and ends. What a test does before calling this must therefore be nothing.
pub fn act(daemon: fn() -> &'static Daemon, prepare: fn(&Path), action: fn(&Path)) -> Acted {
    if let Some(folder) = env::var_os(FOLDER) {
        action(Path::new(&folder));
        end();
    }
    let daemon = daemon();
    let test = thread::current();
    let test = test.name().expect("a test runs on a thread of its name");
    let folder = daemon.tree().join(test.replace("::", "-"));
    fs::create_dir(&folder).unwrap();
    prepare(&folder);
    let known = daemon.log(&folder).len();

    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .env(FOLDER, &folder)
        .env("RUST_BACKTRACE", "0");
    let child = command
        .stdout(process::Stdio::null())
        .spawn()
        .expect("the test executable starts");
    let pid = child.id();
    let ended = child.wait_with_output().expect("it is our child");
    assert!(
        ended.status.success(),
        "the acting process failed: {ended:?}"
    );

    let mut changes = daemon.log(&folder);
    changes.truncate(changes.len() - known);
    changes.reverse();
    Acted {
        folder,
        pid,
        changes,
    }
}

#[expect(
    clippy::exit,
    reason = "the child has done its part of the test, and the rest is its parent's"
)]
fn end() -> ! {
    process::exit(0)
}

impl Acted {
    /// The only change, which must be an exact one of that name in the folder, by the process that
    /// acted and as root.
    pub fn only(&self, op: &str, name: &str) -> &Value {
        let [change] = self.changes.as_slice() else {
            panic!("not one change but {:#?}", self.changes);
        };
        self.check(change, op, name);
        change
    }

    /// Asserts what must hold of each change that the process made itself.
    pub fn check(&self, change: &Value, op: &str, name: &str) {
        let key = self.folder.join(name);
        assert_eq!(change["subject"]["kind"], "file", "{change:#}");
        assert_eq!(
            change["subject"]["key"],
            key.to_str().unwrap(),
            "{change:#}"
        );
        assert_eq!(change["op"], op, "{change:#}");
        assert_eq!(change["certainty"], "exact", "{change:#}");
        let actor = &change["actor"];
        assert_eq!(actor["process"]["pid"], self.pid, "{change:#}");
        let exe = env::current_exe().unwrap();
        assert_eq!(actor["process"]["exe"], exe.to_str().unwrap(), "{change:#}");
        assert_eq!(actor["user"]["uid"], 0, "{change:#}");
    }

    /// The changes as `op name`, in their order, with names relative to the folder.
    pub fn told(&self) -> Vec<String> {
        let prefix = format!("{}/", self.folder.display());
        let changes = self.changes.iter();
        changes
            .map(|change| {
                let key = change["subject"]["key"].as_str().unwrap_or_default();
                let op = change["op"].as_str().unwrap_or_default();
                format!("{op} {}", key.strip_prefix(&prefix).unwrap_or(key))
            })
            .collect()
    }
}
