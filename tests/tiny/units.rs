//! Units of the service manager, by their cgroups.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use tests::{run, wait_for};

use crate::daemon;

/// Lets nothing be looked at while something happens: a busy daemon is late, too.
fn while_the_daemon_sleeps(happen: impl FnOnce()) {
    let pid = Pid::from_raw(daemon().pid().cast_signed()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    happen();
    kill_process(pid, Signal::CONT).unwrap();
}

#[test]
fn the_unit_of_a_process_is_known_after_both_are_gone() {
    let file = daemon().tree().join("by-fleeting");
    let slice = Path::new("/sys/fs/cgroup/system.slice");
    fs::create_dir_all(slice).unwrap();
    let unit = slice.join("fleeting.service");
    while_the_daemon_sleeps(|| {
        fs::create_dir(&unit).unwrap();
        let (unit_name, file) = (unit.display(), file.display());
        let script = format!("echo $$ > {unit_name}/cgroup.procs; echo x > {file}");
        let ended = run(Command::new("/bin/sh").args(["-c", &script]));
        assert_eq!(ended.code, Some(0), "{}", ended.errors);
        // Its process was waited for, and leaves it a moment later.
        wait_for("the cgroup is empty", || {
            fs::remove_dir(&unit).map_err(|error| error.to_string())
        });
    });
    let change = daemon().one(&file);
    assert_eq!(change["actor"]["unit"], "fleeting.service", "{change:#}");
    assert_eq!(change["actor"]["session"]["kind"], "service", "{change:#}");
}
