//! The process table: who is whose child and runs which program, kept a while beyond the end.
//! Reading `/proc` for processes that no record told of is done in `adopt`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use change::{Text, Timestamp};

pub(super) use self::forget::Limits;
use self::session_sizes::SessionSizes;
use super::program::{MAX_ARGV_BYTES, MaskedProgram};
use super::standing::Standing;
use crate::observed::{self, ProcessId, Task};

mod belonging;
mod forget;
mod session_sizes;

/// Where the chain of a process's ended ancestors is cut, and how long an ancestry can be.
pub(super) const MAX_DEPTH: u16 = 64;

/// How many earlier programs of a process are kept.
const MAX_EARLIER: usize = 4;

/// How much of a command line is kept when the table holds more than it should.
const SHORT_ARGV_BYTES: usize = 256;

/// Names a process in the table. Equal for ids that are the [`ProcessId::same`], and ordered by
/// process id, then by start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) pid: u32,
    tick: u64,
}

impl From<ProcessId> for Key {
    fn from(id: ProcessId) -> Self {
        Self {
            pid: id.pid,
            tick: id.start_ns / ProcessId::TICK_NS,
        }
    }
}

/// What the table knows of a process.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: ProcessId,
    /// Who forked it, whoever adopted it later.
    pub(super) parent: Option<Key>,
    /// Shared with the parent until it runs a program of its own.
    pub(super) program: Option<Arc<MaskedProgram>>,
    pub(super) standing: Arc<Standing>,
    /// Programs before this one, each with when it was left; only of who changed something with
    /// one, because changes are told seconds after they were made.
    earlier: Vec<(Timestamp, Option<Arc<MaskedProgram>>)>,
    /// When it ended.
    pub(super) exited: Option<Timestamp>,
    /// The run that it belongs to: that of its parent, unless it began one.
    pub(super) run: Option<u64>,
    /// How many entries have it as parent.
    children: u32,
    /// How many ancestors it has in the table.
    depth: u16,
    /// Whether something but its life was told of it.
    active: bool,
    /// Whether it waits in a queue to be forgotten.
    queued: bool,
}

impl Entry {
    /// Whether others have it as parent.
    pub(super) fn has_children(&self) -> bool {
        self.children > 0
    }

    /// Whether the service manager forked it.
    pub(super) fn is_of_manager(&self) -> bool {
        self.parent.is_some_and(|parent| parent.pid == 1)
    }

    /// The program that it ran at a time.
    pub(super) fn program_at(&self, time: Timestamp) -> Option<&Arc<MaskedProgram>> {
        let earlier = self.earlier.iter().find(|(end, _)| time < *end);
        earlier
            .map_or(&self.program, |(_, program)| program)
            .as_ref()
    }

    /// Since when it has run its program, if it may be asked for one before that.
    pub(super) fn program_since(&self) -> Option<Timestamp> {
        self.earlier.last().map(|(end, _)| *end)
    }
}

/// What is put into the table.
pub(super) struct Newcomer {
    pub(super) id: ProcessId,
    pub(super) parent: Option<Key>,
    pub(super) program: Option<Arc<MaskedProgram>>,
    pub(super) standing: Arc<Standing>,
    /// When it ended, where it is known to be gone already.
    pub(super) exited: Option<Timestamp>,
}

/// The process table.
#[derive(Debug, Default)]
pub(super) struct Processes {
    entries: BTreeMap<Key, Entry>,
    limits: Limits,
    /// Ended processes in the order to forget them in.
    idle: VecDeque<Key>,
    active: VecDeque<Key>,
    program_bytes: usize,
    sessions: SessionSizes,
}

impl Processes {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    pub(super) fn get(&self, key: Key) -> Option<&Entry> {
        self.entries.get(&key)
    }

    /// How many processes it holds.
    pub(super) fn count(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn contains(&self, key: Key) -> bool {
        self.entries.contains_key(&key)
    }

    /// The last process of this id that started no later than `start_ns`.
    pub(super) fn started_by(&self, pid: u32, start_ns: u64) -> Option<&Entry> {
        let last = Key::from(ProcessId { pid, start_ns });
        let first = Key { pid, tick: 0 };
        let (_, entry) = self.entries.range(first..=last).next_back()?;
        Some(entry)
    }

    /// A process and its ancestors, nearest first.
    pub(super) fn lineage(&self, key: Key) -> impl Iterator<Item = &Entry> {
        let first = self.get(key);
        std::iter::successors(first, |entry| self.get(entry.parent?))
            .take(usize::from(MAX_DEPTH) + 1)
    }

    /// Living processes as far as the records tell.
    pub(super) fn living(&self) -> impl Iterator<Item = Key> {
        self.entries
            .iter()
            .filter_map(|(&key, entry)| entry.exited.is_none().then_some(key))
    }

    /// The audit sessions that have ended since the last call.
    pub(super) fn take_emptied_sessions(&mut self) -> Vec<u32> {
        self.sessions.take_emptied()
    }

    /// A process made a child, which has all but its id from it.
    pub(super) fn fork(&mut self, parent: &Task, child: ProcessId, time: Timestamp) {
        let parent_key = Key::from(parent.process);
        if let Some(entry) = self.entries.get(&Key::from(child)) {
            // The scan met it first, maybe when its parent had ended and another adopted it.
            if entry.parent != Some(parent_key) && self.contains(parent_key) {
                self.set_parent(Key::from(child), Some(parent_key));
            }
            return;
        }
        self.end_earlier(child, time);
        if !self.make_room(self.limits.entries - self.limits.entries / 4) {
            return;
        }
        self.shorten_chain(parent_key);
        let from = self.get(parent_key);
        let newcomer = Newcomer {
            id: child,
            parent: from.map(|_| parent_key),
            program: from.and_then(|from| from.program.clone()),
            standing: from.map_or_else(
                || Arc::new(Standing::from(parent)),
                |from| Arc::clone(&from.standing),
            ),
            exited: None,
        };
        self.insert(newcomer, time);
    }

    /// A process that is in the table runs a program from now on.
    pub(super) fn exec(&mut self, key: Key, seen: &observed::Program, time: Timestamp) {
        let mut before = self.replace_program(key, seen);
        if let Some(entry) = self.entries.get_mut(&key)
            && entry.active
        {
            entry.earlier.push((time, before.take()));
            if entry.earlier.len() > MAX_EARLIER {
                before = entry.earlier.remove(0).1;
            }
        }
        self.forget_program(before);
    }

    /// A process gave itself another command line, as servers do to say what they serve.
    pub(super) fn retitle(&mut self, key: Key, argv: Vec<Text>) {
        let Some(program) = self.get(key).and_then(|entry| entry.program.as_deref()) else {
            return;
        };
        let text = |text: &Option<String>| text.as_deref().map(Text::from);
        let seen = observed::Program {
            exe: text(&program.exe),
            argv,
            argv_truncated: false,
            cwd: text(&program.cwd),
            process_group: 0,
        };
        let before = self.replace_program(key, &seen);
        self.forget_program(before);
    }

    fn replace_program(
        &mut self,
        key: Key,
        seen: &observed::Program,
    ) -> Option<Arc<MaskedProgram>> {
        if !self.contains(key) {
            return None;
        }
        let program = self.keep_program(seen);
        self.entries.get_mut(&key)?.program.replace(program)
    }

    /// A process ended.
    pub(super) fn exit(&mut self, key: Key, time: Timestamp) {
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        if entry.exited.is_none() {
            entry.exited = Some(time);
            let session = entry.standing.audit_session;
            self.sessions.leave(session);
            self.queue(key);
            self.trim();
        }
    }

    /// Adds a process that no fork was seen of; tells if there was room.
    pub(super) fn add(&mut self, newcomer: Newcomer, time: Timestamp) -> bool {
        self.end_earlier(newcomer.id, time);
        let has_room = self.make_room(self.limits.entries);
        if has_room {
            self.insert(newcomer, time);
        } else {
            self.forget_program(newcomer.program);
        }
        has_room
    }

    /// Takes over what a record says of a process besides its program.
    pub(super) fn update(&mut self, key: Key, task: &Task) {
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        // What was read from `/proc` is only exact to a tick.
        if !task.process.start_ns.is_multiple_of(ProcessId::TICK_NS) {
            entry.id = task.process;
        }
        if entry.standing.is_of(task) {
            return;
        }
        let standing = Arc::new(Standing::from(task));
        let before = std::mem::replace(&mut entry.standing, standing).audit_session;
        if entry.exited.is_none() && before != task.audit_session {
            self.sessions.join(task.audit_session);
            self.sessions.leave(before);
        }
    }

    /// Something was told of the process: it is remembered longer.
    pub(super) fn mark_active(&mut self, key: Key) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.active = true;
        }
    }

    /// Makes a program as the table keeps it.
    pub(super) fn keep_program(&mut self, seen: &observed::Program) -> Arc<MaskedProgram> {
        let max_bytes = if self.program_bytes > self.limits.program_bytes {
            SHORT_ARGV_BYTES
        } else {
            MAX_ARGV_BYTES
        };
        let program = MaskedProgram::new(seen, max_bytes);
        self.program_bytes += program.size_bytes();
        Arc::new(program)
    }

    /// Ends the process that had the id before: an id is given out again only after its process is
    /// gone, so the record of that was lost.
    fn end_earlier(&mut self, id: ProcessId, time: Timestamp) {
        let before = id.start_ns.saturating_sub(ProcessId::TICK_NS);
        if let Some(earlier) = self.started_by(id.pid, before) {
            self.exit(Key::from(earlier.id), time);
        }
    }

    fn insert(&mut self, newcomer: Newcomer, time: Timestamp) {
        let Newcomer {
            id,
            parent,
            program,
            standing,
            exited,
        } = newcomer;
        let key = Key::from(id);
        let youngest = self
            .started_by(id.pid, u64::MAX)
            .map(|entry| Key::from(entry.id));
        let exited = exited.or_else(|| youngest.filter(|&youngest| youngest > key).map(|_| time));
        let session = standing.audit_session;
        let entry = Entry {
            id,
            parent: None,
            program,
            standing,
            earlier: Vec::new(),
            exited,
            run: None,
            children: 0,
            depth: 0,
            active: false,
            queued: false,
        };
        self.entries.insert(key, entry);
        self.set_parent(key, parent);
        self.inherit_run(key);
        if exited.is_some() {
            self.queue(key);
            self.trim();
        } else {
            self.sessions.join(session);
        }
    }

    fn set_parent(&mut self, key: Key, parent: Option<Key>) {
        // A parent is older than its child. Within one tick that does not show: keep circles out.
        let child_tick = key.tick;
        let parent = parent.filter(|&parent| {
            parent.tick <= child_tick
                && self
                    .lineage(parent)
                    .map(|kin| Key::from(kin.id))
                    .take_while(|kin| kin.tick == child_tick)
                    .all(|kin| kin != key)
        });
        let depth = match parent.and_then(|parent| self.entries.get_mut(&parent)) {
            Some(parent) => {
                parent.children += 1;
                parent.depth.saturating_add(1)
            }
            None => 0,
        };
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        entry.depth = depth;
        let before = std::mem::replace(&mut entry.parent, parent);
        self.lose_child(before);
    }

    /// Cuts ended ancestors out of a chain that has grown too long, as one of processes that each
    /// fork the next and end would without limit.
    fn shorten_chain(&mut self, key: Key) {
        if self.get(key).is_some_and(|entry| entry.depth >= MAX_DEPTH) {
            let living = self.lineage(key).skip(1).find(|kin| kin.exited.is_none());
            let living = living.map(|kin| Key::from(kin.id));
            self.set_parent(key, living);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_parts(1000, 0);

    fn id(pid: u32, tick: u64) -> ProcessId {
        let start_ns = tick * ProcessId::TICK_NS + 1;
        ProcessId { pid, start_ns }
    }

    fn task(process: ProcessId) -> Task {
        Task {
            process,
            audit_session: Some(3),
            ..Task::default()
        }
    }

    fn program(name: &str) -> observed::Program {
        observed::Program {
            exe: Some(name.into()),
            argv: vec![name.into()],
            ..observed::Program::default()
        }
    }

    /// A table with one process, `sh`, that started at the first tick.
    fn table(limits: Limits) -> (Processes, Task) {
        let mut table = Processes::new(limits);
        let first = task(id(100, 1));
        let newcomer = Newcomer {
            id: first.process,
            parent: None,
            program: None,
            standing: Arc::new(Standing::from(&first)),
            exited: None,
        };
        assert!(table.add(newcomer, NOW));
        table.exec(first.process.into(), &program("sh"), NOW);
        (table, first)
    }

    fn name(table: &Processes, id: ProcessId) -> Option<&str> {
        Some(table.get(id.into())?.program_at(NOW)?.name())
    }

    fn lineage(table: &Processes, id: ProcessId) -> Vec<u32> {
        let lineage = table.lineage(id.into());
        lineage.map(|entry| entry.id.pid).collect()
    }

    #[test]
    fn a_child_runs_its_parents_program_until_its_own() {
        let (mut table, sh) = table(Limits::default());
        table.fork(&sh, id(101, 2), NOW);
        assert_eq!(name(&table, id(101, 2)), Some("sh"));
        table.exec(id(101, 2).into(), &program("vim"), NOW);
        assert_eq!(name(&table, id(101, 2)), Some("vim"));
        assert_eq!(name(&table, sh.process), Some("sh"));
    }

    #[test]
    fn an_ended_ancestor_is_remembered_as_long_as_a_descendant() {
        let limits = Limits {
            idle: 10,
            ..Limits::default()
        };
        let (mut table, sh) = table(limits);
        let middle = task(id(101, 2));
        table.fork(&sh, middle.process, NOW);
        table.fork(&middle, id(102, 3), NOW);
        table.exit(middle.process.into(), NOW);
        for pid in 1000..2000 {
            table.fork(&sh, id(pid, 5), NOW);
            table.exit(id(pid, 5).into(), NOW);
        }
        assert_eq!(lineage(&table, id(102, 3)), [102, 101, 100]);
        table.exit(id(102, 3).into(), NOW);
        for pid in 2000..2100 {
            table.fork(&sh, id(pid, 6), NOW);
            table.exit(id(pid, 6).into(), NOW);
        }
        assert!(!table.contains(middle.process.into()));
        assert_eq!(table.entries.len(), 11);
        assert_eq!(table.entries[&Key::from(sh.process)].children, 10);
    }

    #[test]
    fn a_fork_bomb_does_not_fill_the_memory() {
        let limits = Limits {
            entries: 1000,
            idle: 100,
            active: 100,
            ..Limits::default()
        };
        let (mut table, sh) = table(limits);
        for pid in 1000..101_000 {
            table.fork(&sh, id(pid, 5), NOW);
        }
        assert_eq!(table.entries.len(), 750);
        let late = task(id(500, 9));
        let newcomer = Newcomer {
            id: late.process,
            parent: Some(sh.process.into()),
            program: None,
            standing: Arc::new(Standing::from(&late)),
            exited: None,
        };
        assert!(
            table.add(newcomer, NOW),
            "what a record tells of still finds room"
        );
        for pid in 1000..101_000 {
            table.exit(id(pid, 5).into(), NOW);
        }
        assert_eq!(table.entries.len(), 102);
    }

    #[test]
    fn a_chain_of_processes_that_fork_and_end_stays_short() {
        let limits = Limits {
            idle: 10,
            ..Limits::default()
        };
        let (mut table, mut last) = table(limits);
        for step in 0..100_000 {
            let next = task(id(1000 + step, 5 + u64::from(step)));
            table.fork(&last, next.process, NOW);
            table.exec(next.process.into(), &program("next"), NOW);
            if step > 0 {
                table.exit(last.process.into(), NOW);
            }
            last = next;
        }
        // What waits to be forgotten may have a chain of ancestors each.
        assert!(table.entries.len() < 12 * 65, "{}", table.entries.len());
        assert_eq!(lineage(&table, last.process).last(), Some(&100));
    }

    #[test]
    fn long_command_lines_have_a_common_limit() {
        let limits = Limits {
            program_bytes: 100_000,
            ..Limits::default()
        };
        let (mut table, sh) = table(limits);
        let long = observed::Program {
            argv: vec!["x".repeat(4000).as_str().into()],
            ..observed::Program::default()
        };
        for pid in 1000..2000 {
            table.fork(&sh, id(pid, 5), NOW);
            table.exec(id(pid, 5).into(), &long, NOW);
        }
        assert!(table.program_bytes < 600_000, "{}", table.program_bytes);
        for pid in 1000..2000 {
            table.exit(id(pid, 5).into(), NOW);
        }
        table.limits.idle = 0;
        table.trim();
        let sh = table.get(sh.process.into()).unwrap();
        let left = sh.program.as_ref().unwrap().size_bytes();
        assert_eq!(table.program_bytes, left, "all others are forgotten");
    }

    #[test]
    fn a_reused_id_is_another_process() {
        let (mut table, sh) = table(Limits::default());
        table.fork(&sh, id(101, 2), NOW);
        table.exec(id(101, 2).into(), &program("old"), NOW);
        table.fork(&sh, id(101, 900), NOW);
        assert_eq!(name(&table, id(101, 900)), Some("sh"));
        assert_eq!(name(&table, id(101, 2)), Some("old"));
        assert!(table.get(id(101, 2).into()).unwrap().exited.is_some());
    }

    #[test]
    fn a_session_ends_with_its_last_process() {
        let (mut table, sh) = table(Limits::default());
        table.fork(&sh, id(101, 2), NOW);
        table.exit(sh.process.into(), NOW);
        assert_eq!(table.take_emptied_sessions(), Vec::<u32>::new());
        table.exit(id(101, 2).into(), NOW);
        assert_eq!(table.take_emptied_sessions(), [3]);
    }
}
