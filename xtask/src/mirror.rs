//! Debian's archive as this host's apt knows it: where its mirror is, and a private apt that asks
//! it for other releases without touching the host's own configuration.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::cache;
use crate::output::line;
use crate::process::{as_root, quiet, read};

/// Signs every release that we use.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// How long "the newest" stays what it was: a warm run needs no network.
const FRESH: Duration = Duration::from_hours(20);

/// Within this time a mirror's answer is not asked for again, even if something was amiss.
const RECENT: Duration = Duration::from_mins(5);

/// Its time says when the package lists were read.
const STAMP: &str = "updated";

/// Where the releases and their security updates are.
struct Mirror {
    releases: String,
    security: String,
}

impl Mirror {
    /// Derives it from the host's configuration, so that a local mirror or proxy serves us, too.
    fn of_this_host() -> Result<Self> {
        let mut targets = known_targets()?;
        if targets.is_empty() {
            quiet(as_root("apt-get").args(["--quiet=2", "update"]))?;
            targets = known_targets()?;
        }
        let find = |security: bool| {
            let of_kind = targets
                .iter()
                .find(|(_, release)| release.ends_with("-security") == security);
            of_kind.map(|(uri, _)| uri.clone())
        };
        let (Some(releases), Some(security)) = (find(false), find(true)) else {
            bail!(
                "apt's configuration names no mirror of Debian and of its security updates, where \
                 kernels and guests come from: add both to /etc/apt/sources.list.d and run `apt-get update`"
            );
        };
        Ok(Self { releases, security })
    }

    fn source(&self, release: &str) -> String {
        let uri = if release.ends_with("-security") {
            &self.security
        } else {
            &self.releases
        };
        format!("deb [signed-by={KEYRING}] {uri} {release} main\n")
    }
}

fn known_targets() -> Result<Vec<(String, String)>> {
    let mut query = Command::new("apt-get");
    query.args([
        "indextargets",
        "--format",
        "$(REPO_URI) $(CODENAME)",
        "Created-By: Packages",
        "Origin: Debian",
    ]);
    let listed = read(&mut query)?;
    Ok(listed
        .lines()
        .filter_map(|target| target.split_once(' '))
        .map(|(uri, release)| (uri.to_owned(), release.to_owned()))
        .collect())
}

/// Returns a sources.list with the given releases.
pub(crate) fn sources(releases: &[&str]) -> Result<String> {
    let mirror = Mirror::of_this_host()?;
    Ok(releases
        .iter()
        .map(|release| mirror.source(release))
        .collect())
}

/// An apt with a state of its own, in the cache folder.
pub(crate) struct PrivateApt {
    root: PathBuf,
    /// Keeps other xtasks from changing the lists below us.
    _lock: File,
}

impl PrivateApt {
    /// Prepares it for the given releases, with package lists at most a day old. Old lists still
    /// serve when the mirror cannot be reached.
    pub(crate) fn open(releases: &[&str]) -> Result<Self> {
        let root = cache::folder("apt")?;
        let lock = cache::lock(&root.join("lock"))?;
        let apt = Self { root, _lock: lock };
        for folder in ["lists/partial", "cache/archives/partial"] {
            let folder = apt.root.join(folder);
            fs::create_dir_all(&folder)
                .with_context(|| format!("create `{}`", folder.display()))?;
        }
        let stamp = apt.root.join(STAMP);
        let list = apt.root.join("sources.list");
        if is_fresh(&stamp) && list.exists() {
            return Ok(apt);
        }
        fs::write(&list, sources(releases)?)?;
        fs::write(apt.root.join("status"), "")?;
        match quiet(
            apt.command("apt-get")
                .args(["--quiet=2", "--error-on=any", "update"]),
        ) {
            Ok(()) => fs::write(&stamp, "")?,
            Err(error) if stamp.exists() => {
                line(format!("keeping the package lists we have: {error:#}"));
            }
            Err(error) => return Err(error).context("read Debian's package lists"),
        }
        Ok(apt)
    }

    /// Makes the next [`open`](Self::open) ask the mirror; tells whether the lists were old ones.
    pub(crate) fn forget_lists() -> Result<bool> {
        let stamp = cache::folder("apt")?.join(STAMP);
        let old = stamp.metadata().and_then(|stamp| stamp.modified()).ok();
        let old = old
            .and_then(|time| time.elapsed().ok())
            .is_some_and(|age| age > RECENT);
        if old {
            fs::remove_file(&stamp).with_context(|| format!("remove `{}`", stamp.display()))?;
        }
        Ok(old)
    }

    /// Returns the names of all packages that match a regular expression.
    pub(crate) fn names(&self, pattern: &str) -> Result<Vec<String>> {
        let listed = read(
            self.command("apt-cache")
                .args(["search", "--names-only", pattern]),
        )?;
        Ok(listed
            .lines()
            .filter_map(|line| line.split(' ').next())
            .map(str::to_owned)
            .collect())
    }

    /// Returns a package's fields, one a line.
    pub(crate) fn show(&self, package: &str) -> Result<String> {
        read(
            self.command("apt-cache")
                .args(["show", "--no-all-versions", package]),
        )
    }

    /// Downloads packages into a folder; apt checks their hashes against the signed lists.
    pub(crate) fn download(&self, packages: &[String], folder: &Path) -> Result<()> {
        let mut download = self.command("apt-get");
        // Apt's download user cannot enter the cache of a private home.
        download.args([
            "--quiet=2",
            "--option",
            "APT::Sandbox::User=root",
            "download",
        ]);
        quiet(download.args(packages).current_dir(folder))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (option, value) in [
            ("Dir::Etc::sourcelist", "sources.list"),
            ("Dir::State", ""),
            ("Dir::State::status", "status"),
            ("Dir::State::lists", "lists"),
            ("Dir::Cache", "cache"),
        ] {
            command
                .arg("--option")
                .arg(format!("{option}={}", self.root.join(value).display()));
        }
        for option in [
            "Dir::Etc::sourceparts=-",
            "APT::Sandbox::User=root",
            "APT::Update::Post-Invoke-Success::=true",
            "Acquire::Languages=none",
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
        ] {
            command.args(["--option", option]);
        }
        command
    }
}

fn is_fresh(stamp: &Path) -> bool {
    let age = stamp
        .metadata()
        .and_then(|stamp| stamp.modified())
        .ok()
        .and_then(|time| time.elapsed().ok());
    age.is_some_and(|age| age < FRESH)
}
