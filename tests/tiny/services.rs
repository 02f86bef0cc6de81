//! Who kills a service, on each kernel: what a service manager would do is done by hand.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tests::{Daemon, run, wait_for};

use crate::daemon;
use crate::modules::done_by;

const STARTED: &str = "/run/systemd/units";
const FILES: &str = "/etc/systemd/system";

/// A service whose main process the first process of the guest has taken over.
struct Service<'d> {
    daemon: &'d Daemon,
    name: &'static str,
    pid: u32,
    seen: usize,
}

impl<'d> Service<'d> {
    /// Starts a command of the shell as a service.
    fn start(daemon: &'d Daemon, name: &'static str, command: &str) -> Self {
        let cgroup = format!("/sys/fs/cgroup/system.slice/{name}.service");
        fs::create_dir_all(&cgroup).unwrap();
        let script =
            format!("echo $$ > {cgroup}/cgroup.procs; ({command}) > /dev/null 2>&1 & echo $!");
        let begun = run(Command::new("/bin/sh").args(["-c", &script]));
        let mut service = Self {
            daemon,
            name,
            pid: begun.output.trim().parse().unwrap(),
            seen: 0,
        };
        symlink("0", service.link()).unwrap();
        service.newest("start");
        service
    }

    fn link(&self) -> PathBuf {
        PathBuf::from(format!("{STARTED}/invocation:{}.service", self.name))
    }

    /// Sends its process a signal, and tells by which process.
    fn kill(&self, signal: &str) -> u32 {
        let (sender, was_sent) = done_by("kill", &[signal, &self.pid.to_string()]);
        assert!(was_sent);
        sender
    }

    /// The change that comes once its process has ended, and the manager has seen that.
    fn stopped(&mut self) -> Value {
        wait_for("its process ends", || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid));
            match stat {
                Ok(stat) if !stat.contains(") Z ") => Err(stat),
                _ => Ok(()),
            }
        });
        fs::remove_file(self.link()).unwrap();
        self.newest("stop")
    }

    /// The next change of it.
    fn newest(&mut self, op: &str) -> Value {
        self.seen += 1;
        let change = wait_for("the service is told of", || {
            let all = self.daemon.who(format!("service:{}", self.name));
            let newest = all.first().filter(|_| all.len() == self.seen);
            newest.cloned().ok_or(format!("{all:#?}"))
        });
        assert_eq!(change["op"], op, "{change:#}");
        assert_eq!(change["certainty"], "exact", "{change:#}");
        change
    }
}

/// Makes what systemd would have made of four services, before the daemon starts: it looks for units then.
pub(crate) fn make() {
    fs::create_dir_all(STARTED).unwrap();
    fs::create_dir_all(FILES).unwrap();
    for name in ["hit", "asked", "deaf", "own"] {
        let text = "[Service]\nType=forking\nExecStart=/bin/true\n";
        fs::write(format!("{FILES}/{name}.service"), text).unwrap();
    }
}

#[test]
fn the_sender_of_the_signal_that_ended_a_service_is_named_and_nobody_else() {
    let daemon = daemon();
    let named = |change: &Value, state: &str| {
        assert_eq!(change["after"]["active"], state, "{change:#}");
        change["actor"]["process"]["pid"].clone()
    };

    let mut hit = Service::start(daemon, "hit", "exec sleep 1000");
    let killer = hit.kill("-9");
    let change = hit.stopped();
    assert_eq!(named(&change, "failed"), killer, "{change:#}");
    assert_eq!(change["actor"]["process"]["argv"][1], "-9", "{change:#}");

    let heeding = "trap 'exit 0' TERM; while :; do sleep 0.05; done";
    let mut asked = Service::start(daemon, "asked", heeding);
    let killer = asked.kill("-TERM");
    let change = asked.stopped();
    assert_eq!(named(&change, "inactive"), killer, "{change:#}");

    // What is ignored ends nothing, and neither does what only asks whether there is such a process.
    let ignoring = "trap '' TERM; while ! test -e /tmp/deaf; do sleep 0.05; done; exit 3";
    let mut deaf = Service::start(daemon, "deaf", ignoring);
    deaf.kill("-TERM");
    deaf.kill("-0");
    fs::write("/tmp/deaf", "").unwrap();
    let change = deaf.stopped();
    assert_eq!(named(&change, "failed"), Value::Null, "{change:#}");

    let crashing = "exec sh -c 'sleep 0.2; env kill -ABRT $$; sleep 9'";
    let mut own = Service::start(daemon, "own", crashing);
    let change = own.stopped();
    assert_eq!(named(&change, "failed"), Value::Null, "{change:#}");
}
