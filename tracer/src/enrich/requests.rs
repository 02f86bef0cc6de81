//! On whose behalf the kernel loads a module: it runs modprobe by itself where a task needs one that is not there, and
//! tells of that before. Each request is followed by one such modprobe, with the same name on its command line.

use std::collections::VecDeque;

use change::{Text, Timestamp};

use super::processes::Key;
use super::{By, Enrich};
use crate::observed::{Task, Who};

/// How many requests are remembered, and how long: the kernel begins to run modprobe at once, or waits five seconds for
/// others to end.
const MOST: usize = 256;
const REMEMBERED_NS: i64 = 60_000_000_000;
const BEGUN_NS: i64 = 6_000_000_000;

/// What stands before the name on the command line of the kernel's own modprobe:
/// <https://github.com/torvalds/linux/blob/v6.12/kernel/module/kmod.c> (`call_modprobe`).
const OPTIONS: [&str; 2] = ["-q", "--"];

/// The kernel's first thread, whose children all others are.
const KTHREADD: u32 = 2;

/// Knows what was asked of the kernel, by whom.
#[derive(Debug, Default)]
pub(super) struct Requests {
    all: VecDeque<Request>,
}

#[derive(Debug)]
struct Request {
    name: Text,
    by: Task,
    time: Timestamp,
    /// The modprobe that the kernel ran for it.
    helper: Option<Key>,
}

impl Enrich {
    /// A task needs a module, and the kernel is about to run modprobe for it.
    pub fn note_request(&mut self, name: Text, who: &Who, time: Timestamp) {
        let Who::Task(by) = who else {
            return;
        };
        let all = &mut self.requests.all;
        all.retain(|request| time <= request.time.plus_nanos(REMEMBERED_NS));
        if all.len() >= MOST {
            all.pop_front();
        }
        all.push_back(Request {
            name,
            by: by.clone(),
            time,
            helper: None,
        });
    }

    /// A process began to run a program, which may be the kernel's own modprobe.
    pub(super) fn note_helper(&mut self, key: Key, parent: u32, time: Timestamp) {
        if self.requests.all.is_empty() {
            return;
        }
        let entry = self.processes.get(key);
        let program = entry.and_then(|entry| entry.program.as_deref());
        let Some([_, options @ .., name]) = program.map(|program| program.argv.as_slice()) else {
            return;
        };
        if options != OPTIONS || !self.is_of_kernel(key, parent) {
            return;
        }
        let is_it = |request: &&mut Request| {
            request.helper.is_none()
                && request.name.as_bytes() == name.as_bytes()
                && time <= request.time.plus_nanos(BEGUN_NS)
        };
        // Of several the first: each has a modprobe of its own.
        if let Some(request) = self.requests.all.iter_mut().find(is_it) {
            request.helper = Some(key);
        }
    }

    /// On whose behalf a process of the kernel's own does what it does.
    pub fn behind(&mut self, who: &Who) -> Option<By> {
        let Who::Task(task) = who else {
            return None;
        };
        let helper = Some(Key::from(task.process));
        let mut all = self.requests.all.iter();
        let request = all.find(|request| request.helper == helper)?;
        let (by, time) = (Who::Task(request.by.clone()), request.time);
        self.by(&by, time)
    }

    /// Whether the kernel made a process by itself: a thread of its own is the parent.
    fn is_of_kernel(&self, key: Key, parent: u32) -> bool {
        let above = self.processes.lineage(key).nth(1);
        parent == KTHREADD
            || above.is_some_and(|above| {
                above.id.pid == KTHREADD
                    || above.parent.is_some_and(|parent| parent.pid == KTHREADD)
            })
    }
}
