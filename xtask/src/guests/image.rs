//! The root disks of the guests: ext4 images in the cache, never written to by a run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Guest;
use crate::cache;
use crate::mirror::sources;
use crate::process::{as_root, is_root, quiet, shell};

const TINY_INIT: &str = include_str!("../../guests/tiny-init.sh");
const DEBIAN_SETUP: &str = include_str!("../../guests/debian-setup.sh");

/// The release that the debian guest is.
const DEBIAN_RELEASES: [&str; 2] = ["bookworm", "bookworm-security"];

/// Everything that a story acts with.
const DEBIAN_PACKAGES: [&str; 26] = [
    "ansible",
    "apt-utils",
    "cron",
    "dbus",
    "iproute2",
    "kmod",
    "less",
    "libpam-systemd",
    "nano",
    "openssh-client",
    "openssh-server",
    "pacman-package-manager",
    "procps",
    "python3",
    "python3-apt",
    "python3-pip",
    "rpm",
    "rsync",
    "ruby",
    "sudo",
    "systemd",
    "systemd-sysv",
    "tmux",
    "udev",
    "util-linux-extra",
    "vim",
];

/// Fills the root folder `$1` of the tiny guest; `$2` is the static busybox.
const TINY_ROOT: &str = r#"
cd "$1"
mkdir -p boot dev etc home mnt opt proc root run sys tmp
mkdir -p usr/bin usr/lib usr/local/bin usr/sbin var/lib var/log var/spool/cron
ln -s usr/bin bin
ln -s usr/sbin sbin
ln -s usr/lib lib
cp "$2" usr/bin/busybox
for applet in $(usr/bin/busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "usr/bin/$applet"
done
printf 'root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n' > etc/passwd
printf 'root:x:0:\nalice:x:1000:\n' > etc/group
printf '127.0.0.1 localhost\n' > etc/hosts
echo 0123456789abcdef0123456789abcdef > etc/machine-id
mkdir -p etc/sysctl.d root/.ssh home/alice
"#;

/// What files of the tiny guest can be protected with; their blocks must then be as large as pages.
const TINY_FEATURES: [&str; 4] = ["-b", "4096", "-O", "encrypt,verity"];

/// Returns the disk of a guest, built if the cache doesn't have it.
pub(crate) fn build(guest: Guest) -> Result<PathBuf> {
    let folder = match guest {
        Guest::Tiny | Guest::Bench => tiny()?,
        Guest::Debian => debian()?,
    };
    Ok(folder.join("root.img"))
}

fn tiny() -> Result<PathBuf> {
    let busybox = super::initrd::busybox()?;
    let bytes = fs::read(&busybox).with_context(|| format!("read `{}`", busybox.display()))?;
    cache::entry(
        "images",
        "tiny",
        &[
            TINY_ROOT.as_bytes(),
            TINY_INIT.as_bytes(),
            TINY_FEATURES.concat().as_bytes(),
            &bytes,
        ],
        |folder| {
            let root = folder.join("root");
            fs::create_dir(&root)?;
            quiet(&mut shell(
                TINY_ROOT,
                &[&root.to_string_lossy(), &busybox.to_string_lossy()],
            ))?;
            super::initrd::write_program(&root.join("usr/sbin/init"), TINY_INIT)?;
            make_disk(&root, &folder.join("root.img"), 384, &TINY_FEATURES)?;
            fs::remove_dir_all(&root).context("remove the tiny guest's folder")
        },
    )
}

fn debian() -> Result<PathBuf> {
    let packages = DEBIAN_PACKAGES.join(",");
    cache::entry(
        "images",
        "debian",
        &[packages.as_bytes(), DEBIAN_SETUP.as_bytes()],
        |folder| {
            let root = folder.join("root");
            let list = folder.join("sources.list");
            fs::write(&list, sources(&DEBIAN_RELEASES)?)?;
            let setup = folder.join("setup.sh");
            super::initrd::write_program(&setup, DEBIAN_SETUP)?;

            let mut bootstrap = as_root("mmdebstrap");
            bootstrap
                .args([
                    "--mode=root",
                    "--variant=minbase",
                    "--include",
                    &packages,
                    "--customize-hook",
                ])
                .arg(&setup)
                // Nothing gains by the guest's files being safe from a power cut.
                .args([
                    "--dpkgopt=force-unsafe-io",
                    "--dpkgopt=path-exclude=/usr/share/man/*",
                    DEBIAN_RELEASES[0],
                ])
                .args([&root, &list]);
            quiet(&mut bootstrap)?;
            make_disk(&root, &folder.join("root.img"), 2560, &[])?;
            quiet(as_root("rm").arg("-rf").arg(&root))
        },
    )
}

/// Writes a sparse ext4 image with the files of a folder.
fn make_disk(root: &Path, image: &Path, size_mib: u32, features: &[&str]) -> Result<()> {
    let mut mke2fs = as_root("mke2fs");
    mke2fs
        .args([
            "-q",
            "-t",
            "ext4",
            "-E",
            "lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0",
        ])
        .args(features)
        .arg("-d")
        .args([root, image])
        .arg(format!("{size_mib}M"));
    quiet(&mut mke2fs)?;
    if is_root() {
        return Ok(());
    }
    let owner = rustix::process::getuid().as_raw().to_string();
    quiet(Command::new("sudo").args(["chown", &owner]).arg(image))
}
