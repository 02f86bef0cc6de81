//! All sysctls of the own namespaces with their values, from `/proc/sys` (`proc_sys(5)`).

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::{fs, io};

use change::{FactValue, Text};

use super::Facts;
use crate::sysctl;

/// Longer values are cut.
const LONGEST_VALUE: usize = 4096;

/// Says what a sysctl's value may be shown as; see [`crate::capture::Capture::shown`].
pub(super) type Show<'a> = &'a dyn Fn(&str, bool) -> String;

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Sysctls {
    /// Every setting.
    pub(super) all: Facts,
    /// Those of them that only root may read: its capabilities are none of a sysctl's business.
    pub(super) of_root: Facts,
}

/// Reads all of them; none on a kernel without.
pub(super) fn read(root: &Path, show: Show<'_>) -> io::Result<Option<Sysctls>> {
    let mut reading = Reading {
        root,
        show,
        interfaces: BTreeMap::new(),
        found: Sysctls::default(),
    };
    match reading.folder(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(|()| Some(reading.found)),
    }
}

/// The value of one, where it can be read.
pub(super) fn value(path: &Path, key: &Text, show: Show<'_>) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    let value = String::from_utf8_lossy(&bytes);
    let value = value.trim_end_matches(['\n', '\0']);
    let value: String = value.chars().take(LONGEST_VALUE).collect();
    Some(show(&value, sysctl::is_secret(key)))
}

/// Whether the trees of an interface are settings: what people and boot scripts make, and not the ends
/// of containers and virtual machines, which come and go.
pub(super) fn is_lasting(interface: &str) -> bool {
    let folder = Path::new("/sys/class/net").join(interface);
    let is_kind_of_its_own = || {
        let told = fs::read_to_string(folder.join("uevent")).unwrap_or_default();
        told.lines().any(|line| line.starts_with("DEVTYPE="))
    };
    interface == "lo" || folder.join("device").exists() || is_kind_of_its_own()
}

struct Reading<'a> {
    root: &'a Path,
    show: Show<'a>,
    /// Which interfaces are lasting.
    interfaces: BTreeMap<String, bool>,
    found: Sysctls,
}

impl Reading<'_> {
    fn folder(&mut self, folder: &Path) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            let below = path.strip_prefix(self.root).unwrap_or(&path);
            let key = sysctl::key_of(below.as_os_str().as_bytes());
            if entry.file_type()?.is_dir() {
                self.folder_below(&path, &key)?;
            } else if !sysctl::is_moving(&key) && !sysctl::is_act(&key) {
                self.take(&path, key);
            }
        }
        Ok(())
    }

    fn folder_below(&mut self, folder: &Path, key: &Text) -> io::Result<()> {
        // To look into one on which something is to be mounted mounts it.
        let inside = Text::from([key.as_bytes(), b"."].concat());
        if sysctl::is_moving(&inside) || !self.is_wanted(&inside) {
            return Ok(());
        }
        // An interface or a module may take its folder with it at any time.
        match self.folder(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    fn is_wanted(&mut self, key: &Text) -> bool {
        let Some(name) = sysctl::interface(key) else {
            return true;
        };
        let known = self.interfaces.get(&name).copied();
        known.unwrap_or_else(|| {
            let is_lasting = is_lasting(&name);
            self.interfaces.insert(name, is_lasting);
            is_lasting
        })
    }

    fn take(&mut self, path: &Path, key: Text) {
        // Not set, not to be read, or gone: there is no value to tell.
        let Some(value) = value(path, &key, self.show) else {
            return;
        };
        let mode = fs::metadata(path).map_or(0o444, |found| found.mode());
        let value = FactValue::Setting { value };
        if mode & 0o004 == 0 {
            self.found.of_root.insert(key.clone(), value.clone());
        }
        self.found.all.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(value: &str) -> FactValue {
        let value = value.to_owned();
        FactValue::Setting { value }
    }

    #[test]
    fn settings_are_facts_and_what_moves_or_comes_and_goes_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, value: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, value).unwrap();
        };
        write("vm/swappiness", "60\n");
        write("vm/drop_caches", "0\n");
        write("fs/file-nr", "1\t0\t3\n");
        write("fs/binfmt_misc/status", "enabled\n");
        write("net/ipv4/tcp_rmem", "4096\t131072\t6291456\n");
        write("net/ipv4/tcp_fastopen_key", "0123-4567\n");
        write("net/ipv4/conf/all/rp_filter", "2\n");
        write("net/ipv4/conf/lo/rp_filter", "1\n");
        write("net/ipv4/conf/no-such.0/rp_filter", "0\n");
        let show = |value: &str, is_secret| if is_secret { "k3:00" } else { value }.to_owned();
        let found = read(folder.path(), &show).unwrap().unwrap().all;
        let expected = [
            ("net.ipv4.conf.all.rp_filter", "2"),
            ("net.ipv4.conf.lo.rp_filter", "1"),
            ("net.ipv4.tcp_fastopen_key", "k3:00"),
            ("net.ipv4.tcp_rmem", "4096\t131072\t6291456"),
            ("vm.swappiness", "60"),
        ];
        let expected: Facts = expected
            .map(|(key, value)| (key.into(), setting(value)))
            .into();
        assert_eq!(found, expected);
        assert!(read(&folder.path().join("none"), &show).unwrap().is_none());
    }

    #[test]
    fn nothing_of_this_host_moves_by_itself() {
        let show = |value: &str, _| value.to_owned();
        let root = Path::new(sysctl::ROOT);
        let first = read(root, &show).unwrap().unwrap().all;
        assert!(first.len() > 300, "{}", first.len());
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert_eq!(first, read(root, &show).unwrap().unwrap().all);
    }
}
