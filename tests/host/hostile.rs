//! Bursts, floods and strangers, natively: there is more of each than a guest could bear.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use tests::{Daemon, Options, PATIENCE, STRANGER, may_not_stop, run, wait_for, wait_long_for};

use crate::start;

/// A group of every host, to which nobody belongs.
const GROUP: &str = "nogroup";
const GROUP_ID: u32 = 65_534;

fn start_with_group() -> Daemon {
    Daemon::start(&Options {
        name: "group",
        settings: "mode = \"fanotify\"".to_owned(),
        group: GROUP,
        ..Options::default()
    })
}

#[test]
fn a_hundred_thousand_new_files_at_once_are_all_told_in_bounded_memory() {
    const COUNT: usize = 100_000;
    let daemon = start();
    let folder = daemon.tree().join("burst");
    fs::create_dir(&folder).unwrap();
    daemon.one(&folder);
    for number in 0..COUNT {
        let mut file = File::create(folder.join(number.to_string())).unwrap();
        writeln!(file, "the content of file {number}").unwrap();
    }
    let before = 1;
    wait_long_for("all files are told", 8 * PATIENCE, || {
        let status = daemon.status();
        let told = status["counters"]["changes"].as_u64().unwrap_or(0);
        (told >= (COUNT + before) as u64)
            .then_some(())
            .ok_or(status.to_string())
    });
    let status = daemon.status();
    assert_eq!(status["counters"]["lost"], 0, "{status:#}");
    let changes = daemon.log(&folder);
    assert_eq!(changes.len(), COUNT);
    let exact = changes.iter().all(|change| change["certainty"] == "exact");
    assert!(exact, "{:#}", changes[0]);
    daemon.is_small();
}

#[test]
fn it_may_write_only_its_own_folders_and_says_so() {
    let daemon = start();
    let status = daemon.status();
    let checks = status["doctor"].as_array().unwrap();
    let tried = checks.iter().find(|check| check["name"] == "own rights");
    assert_eq!(tried.unwrap()["state"], "ok", "{tried:#?}");
}

#[test]
fn an_ordinary_user_cannot_stop_it_nor_read_what_it_keeps() {
    let daemon = start();
    may_not_stop(&daemon);
    let path = daemon.tree().join("undisturbed");
    fs::write(&path, "x").unwrap();
    daemon.one(&path);
}

#[test]
fn a_member_of_the_group_may_ask_and_make_nothing_forgotten() {
    let daemon = start_with_group();
    let path = daemon.tree().join("file");
    fs::write(&path, "kept\n").unwrap();
    daemon.one(&path);
    let member = |arguments: &[&str]| {
        let mut command = daemon.command(arguments);
        run(command.uid(STRANGER).gid(GROUP_ID).arg(&path))
    };
    let asked = member(&["who"]);
    assert_eq!(asked.code, Some(0), "{asked:?}");
    let refused = member(&["forget"]);
    assert_eq!(refused.code, Some(4), "{refused:?}");
    let change = daemon.one(&path);
    let diff = change["diff"].as_str().unwrap_or_default();
    assert!(diff.contains("+kept"), "{change:#}");
}

#[test]
fn a_flood_of_connections_is_bounded_and_shuts_root_out_of_nothing() {
    let daemon = start_with_group();
    // Members who connect, say half a word and wait, as often as they can.
    let flood = format!(
        "import socket, sys\n\
         kept = []\n\
         for i in range(500):\n\
         \x20 kept.append(socket.socket(socket.AF_UNIX))\n\
         \x20 kept[-1].connect({socket:?})\n\
         \x20 try: kept[-1].send(b'GET /v1/sta')\n\
         \x20 except OSError: pass\n\
         print('connected', flush=True)\n\
         sys.stdin.read()\n",
        socket = daemon.socket(),
    );
    let mut flooder = Command::new("python3");
    flooder.args(["-c", &flood]).uid(STRANGER).gid(GROUP_ID);
    let mut flooder = flooder
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; 9];
    let mut from = flooder.stdout.take().unwrap();
    from.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"connected");
    let path = daemon.tree().join("meanwhile");
    fs::write(&path, "x").unwrap();
    let change = daemon.one(&path);
    assert_eq!(change["after"]["size"], 1, "{change:#}");
    let open = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap();
    let open = open.count();
    assert!(open < 200, "{open} descriptors");
    daemon.is_small();
    drop(flooder.stdin.take());
    flooder.wait().unwrap();
    wait_for("members may ask again", || {
        let mut stream = UnixStream::connect(daemon.socket()).map_err(|error| error.to_string())?;
        let asked =
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        asked
            .and_then(|()| stream.read_to_string(&mut answer))
            .map_err(|error| error.to_string())?;
        answer.contains("200 OK").then_some(()).ok_or(answer)
    });
}
