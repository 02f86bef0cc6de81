//! What comparing large trees with the store costs, on this host: the first time, when everything is
//! new, and at a later start, when nothing has changed. Prints a table; `cargo xtask bench --trees`
//! runs it.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use tests::{Daemon, Options, PATIENCE, peak_memory, processor_seconds};

/// How many files the tree has unless asked otherwise.
const FILES: u32 = 100_000;
/// How many of them lie in one folder.
const FOLDER: u32 = 500;

fn main() {
    let files = env::args().find_map(|argument| argument.parse().ok());
    let files = files.unwrap_or(FILES);
    let mut daemon = Daemon::prepare(&Options {
        name: "trees",
        settings: "mode = \"fanotify\"".to_owned(),
        ..Options::default()
    });
    make(&daemon.tree(), files);
    println!(
        "| {files} files of 200 bytes | seconds | processor seconds | peak of resident memory |"
    );
    println!("|---|---|---|---|");
    measure("at the first start", &mut daemon);
    assert_eq!(daemon.terminate(), Some(0), "the daemon ends");
    measure("at the second, nothing changed", &mut daemon);
}

/// A tree of files that differ.
fn make(tree: &Path, files: u32) {
    for number in 0..files {
        let folder = tree.join((number / FOLDER).to_string());
        if number % FOLDER == 0 {
            fs::create_dir(&folder).unwrap();
        }
        let line = format!(
            "setting-{number} = {}\n",
            number.wrapping_mul(2_654_435_761)
        );
        let content = line.repeat(200 / line.len());
        fs::write(folder.join(number.to_string()), content).unwrap();
    }
}

fn measure(when: &str, daemon: &mut Daemon) {
    let begun = Instant::now();
    daemon.start_within(20 * PATIENCE);
    let seconds = begun.elapsed().as_secs_f64();
    // What was found is written behind the comparison.
    thread::sleep(Duration::from_secs(2));
    println!(
        "| {when} | {seconds:.1} | {:.1} | {} MiB |",
        processor_seconds(daemon.pid()),
        peak_memory(daemon.pid())
    );
}
