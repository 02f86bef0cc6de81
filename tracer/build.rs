//! Compiles the kernel half for bpf, takes off what debuggers would want, and tells `tracer` where
//! the object file is; nothing else.

use std::path::PathBuf;
use std::{env, fs};

#[path = "../xtask/src/toolchain.rs"]
#[expect(dead_code, reason = "xtask uses the rest of it")]
mod toolchain;

use object::build::elf::{Builder, SectionData};
use object::elf::SHT_STRTAB;
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
    let out = PathBuf::from(env::var("OUT_DIR").map_err(|error| error.to_string())?);
    let target_dir = out.join("ebpf");

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
    let linked = target_dir.join(BPF_TARGET).join("release/tracer-ebpf");
    let linked =
        fs::read(&linked).map_err(|error| format!("read `{}`: {error}", linked.display()))?;
    let stripped = strip(&linked).map_err(|error| format!("strip the object: {error}"))?;
    let object = out.join("tracer-ebpf.o");
    fs::write(&object, stripped)
        .map_err(|error| format!("write `{}`: {error}", object.display()))?;
    println!("cargo:rustc-env=TRACER_EBPF_OBJECT={}", object.display());
    Ok(())
}

/// The object without DWARF, from which bpf-linker has made the BTF: 3.6 of its 4 MB, which the
/// daemon would carry in its memory from the reading on.
fn strip(linked: &[u8]) -> Result<Vec<u8>, object::build::Error> {
    let mut object = Builder::read(linked)?;
    for section in &mut object.sections {
        let name = section.name.strip_prefix(b".rel").unwrap_or(&section.name);
        section.delete = name.starts_with(b".debug_");
    }
    object.delete_orphans();
    // The linker keeps all names in one table; the builder wants two.
    let names = object.sections.add();
    names.name = b".shstrtab"[..].into();
    names.sh_type = SHT_STRTAB;
    names.data = SectionData::SectionString;
    let mut stripped = Vec::new();
    object.write(&mut stripped)?;
    Ok(stripped)
}
