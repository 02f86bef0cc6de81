//! Cgroups: which unit of the service manager and which container a task is in.
//! What the names in a path mean is told in `place`.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use change::{Container, Text, Timestamp};

use super::place::Place;
use super::procfs::Procfs;
use super::standing::Standing;

/// How many cgroups are remembered.
const MAX_KNOWN: usize = 8192;

/// How many folders a search looks into.
const MAX_FOLDERS: usize = 4096;

/// How long a cgroup that was not found is not looked for again.
const MISSING_NS: i64 = 60_000_000_000;

/// How long after a search the next one may begin.
const SEARCH_EVERY_NS: i64 = 100_000_000;

/// Inode number of the host's first pid namespace, the same on every kernel (`PROC_PID_INIT_INO`):
/// <https://github.com/torvalds/linux/blob/v6.12/include/linux/proc_ns.h>.
const INIT_PID_NS: u32 = 0xEFFF_FFFC;

/// Knows the cgroups of the host.
#[derive(Debug)]
pub(super) struct Units {
    root: PathBuf,
    known: HashMap<u64, Arc<Place>>,
    missing: HashMap<u64, Timestamp>,
    next_search: Timestamp,
    /// The cgroup whose id says nothing: the root, on a host without the unified hierarchy.
    meaningless: Option<u64>,
    init_pid_ns: u32,
    /// None where it may not be read.
    init_mount_ns: Option<u32>,
}

/// Says which cgroup a process's path is of.
enum Whose {
    /// The one with this id.
    Id(u64),
    /// Its folder cannot be looked at.
    Unknown,
    /// A hierarchy without ids: the unified one is not used.
    NoId,
}

impl Units {
    pub(super) fn new(root: &Path) -> Self {
        let proc = Procfs::new(root);
        Self {
            root: root.to_path_buf(),
            known: HashMap::new(),
            missing: HashMap::new(),
            next_search: Timestamp::from_nanos(i64::MIN),
            meaningless: None,
            init_pid_ns: proc.namespace(1, "pid").unwrap_or(INIT_PID_NS),
            init_mount_ns: proc.namespace(1, "mnt"),
        }
    }

    /// Learns a cgroup as it is made, from its path in the unified hierarchy.
    pub(super) fn made(&mut self, cgroup: u64, path: &Text) {
        self.remember(cgroup, &Arc::new(Place::of(&path.to_lossy())));
    }

    /// Learns a cgroup from a living process in it, while both last.
    pub(super) fn learn(&mut self, cgroup: u64, pid: u32) {
        let is_settled = self.known.contains_key(&cgroup)
            || self.missing.contains_key(&cgroup)
            || self.meaningless == Some(cgroup);
        if cgroup != 0 && !is_settled {
            self.read(cgroup, pid);
        }
    }

    /// The place of a cgroup. `pid` is a process that was in it and may have ended.
    pub(super) fn place(&mut self, cgroup: u64, pid: u32, now: Timestamp) -> Arc<Place> {
        if let Some(place) = self.known.get(&cgroup) {
            return Arc::clone(place);
        }
        if let Some(place) = self.read(cgroup, pid) {
            return place;
        }
        let is_meaningless = self.meaningless == Some(cgroup);
        if cgroup != 0
            && !is_meaningless
            && self.missing.get(&cgroup).is_none_or(|&until| until < now)
        {
            self.search(cgroup, now);
        }
        self.known.get(&cgroup).map(Arc::clone).unwrap_or_default()
    }

    /// The container of a task in a place, told from its namespaces where no runtime is known.
    pub(super) fn container(&self, place: &Place, standing: &Standing) -> Option<Container> {
        if place.container.is_some() {
            return place.container.clone();
        }
        let id = if standing.pid_ns != 0 && standing.pid_ns != self.init_pid_ns {
            standing.pid_ns
        } else {
            // A service may have its own mounts only to be kept from the host's, and the kernel's
            // own threads, in the root cgroup, may too (`kdevtmpfs`):
            // https://github.com/torvalds/linux/blob/v6.12/drivers/base/devtmpfs.c (`devtmpfs_setup`)
            let init = self.init_mount_ns?;
            let is_own = standing.mount_ns != 0 && standing.mount_ns != init;
            if !is_own || place.is_root || place.is_service() {
                return None;
            }
            standing.mount_ns
        };
        Some(Container {
            id: id.to_string(),
            runtime: "namespace".to_owned(),
        })
    }

    fn read(&mut self, cgroup: u64, pid: u32) -> Option<Arc<Place>> {
        let text = Procfs::new(&self.root).cgroup(pid)?;
        let (path, whose) = self.parse(&text)?;
        let place = Arc::new(Place::of(path));
        match whose {
            Whose::Id(id) => {
                self.remember(id, &place);
                return (id == cgroup).then_some(place);
            }
            Whose::Unknown => {}
            Whose::NoId => self.meaningless = Some(cgroup),
        }
        Some(place)
    }

    /// Takes the unified path, or the service manager's own hierarchy where that one is unused.
    fn parse<'a>(&self, text: &'a str) -> Option<(&'a str, Whose)> {
        let line = |start: &str| {
            text.lines().find_map(|line| {
                let (_, line) = line.split_once(':')?;
                line.strip_prefix(start)
            })
        };
        let unified = line(":");
        let managed = line("name=systemd:");
        let Some(path) = unified.filter(|&path| path != "/" || managed.is_none()) else {
            return Some((managed?, Whose::NoId));
        };
        let folder = cgroup2_mount(&self.root)
            .and_then(|mount| fs::metadata(mount.join(path.trim_start_matches('/'))).ok());
        let whose = folder.map_or(Whose::Unknown, |folder| Whose::Id(folder.ino()));
        Some((path, whose))
    }

    fn remember(&mut self, id: u64, place: &Arc<Place>) {
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        self.known.insert(id, Arc::clone(place));
    }

    /// Looks through the cgroups for the one, and remembers all others that it meets.
    fn search(&mut self, cgroup: u64, now: Timestamp) {
        // The clock may have been set back.
        let is_soon = now < self.next_search && now.plus_nanos(SEARCH_EVERY_NS) >= self.next_search;
        let Some(mount) = cgroup2_mount(&self.root).filter(|_| !is_soon) else {
            return;
        };
        self.next_search = now.plus_nanos(SEARCH_EVERY_NS);
        let mut folders = vec![String::new()];
        let mut looked_into = 0;
        while let Some(folder) = folders.pop() {
            looked_into += 1;
            if looked_into > MAX_FOLDERS {
                break;
            }
            let inner = folders_in(&mount, &folder);
            for (id, path) in &inner {
                self.remember(*id, &Arc::new(Place::of(path)));
            }
            folders.extend(inner.into_iter().map(|(_, path)| path));
        }
        if !self.known.contains_key(&cgroup) {
            if self.missing.len() >= MAX_KNOWN {
                self.missing.clear();
            }
            self.missing.insert(cgroup, now.plus_nanos(MISSING_NS));
        }
    }
}

/// The folders in a folder below the mount, with their inode numbers.
fn folders_in(mount: &Path, folder: &str) -> Vec<(u64, String)> {
    let Ok(entries) = fs::read_dir(mount.join(folder)) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| {
            let path = Path::new(folder).join(entry.file_name());
            (entry.ino(), path.to_string_lossy().into_owned())
        })
        .collect()
}

/// Where the unified hierarchy is mounted.
pub(super) fn cgroup2_mount(root: &Path) -> Option<PathBuf> {
    // Only cgroup2 has this file in its root:
    // https://github.com/torvalds/linux/blob/v6.12/Documentation/admin-guide/cgroup-v2.rst
    ["sys/fs/cgroup", "sys/fs/cgroup/unified"]
        .into_iter()
        .map(|mount| root.join(mount))
        .find(|mount| {
            mount.join("cgroup.procs").exists() && mount.join("cgroup.controllers").exists()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_parts(100, 0);

    fn tree() -> (tempfile::TempDir, Units) {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("sys/fs/cgroup/cgroup.procs", "");
        write("sys/fs/cgroup/cgroup.controllers", "");
        write("sys/fs/cgroup/system.slice/nginx.service/cgroup.procs", "");
        write("proc/7/cgroup", "0::/system.slice/nginx.service\n");
        write(
            "proc/8/cgroup",
            "5:cpu:/x\n1:name=systemd:/system.slice/old.service\n0::/\n",
        );
        let units = Units::new(root.path());
        (root, units)
    }

    fn nginx(root: &tempfile::TempDir) -> u64 {
        let folder = root.path().join("sys/fs/cgroup/system.slice/nginx.service");
        fs::metadata(folder).unwrap().ino()
    }

    #[test]
    fn the_unit_of_a_living_process_is_read() {
        let (root, mut units) = tree();
        let place = units.place(nginx(&root), 7, NOW);
        assert_eq!(place.unit.as_deref(), Some("nginx.service"));
    }

    #[test]
    fn the_unit_of_an_ended_process_is_found() {
        let (root, mut units) = tree();
        let place = units.place(nginx(&root), 999, NOW);
        assert_eq!(place.unit.as_deref(), Some("nginx.service"));
    }

    #[test]
    fn a_unit_that_is_gone_with_all_its_processes_is_known_since_it_was_made() {
        let (_root, mut units) = tree();
        units.made(7, &"/system.slice/nightly.service".into());
        let place = units.place(7, 999, NOW);
        assert_eq!(place.unit.as_deref(), Some("nightly.service"));
    }

    #[test]
    fn a_process_that_has_moved_on_does_not_mislead() {
        let (root, mut units) = tree();
        assert_eq!(units.place(u64::MAX, 7, NOW).unit, None);
        assert!(units.missing.contains_key(&u64::MAX));
        assert_eq!(
            units.place(nginx(&root), 999, NOW).unit.as_deref(),
            Some("nginx.service")
        );
    }

    #[test]
    fn without_the_unified_hierarchy_each_process_is_asked() {
        let (_root, mut units) = tree();
        assert_eq!(units.place(1, 8, NOW).unit.as_deref(), Some("old.service"));
        assert!(!units.known.contains_key(&1));
    }

    #[test]
    fn namespaces_tell_a_container_that_no_runtime_claims() {
        let (_root, mut units) = tree();
        units.init_mount_ns = Some(5);
        let standing = |pid_ns, mount_ns| Standing {
            mount_ns,
            pid_ns,
            ..Standing::default()
        };
        let id = |place: &str, standing: &Standing| {
            units
                .container(&Place::of(place), standing)
                .map(|container| container.id)
        };
        let session = "/user.slice/user-0.slice/session-1.scope";
        assert_eq!(id(session, &standing(INIT_PID_NS, 5)), None);
        assert_eq!(id(session, &standing(77, 5)).as_deref(), Some("77"));
        assert_eq!(id(session, &standing(INIT_PID_NS, 6)).as_deref(), Some("6"));
        assert_eq!(
            id("/system.slice/a.service", &standing(INIT_PID_NS, 6)),
            None
        );
        assert_eq!(id("/", &standing(INIT_PID_NS, 6)), None);
    }
}
