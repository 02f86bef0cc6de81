//! Every way to change a file, as `docs/coverage.md` lists them: by the probes.

use std::io::Write as _;

use tests::Options;
use tests::ways::{Witness, prove, tell};

use crate::{daemon, kernel, opened_before};

fn ways(heading: &str) {
    prove(heading, &kernel(), || Witness::Shared(daemon()));
}

#[test]
fn content() {
    ways("Content");
}

#[test]
fn names() {
    ways("Names");
}

#[test]
fn attributes() {
    ways("Attributes");
}

#[test]
fn io_uring() {
    ways("io_uring");
}

#[test]
fn other_paths() {
    ways("Other paths to the file");
}

#[test]
fn mounts() {
    ways("Mounts and devices");
}

#[test]
fn on_btrfs() {
    let options = Options {
        name: "ways-btrfs",
        settings: "mode = \"trampolines\"".to_owned(),
        btrfs: true,
        ..Options::default()
    };
    prove("On Btrfs", &kernel(), || Witness::start(&options));
}

#[test]
fn memory_of_another_process() {
    ways("Memory of another process");
}

#[test]
fn odd_places() {
    ways("Odd places");
}

#[test]
fn written_by_the_kernel() {
    ways("Written by the kernel");
}

#[test]
fn processes() {
    ways("Processes");
}

#[test]
fn a_descriptor_opened_before_the_daemon_started() {
    let (path, mut file) = opened_before();
    file.write_all(b"after\n").unwrap();
    drop(file);
    let change = daemon().one(&path);
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
