//! PostgreSQL for the tests of the collector's second store: Debian's where it is installed, and otherwise unpacked into
//! a cache, so that no server is set up or started on this host.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::cache;
use crate::output::step;
use crate::process::{as_root, is_root, quiet, read, shell};

/// Where the tests look for the programs, unless they are where Debian has them.
const PROGRAMS: &str = "TRACER_POSTGRES";
const DEBIAN: &str = "/usr/lib/postgresql";
const PACKAGE: &str = "postgresql-15";
/// The tests of root run the server as somebody else, who may not look into root's home.
const ROOTS_CACHE: &str = "/var/cache/tracer/postgres";

const UNPACK: &str = r#"
    cd "$1"
    chmod 755 .
    for package in *.deb; do dpkg-deb --extract "$package" .; rm "$package"; done
"#;

/// Tells a command that runs the tests where the programs are, and fetches them where there are none.
pub(crate) fn hand_to(command: &mut Command) -> Result<()> {
    if env::var_os(PROGRAMS).is_some() || is_installed() {
        return Ok(());
    }
    let root = unpacked()?;
    let triplet = read(Command::new("dpkg-architecture").arg("-qDEB_HOST_MULTIARCH"))
        .or_else(|_missing| read(Command::new("gcc").arg("-print-multiarch")))?;
    command.env(PROGRAMS, root.join("usr/lib/postgresql/15/bin"));
    command.env("LD_LIBRARY_PATH", root.join("usr/lib").join(triplet.trim()));
    Ok(())
}

fn is_installed() -> bool {
    let versions = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let mut bins = versions.map(|version| version.path().join("bin/initdb"));
    bins.any(|initdb| initdb.is_file())
}

fn unpacked() -> Result<PathBuf> {
    step("fetch PostgreSQL");
    let mut wanted = missing();
    if wanted.is_empty() {
        quiet(as_root("apt-get").args(["--quiet=2", "update"]))?;
        wanted = missing();
    }
    ensure!(
        !wanted.is_empty(),
        "apt knows no `{PACKAGE}`: install a PostgreSQL of 15 or later"
    );
    let listed = wanted.join(" ");
    let folder = if is_root() {
        PathBuf::from(ROOTS_CACHE)
    } else {
        cache::folder("postgres")?
    };
    fs::create_dir_all(&folder).with_context(|| format!("create `{}`", folder.display()))?;
    let made_from = [listed.as_bytes(), UNPACK.as_bytes()];
    cache::entry_in(&folder, "15", &made_from, |folder| {
        download(&wanted, folder)
    })
}

/// The server with the libraries that this host lacks: `NAME=VERSION` each.
fn missing() -> Vec<String> {
    let mut simulate = Command::new("apt-get");
    let simulated =
        read(simulate.args(["--simulate", "--no-install-recommends", "install", PACKAGE]));
    let simulated = simulated.unwrap_or_default();
    let planned = simulated.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("Inst ")?.split_once(' ')?;
        let (_, version) = rest.split_once('(')?;
        Some((name, version.split(' ').next()?))
    });
    // Neither what sets a server up, nor the compiler of its plans, which is large.
    let is_wanted = |name: &str| {
        let is_library =
            name.starts_with("lib") && !name.contains("perl") && !name.contains("llvm");
        is_library || name == PACKAGE || name == "postgresql-client-15"
    };
    let wanted = planned.filter(|(name, _)| is_wanted(name));
    wanted
        .map(|(name, version)| format!("{name}={version}"))
        .collect()
}

fn download(packages: &[String], folder: &Path) -> Result<()> {
    let mut download = Command::new("apt-get");
    download.args([
        "--quiet=2",
        "--option",
        "APT::Sandbox::User=root",
        "download",
    ]);
    quiet(download.args(packages).current_dir(folder))?;
    quiet(&mut shell(UNPACK, &[&folder.to_string_lossy()]))
}
