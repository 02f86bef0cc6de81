//! The stories, acted out by real programs in the debian guest.

use std::env;
use std::path::Path;
use std::process::Command;

#[test]
fn alice_comes_by_ssh_and_becomes_root() {
    let tracer = env::var_os("TRACER").expect("xtask says where the tracer is");
    let status = Command::new(tracer).arg("--version").status().unwrap();
    assert!(status.success(), "`tracer --version` ended with {status}");
    let ssh = [
        "-o",
        "BatchMode=yes",
        "alice@localhost",
        "sudo",
        "id",
        "-un",
    ];
    let output = Command::new("ssh").args(ssh).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "root",
        "{errors}"
    );
    assert!(
        Path::new("/run/systemd/system").exists(),
        "systemd is not running"
    );
}
