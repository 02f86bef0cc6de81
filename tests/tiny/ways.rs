//! Every way to change a file, as `docs/coverage.md` lists them: by the probes.

use std::fs::{self, File};
use std::io::Write as _;

use tests::ways::{prove, tell};
use tests::{Daemon, Options};

use crate::kernel;

fn ways(heading: &str, name: &'static str) {
    let options = Options {
        name,
        settings: "mode = \"trampolines\"".to_owned(),
        ..Options::default()
    };
    prove(heading, &kernel(), &options);
}

#[test]
fn content() {
    ways("Content", "ways-content");
}

#[test]
fn names() {
    ways("Names", "ways-names");
}

#[test]
fn attributes() {
    ways("Attributes", "ways-attributes");
}

#[test]
fn io_uring() {
    ways("io_uring", "ways-io-uring");
}

#[test]
fn other_paths() {
    ways("Other paths to the file", "ways-paths");
}

#[test]
fn mounts() {
    ways("Mounts and devices", "ways-mounts");
}

#[test]
fn on_btrfs() {
    let options = Options {
        name: "ways-btrfs",
        settings: "mode = \"trampolines\"".to_owned(),
        btrfs: true,
        ..Options::default()
    };
    prove("On Btrfs", &kernel(), &options);
}

#[test]
fn memory_of_another_process() {
    ways(
        "Memory of another process",
        "ways-memory-of-another-process",
    );
}

#[test]
fn odd_places() {
    ways("Odd places", "ways-odd-places");
}

#[test]
fn written_by_the_kernel() {
    ways("Written by the kernel", "ways-written-by-the-kernel");
}

#[test]
fn processes() {
    ways("Processes", "ways-processes");
}

#[test]
fn a_descriptor_opened_before_the_daemon_started() {
    let mut daemon = Daemon::start(&Options {
        name: "ways-opened-before",
        settings: "mode = \"trampolines\"".to_owned(),
        ..Options::default()
    });
    let path = daemon.tree().join("file");
    fs::write(&path, "before\n").unwrap();
    assert_eq!(daemon.one(&path)["op"], "create");
    assert_eq!(daemon.terminate(), Some(0));
    let mut file = File::options().append(true).open(&path).unwrap();
    daemon.start_again();
    file.write_all(b"after\n").unwrap();
    drop(file);
    let change = daemon.who(&path).remove(0);
    assert_eq!(change["op"], "modify", "{change:#}");
    assert_eq!(change["certainty"], "exact", "{change:#}");
    let process = &change["actor"]["process"];
    assert_eq!(process["pid"], std::process::id(), "{change:#}");
    tell(
        "Other paths to the file",
        "descriptor opened before the daemon started",
        "exact",
        None,
    );
}
