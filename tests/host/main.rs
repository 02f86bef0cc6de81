//! The daemon end to end on the host that runs the tests, where no probe is loaded.

use std::env;
use std::process::Command;

#[test]
fn the_tracer_runs() {
    let tracer = env::var_os("TRACER").expect("xtask says where the tracer is");
    let status = Command::new(tracer).arg("--version").status().unwrap();
    assert!(status.success(), "`tracer --version` ended with {status}");
}
