//! What the probes see, in the tiny guest, on every kernel of the matrix: each way to change a file
//! once, by real system calls, and what the daemon does when things go wrong.

mod attributes;
mod content;
mod descriptors;
mod disk;
mod exact;
mod failures;
mod foreign;
mod hostile;
mod lifecycle;
mod machine;
mod modules;
mod mounted;
mod mounts;
mod names;
mod odd;
mod roots;
mod runs;
mod secrets;
mod services;
mod settings;
mod state;
mod units;
mod volume;
mod ways;

use std::env;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use tests::{Daemon, Options};

/// The daemon that most tests share: its start takes seconds under emulation.
fn daemon() -> &'static Daemon {
    static DAEMON: OnceLock<Daemon> = OnceLock::new();
    DAEMON.get_or_init(|| {
        services::make();
        let mut watch = vec!["/etc".to_owned()];
        let trees = roots::make().into_iter().chain([foreign::make()]);
        watch.extend(trees.map(|tree| tree.display().to_string()));
        let mut daemon = Daemon::prepare(&Options {
            name: "shared",
            also_watch: watch,
            settings: "mode = \"trampolines\"".to_owned(),
            ..Options::default()
        });
        let path = daemon.tree().join("opened-before");
        fs::write(&path, "before\n").unwrap();
        let file = File::options().append(true).open(&path).unwrap();
        *OPENED_BEFORE.lock().unwrap() = Some((path, file));
        daemon.start_again();
        daemon
    })
}

/// What a daemon is told that is to compare, store and start again: programs at functions, which take seconds to
/// load, have no part in that.
const COMPARES: &str = "mode = \"fanotify\"";

/// A file of the daemon's tree that was opened before the daemon started.
static OPENED_BEFORE: Mutex<Option<(PathBuf, File)>> = Mutex::new(None);

fn opened_before() -> (PathBuf, File) {
    daemon();
    let opened = OPENED_BEFORE.lock().unwrap().take();
    opened.expect("one test writes to it")
}

/// Whether the running kernel is of one of these lines. What hardly depends on the kernel and takes long
/// is tested on some: not all of it on the same ones, as guests run side by side.
fn is_one_of(lines: &[&str]) -> bool {
    let kernel = kernel();
    lines.iter().any(|line| {
        let rest = kernel.strip_prefix(line);
        rest.is_some_and(|rest| rest.starts_with('.'))
    })
}

/// The running kernel's release, as xtask knows it.
fn kernel() -> String {
    env::var("TRACER_KERNEL").expect("xtask says which kernel it booted")
}
