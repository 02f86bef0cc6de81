//! Reading what the machine is and how it is set up: with the first comparison of a run, and with later ones, but
//! no more often than every ten minutes. What differs is late: nobody saw it happen.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::time::Duration;

use anyhow::Context as _;
use change::{Text, Timestamp};
use rustix::time::{ClockId, clock_gettime};

use super::decided::{Decided, Only, names};
use super::heartbeat::boot;
use super::now;
use super::pipeline::Pipeline;
use crate::conclude::Cause;
use crate::inventory::{Facts, HOST_NAME, Inventory, NAME, Source};
use crate::observed::{FileEvent, Who};
use crate::store::{self, Reader};

/// How long at least the machine is left alone.
const REST_NS: i64 = 600_000_000_000;

/// The key of the store's table of single values: the boot, and when the machine was read last.
const META: &str = "machine";

/// What was read of the machine, off the pipeline's thread: some of it takes long.
pub(super) type Read = Vec<(Source, io::Result<Option<Facts>>)>;

/// Reads all of it.
pub(super) fn read(inventory: &Inventory) -> Read {
    let begun = processor_time();
    let read = |source| (source, inventory.read(source));
    let all = Source::MACHINE.into_iter().map(read).collect();
    tracing::debug!(
        "read the machine in {:?} of the processor",
        processor_time().saturating_sub(begun)
    );
    all
}

/// How long this thread has run on a processor.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// What the pipeline knows of reading the machine.
pub(super) struct MachineSeen {
    boot: String,
    /// When it was read last, in this run or one before.
    read: Option<Timestamp>,
    /// The last heartbeat before another boot, until it is read in this one.
    before_boot: Option<Timestamp>,
    /// Whether it was read in this run.
    is_read: bool,
}

impl MachineSeen {
    /// Where the runs before left off; `heartbeat` is their last.
    pub(super) fn of(reader: &Reader, heartbeat: Option<Timestamp>) -> Result<Self, store::Error> {
        let known = reader.meta(META)?.unwrap_or_default();
        let known = String::from_utf8_lossy(&known).into_owned();
        Ok(Self::since(boot(), &known, heartbeat))
    }

    fn since(boot: String, known: &str, heartbeat: Option<Timestamp>) -> Self {
        let (known_boot, read) = known.split_once(' ').unwrap_or_default();
        let read = read.parse().ok().map(Timestamp::from_nanos);
        let is_another = read.is_some() && known_boot != boot;
        Self {
            boot,
            read,
            before_boot: heartbeat.filter(|_| is_another),
            is_read: false,
        }
    }
}

impl Pipeline {
    /// Whether the machine is to be read with the next comparison.
    pub(super) fn is_machine_due(&self) -> bool {
        let seen = &self.machine;
        let age = seen.read.map(|read| now().as_nanos() - read.as_nanos());
        !seen.is_read || age.is_none_or(|age| !(0..REST_NS).contains(&age))
    }

    /// Takes in what was read of the machine.
    pub(super) fn take_machine(&mut self, read: Read) {
        for (source, found) in read {
            let kind = source.kind();
            let taken = found
                .with_context(|| format!("read `{}`", self.inventory.database(source).display()))
                .and_then(|found| self.compare_machine(source, found.unwrap_or_default()));
            if let Err(error) = taken.with_context(|| format!("look at every {kind}")) {
                tracing::error!("{error:#}");
            }
        }
        let now = now();
        self.machine.read = Some(now);
        self.machine.before_boot = None;
        self.machine.is_read = true;
        let known = format!("{} {}", self.machine.boot, now.as_nanos());
        if let Err(error) = self.writer.set_meta(META, known.as_bytes()) {
            tracing::warn!("remember when the machine was read: {error}");
        }
    }

    fn compare_machine(&mut self, source: Source, found: Facts) -> anyhow::Result<()> {
        let now = now();
        if let Some(heartbeat) = self.machine.before_boot {
            let fixed = source.fixed_at_boot(&found);
            let cause = Cause::Compared {
                now,
                complete_until: Some(heartbeat),
                at_latest: self.clocks.wall(0),
            };
            self.conclude
                .inventory(source, found.clone(), Some(&fixed), &cause)?;
        }
        let cause = Cause::Compared {
            now,
            complete_until: self.machine.read.or(self.comparing.complete_until),
            at_latest: now,
        };
        self.conclude.inventory(source, found, None, &cause)?;
        Ok(())
    }

    /// Something was done to a file that decides how the host is set up.
    pub(super) fn host_touched(&mut self, time: Timestamp, who: &Who, event: &FileEvent) {
        let keys: BTreeSet<Text> = names(event).filter_map(Inventory::decides).collect();
        if keys.is_empty() {
            return;
        }
        // What it says later may be somebody else's doing.
        let found = match self.inventory.read(Source::Host) {
            Ok(found) => found.unwrap_or_default(),
            Err(error) => {
                self.note_loss(&format!("read how the host is set up: {error}"));
                return;
            }
        };
        self.decide(Decided {
            time,
            who: who.clone(),
            unit: None,
            source: Source::Host,
            only: Only::These(keys),
            found,
        });
    }

    /// Looks whether the host has another name, which whoever has rights may give it by a call.
    pub(super) fn look_at_name(&mut self, between: [Timestamp; 2]) -> anyhow::Result<()> {
        let [from, now] = between;
        let cause = Cause::Compared {
            now,
            complete_until: Some(from),
            at_latest: now,
        };
        if let Ok(name) = fs::read_to_string(HOST_NAME) {
            self.conclude.rename_host(name.trim().to_owned());
        }
        self.look_at(Source::Host, Some(&[NAME.into()].into()), &cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_that_is_another_ended_what_went_on_until_the_last_heartbeat() {
        let heartbeat = Some(Timestamp::from_nanos(9));
        let since = |known: &str| MachineSeen::since("boot-2".to_owned(), known, heartbeat);
        let first = since("");
        assert_eq!((first.read, first.before_boot), (None, None));
        let again = since("boot-2 7");
        assert_eq!(again.read, Some(Timestamp::from_nanos(7)));
        assert_eq!(again.before_boot, None);
        let rebooted = since("boot-1 7");
        assert_eq!(rebooted.read, Some(Timestamp::from_nanos(7)));
        assert_eq!(rebooted.before_boot, heartbeat);
        let damaged = since("boot-1");
        assert_eq!((damaged.read, damaged.before_boot), (None, None));
    }
}
