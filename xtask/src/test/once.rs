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

/// Tests of the Debian guest, likewise: what files of the system mean, and what systemd makes of what it is asked. Who
/// asks, and who kills, is told by the kernel, and tested on both.
const DEBIAN: [&str; 12] = [
    "accounts::",
    "collector::",
    "folded::",
    "packages::",
    "services::a_job_that",
    "services::a_service_that_dies",
    "services::who_asks_a_service_to_end",
    "services::who_changes_the_file",
    "services::who_enables",
    "services::who_gives_a_service_another_environment",
    "services::who_is_refused",
    "services::who_starts_stops_and_enables_a_timer",
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
