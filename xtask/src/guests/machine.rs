//! One boot of a virtual machine: starts qemu, follows the tests on the second serial port, and
//! ends it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::Processor;

/// What `run-tests.sh` writes before the exit code of the tests.
const END: &str = "@@guest ended with ";

/// What each kernel is told.
pub(super) const PARAMETERS: &str =
    "console=ttyS0 quiet no_timer_check panic=-1 systemd.show_status=error rd.udev.log_level=err";

/// What a machine boots.
pub(super) struct Boot<'a> {
    pub(super) kernel: &'a Path,
    pub(super) initrd: &'a Path,
    pub(super) disk: &'a Path,
    pub(super) processor: Processor,
    pub(super) memory_mib: u32,
    pub(super) time_limit: Duration,
}

/// How a run ended.
pub(crate) struct Verdict {
    /// The tests' exit code, or why there is none.
    pub(crate) end: Result<i32, String>,
    /// The test harness's own closing line.
    pub(crate) summary: Option<String>,
    /// Kernel and init messages.
    pub(crate) console: String,
}

impl Verdict {
    /// Whether the tests ran to their end, and all is well.
    pub(crate) fn passed(&self) -> bool {
        self.end == Ok(0)
            && self
                .summary
                .as_ref()
                .is_some_and(|line| line.contains("test result: ok"))
    }
}

/// Boots and waits for the end of the tests.
pub(super) fn boot(boot: &Boot<'_>, work: &Path, on_line: &mut dyn FnMut(&str)) -> Result<Verdict> {
    let console = work.join("console.log");
    let errors = work.join("qemu.log");
    let started = Instant::now();
    let mut child = qemu(boot, &console)
        .stderr(fs::File::create(&errors).context("create the log of qemu")?)
        .spawn()
        .context("start qemu-system-x86_64")?;
    let output = child.stdout.take().context("qemu has an output")?;
    let machine = Machine { child };
    let (end, summary) = follow(&lines_of(output), started + boot.time_limit, on_line);
    drop(machine);

    let mut seen = read_lossy(&console);
    seen.push_str(&read_lossy(&errors));
    Ok(Verdict {
        end,
        summary,
        console: seen,
    })
}

/// Emulates the processor: slower than KVM, but there on every machine, and the same on each.
///
/// A guest's processors take turns on one thread. With a thread for each, one may run code that another has replaced
/// already, and a kernel that changes its own code dies of the breakpoint it put there meanwhile (`Oops: int3`; seen
/// with QEMU 7.2 once in some hundred boots; told of 8.0 on linux-kernel in July 2023, as a race between translating
/// and replacing). One thread is also an eighth faster, as nothing needs to be atomic.
fn qemu(boot: &Boot<'_>, console: &Path) -> Command {
    // What runs on this host itself beside the guests shall not wait for them.
    let mut qemu = Command::new("nice");
    qemu.arg("qemu-system-x86_64")
        .args(["-accel", "tcg,thread=single", "-cpu", "qemu64"])
        .args(boot.processor.arguments)
        .args([
            "-m",
            &boot.memory_mib.to_string(),
            "-nodefaults",
            "-display",
            "none",
            "-no-reboot",
        ])
        .arg("-kernel")
        .arg(boot.kernel)
        .arg("-initrd")
        .arg(boot.initrd)
        .arg("-append")
        .arg(format!("{PARAMETERS} {}", boot.processor.parameters))
        .arg("-drive")
        .arg(format!(
            "file={},format=raw,if=virtio,snapshot=on,cache=unsafe",
            boot.disk.display()
        ))
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .args(["-serial", "stdio"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    qemu
}

/// Reads on a thread of its own, so that the time limit holds even when nothing comes.
fn lines_of(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(output);
        let mut line = Vec::new();
        while reader
            .read_until(b'\n', &mut line)
            .is_ok_and(|read| read > 0)
        {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if sender.send(text).is_err() {
                break;
            }
            line.clear();
        }
    });
    receiver
}

fn follow(
    lines: &Receiver<String>,
    deadline: Instant,
    on_line: &mut dyn FnMut(&str),
) -> (Result<i32, String>, Option<String>) {
    let mut summary = None;
    let end = loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                if let Some(code) = line.strip_prefix(END) {
                    break code
                        .parse()
                        .map_err(|_not_a_number| format!("the guest ended with `{code}`"));
                }
                if line.starts_with("test result:") {
                    summary = Some(line.clone());
                }
                on_line(&line);
            }
            Err(RecvTimeoutError::Timeout) => break Err("the time limit passed".to_owned()),
            Err(RecvTimeoutError::Disconnected) => {
                break Err("the guest went down before its tests ended".to_owned());
            }
        }
    };
    (end, summary)
}

fn read_lossy(path: &Path) -> String {
    fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).replace('\r', ""))
        .unwrap_or_default()
}

/// A running qemu, ended when dropped: its disk is a snapshot, so nothing needs a shutdown.
struct Machine {
    child: Child,
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Either fails only when it has ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
