//! The running kernel and its command line.

use super::{Machine, put_value};
use crate::enrich::mask;
use crate::inventory::Facts;

/// Longer ones are cut: `COMMAND_LINE_SIZE` of the architectures is 2048 or 4096.
const LONGEST_COMMAND_LINE: usize = 4096;

pub(super) fn read(machine: &Machine) -> Facts {
    let mut facts = Facts::new();
    let release = machine.attributes(&[
        ("release", "proc/sys/kernel/osrelease"),
        ("version", "proc/sys/kernel/version"),
    ]);
    release.put(&mut facts, "release");
    let line = std::fs::read(machine.path("proc/cmdline")).ok();
    put_value(&mut facts, "command-line", line.as_deref().map(shown));
    facts
}

/// The command line with the secrets in it hidden.
fn shown(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line);
    let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    mask::mask(&mut words);
    words.join(" ").chars().take(LONGEST_COMMAND_LINE).collect()
}
