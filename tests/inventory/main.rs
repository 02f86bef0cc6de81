//! What collecting a host's whole inventory costs, on this host, as if it had 2,000 packages of dpkg; and
//! what the daemon does while nothing happens. Prints a table; `cargo xtask bench --inventory` runs it.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, thread};

use tests::{Daemon, Options, PATIENCE, peak_memory, processor_seconds};

/// How many packages the host seems to have.
const PACKAGES: usize = 2_000;
/// For how long it is left alone.
const QUIET: Duration = Duration::from_mins(2);
/// What this host's dpkg knows.
const DPKG: &str = "/var/lib/dpkg";

fn main() {
    let folder = tempfile::tempdir().unwrap();
    install(folder.path());
    let none = "packages = { dpkg = '', root = '' }";
    let all = format!(
        "packages = {{ dpkg = '{}', root = '/' }}",
        folder.path().join("status").display()
    );
    println!("| | processor seconds | peak of resident memory |");
    println!("|---|---|---|");
    drop(started("the start without any packages", none));
    let mut daemon = started(&format!("the start with {PACKAGES} more packages"), &all);
    let what = "the next start, nothing changed";
    assert_eq!(daemon.terminate(), Some(0), "the daemon ends");
    daemon.start_within(20 * PATIENCE);
    print_use(what, &daemon);

    let before = (processor_seconds(daemon.pid()), files(&daemon.state()));
    thread::sleep(QUIET);
    let used = processor_seconds(daemon.pid()) - before.0;
    let mut after = files(&daemon.state());
    after.retain(|file| !before.1.contains(file));
    let written = match after.as_slice() {
        [] => "nothing written".to_owned(),
        files => format!("written were {files:?}"),
    };
    println!(
        "| {} s in which nothing happens: {written} | {used:.2} | |",
        QUIET.as_secs(),
    );
}

/// Starts a daemon and tells what it has used until all that it collects is there.
fn started(what: &str, settings: &str) -> Daemon {
    let mut daemon = Daemon::prepare(&Options {
        name: "inventory",
        settings: format!("mode = \"fanotify\"\n{settings}"),
        ..Options::default()
    });
    daemon.start_within(20 * PATIENCE);
    print_use(what, &daemon);
    daemon
}

fn print_use(what: &str, daemon: &Daemon) {
    // What was found is written behind the comparison.
    thread::sleep(Duration::from_secs(5));
    let facts = daemon.ask(&["facts"]);
    let pid = daemon.pid();
    println!(
        "| {what}: {} facts | {:.2} | {} MiB |",
        facts.len(),
        processor_seconds(pid),
        peak_memory(pid)
    );
}

/// Makes a database of dpkg: the packages of this host with their lists of files, over and over under
/// other names until there are enough.
fn install(folder: &Path) {
    let status = fs::read_to_string(Path::new(DPKG).join("status")).unwrap();
    let stanzas: Vec<&str> = status
        .split("\n\n")
        .filter(|text| text.contains('\n'))
        .collect();
    let info = folder.join("info");
    fs::create_dir(&info).unwrap();
    let mut all = String::new();
    for number in 0..PACKAGES {
        let stanza = stanzas[number % stanzas.len()];
        let name = field(stanza, "Package: ");
        let new = format!("{name}-{number}");
        all += &stanza.replacen(name, &new, 1);
        all += "\n\n";
        let lists = [name.to_owned(), format!("{name}:amd64")];
        let lists = lists.map(|name| Path::new(DPKG).join(format!("info/{name}.list")));
        if let Some(list) = lists.iter().find(|list| list.exists()) {
            fs::copy(list, info.join(format!("{new}.list"))).unwrap();
        }
    }
    fs::write(folder.join("status"), all).unwrap();
}

/// The value of a field of a stanza.
fn field<'a>(stanza: &'a str, name: &str) -> &'a str {
    let line = stanza.lines().find_map(|line| line.strip_prefix(name));
    line.expect("dpkg says it of each package")
}

/// The files of a folder with their sizes and when they were written.
fn files(folder: &Path) -> Vec<(PathBuf, u64, SystemTime)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let about = entry.metadata().unwrap();
            (entry.path(), about.len(), about.modified().unwrap())
        })
        .collect();
    files.sort();
    files
}
