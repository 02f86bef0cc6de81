//! What an ordinary user of the host tries against the daemon.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::{Daemon, run};

/// Nobody of this host.
pub const STRANGER: u32 = 12_345;

/// Asserts that an ordinary user can neither end the daemon nor look into it, its store and its
/// answers.
///
/// # Panics
/// When the user can.
pub fn may_not_stop(daemon: &Daemon) {
    let pid = daemon.pid();
    let socket = daemon.socket();
    let script = format!(
        "kill -9 {pid} && echo killed; kill -STOP {pid} && echo stopped
        cat {state}/tracer.db && echo read; ls {state} && echo listed; (echo > {state}/full) && echo filled
        cat /proc/{pid}/mem && echo looked; ls /proc/{pid}/fd && echo traced
        rm -f {socket}; [ -S {socket} ] || echo removed; true",
        state = daemon.state().display(),
        socket = socket.display(),
    );
    let tried = run(as_stranger(Command::new("/bin/sh").args(["-c", &script])));
    assert_eq!(tried.code, Some(0), "{tried:?}");
    assert_eq!(tried.output, "", "{tried:?}");
    let asked = run(as_stranger(&mut daemon.command(&["status"])));
    assert_eq!(asked.code, Some(3), "{asked:?}");
}

/// Lets a program run as an ordinary user.
pub fn as_stranger(command: &mut Command) -> &mut Command {
    command.uid(STRANGER).gid(STRANGER).current_dir("/")
}
