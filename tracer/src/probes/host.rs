//! What this host says of its functions, programs and cgroups, and errors in one line.

use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _};

use aya::programs::Program;

/// Tells which functions the compiler has split, by their symbols (`vfs_rmdir.part.0`).
pub(super) fn split_functions() -> impl Fn(&str) -> bool {
    let symbols = fs::read("/proc/kallsyms").unwrap_or_default();
    let is_split = |line: &&[u8]| {
        let name = line
            .splitn(3, |byte| *byte == b' ')
            .nth(2)
            .unwrap_or_default();
        [".part.", ".isra.", ".constprop."]
            .iter()
            .any(|mark| contains(name, mark.as_bytes()))
    };
    let names: Vec<Vec<u8>> = symbols
        .split(|byte| *byte == b'\n')
        .filter(|line| line.contains(&b'.'))
        .filter(is_split)
        .filter_map(|line| line.splitn(3, |byte| *byte == b' ').nth(2))
        .map(|name| {
            name.split(|byte| *byte == b'.')
                .next()
                .unwrap_or_default()
                .to_vec()
        })
        .collect();
    move |function| names.iter().any(|name| name == function.as_bytes())
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

/// How often the kernel passed over a program because it was at work on that CPU already: the line
/// `recursion_misses` of fdinfo (5.12 on; 0 where there is none).
pub(super) fn missed_runs(program: &Program) -> u64 {
    let Ok(fd) = program.fd() else { return 0 };
    let path = format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd());
    let text = fs::read_to_string(path).unwrap_or_default();
    let count = text
        .lines()
        .find_map(|line| line.strip_prefix("recursion_misses:"));
    count
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or(0)
}

/// Where the unified cgroup hierarchy is mounted.
pub(super) fn unified_hierarchy() -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let line = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
    line.split(' ').nth(4).map(str::to_owned)
}

/// An error with its causes in one line; of the verifier's log only the end, which has the reason.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    // Where the kernel refuses a program unseen, there is no word of the verifier.
    let said = |error: &dyn std::error::Error| {
        let text = error.to_string();
        text.trim_end()
            .trim_end_matches(". Verifier output:")
            .to_owned()
    };
    let mut text = said(error);
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = said(inner);
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = inner.source();
    }
    let tail: Vec<&str> = text.lines().rev().take(6).collect();
    tail.into_iter().rev().collect::<Vec<_>>().join(" | ")
}
