//! The daemon under measurement: starts it, waits until it has nothing to do, and reads what it
//! used.

use std::fs::{self, File};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::time::ClockId;
use nix::unistd::Pid;
use rustix::process::{Signal, kill_process};
use serde_json::{Map, Value};

use crate::pause;
use crate::workloads::WATCHED;

const STATE: &str = "/var/lib/tracer";
const CONFIGURATION: &str = "/tmp/tracer.toml";
const LOG: &str = "/var/log/tracer-tests/daemon.log";
/// A daemon that used less than this in a second has nothing to do.
const QUIET_NS: i64 = 3_000_000;

/// A running daemon, which began with an empty store.
pub(crate) struct Daemon {
    child: Child,
    clock: ClockId,
}

/// What `tracer status` counts.
pub(crate) struct Counters {
    pub(crate) file_records: u64,
    pub(crate) changes: u64,
    pub(crate) lost: u64,
}

impl Daemon {
    /// Starts it, and returns once it sees changes and has read the trees.
    pub(crate) fn start(configuration: &str) -> Result<Self> {
        if fs::exists(STATE)? {
            fs::remove_dir_all(STATE)?;
        }
        fs::write(CONFIGURATION, configuration)?;
        let log = File::options().create(true).append(true).open(LOG)?;
        let child = Command::new("/usr/bin/tracer")
            .args(["--config", CONFIGURATION, "run"])
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("start the daemon")?;
        let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(i32::try_from(child.id())?))?;
        let mut daemon = Self { child, clock };
        daemon.wait_until_ready()?;
        daemon.wait_until_quiet()?;
        Ok(daemon)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        for _ in 0..100 {
            pause(Duration::from_millis(300));
            if let Some(status) = self.child.try_wait()? {
                bail!("the daemon ended with {status}, see `{LOG}`");
            }
            fs::write(format!("{WATCHED}/ready"), "ready?\n")?;
            if matches!(Self::counters(), Ok(counters) if counters.file_records > 0) {
                return Ok(());
            }
        }
        bail!("the daemon saw no change in 30 s, see `{LOG}`")
    }

    /// Waits until what was seen is in the store.
    pub(crate) fn wait_until_quiet(&self) -> Result<()> {
        // A burst of writes ends with a quiet second.
        pause(Duration::from_secs(2));
        for _ in 0..600 {
            let before = self.cpu_ns()?;
            pause(Duration::from_secs(1));
            if self.cpu_ns()? - before < QUIET_NS {
                return Ok(());
            }
        }
        bail!("the daemon is still at work after ten minutes")
    }

    /// The CPU time of all its threads until now.
    pub(crate) fn cpu_ns(&self) -> Result<i64> {
        let used = self.clock.now().context("read the daemon's CPU time")?;
        Ok(used.tv_sec() * 1_000_000_000 + used.tv_nsec())
    }

    pub(crate) fn counters() -> Result<Counters> {
        let output = Command::new("/usr/bin/tracer")
            .args(["--json", "status"])
            .output()
            .context("start `tracer status`")?;
        ensure!(output.status.success(), "`tracer status` failed");
        let status: Value = serde_json::from_slice(&output.stdout)?;
        let count = |name: &str| {
            let count = status["counters"][name].as_u64();
            count.with_context(|| format!("`tracer status` has no counter `{name}`"))
        };
        Ok(Counters {
            file_records: count("file_records")?,
            changes: count("changes")?,
            lost: count("lost")?,
        })
    }

    /// The lines about resident memory of its `/proc/PID/status`, in KiB.
    pub(crate) fn memory(&self) -> Result<Map<String, Value>> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let lines = status.lines().filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            let kib: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
            let is_resident = name == "VmHWM" || name == "VmRSS" || name.starts_with("Rss");
            is_resident.then(|| (name.to_owned(), Value::from(kib)))
        });
        Ok(lines.collect())
    }

    pub(crate) fn stop(mut self) -> Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).context("end the daemon")?;
        let status = self.child.wait()?;
        ensure!(
            status.success(),
            "the daemon ended with {status}, see `{LOG}`"
        );
        Ok(())
    }
}
