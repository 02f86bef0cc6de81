//! How processes get into the table that no fork record told of: those from before the daemon's
//! start, and those whose record was lost.

use std::collections::HashMap;
use std::sync::Arc;

use change::Timestamp;

use super::clock::BootClock;
use super::processes::{Key, MAX_DEPTH, Newcomer, Processes};
use super::procfs::Procfs;
use super::standing::Standing;
use crate::observed::{ProcessId, Task};

/// How long after its end a process is still taken for the one that a bare process id names.
const LATE_PID_NS: i64 = 10_000_000_000;

/// Where adopting looks, and when.
pub(super) struct Lookout<'a> {
    pub(super) proc: &'a Procfs,
    pub(super) clock: &'a BootClock,
    pub(super) time: Timestamp,
}

impl Lookout<'_> {
    /// The latest start of a process that can have done something by now.
    pub(super) fn latest_start(&self) -> u64 {
        self.clock
            .since_boot(self.time)
            .saturating_add(ProcessId::TICK_NS)
    }
}

impl Processes {
    /// Takes in a process that a record told of, with what `/proc` still has of it.
    /// `will_exit` says that a record of its end is yet to come.
    pub(super) fn adopt(&mut self, from: &Lookout<'_>, task: &Task, will_exit: bool) {
        let current = from.proc.stat(task.process.pid);
        let is_alive = current.is_some_and(|stat| stat.process.same(task.process));
        let is_replaced = current.is_some() && !is_alive;
        let exited = (is_replaced || !(is_alive || will_exit)).then_some(from.time);
        let parent = self.parent(from, task.parent, task.process, 0);
        let seen = current
            .filter(|_| is_alive)
            .and_then(|_| from.proc.program(task.process));
        let program = seen.map(|seen| self.keep_program(&seen));
        let newcomer = Newcomer {
            id: task.process,
            parent,
            program,
            standing: Arc::new(Standing::from(task)),
            exited,
        };
        self.add(newcomer, from.time);
    }

    /// The living process of an id as far as records tell.
    pub(super) fn living_pid(&self, from: &Lookout<'_>, pid: u32) -> Option<Key> {
        let entry = self.started_by(pid, from.latest_start())?;
        entry.exited.is_none().then(|| Key::from(entry.id))
    }

    /// The process that a bare process id means: the living one, else the one that ended lately.
    pub(super) fn by_pid(&mut self, from: &Lookout<'_>, pid: u32) -> Option<Key> {
        let now = from.latest_start();
        let known = self.started_by(pid, now).filter(|entry| {
            entry
                .exited
                .is_none_or(|end| end.plus_nanos(LATE_PID_NS) >= from.time)
        });
        let known = known.map(|entry| Key::from(entry.id));
        let current = from.proc.stat(pid).map(|stat| Key::from(stat.process));
        let last = Key::from(ProcessId { pid, start_ns: now });
        if current.is_some_and(|current| current <= last && Some(current) != known) {
            return self.adopt_living(from, pid, now, 0);
        }
        known
    }

    /// Takes in every process of `/proc`, and ends those that are gone from there. Gives the living
    /// ones that are new, eldest first.
    pub(super) fn scan(&mut self, from: &Lookout<'_>) -> Vec<Key> {
        let stats = from
            .proc
            .pids()
            .into_iter()
            .filter_map(|pid| from.proc.stat(pid));
        let mut stats: Vec<_> = stats.collect();
        stats.sort_by_key(|stat| (stat.process.start_ns, stat.process.pid));
        let alive: HashMap<u32, Key> = stats
            .iter()
            .map(|stat| (stat.process.pid, Key::from(stat.process)))
            .collect();
        let gone: Vec<Key> = self
            .living()
            .filter(|key| alive.get(&key.pid) != Some(key))
            .collect();
        for key in gone {
            self.exit(key, from.time);
        }
        let mut new = Vec::new();
        for stat in &stats {
            let key = Key::from(stat.process);
            if self.contains(key) {
                continue;
            }
            let Some(task) = from.proc.task(stat) else {
                continue;
            };
            let program = from.proc.program(stat.process);
            let newcomer = Newcomer {
                id: stat.process,
                parent: alive.get(&stat.parent).copied(),
                program: program.map(|seen| self.keep_program(&seen)),
                standing: Arc::new(Standing::from(&task)),
                exited: None,
            };
            if self.add(newcomer, from.time) {
                new.push(key);
            }
        }
        new
    }

    /// The process that `pid` named when `child` had it as parent.
    pub(super) fn parent(
        &mut self,
        from: &Lookout<'_>,
        pid: u32,
        child: ProcessId,
        depth: u16,
    ) -> Option<Key> {
        if pid == 0 || pid == child.pid || depth >= MAX_DEPTH {
            return None;
        }
        if let Some(key) = self.adopt_living(from, pid, child.start_ns, depth) {
            return Some(key);
        }
        let child_start = from.clock.wall(child.start_ns);
        let entry = self.started_by(pid, child.start_ns)?;
        // One that ended before the child began has only given its id to the parent.
        let is_parent = entry
            .exited
            .is_none_or(|end| end.plus_nanos(ProcessId::TICK_NS.cast_signed()) >= child_start);
        is_parent.then(|| Key::from(entry.id))
    }

    /// The living process of an id that started no later than `start_ns`, taken in if it is new.
    fn adopt_living(
        &mut self,
        from: &Lookout<'_>,
        pid: u32,
        start_ns: u64,
        depth: u16,
    ) -> Option<Key> {
        let stat = from.proc.stat(pid)?;
        let key = Key::from(stat.process);
        if key > Key::from(ProcessId { pid, start_ns }) {
            return None;
        }
        if self.contains(key) {
            return Some(key);
        }
        let task = from.proc.task(&stat)?;
        let seen = from.proc.program(stat.process)?;
        let parent = self.parent(from, stat.parent, stat.process, depth + 1);
        let newcomer = Newcomer {
            id: stat.process,
            parent,
            program: Some(self.keep_program(&seen)),
            standing: Arc::new(Standing::from(&task)),
            exited: None,
        };
        self.add(newcomer, from.time).then_some(key)
    }
}
