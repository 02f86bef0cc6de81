//! Kernel modules, loaded and unloaded by real calls.

use std::process::{Command, Stdio};

use serde_json::Value;
use tests::{Daemon, Options, wait_for};

use crate::{daemon, is_one_of};

/// Runs a command and gives its process id, and whether it succeeded.
pub(crate) fn done_by(program: &str, arguments: &[&str]) -> (u32, bool) {
    let mut child = Command::new(program)
        .args(arguments)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    (child.id(), child.wait().unwrap().success())
}

fn changes(daemon: &Daemon, module: &str) -> Vec<Value> {
    daemon.who(format!("module:{module}"))
}

/// The newest of so many changes of a module. Its initialisation may go on for a moment.
fn newest(daemon: &Daemon, module: &str, count: usize) -> Value {
    let mut all = wait_for("the module is told of", || {
        let all = changes(daemon, module);
        (all.len() >= count)
            .then(|| all.clone())
            .ok_or(format!("{all:#?}"))
    });
    assert_eq!(all.len(), count, "{all:#?}");
    all.remove(0)
}

#[test]
fn a_module_that_is_loaded_and_unloaded_names_who_did_it() {
    let seen = |op: &str, count: usize, pid: u32| {
        let change = newest(daemon(), "dummy", count);
        assert_eq!(change["op"], op, "{change:#}");
        assert_eq!(change["subject"]["kind"], "module", "{change:#}");
        assert_eq!(change["certainty"], "exact", "{change:#}");
        assert_eq!(change["actor"]["process"]["pid"], pid, "{change:#}");
        change
    };
    daemon();
    let (pid, loaded) = done_by("modprobe", &["dummy", "numdummies=2"]);
    assert!(loaded);
    let change = seen("load", 1, pid);
    let argv = &change["actor"]["process"]["argv"];
    assert_eq!(argv[1], "dummy", "{change:#}");
    let facts = daemon().ask(&["facts", "--kind", "module"]);
    let is_it = |fact: &Value| fact["subject"]["key"] == "dummy";
    assert!(facts.iter().any(is_it), "{facts:#?}");

    let (pid, unloaded) = done_by("rmmod", &["dummy"]);
    assert!(unloaded);
    let change = seen("unload", 2, pid);
    assert_eq!(change["after"], Value::Null, "{change:#}");
    let (_, loaded) = done_by("insmod", &["/usr/lib/tracer-tests/tests"]);
    assert!(!loaded, "the executable is no module");
    let all = daemon().ask(&["log", "--kind", "module", "-n", "1"]);
    assert_eq!(all[0]["op"], "unload", "{all:#?}");
}

#[test]
fn a_module_that_came_while_nobody_watched_is_late() {
    if !is_one_of(&["6.1", "6.18"]) {
        return;
    }
    let mut own = Daemon::start(&Options {
        name: "modules",
        settings: "mode = \"trampolines\"".to_owned(),
        ..Options::default()
    });
    let before = own.ask(&["log", "--kind", "module"]);
    assert!(
        before.is_empty(),
        "what was loaded is no change: {before:#?}"
    );
    assert_eq!(own.terminate(), Some(0));
    let (_, loaded) = done_by("modprobe", &["veth"]);
    assert!(loaded);
    own.start_again();
    let change = newest(&own, "veth", 1);
    assert_eq!(change["op"], "load", "{change:#}");
    assert_eq!(change["certainty"], "late", "{change:#}");
    assert_eq!(change["actor"], Value::Null, "{change:#}");
    done_by("rmmod", &["veth"]);
}
