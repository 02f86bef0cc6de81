//! What was typed and what package managers did, each with the changes that are its own.

use std::fs;

use serde_json::Value;
use tests::wait_for;

use crate::newest;
use crate::stage::{apt_get, daemon, dpkg_deb, place};
use crate::terminal::Terminal;

/// The run that owns a change, as it is known now.
pub(crate) fn of(change: &Value) -> Value {
    let id = change["run"].as_u64();
    let id = id.unwrap_or_else(|| panic!("no run owns it: {change:#}"));
    daemon().ask(&["runs", &id.to_string()]).remove(0)
}

/// The words of a command line.
fn argv(command: &Value) -> Vec<&str> {
    let argv = command["argv"].as_array().into_iter().flatten();
    argv.filter_map(Value::as_str).collect()
}

#[test]
fn a_session_is_retraced_by_what_was_typed() {
    let path = place("alice", "retraced");
    fs::write(&path, "colour=red\n").unwrap();
    newest(&path, 1);
    let terminal = Terminal::of_alice();
    let lines = [
        "cat /nowhere",
        &format!("sudo sed -i s/red/blue/ {path}"),
        "sudo -i",
    ];
    terminal.types(&[lines[0], "Enter"]);
    terminal.shows("No such file");
    terminal.types(&[lines[1], "Enter"]);
    let change = newest(&path, 2);
    terminal.types(&[lines[2], "Enter"]);
    terminal.shows("root@debian");
    let quick = format!("cp {path} {path}.copy; sleep 600");
    terminal.types(&[&quick, "Enter"]);
    let copy = newest(&format!("{path}.copy"), 1);
    // `sleep` is what waits for the interrupt.
    wait_for("the copying is over", || {
        let last = daemon().ask(&["runs", "-n", "1"]).remove(0);
        (last["tool"] == "sleep")
            .then_some(())
            .ok_or(format!("{last:#}"))
    });
    terminal.types(&["C-c", ""]);
    terminal.prompts("root@debian:~#");
    terminal.types(&["exit", "Enter"]);
    terminal.prompts("alice@debian:~$");
    terminal.types(&["exit", "Enter"]);

    let sed = of(&change);
    assert_eq!(sed["kind"], "command", "{sed:#}");
    assert_eq!(sed["tool"], "sed", "{sed:#}");
    assert_eq!(sed["actor"]["process"]["argv"][0], "sudo", "{sed:#}");
    assert_eq!(sed["exit_code"], 0, "{sed:#}");
    assert_eq!(sed["changes"], 1, "{sed:#}");

    let session = change["actor"]["session"]["id"].to_string();
    let recap = wait_for("the session has ended", || {
        let recap = daemon().ask(&["session", &session]).remove(0);
        let ended = recap["session"]["end"].is_string();
        ended.then(|| recap.clone()).ok_or(format!("{recap:#}"))
    });
    let commands = recap["commands"].as_array().unwrap();
    let told = commands
        .iter()
        .map(|command| (argv(command), &command["depth"]));
    // What Debian's `.bash_logout` runs, as if it were typed.
    let typed: Vec<_> = told
        .filter(|(argv, _)| argv[0] != "/usr/bin/clear_console")
        .collect();
    let copied = format!("{path}.copy");
    let sed = lines[1].split(' ').collect();
    let expected: [(Vec<&str>, Value); 5] = [
        (vec!["cat", "/nowhere"], 0.into()),
        (sed, 0.into()),
        (vec!["sudo", "-i"], 0.into()),
        (vec!["cp", &path, &copied], 1.into()),
        (vec!["sleep", "600"], 1.into()),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(argv, depth)| (argv.clone(), depth))
        .collect();
    assert_eq!(typed, expected, "{recap:#}");
    assert_eq!(commands[0]["exit_code"], 1, "{recap:#}");
    assert_eq!(commands[1]["changes"][0], change["seq"], "{recap:#}");
    assert_eq!(commands[3]["changes"][0], copy["seq"], "{recap:#}");
    assert_eq!(commands[4]["signal"], 2, "{recap:#}");
    let within = daemon().ask(&["log", "--run", &commands[2]["run"].to_string()]);
    assert_eq!(within.len(), 1, "{within:#?}");

    let told = daemon().tell(&["session", &session]);
    println!("{told}");
    assert!(told.contains("cat /nowhere  exit 1"), "{told}");
}

#[test]
fn an_installation_is_one_run_and_one_line_of_the_log() {
    daemon();
    let files: Vec<String> = (1..=8).map(|file| format!("/etc/many.d/{file}")).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    apt_get(&dpkg_deb("many", "1.0", &files));
    let change = newest(files[7], 1);
    let package = newest("package:many", 1);
    assert_eq!(package["run"], change["run"], "{package:#}");
    let run = of(&change);
    assert_eq!(run["kind"], "package-manager", "{run:#}");
    assert_eq!(run["tool"], "apt-get", "{run:#}");
    assert_eq!(run["exit_code"], 0, "{run:#}");
    let summary = run["summary"].as_array().unwrap();
    let has = |kind: &str, op: &str, count: u64| {
        let is_it =
            |part: &Value| part["kind"] == kind && part["op"] == op && part["count"] == count;
        assert!(summary.iter().any(is_it), "{count} {kind} {op}: {run:#}");
    };
    // The files and the folder that they lie in.
    has("file", "create", 9);
    has("package", "install", 1);

    let log = daemon().tell(&["log", "-n", "20"]);
    println!("{log}");
    let is_of_it = |line: &&str| line.contains("/etc/many.d") || line.contains("package:many");
    assert_eq!(log.lines().filter(is_of_it).count(), 0, "{log}");
    let did = "1 package installed, 9 files created";
    assert!(log.contains(&format!("{} ({did})", run["id"])), "{log}");
    let each = daemon().tell(&["log", "--each", "-n", "20"]);
    let each = each.lines().filter(|line| line.contains("/etc/many.d"));
    assert_eq!(each.count(), 9, "{log}");
    println!("{}", daemon().tell(&["runs", &run["id"].to_string()]));
    println!("{}", daemon().tell(&["runs"]));
}
