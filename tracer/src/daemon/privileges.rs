//! What the daemon may do once it has started: see everything, change nothing but its own.

use anyhow::Context as _;
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};

/// To read files and directories of everyone, to leave their access times alone, to look at
/// processes in `/proc`, and to use the maps of the loaded programs. Without `CAP_DAC_OVERRIDE` it
/// writes only what belongs to root, and without `CAP_SYS_ADMIN` it loads and mounts nothing; the
/// price is that extended attributes in `trusted.` are not seen.
const NEEDED: CapabilitySet = CapabilitySet::DAC_READ_SEARCH
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::SYS_PTRACE)
    .union(CapabilitySet::BPF);

/// What the way of watching needs besides.
#[derive(Clone, Copy, Debug)]
pub(super) enum Watching {
    Programs,
    /// Marks are added while it runs.
    Fanotify,
}

/// Gives up what the calling thread does not need any more, and so do the threads that it starts
/// from now on, and the programs.
pub(super) fn keep_needed(watching: Watching) -> anyhow::Result<()> {
    let kept = match watching {
        Watching::Programs => NEEDED,
        Watching::Fanotify => NEEDED | CapabilitySet::SYS_ADMIN,
    };
    let before = rustix::thread::capabilities(None).context("read the own capabilities")?;
    let permitted = before.permitted & kept;
    let sets = CapabilitySets {
        effective: permitted,
        permitted,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).context("give up capabilities")?;
    set_no_new_privs(true).context("give up new privileges")
}
