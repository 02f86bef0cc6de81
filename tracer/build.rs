//! Compiles the kernel half for bpf and tells `tracer` where the object file is; nothing else.

use std::path::PathBuf;
use std::{env, fs};

#[path = "../xtask/src/toolchain.rs"]
#[expect(dead_code, reason = "xtask uses the rest of it")]
mod toolchain;

use toolchain::{BPF_TARGET, Toolchain};

fn main() {
    for input in [
        "../tracer-ebpf/src",
        "../tracer-ebpf/Cargo.toml",
        "../Cargo.lock",
        "../xtask/src/toolchain.rs",
        "build.rs",
    ] {
        println!("cargo:rerun-if-changed={input}");
    }
    println!("cargo:rerun-if-env-changed=TRACER_CACHE");

    if let Err(problem) = build() {
        println!("cargo::error=the kernel half cannot be built");
        for line in problem.lines() {
            println!("cargo::error={line}");
        }
    }
}

/// Compiles with a target folder of its own, so that it never waits for the cargo that runs us.
fn build() -> Result<(), String> {
    let arch = env::var("CARGO_CFG_TARGET_ARCH").map_err(|error| error.to_string())?;
    let out = env::var("OUT_DIR").map_err(|error| error.to_string())?;
    let target_dir = PathBuf::from(out).join("ebpf");

    let mut cargo = Toolchain::find()?.build(&target_dir, &arch);
    let output = cargo
        .output()
        .map_err(|error| format!("start {cargo:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "{cargo:?}:\n{}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let object = target_dir.join(BPF_TARGET).join("release/tracer-ebpf");
    fs::metadata(&object).map_err(|error| format!("read `{}`: {error}", object.display()))?;
    println!("cargo:rustc-env=TRACER_EBPF_OBJECT={}", object.display());
    Ok(())
}
