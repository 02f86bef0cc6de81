//! A collector with a state directory and a port of its own.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command};
use std::{env, thread};

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Ended, objects, run};
use crate::{Daemon, wait_for};

/// Holds a running collector, and ends it when dropped.
#[derive(Debug)]
pub struct Collector {
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Collector {
    /// Starts a collector and waits until it listens.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Closed again at once; nobody else is likely to take it within the moment.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = address.unwrap().port();
        let mut collector = Self {
            folder,
            port,
            child: None,
        };
        collector.start_again(&[]);
        collector
    }

    /// Starts it once more, on the state that it left behind.
    pub fn start_again(&mut self, arguments: &[&str]) {
        let listen = format!("127.0.0.1:{}", self.port);
        let mut command = self.command(&["serve", "--listen", &listen]);
        let log = File::create(self.log()).unwrap();
        let child = command.args(arguments).stderr(log).spawn();
        let mut child = child.expect("the collector starts");
        wait_for("the collector listens", || {
            let log = self.read_log();
            if let Ok(Some(status)) = child.try_wait() {
                panic!("the collector ended with {status}:\n{log}");
            }
            log.contains("listening on").then_some(()).ok_or(log)
        });
        self.child = Some(child);
    }

    /// Where hosts find it.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// Where it keeps everything.
    pub fn state(&self) -> &Path {
        self.folder.path()
    }

    fn log(&self) -> std::path::PathBuf {
        self.folder.path().join("log")
    }

    fn read_log(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let collector = env::var_os("COLLECTOR").expect("xtask says where the collector is");
        let mut command = Command::new(collector);
        command
            .arg("--state-dir")
            .arg(self.state())
            .args(arguments)
            .env_remove("TRACER_LOG");
        command
    }

    /// Runs a command of it.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        run(&mut self.command(arguments))
    }

    /// The objects that a command of it prints; none when it found nothing.
    pub fn ask(&self, arguments: &[&str]) -> Vec<Value> {
        objects(&mut self.command(&[arguments, &["--json"]].concat()))
    }

    /// A token.
    pub fn token(&self, arguments: &[&str]) -> String {
        let made = self.run(&[&["enrol"], arguments].concat());
        assert_eq!(made.code, Some(0), "{made:?}");
        made.output.trim().to_owned()
    }

    /// Enrols the host of a daemon.
    pub fn enrol(&self, daemon: &Daemon, token: &str) -> Ended {
        daemon.tracer(&["enrol", "--url", &self.url(), "--token", token])
    }

    /// Numbers of the changes of files below a folder that have come, oldest first.
    pub fn taken(&self, folder: &Path) -> Vec<u64> {
        let pattern = format!("{}/**", folder.display());
        let changes = self.ask(&["log", "--path", &pattern, "-n", "100000"]);
        let seqs = changes.iter().filter_map(|change| change["seq"].as_u64());
        let mut seqs: Vec<_> = seqs.collect();
        seqs.sort_unstable();
        seqs
    }

    /// Kills it without a chance to write anything.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("the collector was running");
            child.wait().expect("a killed child ends");
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("--- the collector's log\n{}", self.read_log());
        }
    }
}
