//! The kernel's switches under `/sys`, as far as people turn them. A key is a path: that of the device
//! itself, but for disks, which are named as in `/sys/block`.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use change::{FactValue, Text};

use super::Facts;

/// Longer values are cut.
const LONGEST_VALUE: usize = 1024;

/// Disks that are made of files, of memory and for a moment: not of the machine.
const PASSING_DISKS: [&[u8]; 4] = [b"loop", b"nbd", b"ram", b"zram"];

/// Where switches are, below `/sys`, and their names; one `*` in a name stands for anything.
const SWITCHES: [(&str, &[&str]); 20] = [
    (
        "kernel/mm/transparent_hugepage",
        &["enabled", "defrag", "shmem_enabled", "use_zero_page"],
    ),
    (
        "kernel/mm/transparent_hugepage/khugepaged",
        &[
            "defrag",
            "pages_to_scan",
            "scan_sleep_millisecs",
            "alloc_sleep_millisecs",
            "max_ptes_*",
        ],
    ),
    (
        "kernel/mm/transparent_hugepage/hugepages-*",
        &["enabled", "shmem_enabled"],
    ),
    (
        "kernel/mm/hugepages/hugepages-*",
        &["nr_hugepages", "nr_overcommit_hugepages"],
    ),
    (
        "kernel/mm/ksm",
        &[
            "run",
            "pages_to_scan",
            "sleep_millisecs",
            "merge_across_nodes",
            "max_page_sharing",
            "use_zero_pages",
            "smart_scan",
            "advisor_mode",
        ],
    ),
    ("kernel/mm/lru_gen", &["enabled", "min_ttl_ms"]),
    ("kernel/mm/swap", &["vma_ra_enabled"]),
    ("kernel/mm/numa", &["demotion_enabled"]),
    ("kernel/security", &["lockdown"]),
    ("kernel", &["rcu_expedited", "rcu_normal", "profiling"]),
    (
        "block/*/queue",
        &[
            "scheduler",
            "read_ahead_kb",
            "nr_requests",
            "rotational",
            "write_cache",
            "rq_affinity",
            "nomerges",
            "max_sectors_kb",
            "wbt_lat_usec",
            "add_random",
            "iostats",
            "io_poll",
        ],
    ),
    ("devices/system/cpu/cpu*", &["online"]),
    (
        "devices/system/cpu/cpufreq/policy*",
        &[
            "scaling_governor",
            "scaling_min_freq",
            "scaling_max_freq",
            "energy_performance_preference",
        ],
    ),
    ("devices/system/cpu/cpufreq", &["boost"]),
    (
        "devices/system/cpu/intel_pstate",
        &["no_turbo", "status", "min_perf_pct", "max_perf_pct"],
    ),
    ("devices/system/cpu/smt", &["control"]),
    ("devices/system/cpu/cpuidle", &["current_governor"]),
    (
        "devices/system/clocksource/clocksource0",
        &["current_clocksource"],
    ),
    (
        "power",
        &["mem_sleep", "disk", "image_size", "pm_async", "resume"],
    ),
    ("fs/selinux", &["enforce"]),
];

/// Reads all of them, and the parameters of modules that can be written, and that everybody may read:
/// others can be secrets.
pub(super) fn read(root: &Path, show: &dyn Fn(&str) -> String) -> Facts {
    let mut found = Facts::new();
    let mut take = |path: &Path| {
        let below = path.strip_prefix(root).unwrap_or(path);
        let key = [b"/sys/", below.as_os_str().as_bytes()].concat();
        let value = value(path, show).map(|value| FactValue::Setting { value });
        found.extend(value.map(|value| (Text::from(key), value)));
    };
    for (folder, names) in SWITCHES {
        for folder in folders(root, folder) {
            let all = names.iter().flat_map(|name| folders(&folder, name));
            all.for_each(|path| take(&path));
        }
    }
    for folder in folders(root, "module/*/parameters") {
        folders(&folder, "*")
            .iter()
            .filter(|path| may_be_turned(path))
            .for_each(|path| take(path));
    }
    found
}

/// Whether a parameter can be written: others are what the module was loaded with, or count something.
fn may_be_turned(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.mode() & 0o222 != 0)
}

/// The value of one, where everybody may read it: of a choice the word that was chosen.
pub(super) fn value(path: &Path, show: &dyn Fn(&str) -> String) -> Option<String> {
    let found = fs::metadata(path).ok()?;
    if !found.is_file() || found.mode() & 0o004 == 0 {
        return None;
    }
    let bytes = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_end_matches(['\n', '\0', ' ']);
    let text: String = chosen(text).chars().take(LONGEST_VALUE).collect();
    Some(show(&text))
}

/// `always [madvise] never`: the word in brackets, where there is one among others.
fn chosen(text: &str) -> &str {
    let is_choice = |word: &&str| word.starts_with('[') && word.ends_with(']');
    let mut words = text.split_whitespace();
    match words.find(is_choice) {
        Some(word) if !text.contains('\n') => word.trim_start_matches('[').trim_end_matches(']'),
        _ => text,
    }
}

/// The key of the setting that was written by that path; none where it is not one of them.
pub(super) fn key_of(path: &Text) -> Option<Text> {
    let below = path.as_bytes().strip_prefix(b"/sys/")?;
    let below = match position(below, b"/block/") {
        Some(at) if below.starts_with(b"devices/") => below.get(at + 1..)?,
        _ => below,
    };
    let slash = below.iter().rposition(|byte| *byte == b'/')?;
    let (folder, name) = (below.get(..slash)?, below.get(slash + 1..)?);
    let is_one = |(of, names): &(&str, &[&str])| {
        is_match(of, folder) && names.iter().any(|of| is_match(of, name))
    };
    let is_known = SWITCHES.iter().any(is_one) || is_match("module/*/parameters", folder);
    (is_known && !is_passing(below)).then(|| [b"/sys/", below].concat().into())
}

fn position(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// Whether a path has the form of a pattern: each name that of its name.
fn is_match(pattern: &str, path: &[u8]) -> bool {
    let mut names = path.split(|byte| *byte == b'/');
    let all = pattern
        .split('/')
        .all(|pattern| names.next().is_some_and(|name| is_like(pattern, name)));
    all && names.next().is_none()
}

fn is_like(pattern: &str, name: &[u8]) -> bool {
    match pattern.split_once('*') {
        Some((begin, end)) => {
            let rest = name.strip_prefix(begin.as_bytes());
            rest.is_some_and(|rest| rest.ends_with(end.as_bytes()))
        }
        None => name == pattern.as_bytes(),
    }
}

/// Whether it is of a disk that comes and goes: `block/loop0/queue/…`.
fn is_passing(below: &[u8]) -> bool {
    let disk = below.strip_prefix(b"block/");
    disk.is_some_and(|disk| PASSING_DISKS.iter().any(|name| disk.starts_with(name)))
}

/// What there is of a pattern below a folder.
fn folders(root: &Path, pattern: &str) -> Vec<PathBuf> {
    pattern
        .split('/')
        .fold(vec![root.to_owned()], |above, name| {
            let below = above.into_iter().flat_map(|folder| named(&folder, name));
            below.collect()
        })
}

fn named(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    if !pattern.contains('*') {
        return vec![folder.join(pattern)];
    }
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_disk = folder.ends_with("block");
    entries
        .map(|entry| entry.file_name())
        .filter(|name| is_like(pattern, name.as_bytes()))
        .filter(|name| !is_disk || !is_passing(&[b"block/", name.as_bytes()].concat()))
        .map(|name| folder.join(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_choice_the_word_that_was_chosen_is_the_value() {
        assert_eq!(chosen("always [madvise] never"), "madvise");
        assert_eq!(chosen("[none] mq-deadline kyber"), "none");
        assert_eq!(chosen("none"), "none");
        assert_eq!(chosen("a\n[b]\nc"), "a\n[b]\nc");
    }

    #[test]
    fn a_written_file_is_a_setting_by_its_own_path() {
        let key = |path: &str| key_of(&path.into()).map(|key| key.to_string());
        let thp = "/sys/kernel/mm/transparent_hugepage/enabled";
        assert_eq!(key(thp).as_deref(), Some(thp));
        assert_eq!(
            key("/sys/devices/pci0000:00/0000:00:05.0/virtio2/block/vda/queue/scheduler")
                .as_deref(),
            Some("/sys/block/vda/queue/scheduler")
        );
        assert_eq!(
            key("/sys/devices/virtual/block/loop0/queue/scheduler"),
            None
        );
        let cpu = "/sys/devices/system/cpu/cpu1/online";
        assert_eq!(key(cpu).as_deref(), Some(cpu));
        let parameter = "/sys/module/printk/parameters/time";
        assert_eq!(key(parameter).as_deref(), Some(parameter));
        assert_eq!(key("/sys/devices/virtual/net/lo/uevent"), None);
        assert_eq!(
            key("/sys/kernel/mm/transparent_hugepage/khugepaged/full_scans"),
            None
        );
    }

    #[test]
    fn switches_are_facts_by_their_paths() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, value: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, value).unwrap();
        };
        write(
            "kernel/mm/transparent_hugepage/enabled",
            "always [madvise] never\n",
        );
        write("kernel/mm/transparent_hugepage/hpage_pmd_size", "2097152\n");
        write("block/vda/queue/scheduler", "[none] mq-deadline \n");
        write("block/loop0/queue/scheduler", "[none]\n");
        write("devices/system/cpu/cpu0/cpufreq/x", "1\n");
        write("devices/system/cpu/cpu1/online", "1\n");
        write("module/printk/parameters/time", "Y\n");
        let found = read(root.path(), &str::to_owned);
        let lines: Vec<String> = found
            .iter()
            .map(|(key, value)| match value {
                FactValue::Setting { value } => format!("{key} {value}"),
                other => panic!("{other:?}"),
            })
            .collect();
        let expected = [
            "/sys/block/vda/queue/scheduler none",
            "/sys/devices/system/cpu/cpu1/online 1",
            "/sys/kernel/mm/transparent_hugepage/enabled madvise",
            "/sys/module/printk/parameters/time Y",
        ];
        assert_eq!(lines, expected);
    }
}
