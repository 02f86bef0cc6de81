//! Every way to change a file, as `docs/coverage.md` lists them: by fanotify.

use tests::Options;
use tests::ways::{Witness, prove};

fn ways(heading: &str) {
    let options = Options {
        name: "host",
        settings: "mode = \"fanotify\"".to_owned(),
        ..Options::default()
    };
    prove(heading, "host", || Witness::start(&options));
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
