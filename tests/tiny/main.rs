//! What the probes see, in the tiny guest, on every kernel of the matrix.

use std::env;
use std::path::Path;
use std::process::Command;

#[test]
fn the_guest_can_run_the_tracer() {
    let tracer = env::var_os("TRACER").expect("xtask says where the tracer is");
    let status = Command::new(tracer).arg("--version").status().unwrap();
    assert!(status.success(), "`tracer --version` ended with {status}");
    assert!(
        Path::new("/sys/kernel/btf/vmlinux").exists(),
        "the kernel has no BTF"
    );
}
