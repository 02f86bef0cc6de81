//! Who ended a service by a signal to its main process: what was sent to whom is remembered until that one ends.
//! What the service manager and the kernel send is not told of, and nobody's.

use std::collections::VecDeque;

use change::Timestamp;

use super::MOST;
use crate::enrich::processes::{Entry, Key};
use crate::enrich::{By, Enrich};
use crate::observed::{Sent, Task, Who};

/// How long a signal that a process did not die of is remembered.
const SENT_NS: i64 = 60_000_000_000;

/// How long after a signal that asks it to end a process that ends by itself does so for that.
const HEEDED_NS: i64 = 10_000_000_000;

/// How long after its main process a service ends at most: the manager ends the others first.
const ENDED_NS: i64 = 10_000_000_000;

/// The signals by which programs are asked to end: the interrupt, to quit, and to terminate.
const ASKING: [u32; 3] = [2, 3, 15];

/// Knows which signals were sent, and which services' processes have ended by them.
#[derive(Debug, Default)]
pub(super) struct Killers {
    sent: VecDeque<Signal>,
    killed: VecDeque<Killed>,
}

#[derive(Debug)]
struct Signal {
    to: Key,
    number: u32,
    by: Task,
    time: Timestamp,
}

impl Signal {
    /// Whether a process ended by it: of it, or because it was asked to.
    fn has_ended(&self, key: Key, status: i32, time: Timestamp) -> bool {
        let is_of_it = match status & 0x7f {
            0 => ASKING.contains(&self.number) && time <= self.time.plus_nanos(HEEDED_NS),
            signal => u32::try_from(signal) == Ok(self.number),
        };
        self.to == key && self.time <= time && is_of_it
    }
}

impl Killers {
    /// Whether a process got a signal.
    pub(super) fn has_asked(&self, key: Key) -> bool {
        self.sent.iter().any(|signal| signal.to == key)
    }
}

/// A process of a service that somebody ended.
#[derive(Debug)]
struct Killed {
    unit: String,
    time: Timestamp,
    /// Whether the manager had started it.
    is_own: bool,
    signal: Signal,
}

impl Enrich {
    /// A process sent another a signal that may end it.
    pub(in crate::enrich) fn note_signal(&mut self, sent: Sent, by: &Task, time: Timestamp) {
        self.take_in(by, time, false);
        self.processes.mark_active(by.process.into());
        self.units.learn(by.cgroup, by.process.pid);
        let sent_to = &mut self.clients.killers.sent;
        sent_to.retain(|signal| time <= signal.time.plus_nanos(SENT_NS));
        if sent_to.len() >= MOST {
            sent_to.pop_front();
        }
        sent_to.push_back(Signal {
            to: sent.to.into(),
            number: sent.signal,
            by: by.clone(),
            time,
        });
    }

    /// A process of a unit ended: remembers whose signal it was. What a unit does to itself is nobody's.
    pub(super) fn note_killed(
        &mut self,
        key: Key,
        (unit, cgroup): (&str, u64),
        status: i32,
        time: Timestamp,
    ) {
        let sent = &mut self.clients.killers.sent;
        let ended = |signal: &Signal| signal.has_ended(key, status, time);
        let signal = sent.iter().position(ended);
        let signal = signal.and_then(|index| sent.remove(index));
        sent.retain(|signal| signal.to != key);
        let Some(signal) = signal.filter(|signal| signal.by.cgroup != cgroup) else {
            return;
        };
        let by = &signal.by;
        let place = self.units.place(by.cgroup, by.process.pid, time);
        if place.container.is_none() && place.unit.as_deref() == Some(unit) {
            return;
        }
        let is_own = self.processes.get(key).is_some_and(Entry::is_of_manager);
        let killed = &mut self.clients.killers.killed;
        if killed.len() >= MOST {
            killed.pop_front();
        }
        killed.push_back(Killed {
            unit: unit.to_owned(),
            time,
            is_own,
            signal,
        });
    }

    /// Who ended a service that has ended at a time, by a signal to a process that the manager had started, or to one
    /// that others left behind to it where `orphans` count. Told once.
    pub fn killer(
        &mut self,
        unit: &str,
        [time, until]: [Timestamp; 2],
        orphans: bool,
    ) -> Option<By> {
        let mut killer = None;
        let mut left = VecDeque::new();
        for killed in std::mem::take(&mut self.clients.killers.killed) {
            if killed.unit != unit || killed.time > until {
                left.push_back(killed);
            } else if (killed.is_own || orphans) && time <= killed.time.plus_nanos(ENDED_NS) {
                killer = Some(killed.signal);
            }
        }
        self.clients.killers.killed = left;
        let Signal { by, time, .. } = killer?;
        self.by(&Who::Task(by), time)
    }
}
