//! The one configuration struct and its defaults. Reading it from files is in `config/load.rs`,
//! what may stand in it in `config/validate.rs`, and its reference in `config/reference.rs`.

mod load;
mod reference;
mod validate;

use std::path::PathBuf;

use change::Tools;
pub use load::{Error, Loaded, Overrides, Sources};
pub use reference::{effective, reference};
use serde::{Deserialize, Serialize};
pub(crate) use validate::glob;

/// Says how a tracer behaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the store is.
    pub state_dir: PathBuf,
    /// Where the API listens.
    pub socket: PathBuf,
    /// The group that may use the API beside root; empty for none.
    pub socket_group: String,
    /// How to see file changes.
    pub mode: Mode,
    /// The trees to watch: absolute paths, in which `*` stands for any part of one component.
    pub watch: Vec<String>,
    /// Globs of paths within them to leave out.
    pub ignore: Vec<String>,
    /// How often the trees are compared with the store without a reason to; 0 for never.
    pub compare_seconds: u32,
    /// How much of a file is read and kept.
    pub content: ContentLimits,
    /// Which content is never kept.
    pub secrets: Secrets,
    /// What package managers have of themselves.
    pub packages: Packages,
    /// Which commands own the changes that they make, beside those that are typed.
    pub runs: Runs,
    /// Which mounts are no news.
    pub mounts: Mounts,
    /// What is sent to the collector.
    pub collector: Collector,
}

/// Says how to see file changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The best that this kernel offers.
    #[default]
    Auto,
    /// Programs on the kernel's functions; refuses to start without.
    Trampolines,
    /// The kernel's notification of file changes.
    Fanotify,
}

/// Says how much of a file is read and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContentLimits {
    /// Content of files up to this size is kept.
    pub keep_bytes: u64,
    /// Content of files up to this size is hashed; larger ones are known by their metadata only.
    pub hash_bytes: u64,
}

/// Says where package managers have their databases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Packages {
    /// The file of dpkg(1) that has the state of each package; empty for none.
    pub dpkg: PathBuf,
    /// The folder below which the databases of rpm, apk, pacman, pip, npm and gem are looked for,
    /// at the places that they have there; empty for none.
    pub root: PathBuf,
}

impl Default for Packages {
    fn default() -> Self {
        Self {
            dpkg: "/var/lib/dpkg/status".into(),
            root: "/".into(),
        }
    }
}

/// Says which commands are which. An entry is the name of an executable or a script, which may end in
/// `*` for any rest, and behind a space the first argument that it must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Runs {
    /// Package managers.
    pub package_managers: Vec<String>,
    /// Configuration management.
    pub config_management: Vec<String>,
}

impl Runs {
    /// The same, for telling authors and runs.
    pub fn tools(&self) -> Tools {
        let Self {
            package_managers,
            config_management,
        } = self.clone();
        Tools {
            package_managers,
            config_management,
        }
    }
}

impl Default for Runs {
    fn default() -> Self {
        let Tools {
            package_managers,
            config_management,
        } = Tools::default();
        Self {
            package_managers,
            config_management,
        }
    }
}

/// Says which mounts come and go without anybody who changes the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mounts {
    /// Globs of mount points.
    pub ignore: Vec<String>,
    /// Types of file systems.
    pub ignore_types: Vec<String>,
}

impl Default for Mounts {
    fn default() -> Self {
        Self {
            ignore: owned(&[
                "/run/containerd/**",
                "/run/containers/**",
                "/run/credentials/**",
                "/run/docker/**",
                "/run/snapd/**",
                "/run/systemd/**",
                "/run/user/**",
                "/snap/**",
                "/var/lib/containerd/**",
                "/var/lib/containers/**",
                "/var/lib/docker/**",
                "/var/lib/kubelet/**",
                "/var/snap/**",
            ]),
            ignore_types: owned(&["autofs", "binfmt_misc", "nsfs"]),
        }
    }
}

/// Says what is sent to the collector, and where it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Collector {
    /// Where it is; empty for where the host was enrolled.
    pub url: String,
    /// Globs of paths whose content travels, as far as it is kept.
    pub contents: Vec<String>,
    /// What the host is: `role=db`.
    pub labels: Vec<String>,
}

/// Says which content is a secret and never kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Secrets {
    /// Globs of paths whose content is a secret.
    pub paths: Vec<String>,
    /// Whether a file that holds a private key, the hash of a password or a token of a known
    /// format is a secret wherever it lies.
    pub content: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            state_dir: "/var/lib/tracer".into(),
            socket: "/run/tracer/tracer.sock".into(),
            socket_group: "tracer".to_owned(),
            mode: Mode::default(),
            watch: owned(&[
                "/etc",
                "/boot",
                "/usr/local",
                "/opt",
                "/root/.ssh",
                "/home/*/.ssh",
                "/var/spool/cron",
                "/usr/lib/systemd/system",
                "/lib/modprobe.d",
                "/usr/lib/sysctl.d",
            ]),
            ignore: Vec::new(),
            compare_seconds: 24 * 60 * 60,
            content: ContentLimits::default(),
            secrets: Secrets::default(),
            packages: Packages::default(),
            runs: Runs::default(),
            mounts: Mounts::default(),
            collector: Collector::default(),
        }
    }
}

impl Default for ContentLimits {
    fn default() -> Self {
        Self {
            keep_bytes: 1024 * 1024,
            hash_bytes: 64 * 1024 * 1024,
        }
    }
}

impl Default for Secrets {
    fn default() -> Self {
        Self {
            paths: owned(&[
                "/etc/*shadow*",
                "/etc/ssh/ssh_host_*_key",
                "/etc/security/*opasswd*",
                "/etc/krb5.keytab",
                "/etc/ssl/private/**",
                "**/id_rsa",
                "**/id_dsa",
                "**/id_ecdsa",
                "**/id_ecdsa_sk",
                "**/id_ed25519",
                "**/id_ed25519_sk",
                "**/*.key",
                "**/*.p12",
                "**/*.pfx",
                "**/.netrc",
                "**/.pgpass",
                "**/.git-credentials",
                "**/.aws/credentials",
                "/etc/ppp/*-secrets",
                "/etc/NetworkManager/system-connections/**",
            ]),
            content: true,
        }
    }
}

fn owned(items: &[&str]) -> Vec<String> {
    items.iter().map(|&item| item.to_owned()).collect()
}
