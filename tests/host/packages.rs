//! Packages, by a real dpkg in a root of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tests::{Chance, Daemon, Options, run, wait_for};

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

    /// Builds a version of the package, with nothing in it.
    fn package(&self, version: &str) -> PathBuf {
        self.package_of(NAME, version)
    }

    fn package_of(&self, name: &str, version: &str) -> PathBuf {
        let folder = self.0.path().join(name).join(version);
        fs::create_dir_all(folder.join("DEBIAN")).unwrap();
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\n\
             Maintainer: nobody <nobody@example.org>\nDescription: nothing\n"
        );
        fs::write(folder.join("DEBIAN/control"), control).unwrap();
        let file = self.0.path().join(format!("{name}_{version}.deb"));
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

    /// Says what is wanted of a package: `hold` or `install`.
    fn select(&self, name: &str, how: &str) {
        let script = format!("echo {name} {how} | \"$@\"");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, "sh", "dpkg"]);
        shell.args(self.dpkg().get_args()).arg("--set-selections");
        succeed(&mut shell);
    }

    /// Name and version of each package by dpkg itself, with whether it is held.
    fn installed(&self) -> Vec<String> {
        let format = "${db:Status-Status} ${Package} ${Version} ${db:Status-Want}\n";
        let mut query = Command::new("dpkg-query");
        query.arg(format!(
            "--admindir={}",
            self.0.path().join("admin").display()
        ));
        let listed = run(query.args(["--show", "--showformat", format]));
        let lines = listed.output.lines();
        let there = lines.filter_map(|line| line.strip_prefix("installed "));
        let there = there.map(|line| line.trim_end_matches(" install").to_owned());
        there.collect()
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
    start_with(&root.status(), Path::new(""))
}

fn start_with(dpkg: &Path, root: &Path) -> Daemon {
    Daemon::start(&Options {
        name: "packages",
        settings: format!(
            "mode = \"fanotify\"\npackages = {{ dpkg = '{}', root = '{}' }}",
            dpkg.display(),
            root.display()
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
    root.select(NAME, "hold");
    let change = newest(&daemon, 1);
    assert_eq!(change["op"], "set", "{change:#}");
    assert_eq!(change["after"]["held"], "yes", "{change:#}");
    root.select(NAME, "install");
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

/// Packages by their facts, as [`Root::installed`] has them.
fn known(daemon: &Daemon, at: &[&str]) -> Vec<String> {
    let facts = daemon.ask(&[&["facts", "--kind", "package"], at].concat());
    let one = |fact: &Value| {
        let held = if fact["value"]["held"] == "yes" {
            " hold"
        } else {
            ""
        };
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let [name, version] = [&fact["subject"]["key"], &fact["value"]["version"]].map(word);
        format!("{name} {version}{held}")
    };
    facts.iter().map(one).collect()
}

#[test]
fn what_is_folded_from_the_log_is_what_dpkg_has_at_each_moment() {
    let root = Root::new();
    let names = ["one", "two", "three", "four"];
    let versions = ["1.0~rc1-1", "1.0-1", "1:0.9-1"];
    let packages = names.map(|name| versions.map(|version| root.package_of(name, version)));
    let daemon = start(&root);
    let (seed, mut story, mut moments) = (41, Vec::new(), Vec::new());
    let mut chance = Chance::new(seed);
    for _ in 0..30 {
        let at = chance.below(names.len());
        let done = chance.one_of(&["install", "install", "install", "remove", "hold", "unhold"]);
        let is_there = root
            .installed()
            .iter()
            .any(|package| package.starts_with(names[at]));
        match done {
            "install" => drop(root.install(&packages[at][chance.below(versions.len())])),
            "remove" => drop(succeed(root.dpkg().args([
                "--force-hold",
                "--remove",
                names[at],
            ]))),
            _ if !is_there => {}
            "hold" => root.select(names[at], "hold"),
            _ => root.select(names[at], "install"),
        }
        story.push(format!("{done} {}", names[at]));
        // Whoever asks is answered when all is told.
        daemon.status();
        moments.push((jiff::Timestamp::now().to_string(), root.installed()));
    }
    for (moment, installed) in &moments {
        let folded = known(&daemon, &["--at", moment]);
        assert_eq!(folded, *installed, "at {moment}, seed {seed}: {story:?}");
    }
    let kinds = ["install", "upgrade", "downgrade", "remove", "set"];
    for op in kinds {
        let told = daemon.ask(&["log", "--kind", "package", "--op", op, "-n", "1000"]);
        assert!(!told.is_empty(), "the story has no {op}: {story:?}");
        assert!(
            told.iter().all(|change| change["certainty"] == "exact"),
            "{told:#?}"
        );
    }
    let fresh = known(&start(&root), &[]);
    assert_eq!(known(&daemon, &[]), fresh, "seed {seed}: {story:?}");
}

/// A root for a global npm, which has installed nothing there yet.
fn start_for_npm() -> (TempDir, Daemon) {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("usr/local/lib")).unwrap();
    let daemon = start_with(Path::new(""), root.path());
    (root, daemon)
}

/// The newest of exactly so many changes of a package.
fn told(daemon: &Daemon, subject: &str, (count, op): (usize, &str)) -> Value {
    let mut all = wait_for("the change is told", || {
        let all = daemon.ask(&["who", subject, "-n", "100"]);
        let is_told = all.len() >= count;
        is_told.then(|| all.clone()).ok_or(format!("{all:#?}"))
    });
    assert_eq!(all.len(), count, "{all:#?}");
    let change = all.remove(0);
    assert_eq!(change["op"], op, "{change:#}");
    assert_eq!(change["certainty"], "exact", "{change:#}");
    change
}

#[test]
fn npm_s_first_package_is_told_however_long_it_takes_to_come() {
    let (root, daemon) = start_for_npm();
    // npm makes the folder, fetches the package, and unpacks it.
    let script = "
        my $folder = 'usr/local/lib/node_modules';
        mkdir $folder; mkdir $folder .= '/@scope'; mkdir $folder .= '/left-pad';
        sleep 3;
        open my $file, '>', $folder .= '/package.json';
        sleep 3;
        print $file '{\"version\": \"1.3.0\"}';
    ";
    let mut perl = Command::new("perl");
    let pid = succeed(perl.args(["-e", script]).current_dir(root.path()));
    let change = told(&daemon, "package:npm/@scope/left-pad", (1, "install"));
    assert_eq!(versions(&change), [None, Some("1.3.0")]);
    assert_eq!(change["actor"]["process"]["pid"], pid, "{change:#}");
}

#[test]
fn what_a_real_npm_installs_has_a_version_and_its_run() {
    if Command::new("npm").arg("--version").output().is_err() {
        println!("not tested: there is no npm here");
        return;
    }
    let (root, daemon) = start_for_npm();
    let prefix = root.path().join("usr/local");
    let npm = |arguments: &[&str]| {
        let mut npm = Command::new("npm");
        npm.args(arguments)
            .args(["--global", "--offline", "--no-audit", "--no-fund"]);
        npm.arg("--prefix").arg(&prefix).current_dir(root.path());
        succeed(npm.env("HOME", root.path()))
    };
    let subject = "package:npm/demo";
    let packages = ["1.2.0", "1.10.0"].map(|version| {
        let folder = root.path().join(version).join("package");
        fs::create_dir_all(&folder).unwrap();
        let text = format!("{{\"name\": \"demo\", \"version\": \"{version}\"}}");
        fs::write(folder.join("package.json"), text).unwrap();
        let file = root.path().join(format!("{version}.tgz"));
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(root.path().join(version));
        succeed(tar.arg("-czf").arg(&file).arg("package"));
        file.display().to_string()
    });
    let is_by = |change: &Value, pid: u32| {
        assert_eq!(change["actor"]["process"]["pid"], pid, "{change:#}");
        assert_eq!(change["actor"]["by"], "package-manager", "{change:#}");
    };
    let pid = npm(&["install", &packages[0]]);
    let change = told(&daemon, subject, (1, "install"));
    assert_eq!(versions(&change), [None, Some("1.2.0")]);
    is_by(&change, pid);
    let pid = npm(&["install", &packages[1]]);
    let change = told(&daemon, subject, (2, "upgrade"));
    assert_eq!(versions(&change), [Some("1.2.0"), Some("1.10.0")]);
    is_by(&change, pid);
    let pid = npm(&["uninstall", "demo"]);
    let change = told(&daemon, subject, (3, "remove"));
    is_by(&change, pid);
}
