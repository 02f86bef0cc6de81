//! A daemon with a configuration, a store and a watched tree of its own.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;
use std::{env, thread};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Ended, as_service, objects, run, unshared};
use crate::wait::PATIENCE;
use crate::{http, wait_for, wait_long_for};

/// Where a guest shows what it finds after a failure; see `run-tests.sh`.
const GUEST_LOGS: &str = "/var/log/tracer-tests";
/// Where watched trees of guests lie: on the root disk, as what people watch does.
const GUEST_TREES: &str = "/var/lib";

/// How much memory a daemon may take at most, whatever happens on the host.
const MOST_MEMORY_KIB: u64 = 64 * 1024;

/// Says how a daemon is to be started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What it is for; names its log.
    pub name: &'static str,
    /// What it watches beside its own tree.
    pub also_watch: Vec<String>,
    /// More lines for its configuration.
    pub settings: String,
    /// The group that may ask it; none but root may where it is empty.
    pub group: &'static str,
    /// Whether systemd starts it, as a unit of this name.
    pub unit: Option<&'static str>,
    /// Whether everything of it lies on a disk of Btrfs, which xtask made for the tiny guest.
    pub btrfs: bool,
    /// Whether it has mounts and a host name of its own, which a test may change.
    pub unshared: bool,
}

/// Holds a running daemon, and ends it when dropped.
#[derive(Debug)]
pub struct Daemon {
    folder: TempDir,
    log: PathBuf,
    unit: Option<&'static str>,
    child: Option<Child>,
    is_mount: bool,
    is_unshared: bool,
}

impl Daemon {
    /// Starts a daemon and waits until it answers.
    pub fn start(options: &Options) -> Self {
        let mut daemon = Self::prepare(options);
        daemon.start_again();
        daemon
    }

    /// Makes the folders and the configuration of a daemon, and does not start it.
    pub fn prepare(options: &Options) -> Self {
        let is_guest = env::var_os("TRACER_GUEST").is_some_and(|guest| guest != "host");
        let trees = if is_guest {
            PathBuf::from(GUEST_TREES)
        } else {
            env::temp_dir()
        };
        let folder = tempfile::Builder::new()
            .prefix("tracer-")
            .tempdir_in(trees)
            .unwrap();
        if options.btrfs {
            mount_btrfs(folder.path());
        }
        let log = if is_guest {
            Path::new(GUEST_LOGS).join(format!("{}.log", options.name))
        } else {
            folder.path().join("log")
        };
        let daemon = Self {
            folder,
            log,
            unit: options.unit,
            child: None,
            is_mount: options.btrfs,
            is_unshared: options.unshared,
        };
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(daemon.folder.path(), open).unwrap();
        fs::create_dir(daemon.tree()).unwrap();
        fs::create_dir(daemon.outside()).unwrap();
        let mut watch = vec![daemon.tree().display().to_string()];
        watch.extend(options.also_watch.iter().cloned());
        // The packages of a host are none of a test's business, unless it says so.
        let packages = if is_guest || options.settings.contains("packages") {
            ""
        } else {
            "packages = { dpkg = '', root = '' }\n"
        };
        let config = format!(
            "state_dir = '{}'\nsocket = '{}'\nsocket_group = {:?}\nwatch = {watch:?}\n{packages}{}\n",
            daemon.state().display(),
            daemon.socket().display(),
            options.group,
            options.settings,
        );
        fs::write(daemon.config(), config).unwrap();
        daemon
    }

    /// Starts the daemon once more, on the store that it left behind.
    pub fn start_again(&mut self) {
        self.start_within(PATIENCE);
    }

    /// Starts the daemon and waits until it has compared the trees, for so long at most.
    ///
    /// # Panics
    /// When it ends, or takes longer.
    pub fn start_within(&mut self, patience: Duration) {
        self.spawn();
        wait_for("the daemon answers", || {
            if let Ok(Some(status)) = self.child().try_wait() {
                self.child = None;
                panic!("the daemon ended with {status}:\n{}", self.read_log());
            }
            http::get(&self.socket(), "/v1/status").map(drop)
        });
        // What comparing finds late would otherwise stand among what a test did.
        wait_long_for("the daemon has compared the host", patience, || {
            let is_done = self.status()["comparing"] == false;
            is_done.then_some(()).ok_or_else(|| self.read_log())
        });
    }

    fn spawn(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .unwrap();
        let daemon = self.command(&["run"]);
        let mut starter = match self.unit {
            Some(unit) => as_service(unit, &daemon),
            None if self.is_unshared => unshared(&daemon),
            None => daemon,
        };
        let child = starter.stderr(log).spawn().expect("the daemon starts");
        self.child = Some(child);
    }

    fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("the daemon was started")
    }

    /// The folder that it watches.
    pub fn tree(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    /// A folder on the same file system that it does not watch.
    pub fn outside(&self) -> PathBuf {
        self.folder.path().join("outside")
    }

    /// The folder of its store.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Where it answers: in a folder that it makes, as on any host.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("run/socket")
    }

    /// Its configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("tracer.toml")
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the daemon was started").id()
    }

    /// What it has logged.
    pub fn read_log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// How often it has compared the trees, as far as its log tells.
    pub fn comparisons(&self) -> usize {
        self.read_log().matches(" compared ").count()
    }

    /// How many times it has found other mounts and compared the trees after that, as far as its log tells: other
    /// comparisons may come between, as after a loss.
    pub fn compared_mounts(&self) -> usize {
        let log = self.read_log();
        let after_each = log.split("another mount").skip(1);
        after_each.filter(|log| log.contains(" compared ")).count()
    }

    /// Whether everything of it lies on a disk of Btrfs.
    pub fn is_on_btrfs(&self) -> bool {
        self.is_mount
    }

    /// The tracer with this daemon's configuration.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let tracer = env::var_os("TRACER").expect("xtask says where the tracer is");
        let mut command = Command::new(tracer);
        command
            .arg("--config")
            .arg(self.config())
            .args(arguments)
            .env_remove("TRACER_LOG");
        command
    }

    /// Runs a command of the tracer.
    pub fn tracer(&self, arguments: &[&str]) -> Ended {
        run(&mut self.command(arguments))
    }

    /// The objects that a command of the tracer prints; none when it found nothing.
    pub fn ask(&self, arguments: &[&str]) -> Vec<Value> {
        let arguments = [arguments, &["--json"]].concat();
        objects(&mut self.command(&arguments))
    }

    /// What a command of the tracer prints for people.
    pub fn tell(&self, arguments: &[&str]) -> String {
        run(&mut self.command(arguments)).output
    }

    /// The changes of one file, newest first, each with its diff.
    pub fn who(&self, path: impl AsRef<Path>) -> Vec<Value> {
        if asks_often() {
            let target = format!("/v1/who?n=1000&subject={}", http::encoded(path.as_ref()));
            let mut answer = http::get(&self.socket(), &target).unwrap();
            return std::mem::take(answer["changes"].as_array_mut().unwrap());
        }
        let mut command = self.command(&["who", "--json", "-n", "1000"]);
        objects(command.arg(path.as_ref()))
    }

    /// The only change of one file.
    pub fn one(&self, path: impl AsRef<Path>) -> Value {
        let mut changes = self.who(path.as_ref());
        assert_eq!(
            changes.len(),
            1,
            "changes of {}: {changes:#?}",
            path.as_ref().display()
        );
        changes.remove(0)
    }

    /// The changes of files in a folder, newest first.
    pub fn log(&self, folder: impl AsRef<Path>) -> Vec<Value> {
        if asks_often() {
            let pattern = folder.as_ref().join("**");
            let target = format!(
                "/v1/changes?n=1000&kind=file&path={}",
                http::encoded(&pattern)
            );
            return http::all(&self.socket(), &target, usize::MAX).unwrap();
        }
        let pattern = format!("{}/**", folder.as_ref().display());
        self.ask(&["log", "-n", "100000", "--kind", "file", "--path", &pattern])
    }

    /// The newest changes of anything, the newest first.
    pub fn newest(&self, count: usize) -> Vec<Value> {
        if asks_often() {
            let target = format!("/v1/changes?n={}", count.min(1000));
            return http::all(&self.socket(), &target, count).unwrap();
        }
        self.ask(&["log", "-n", &count.to_string()])
    }

    /// How it is.
    pub fn status(&self) -> Value {
        if asks_often() {
            return http::get(&self.socket(), "/v1/status").unwrap();
        }
        self.ask(&["status"]).remove(0)
    }

    /// Asserts that it never took more memory than it is to.
    ///
    /// # Panics
    /// When it did.
    pub fn is_small(&self) {
        let path = format!("/proc/{}/status", self.pid());
        let status = fs::read_to_string(path).expect("the daemon runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: u64 = kib.and_then(|kib| kib.parse().ok()).expect("it has memory");
        assert!(kib <= MOST_MEMORY_KIB, "{kib} KiB of memory at most");
    }

    /// The intervals for which it does not vouch.
    pub fn gaps(&self) -> Vec<Value> {
        self.ask(&["gaps"])
    }

    /// Kills it without a chance to write anything.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("the daemon was running");
            child.wait().expect("a killed child ends");
        }
    }

    /// Makes it fail as by a bug of its own, and returns how it ended.
    pub fn abort(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the daemon was started");
        kill_process(Pid::from_child(&child), Signal::ABORT).expect("the daemon was running");
        child.wait().expect("it is our child")
    }

    /// Asks it to end and returns its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("the daemon was started");
        let pid = Pid::from_child(&child);
        kill_process(pid, Signal::TERM).expect("the daemon was running");
        wait_for("the daemon ends", || {
            let ended = child.try_wait().expect("it is our child");
            ended.ok_or_else(|| self.read_log())
        })
        .code()
    }
}

/// The disk that is mounted over a folder.
fn disk_of(folder: &Path) -> PathBuf {
    folder.with_extension("img")
}

/// Mounts a fresh file system of Btrfs over a folder.
fn mount_btrfs(folder: &Path) {
    let script = r#"modprobe -q crc32c; modprobe btrfs && modprobe loop && gunzip -c /usr/lib/tracer-tests/btrfs.img.gz > "$1" &&
        mount -t btrfs -o loop "$1" "$2""#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(disk_of(folder));
    let ended = run(shell.arg(folder));
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        if self.is_mount {
            let ended = run(Command::new("umount").arg("-l").arg(self.folder.path()));
            assert!(thread::panicking() || ended.code == Some(0), "{ended:?}");
            drop(fs::remove_file(disk_of(self.folder.path())));
        }
        let is_shown_by_guest = self.log.starts_with(GUEST_LOGS);
        if thread::panicking() && !is_shown_by_guest {
            eprintln!("--- the daemon's log\n{}", self.read_log());
        }
    }
}

/// Whether the tests of this place ask so often that the command line is too slow for it.
fn asks_often() -> bool {
    env::var_os("TRACER_GUEST").is_some_and(|guest| guest == "tiny")
}
