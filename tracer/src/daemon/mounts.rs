//! Notices that something is mounted or unmounted, and swap space turned on or off: files come and go with
//! it, and it is a change of its own.
//!
//! Who did it is known where a program at the kernel's functions told. All else is late: found by looking
//! when the kernel says that the mounts are others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use change::{FactValue, Text, Timestamp};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::kernel::Settler;
use super::now;
use super::pipeline::Pipeline;
use crate::conclude::Cause;
use crate::inventory::{HOST_NAME, MOUNTS, Mounted, Places, SWAPS, Source};
use crate::observed::{MountTouched, Who};

/// Mounts come in groups, and are looked at together.
const REST: Duration = Duration::from_millis(100);
/// So long a program may take to tell of what is to be seen in the list of mounts already.
const TELLING_NS: i64 = 200_000_000;
/// How often the kernel is asked whether all is as it was, so that what is late is not much so.
const ASKING_NS: i64 = 1_000_000_000;

/// Tells of each change of the mounts of this namespace, as long as the process lives.
pub(super) fn watch(settler: &Settler) {
    let mut changes = Changes::open();
    if changes.0.is_empty() {
        return;
    }
    loop {
        match changes.wait(None) {
            Ok(_) => {
                thread::sleep(REST);
                settler.mounts_changed();
            }
            Err(Errno::INTR) => {}
            Err(error) => {
                tracing::error!("wait for a change of the mounts: {error}");
                return;
            }
        }
    }
}

/// The files that tell of a change of what they list.
struct Changes(Vec<File>);

impl Changes {
    fn open() -> Self {
        let open = |path| {
            let opened = File::open(path);
            let opened = opened.inspect_err(|error| {
                tracing::warn!(
                    "watch `{path}`: {error}; a change of it is seen at the next comparison"
                );
            });
            opened.ok()
        };
        Self(
            [MOUNTS, SWAPS, HOST_NAME]
                .into_iter()
                .filter_map(open)
                .collect(),
        )
    }

    /// Waits for a change since the last call; tells whether there was one.
    fn wait(&mut self, patience: Option<&Timespec>) -> Result<bool, Errno> {
        // An event is an exceptional condition there: proc(5).
        let polled = self.0.iter().map(|file| PollFd::new(file, PollFlags::PRI));
        let mut polled: Vec<PollFd<'_>> = polled.collect();
        Ok(poll(&mut polled, patience)? > 0)
    }
}

/// What the pipeline knows of the mounts.
pub(super) struct MountsSeen {
    changes: Changes,
    /// What was mounted when it was looked at last.
    mounted: Mounted,
    /// Where those were that have left their places since, until all that was told of them is taken in.
    past: Places,
    /// Until when that was so.
    until: Timestamp,
    /// When the kernel was asked last whether it still is.
    asked: Timestamp,
    /// Whether it is not, and was not looked at since.
    is_behind: bool,
    /// Differences that nobody has told of yet.
    untold: BTreeMap<Text, Untold>,
}

/// A difference that a program may still tell of.
struct Untold {
    value: Option<FactValue>,
    /// Between when and when it came about.
    between: [Timestamp; 2],
}

impl MountsSeen {
    /// Nothing was looked at yet, and the record is complete until then.
    pub(super) fn new(complete_until: Timestamp) -> Self {
        Self {
            changes: Changes::open(),
            mounted: Mounted::default(),
            past: Places::new(),
            until: complete_until,
            asked: complete_until,
            is_behind: false,
            untold: BTreeMap::new(),
        }
    }

    /// What is mounted now.
    fn take(&mut self, found: Mounted) {
        let before = std::mem::replace(&mut self.mounted, found);
        self.past.extend(before.left(&self.mounted));
    }

    /// What goes by the clock.
    pub(super) fn times(&mut self) -> impl Iterator<Item = &mut Timestamp> {
        let untold = self.untold.values_mut();
        let untold = untold.flat_map(|untold| &mut untold.between);
        [&mut self.until, &mut self.asked].into_iter().chain(untold)
    }

    /// Whether something waits to be told of.
    pub(super) fn is_waiting(&self) -> bool {
        !self.untold.is_empty()
    }
}

impl Pipeline {
    /// Compares what is mounted with the store, at the start.
    pub(super) fn compare_mounts(&mut self) -> anyhow::Result<()> {
        self.mounts.mounted = self.inventory.mounted().context("read what is mounted")?;
        let now = now();
        let cause = Cause::Compared {
            now,
            complete_until: self.comparing.complete_until,
            at_latest: now,
        };
        self.mounts.until = now;
        self.look_at(Source::Mounts, None, &cause)
    }

    /// A program saw that something was done to what is mounted.
    pub(super) fn mount_touched(&mut self, time: Timestamp, who: &Who, touched: &MountTouched) {
        let taken = self.try_mount_touched(time, who, touched);
        if let Err(error) = taken.context("look at what is mounted") {
            self.note_loss(&format!("{error:#}"));
        }
    }

    fn try_mount_touched(
        &mut self,
        time: Timestamp,
        who: &Who,
        touched: &MountTouched,
    ) -> anyhow::Result<()> {
        self.mounts.take(self.inventory.mounted()?);
        let MountsSeen { mounted, past, .. } = &mut self.mounts;
        let differing = self.conclude.differing(Source::Mounts, &mounted.facts)?;
        let differing = differing.iter().map(|(key, now)| (key, now.is_some()));
        let Some(about) = mounted.about(past, touched, differing) else {
            tracing::debug!("it is not known where that was: {touched:?}");
            return Ok(());
        };
        if let MountTouched::Place {
            mount, gone: true, ..
        } = touched
        {
            past.remove(mount);
        }
        let facts = mounted.facts.clone();
        let by = self.enrich.by(who, time);
        let cause = Cause::Written {
            time,
            by,
            notes: Vec::new(),
        };
        self.conclude
            .inventory(Source::Mounts, facts, Some(&about), &cause)?;
        Ok(())
    }

    /// Looks for what was mounted and unmounted without a program that told.
    pub(super) fn look_at_mounts(&mut self) -> anyhow::Result<()> {
        let found = self.inventory.mounted().context("read what is mounted")?;
        let looked = now();
        let differing = self.conclude.differing(Source::Mounts, &found.facts)?;
        self.mounts.is_behind = false;
        let since = std::mem::replace(&mut self.mounts.until, looked);
        let mut before = std::mem::take(&mut self.mounts.untold);
        let mut late: BTreeMap<[Timestamp; 2], BTreeSet<Text>> = BTreeMap::new();
        for (key, value) in differing {
            let known = before.remove(&key).filter(|known| known.value == value);
            let untold = known.unwrap_or(Untold {
                value,
                between: [since, looked],
            });
            let [_, seen] = untold.between;
            let may_be_told = self.watches_by_probes && age(seen, looked) < TELLING_NS;
            if may_be_told {
                self.mounts.untold.insert(key, untold);
            } else {
                late.entry(untold.between).or_default().insert(key);
            }
        }
        for ([from, seen], keys) in late {
            let cause = Cause::Compared {
                now: looked,
                complete_until: Some(from),
                at_latest: seen,
            };
            let facts = found.facts.clone();
            self.conclude
                .inventory(Source::Mounts, facts, Some(&keys), &cause)?;
        }
        self.mounts.take(found);
        self.look_at_name([since, looked])
    }

    /// Asks the kernel now and then whether all that is mounted is as it was, and looks once more at what
    /// nobody has told of.
    pub(super) fn ask_for_mounts(&mut self) {
        let now = now();
        let seen = &mut self.mounts;
        if seen.is_waiting() {
            let oldest = seen.untold.values().map(|untold| untold.between[1]);
            let is_due = oldest
                .min()
                .is_some_and(|seen| age(seen, now) >= TELLING_NS);
            if is_due
                && age(seen.asked, now) >= TELLING_NS
                && let Some((_, settler)) = &self.inputs
            {
                seen.asked = now;
                // By way of the ring, so that what was told by now is known then.
                settler.mounts_changed();
            }
        } else if age(seen.asked, now) >= ASKING_NS {
            seen.asked = now;
            // Where something has changed, the thread that waits for it knocks.
            seen.is_behind |= seen.changes.wait(Some(&Timespec::default())) != Ok(false);
            if !seen.is_behind {
                seen.until = now;
                seen.past.clear();
            }
        }
    }
}

/// How long ago a moment was, in nanoseconds.
pub(super) fn age(then: Timestamp, now: Timestamp) -> i64 {
    // A clock that was set back does not make it wait.
    let age = now.as_nanos() - then.as_nanos();
    if age < 0 { i64::MAX } else { age }
}
