//! Compiles the kernel half for bpf, takes off what debuggers would want, and tells `tracer` where
//! the object file is; nothing else.

use std::path::PathBuf;
use std::{env, fs};

#[path = "../xtask/src/toolchain.rs"]
#[expect(dead_code, reason = "xtask uses the rest of it")]
mod toolchain;

use object::build::elf::{Builder, SectionData, SymbolId};
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

/// Refuses programs that call functions of the object, such as the compiler's own `memset`: where
/// such a program reads through a null pointer, 5.10 ends in an oops, as `search_bpf_extables` finds
/// the whole program's empty table in the place of the function's (seen on 5.10.262).
fn refuse_functions(object: &Builder<'_>) -> Result<(), String> {
    let is_function = |symbol: SymbolId| {
        let section = object.symbols.get(symbol).section;
        let name = section.map(|section| &object.sections.get(section).name);
        name.is_some_and(|name| name.as_slice() == b".text")
    };
    for section in &object.sections {
        let is_code = !section.name.starts_with(b".rel.");
        let SectionData::Relocation(relocations) = &section.data else {
            continue;
        };
        let mut called = relocations
            .iter()
            .filter_map(|relocation| relocation.symbol);
        if let Some(symbol) = called.find(|symbol| is_code && is_function(*symbol)) {
            let name = String::from_utf8_lossy(&object.symbols.get(symbol).name).into_owned();
            let section = String::from_utf8_lossy(&section.name).into_owned();
            return Err(format!(
                "a program calls `{name}` ({section}): write it such that the compiler needs no function"
            ));
        }
    }
    Ok(())
}

/// The object without DWARF, from which bpf-linker has made the BTF: 3.6 of its 4 MB, which the
/// daemon would carry in its memory from the reading on.
fn strip(linked: &[u8]) -> Result<Vec<u8>, String> {
    let mut object = Builder::read(linked).map_err(|error| error.to_string())?;
    refuse_functions(&object)?;
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
    let written = object.write(&mut stripped);
    written.map_err(|error| error.to_string())?;
    Ok(stripped)
}
