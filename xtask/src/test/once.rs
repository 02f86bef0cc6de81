//! Tests of what the daemon makes of what it is told, which is the same on every kernel: long ones run on one.

use crate::guests::Guest;
use crate::kernels::{self, Kernel};

/// The line of kernels that everything is tested on: that of Debian's stable release.
const ALL: &str = "6.12";

/// Tests of the tiny guest, by how their names begin: each has daemons that start again, or waits for seconds.
const TINY: [&str; 6] = [
    "exact::what_two_processes_write_in_turn",
    "lifecycle::after_a_kill",
    "mounted::what_was_mounted_while_nobody_watched",
    "settings::what_was_set_while_nobody_watched",
    "state::each_state_of_a_tree",
    "volume::a_burst_of_new_files",
];

/// Tests of the Debian guest, likewise: what files of the system mean.
const DEBIAN: [&str; 4] = [
    "accounts::",
    "packages::",
    "services::who_enables",
    "services::who_gives_a_service_another_environment",
];

/// What the test executable of a guest leaves out on a kernel, as arguments for it.
pub(super) fn left_out(guest: Guest, kernel: &Kernel) -> Vec<String> {
    let names: &[&str] = match guest {
        _ if kernels::is_of_line(&kernel.release, ALL) => &[],
        Guest::Tiny => &TINY,
        Guest::Debian => &DEBIAN,
        Guest::Bench => &[],
    };
    let skip = |name: &&str| ["--skip".to_owned(), (*name).to_owned()];
    names.iter().flat_map(skip).collect()
}
