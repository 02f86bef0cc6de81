//! Packages, by a real dpkg in a root of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tests::{Daemon, Options, run};

const NAME: &str = "tracer-example";
const SUBJECT: &str = "package:tracer-example";

/// A root with nothing installed in it.
struct Root(TempDir);

impl Root {
    fn new() -> Self {
        let root = Self(tempfile::tempdir().unwrap());
        for folder in ["admin/info", "admin/updates", "admin/triggers", "root"] {
            fs::create_dir_all(root.0.path().join(folder)).unwrap();
        }
        fs::write(root.status(), "").unwrap();
        root
    }

    fn status(&self) -> PathBuf {
        self.0.path().join("admin/status")
    }

    /// Builds a package of that version, with nothing in it.
    fn package(&self, version: &str) -> PathBuf {
        let folder = self.0.path().join(version);
        fs::create_dir_all(folder.join("DEBIAN")).unwrap();
        let control = format!(
            "Package: {NAME}\nVersion: {version}\nArchitecture: all\n\
             Maintainer: nobody <nobody@example.org>\nDescription: nothing\n"
        );
        fs::write(folder.join("DEBIAN/control"), control).unwrap();
        let file = self.0.path().join(format!("{version}.deb"));
        let built = run(Command::new("dpkg-deb")
            .arg("--build")
            .args([&folder, &file]));
        assert_eq!(built.code, Some(0), "{built:?}");
        file
    }

    fn dpkg(&self) -> Command {
        let mut dpkg = Command::new("dpkg");
        let option =
            |name: &str, folder: &str| format!("--{name}={}", self.0.path().join(folder).display());
        dpkg.arg(option("admindir", "admin"));
        dpkg.arg(option("instdir", "root"));
        dpkg.args(["--force-downgrade", "--no-triggers"]);
        dpkg.stdin(Stdio::null());
        dpkg
    }

    fn install(&self, package: &Path) -> u32 {
        succeed(self.dpkg().arg("--install").arg(package))
    }
}

/// Runs a command, and gives the process id that it had.
fn succeed(command: &mut Command) -> u32 {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    pid
}

fn start(root: &Root) -> Daemon {
    Daemon::start(&Options {
        name: "packages",
        settings: format!(
            "mode = \"fanotify\"\npackages.dpkg = '{}'",
            root.status().display()
        ),
        ..Options::default()
    })
}

/// The newest change of the package, of so many.
fn newest(daemon: &Daemon, count: usize) -> Value {
    let mut changes = daemon.ask(&["who", SUBJECT, "-n", "100"]);
    assert_eq!(changes.len(), count, "{changes:#?}");
    changes.remove(0)
}

fn versions(change: &Value) -> [Option<&str>; 2] {
    ["before", "after"].map(|side| change[side]["version"].as_str())
}

#[test]
fn a_package_s_life_is_told_with_who_did_it() {
    let root = Root::new();
    let [old, new] = ["1.0~rc1-1", "1.0-1"].map(|version| root.package(version));
    let daemon = start(&root);
    // Nothing was installed when watching began: what comes is compared with that.
    let seen = |op: &str, count: usize, pid: u32| {
        let change = newest(&daemon, count);
        assert_eq!(change["op"], op, "{change:#}");
        assert_eq!(change["subject"]["kind"], "package", "{change:#}");
        assert_eq!(change["certainty"], "exact", "{change:#}");
        assert_eq!(change["actor"]["process"]["pid"], pid, "{change:#}");
        assert_eq!(change["actor"]["user"]["uid"], 0, "{change:#}");
        change
    };
    let change = seen("install", 1, root.install(&old));
    assert_eq!(versions(&change), [None, Some("1.0~rc1-1")]);
    assert_eq!(change["after"]["arch"], "all");
    let said = daemon.tell(&["who", SUBJECT]);
    assert!(said.contains("installed it 1.0~rc1-1"), "{said}");

    let change = seen("upgrade", 2, root.install(&new));
    assert_eq!(versions(&change), [Some("1.0~rc1-1"), Some("1.0-1")]);
    let said = daemon.tell(&["who", SUBJECT]);
    assert!(said.contains("upgraded it 1.0~rc1-1 → 1.0-1"), "{said}");
    let listed = daemon.ask(&["log", "--kind", "package", "--op", "upgrade"]);
    assert_eq!(listed.len(), 1, "{listed:#?}");

    let fact = daemon.ask(&["facts", "--kind", "package"]);
    assert_eq!(fact.len(), 1, "{fact:#?}");
    assert_eq!(fact[0]["value"]["version"], "1.0-1", "{fact:#?}");

    let change = seen("downgrade", 3, root.install(&old));
    assert_eq!(versions(&change), [Some("1.0-1"), Some("1.0~rc1-1")]);
    let change = seen("remove", 4, succeed(root.dpkg().args(["--remove", NAME])));
    assert_eq!(change["after"], Value::Null, "{change:#}");
    // That the database itself is written over and over is no news.
    let files = daemon.ask(&["log", "--kind", "file"]);
    assert!(files.is_empty(), "{files:#?}");
}

#[test]
fn a_package_that_is_held_says_so() {
    let root = Root::new();
    root.install(&root.package("1"));
    let daemon = start(&root);
    let select = |how: &str| {
        let script = format!("echo {NAME} {how} | \"$@\"");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, "sh", "dpkg"]);
        shell.args(root.dpkg().get_args()).arg("--set-selections");
        succeed(&mut shell);
    };
    select("hold");
    let change = newest(&daemon, 1);
    assert_eq!(change["op"], "set", "{change:#}");
    assert_eq!(change["after"]["held"], "yes", "{change:#}");
    select("install");
    let change = newest(&daemon, 2);
    assert_eq!(change["after"]["held"], Value::Null, "{change:#}");
    let said = daemon.tell(&["who", SUBJECT]);
    assert!(said.contains("no longer holds it back"), "{said}");
}

#[test]
fn what_was_installed_while_nobody_watched_is_late() {
    let root = Root::new();
    let [old, new] = ["1", "2"].map(|version| root.package(version));
    root.install(&old);
    let mut daemon = start(&root);
    let none = daemon.ask(&["log", "--kind", "package"]);
    assert!(none.is_empty(), "what was there is no change: {none:#?}");
    assert_eq!(daemon.terminate(), Some(0));
    root.install(&new);
    daemon.start_again();
    let change = newest(&daemon, 1);
    assert_eq!(change["op"], "upgrade", "{change:#}");
    assert_eq!(change["certainty"], "late", "{change:#}");
    assert_eq!(change["actor"], Value::Null, "{change:#}");
    assert!(change["between"].is_array(), "{change:#}");
    assert_eq!(versions(&change), [Some("1"), Some("2")]);
    let intact = daemon.ask(&["verify"]);
    assert_eq!(intact[0]["intact"], true, "{intact:#?}");
}
