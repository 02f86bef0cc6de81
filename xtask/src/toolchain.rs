//! Finds the compiler and the linker that can build the kernel half, and runs them. Knows nothing
//! of installing (see `tools.rs`), and only std: `tracer/build.rs` compiles this file, too.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The Rust target of eBPF programs; every architecture that we run on is little-endian.
pub(crate) const BPF_TARGET: &str = "bpfel-unknown-none";

/// The Debian packages that make up a tool chain with the sources of `core`.
pub(crate) const DEBIAN_COMPILER: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// The LLVM of the compiler in [`DEBIAN_COMPILER`], for when none is installed yet.
const DEBIAN_LLVM: u32 = 22;

/// The oldest Rust that compiles the kernel half, as in the workspace's `rust-version`.
const OLDEST_RUST: (u32, u32) = (1, 95);

/// A Rust compiler whose sysroot has the sources of `core`.
pub(crate) struct Compiler {
    /// Where `bin/rustc`, `bin/cargo` and the library sources are.
    pub(crate) sysroot: PathBuf,
    /// The major version of its LLVM, which bpf-linker has to share.
    pub(crate) llvm: u32,
}

impl Compiler {
    /// Finds the first that serves: the running tool chain, then the system's own.
    pub(crate) fn find() -> Option<Self> {
        ["rustc", "/usr/bin/rustc"]
            .into_iter()
            .find_map(Self::probe)
    }

    fn probe(rustc: &str) -> Option<Self> {
        let sysroot = PathBuf::from(read(rustc, &["--print", "sysroot"])?.trim());
        let has_sources = sysroot
            .join("lib/rustlib/src/rust/library/core/Cargo.toml")
            .exists();
        let version = read(rustc, &["-vV"])?;
        let field = |name: &str| {
            let line = version.lines().find_map(|line| line.strip_prefix(name))?;
            let mut numbers = line.trim().split('.').map(str::parse::<u32>);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
        };
        let (llvm, _) = field("LLVM version:")?;
        let new_enough = field("release:")? >= OLDEST_RUST;
        (has_sources && new_enough).then_some(Self { sysroot, llvm })
    }
}

/// The major version of LLVM that bpf-linker is to be built with.
pub(crate) fn llvm_version(compiler: Option<&Compiler>) -> u32 {
    compiler.map_or(DEBIAN_LLVM, |compiler| compiler.llvm)
}

/// Everything that compiles the kernel half.
pub(crate) struct Toolchain {
    compiler: Compiler,
    linker: PathBuf,
}

impl Toolchain {
    /// Finds compiler and linker, or says what is missing and how to get it.
    pub(crate) fn find() -> Result<Self, String> {
        let compiler = Compiler::find().ok_or_else(|| {
            format!(
                "no Rust {}.{} or newer with the sources of `core`: looked at `rustc` in PATH \
                 and at /usr/bin/rustc. `cargo xtask build` installs one; by hand it is \
                 `rustup component add rust-src`, or Debian's packages {}",
                OLDEST_RUST.0,
                OLDEST_RUST.1,
                DEBIAN_COMPILER.join(" ")
            )
        })?;
        let linker = find_linker(compiler.llvm).ok_or_else(|| {
            format!(
                "no `bpf-linker` for LLVM {llvm}: looked in {} and in PATH. `cargo xtask build` \
                 builds one; by hand it is, with Debian's packages llvm-{llvm}-dev \
                 libpolly-{llvm}-dev zlib1g-dev libzstd-dev, `cargo install bpf-linker --no-default-features --features llvm-{llvm}`",
                tools_folder().display(),
                llvm = compiler.llvm,
            )
        })?;
        Ok(Self { compiler, linker })
    }

    /// Returns `cargo build` of the kernel half.
    pub(crate) fn build(&self, target_dir: &Path, arch: &str) -> Command {
        self.cargo("cargo", "build", target_dir, arch)
    }

    /// Returns `cargo clippy` of the kernel half. By its full path: the one that cargo would find
    /// may belong to another compiler.
    pub(crate) fn clippy(&self, target_dir: &Path, arch: &str) -> Command {
        let mut clippy = self.cargo("cargo-clippy", "clippy", target_dir, arch);
        clippy
            .env("CARGO", self.compiler.sysroot.join("bin/cargo"))
            .args(["--", "-Dwarnings"]);
        clippy
    }

    /// Runs on the bin of `tracer-ebpf`, free of what the cargo that runs us has put into the
    /// environment.
    fn cargo(&self, program: &str, subcommand: &str, target_dir: &Path, arch: &str) -> Command {
        let bin = self.compiler.sysroot.join("bin");
        let mut cargo = Command::new(bin.join(program));
        for (name, _) in env::vars_os() {
            if inherited(&name) {
                cargo.env_remove(name);
            }
        }
        let flags = [
            "-Cdebuginfo=2".to_owned(),
            "-Clink-arg=--btf".to_owned(),
            format!("-Clinker={}", self.linker.display()),
            format!("--cfg=bpf_target_arch=\"{arch}\""),
        ];
        cargo
            // `-Z build-std` on a stable compiler.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTC", bin.join("rustc"))
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
            .args([subcommand, "--quiet"])
            .args([
                "--package",
                "tracer-ebpf",
                "--bin",
                "tracer-ebpf",
                "--release",
            ])
            .args(["--target", BPF_TARGET, "-Zbuild-std=core", "--target-dir"])
            .arg(target_dir);
        cargo
    }
}

/// The folder that keeps everything xtask downloads or builds once.
pub(crate) fn cache_folder() -> PathBuf {
    let folder = |name: &str| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    folder("TRACER_CACHE")
        .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("tracer")))
        .or_else(|| folder("HOME").map(|home| home.join(".cache/tracer")))
        .unwrap_or_else(|| PathBuf::from("/var/cache/tracer"))
}

/// The folder of the tools that xtask has built: `NAME-VERSION/bin/NAME` each.
pub(crate) fn tools_folder() -> PathBuf {
    cache_folder().join("tools")
}

/// Finds bpf-linker: our own build for this LLVM first, then whatever PATH has.
pub(crate) fn find_linker(llvm: u32) -> Option<PathBuf> {
    let suffix = format!("-llvm-{llvm}");
    let ours = fs::read_dir(tools_folder())
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("bpf-linker-") && name.ends_with(&suffix)
        });
    let in_path = env::var_os("PATH").unwrap_or_default();
    ours.map(|entry| entry.path().join("bin"))
        .chain(env::split_paths(&in_path))
        .map(|folder| folder.join("bpf-linker"))
        .find(|linker| linker.is_file())
}

/// Whether a variable would make the inner cargo build for the outer one's target.
fn inherited(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let exact = [
        "CARGO",
        "RUSTC",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTDOC",
        "RUSTFLAGS",
    ];
    let prefixes = [
        "CARGO_BUILD_",
        "CARGO_ENCODED_",
        "CARGO_PROFILE_",
        "CARGO_TARGET_",
        "RUSTUP_TOOLCHAIN",
        "CLIPPY_",
    ];
    exact.contains(&&*name) || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

fn read(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
