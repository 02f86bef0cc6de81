//! The kernels that we test on: which, where they come from, and their files.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::cache;
use crate::mirror::PrivateApt;
use crate::process::{quiet, shell};

/// The lines of kernels, oldest first; of each the newest that Debian has.
pub(crate) const MATRIX: [&str; 5] = ["5.10", "6.1", "6.12", "6.18", "7"];

/// Where Debian keeps them.
const RELEASES: [&str; 4] = [
    "bullseye-security",
    "bookworm-security",
    "bookworm-backports",
    "trixie-backports",
];

/// Which packages are kernels for virtual machines: no debug symbols, and no empty packages that
/// depend on the newest of a line.
const KERNEL_PACKAGES: &str = r"^linux-image-[0-9]+\.[0-9]+\.[0-9]+.*-cloud-amd64$";

/// Unpacks the debs in `$1` and keeps kernel and modules, uncompressed and with their index, there.
const UNPACK: &str = r#"
cd "$1"
for deb in *.deb; do dpkg-deb --extract "$deb" tree; done
rm -f *.deb
modules=$(ls -d tree/lib/modules/* tree/usr/lib/modules/* 2>/dev/null | head -n 1)
image=$(ls tree/boot/vmlinuz-* "$modules"/vmlinuz 2>/dev/null | head -n 1)
mv "$image" vmlinuz
mkdir -p lib/modules
mv "$modules" lib/modules/
rm -rf tree
find lib/modules -name '*.ko.xz' -exec xz --decompress {} +
PATH=$PATH:/usr/sbin:/sbin depmod --basedir . "$(basename lib/modules/*)"
"#;

/// A kernel whose files are in the cache.
#[derive(Clone)]
pub(crate) struct Kernel {
    /// As `uname -r` says it.
    pub(crate) release: String,
    /// Has `vmlinuz`, and `lib/modules/RELEASE` with uncompressed modules.
    pub(crate) folder: PathBuf,
}

impl Kernel {
    /// The compressed image that qemu boots.
    pub(crate) fn image(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    /// The folder of its modules.
    pub(crate) fn modules(&self) -> PathBuf {
        self.folder.join("lib/modules").join(&self.release)
    }
}

/// Returns the newest kernel of each of the lines, downloaded where the cache doesn't have it.
pub(crate) fn fetch(lines: &[&str]) -> Result<Vec<Kernel>> {
    let fetched = fetch_listed(lines);
    if fetched.is_ok() || !PrivateApt::forget_lists()? {
        return fetched;
    }
    // The mirror may have dropped what yesterday's lists name.
    fetch_listed(lines)
}

fn fetch_listed(lines: &[&str]) -> Result<Vec<Kernel>> {
    let apt = PrivateApt::open(&RELEASES)?;
    let packages = apt.names(KERNEL_PACKAGES)?;
    lines
        .iter()
        .map(|line| fetch_newest(&apt, &packages, line))
        .collect()
}

fn fetch_newest(apt: &PrivateApt, packages: &[String], line: &str) -> Result<Kernel> {
    let of_line = packages.iter().filter_map(|package| {
        let release = package.strip_prefix("linux-image-")?;
        is_of_line(release, line).then_some((release, package))
    });
    let newest = of_line.max_by(|(a, _), (b, _)| compare_versions(a, b));
    let (release, package) = newest.with_context(|| {
        format!(
            "Debian's {} have no kernel {line} for virtual machines",
            RELEASES.join(", ")
        )
    })?;

    let shown = apt.show(package)?;
    let field = |name: &str| {
        shown
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or_default()
            .trim()
    };
    let mut wanted = vec![package.clone()];
    // Since 7.0 the image package is empty and depends on these two.
    for part in ["linux-binary-", "linux-modules-"] {
        let depends = field("Depends:");
        wanted.extend(
            depends
                .split([' ', ','])
                .filter(|name| name.starts_with(part))
                .map(str::to_owned),
        );
    }
    let made_from = [
        package.as_bytes(),
        field("Version:").as_bytes(),
        UNPACK.as_bytes(),
    ];
    let folder = cache::entry("kernels", release, &made_from, |folder| {
        apt.download(&wanted, folder)?;
        let folder = folder.to_string_lossy();
        quiet(&mut shell(UNPACK, &[&folder]))
    })?;
    let release = only_file_name(&folder.join("lib/modules"))?;
    Ok(Kernel { release, folder })
}

/// Whether a release like `6.12.9-cloud` belongs to a line like `6.12` or `6`.
pub(crate) fn is_of_line(release: &str, line: &str) -> bool {
    release
        .strip_prefix(line)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '+']))
}

/// Compares by the numbers in two releases: `6.12.100` is newer than `6.12.95`.
fn compare_versions(a: &str, b: &str) -> Ordering {
    let numbers = |release: &str| -> Vec<u64> {
        release
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|digits| digits.parse().ok())
            .collect()
    };
    numbers(a).cmp(&numbers(b))
}

fn only_file_name(folder: &Path) -> Result<String> {
    let context = || format!("read `{}`", folder.display());
    let first = fs::read_dir(folder)
        .with_context(context)?
        .next()
        .with_context(context)??;
    Ok(first.file_name().to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_at_a_dot() {
        assert!(is_of_line("6.1.0-56-cloud-amd64", "6.1"));
        assert!(!is_of_line("6.12.117+deb12-cloud-amd64", "6.1"));
        assert!(is_of_line("7.3.4+deb13-cloud-amd64", "7"));
    }

    #[test]
    fn versions_compare_by_number() {
        assert_eq!(
            compare_versions("6.12.100+deb12", "6.12.95+deb12"),
            Ordering::Greater
        );
        assert_eq!(
            compare_versions("7.3.4+deb13", "7.2.12+deb13"),
            Ordering::Greater
        );
    }
}
