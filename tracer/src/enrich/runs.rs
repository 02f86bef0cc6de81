//! Runs: which executions are worth keeping by themselves, and which of them is at work.
//! Whether a process begins one is decided in `enrich/begin.rs`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use change::{Actor, Run, RunKind, Timestamp, Tools};

use super::processes::Key;

/// How many runs one caller may begin at once, and how many more each second. A loop that was typed
/// begins hundreds a second, and would fill the disk with them.
const BURST: u32 = 200;
const REFILL_NS: i64 = 1_000_000_000;

/// How many callers are remembered.
const MAX_CALLERS: usize = 4096;

/// By how much the start of a process may differ from what the store says of it: the clock is corrected
/// in small steps all the time.
const START_TOLERANCE_NS: u64 = 2_000_000_000;

/// Knows the runs that are at work.
#[derive(Debug)]
pub(super) struct Runs {
    pub(super) tools: Tools,
    next: u64,
    open: BTreeMap<u64, Open>,
    /// What is new or different since the store was told last.
    updates: BTreeMap<u64, Run>,
    callers: HashMap<Key, Caller>,
    /// Runs that the store knows as running, from before the daemon started.
    left: Vec<Run>,
}

#[derive(Debug)]
struct Open {
    run: Run,
    leader: Key,
    caller: Option<Key>,
}

/// Whoever begins runs: a shell, or a script that calls a package manager.
#[derive(Debug)]
struct Caller {
    room: u32,
    filled: Timestamp,
    last: Option<Run>,
}

/// A run that is to begin.
pub(super) struct Beginning {
    pub(super) kind: RunKind,
    pub(super) tool: String,
    pub(super) leader: Key,
    pub(super) caller: Key,
    pub(super) parent: Option<u64>,
    pub(super) time: Timestamp,
}

impl Runs {
    pub(super) fn new(tools: Tools) -> Self {
        Self {
            tools,
            next: 1,
            open: BTreeMap::new(),
            updates: BTreeMap::new(),
            callers: HashMap::new(),
            left: Vec::new(),
        }
    }

    /// Goes on from what the store knows: the number of its newest run, and those without an end.
    pub(super) fn resume(&mut self, newest: u64, left: Vec<Run>) {
        self.next = newest.saturating_add(1);
        self.left = left;
    }

    /// Takes up the run that a living process leads as the store knows it.
    pub(super) fn take_up(&mut self, leader: Key, start: Timestamp) -> Option<u64> {
        let is_it = |run: &Run| {
            let process = &run.actor.process;
            let off = process.start.as_nanos().abs_diff(start.as_nanos());
            process.pid == leader.pid && off <= START_TOLERANCE_NS
        };
        let run = self.left.extract_if(.., |run| is_it(run)).next()?;
        Some(self.open(run, leader, None))
    }

    fn open(&mut self, run: Run, leader: Key, caller: Option<Key>) -> u64 {
        let id = run.id;
        let open = Open {
            run,
            leader,
            caller,
        };
        self.open.insert(id, open);
        id
    }

    /// The runs that nobody took up have ended while nobody watched.
    pub(super) fn lose_left(&mut self) {
        for mut run in std::mem::take(&mut self.left) {
            run.running = false;
            self.updates.insert(run.id, run);
        }
    }

    /// Counts a run to the last one of its caller, whose number it gives, where that has begun too many.
    pub(super) fn count_to_last(&mut self, caller: Key, time: Timestamp) -> Option<u64> {
        if self.callers.len() >= MAX_CALLERS {
            self.callers.clear();
        }
        let known = self.callers.entry(caller).or_insert_with(|| Caller {
            room: BURST,
            filled: time,
            last: None,
        });
        if known.has_room(time) {
            return None;
        }
        let last = known.last.as_mut()?;
        last.more += 1;
        if let Some(open) = self.open.get_mut(&last.id) {
            open.run.more = last.more;
        }
        self.updates.insert(last.id, last.clone());
        Some(last.id)
    }

    /// Begins a run, and gives its number.
    pub(super) fn begin(&mut self, beginning: Beginning, actor: Arc<Actor>) -> u64 {
        let Beginning {
            kind,
            tool,
            leader,
            caller,
            parent,
            time,
        } = beginning;
        let id = self.next;
        self.next += 1;
        let run = Run {
            id,
            kind,
            tool,
            actor,
            start: time,
            end: None,
            exit_code: None,
            signal: None,
            running: true,
            parent,
            more: 0,
            changes: 0,
        };
        if let Some(known) = self.callers.get_mut(&caller) {
            known.last = Some(run.clone());
        }
        self.updates.insert(id, run.clone());
        self.open(run, leader, Some(caller))
    }

    /// The kind and tool of a run at work, and the process that leads it.
    pub(super) fn get(&self, id: u64) -> Option<(&Run, Key)> {
        self.open.get(&id).map(|open| (&open.run, open.leader))
    }

    /// What a run wraps turned out to be this.
    pub(super) fn rename(&mut self, id: u64, tool: &str, kind: Option<RunKind>) {
        let Some(open) = self.open.get_mut(&id) else {
            return;
        };
        tool.clone_into(&mut open.run.tool);
        open.run.kind = kind.unwrap_or(open.run.kind);
        let (run, caller) = (open.run.clone(), open.caller);
        self.note(run, caller);
    }

    /// What is different of a run, also for its caller, whose last one it may be.
    fn note(&mut self, run: Run, caller: Option<Key>) {
        let caller = caller.and_then(|caller| self.callers.get_mut(&caller));
        let last = caller.and_then(|caller| caller.last.as_mut());
        if let Some(last) = last.filter(|last| last.id == run.id) {
            last.clone_from(&run);
        }
        self.updates.insert(run.id, run);
    }

    /// A process ended, with a status as wait(2) gives it; none where that was not seen.
    pub(super) fn end(&mut self, id: u64, process: Key, time: Timestamp, status: Option<i32>) {
        if self.open.get(&id).is_none_or(|open| open.leader != process) {
            return;
        }
        let Some(Open {
            mut run, caller, ..
        }) = self.open.remove(&id)
        else {
            return;
        };
        run.running = false;
        if let Some(status) = status {
            let signal = u8::try_from(status & 0x7f).unwrap_or(0);
            run.end = Some(time);
            run.signal = (signal != 0).then_some(signal);
            run.exit_code = (signal == 0)
                .then(|| u8::try_from(status >> 8 & 0xff).ok())
                .flatten();
        }
        self.note(run, caller);
    }

    /// The runs at work with their leaders.
    pub(super) fn leaders(&self) -> Vec<(u64, Key)> {
        let open = self.open.iter();
        open.map(|(id, open)| (*id, open.leader)).collect()
    }

    /// A caller ended.
    pub(super) fn forget_caller(&mut self, process: Key) {
        self.callers.remove(&process);
    }

    /// The runs that are new or have changed since the last call, by their numbers.
    pub(super) fn take_updates(&mut self) -> Vec<Run> {
        std::mem::take(&mut self.updates).into_values().collect()
    }
}

impl Caller {
    fn has_room(&mut self, time: Timestamp) -> bool {
        let since = time.as_nanos().saturating_sub(self.filled.as_nanos());
        let more = since / REFILL_NS;
        if more != 0 {
            let more = u32::try_from(more.max(0)).unwrap_or(BURST);
            self.room = self.room.saturating_add(more).min(BURST);
            self.filled = time;
        }
        let has = self.room > 0;
        self.room = self.room.saturating_sub(1);
        has
    }
}
