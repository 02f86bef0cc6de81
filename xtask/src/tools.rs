//! What a task needs on this machine, and installing the part of it that is missing.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::output::{line, step};
use crate::process::{as_root, quiet, run};
use crate::toolchain::{Compiler, DEBIAN_COMPILER, find_linker, llvm_version, tools_folder};

/// Needed to build anything: a C compiler for SQLite and zstd.
const BUILD_PACKAGES: [&str; 2] = ["gcc", "libc6-dev"];

/// Needed to boot guests.
const GUEST_PACKAGES: [&str; 10] = [
    "qemu-system-x86",
    "mmdebstrap",
    "busybox-static",
    "cpio",
    "kmod",
    "e2fsprogs",
    "btrfs-progs",
    "xz-utils",
    "openssh-client",
    "debian-archive-keyring",
];

/// Needed to test the collector's HTTP API against its description.
const API_PACKAGES: [&str; 1] = ["python3-venv"];

/// The linter of the Debian compiler, for the kernel half.
const DEBIAN_LINTER: &str = "rust-web-clippy";

/// A program that `cargo install` builds from the crate registry.
struct Tool {
    /// The crate's name.
    name: &'static str,
    /// The program's name.
    program: &'static str,
    version: &'static str,
    features: Option<String>,
}

/// What a task may need besides what compiles both halves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// The linters, for code and the rest of the repository.
    Check,
    /// What compiles libFuzzer.
    Fuzz,
    /// What downloads, builds and boots guests.
    Guests,
    /// What installs tools from the Python registry.
    Api,
}

/// Says what is missing, installs it, and says nothing when all is there.
pub(crate) fn install_missing(needs: &[Need]) -> Result<()> {
    let compiler = Compiler::find();
    let llvm = llvm_version(compiler.as_ref());
    let tools: Vec<Tool> = wanted_tools(needs, llvm)
        .into_iter()
        .filter(|tool| !tool.is_there(llvm))
        .collect();
    let packages = missing_packages(&wanted_packages(needs, compiler.as_ref(), &tools, llvm))?;
    if packages.is_empty() && tools.is_empty() {
        return Ok(());
    }

    step("to install first");
    if !packages.is_empty() {
        line(format!(
            "Debian packages, by apt-get: {}",
            packages.join(" ")
        ));
    }
    for tool in &tools {
        let Tool { name, version, .. } = tool;
        line(format!(
            "{name} {version}, compiled by cargo into {}",
            tool.folder(llvm).display()
        ));
    }
    if !packages.is_empty() {
        install_packages(&packages)?;
    }
    tools.iter().try_for_each(|tool| tool.install(llvm))
}

/// Returns the program of a tool that [`install_missing`] has installed.
pub(crate) fn tool(program: &str) -> Result<PathBuf> {
    let tool = wanted_tools(&[Need::Check], 0)
        .into_iter()
        .find(|tool| tool.program == program);
    let tool = tool.with_context(|| format!("`{program}` is not in the list of tools"))?;
    Ok(tool.folder(0).join("bin").join(program))
}

fn wanted_packages(
    needs: &[Need],
    compiler: Option<&Compiler>,
    tools: &[Tool],
    llvm: u32,
) -> Vec<String> {
    let mut wanted: Vec<String> = BUILD_PACKAGES.map(str::to_owned).into();
    if compiler.is_none() {
        wanted.extend(DEBIAN_COMPILER.map(str::to_owned));
    }
    if tools.iter().any(|tool| tool.program == "bpf-linker") {
        wanted.extend(["zlib1g-dev", "libzstd-dev", "g++"].map(str::to_owned));
        wanted.extend([format!("llvm-{llvm}-dev"), format!("libpolly-{llvm}-dev")]);
    }
    if needs.contains(&Need::Fuzz) && !wanted.iter().any(|package| package == "g++") {
        wanted.push("g++".to_owned());
    }
    let of_debian = compiler.is_none_or(|compiler| compiler.sysroot == Path::new("/usr"));
    if needs.contains(&Need::Check) && of_debian {
        wanted.push(DEBIAN_LINTER.to_owned());
    }
    if needs.contains(&Need::Guests) {
        wanted.extend(GUEST_PACKAGES.map(str::to_owned));
    }
    if needs.contains(&Need::Api) {
        wanted.extend(API_PACKAGES.map(str::to_owned));
    }
    wanted
}

/// The tools with the versions that the configuration files were written for.
fn wanted_tools(needs: &[Need], llvm: u32) -> Vec<Tool> {
    let tool = |name, program, version| Tool {
        name,
        program,
        version,
        features: None,
    };
    let mut tools = vec![Tool {
        features: Some(format!("llvm-{llvm}")),
        ..tool("bpf-linker", "bpf-linker", "0.13")
    }];
    if needs.contains(&Need::Check) {
        tools.push(tool("cargo-deny", "cargo-deny", "0.20"));
        // Without its language server and schema downloads.
        tools.push(Tool {
            features: Some(String::new()),
            ..tool("taplo-cli", "taplo", "0.10")
        });
        tools.push(tool("typos-cli", "typos", "1.52"));
    }
    tools
}

impl Tool {
    /// The folder of this version, beside those of others.
    fn folder(&self, llvm: u32) -> PathBuf {
        let Self {
            name,
            program,
            version,
            features: _,
        } = self;
        let suffix = if *program == "bpf-linker" {
            format!("-llvm-{llvm}")
        } else {
            String::new()
        };
        tools_folder().join(format!("{name}-{version}{suffix}"))
    }

    fn is_there(&self, llvm: u32) -> bool {
        if self.program == "bpf-linker" {
            return find_linker(llvm).is_some();
        }
        self.folder(llvm).join("bin").join(self.program).is_file()
    }

    /// Builds without optimisation: each of them runs for a second, but would compile for minutes.
    fn install(&self, llvm: u32) -> Result<()> {
        let Self {
            name,
            program: _,
            version,
            features,
        } = self;
        line(format!("installing {name} {version} …"));
        let mut cargo = Command::new("cargo");
        cargo
            .args([
                "install",
                "--quiet",
                "--locked",
                "--debug",
                name,
                "--version",
                &format!("^{version}"),
                "--root",
            ])
            .arg(self.folder(llvm))
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            // One folder, so that the tools share the dependencies they have in common.
            .env("CARGO_TARGET_DIR", tools_folder().join("target"))
            .env("LLVM_PREFIX", format!("/usr/lib/llvm-{llvm}"));
        if let Some(features) = features {
            cargo.args(["--no-default-features", "--features", features]);
        }
        quiet(&mut cargo).with_context(|| format!("install {name}"))
    }
}

fn missing_packages(wanted: &[String]) -> Result<Vec<String>> {
    if !has_apt() {
        return missing_without_apt(wanted);
    }
    let mut query = Command::new("dpkg-query");
    query
        .args(["--show", "--showformat", "${db:Status-Status} ${Package}\n"])
        .args(wanted);
    // It fails when it doesn't know one of the packages, which is an answer, too.
    let output = query.output().context("start dpkg-query")?;
    let known = String::from_utf8_lossy(&output.stdout).into_owned();
    let installed = |package: &String| {
        known
            .lines()
            .any(|line| line == format!("installed {package}"))
    };
    Ok(wanted
        .iter()
        .filter(|package| !installed(package))
        .cloned()
        .collect())
}

/// Where there is no apt-get we cannot install, so name what Debian calls it and let people decide.
fn missing_without_apt(wanted: &[String]) -> Result<Vec<String>> {
    let programs = [
        ("gcc", "gcc"),
        ("g++", "g++"),
        ("qemu-system-x86", "qemu-system-x86_64"),
        ("mmdebstrap", "mmdebstrap"),
        ("busybox-static", "busybox"),
        ("cpio", "cpio"),
        ("kmod", "depmod"),
        ("e2fsprogs", "mke2fs"),
        ("btrfs-progs", "mkfs.btrfs"),
        ("xz-utils", "xz"),
        ("openssh-client", "ssh-keygen"),
        ("python3-venv", "python3"),
    ];
    let there = |package: &String| match programs.iter().find(|(name, _)| name == package) {
        Some((_, program)) => in_path(program),
        // Libraries and keyrings have no program to look for: cargo and apt will tell.
        None => !DEBIAN_COMPILER.contains(&package.as_str()) && !package.starts_with("llvm-"),
    };
    let missing: Vec<&str> = wanted
        .iter()
        .filter(|package| !there(package))
        .map(String::as_str)
        .collect();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    bail!(
        "this host has no apt-get, so nothing is installed for you. Missing, by their names in \
         Debian: {}. Needed are a Rust compiler with the sources of `core` (`rustup component add \
         rust-src`), the LLVM it was built with (`llvm-config` and headers), and a C compiler",
        missing.join(" ")
    )
}

fn install_packages(packages: &[String]) -> Result<()> {
    run(as_root("apt-get").args(["--quiet=2", "update"]))?;
    let mut install = as_root("env");
    install
        .args([
            "DEBIAN_FRONTEND=noninteractive",
            "apt-get",
            "--quiet=2",
            "--yes",
            "--no-install-recommends",
            "install",
        ])
        .args(packages);
    quiet(&mut install)
}

fn has_apt() -> bool {
    in_path("apt-get")
}

fn in_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders
        .into_iter()
        .any(|folder| folder.join(program).is_file())
}
