//! From observations to actors: which process, started by whom, for which user, in which session.
//! Folding records to changes is not done here but in `assemble`, reading contents in `capture`.

use std::path::Path;
use std::sync::Arc;

use change::wire::SessionBody;
use change::{Actor, Run, Timestamp, Tools};

use self::actors::{Actors, Told};
use self::adopt::Lookout;
use self::begin::Beginner;
use self::clients::Clients;
pub use self::clients::Deed;
use self::clock::BootClock;
use self::processes::{Entry, Key, Limits, Processes};
use self::procfs::Procfs;
use self::requests::Requests;
use self::runs::Runs;
use self::sessions::Sessions;
use self::standing::Standing;
use self::tell::Doer;
use self::units::Units;
use self::users::Users;
use crate::observed::{Event, Observation, Task, Who};

mod actors;
mod adopt;
mod begin;
mod clients;
mod clock;
mod logins;
pub(crate) mod mask;
mod place;
mod processes;
mod procfs;
mod program;
mod remote;
mod requests;
mod runs;
mod sessions;
mod standing;
mod tell;
mod units;
mod users;

/// How long an actor told from a bare process id holds: no record says when its rights change.
const PID_HOLDS_NS: i64 = 1_000_000_000;

/// Knows processes, users, sessions, units and containers of the host, and tells actors.
#[derive(Debug)]
pub struct Enrich {
    proc: Procfs,
    clock: BootClock,
    processes: Processes,
    sessions: Sessions,
    units: Units,
    users: Users,
    actors: Actors,
    runs: Runs,
    clients: Clients,
    requests: Requests,
}

/// Who did something, and within which run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// Who it was.
    pub actor: Arc<Actor>,
    /// The run that owns what was done, if one does.
    pub run: Option<u64>,
}

impl Enrich {
    /// Knows nothing yet. `root` is `/`, or for tests a folder with `proc`, `etc` and so on in it.
    pub fn new(root: &Path) -> Self {
        Self::with_clock(root, clock::host_offset)
    }

    /// Like [`Enrich::new`], with a function for `CLOCK_REALTIME` minus `CLOCK_BOOTTIME` in
    /// nanoseconds.
    pub fn with_clock(root: &Path, boot_offset_ns: fn() -> i64) -> Self {
        Self::with_limits(root, boot_offset_ns, Limits::default())
    }

    fn with_limits(root: &Path, boot_offset_ns: fn() -> i64, limits: Limits) -> Self {
        Self {
            proc: Procfs::new(root),
            clock: BootClock::new(boot_offset_ns),
            processes: Processes::new(limits),
            sessions: Sessions::new(root),
            units: Units::new(root),
            users: Users::new(root),
            actors: Actors::default(),
            runs: Runs::new(Tools::default()),
            clients: Clients::default(),
            requests: Requests::default(),
        }
    }

    /// Takes these for package managers and configuration management.
    pub fn set_tools(&mut self, tools: Tools) {
        self.runs.tools = tools;
    }

    /// Goes on with the runs that the store knows: the number of the newest, and those without an end,
    /// which [`Enrich::scan`] takes up where their processes live. To be called before that.
    pub fn resume_runs(&mut self, newest: u64, left: Vec<Run>) {
        self.runs.resume(newest, left);
    }

    /// Takes in all processes that run. To be called when the probes are attached, and again
    /// whenever records of forks or exits were lost.
    pub fn scan(&mut self, now: Timestamp) {
        let (processes, from) = self.lookout(now);
        for key in processes.scan(&from) {
            let Some(entry) = self.processes.get(key) else {
                continue;
            };
            let (id, standing) = (entry.id, Arc::clone(&entry.standing));
            let start = self.clock.wall(id.start_ns);
            self.units.learn(standing.cgroup, id.pid);
            self.note_session(key, &standing, start);
            self.processes.inherit_run(key);
            match self.runs.take_up(key, start) {
                Some(run) => self.processes.set_run(key, run),
                None => self.consider_known(key, start),
            }
        }
        self.runs.lose_left();
        for (run, leader) in self.runs.leaders() {
            let leading = self.processes.get(leader);
            if leading.is_none_or(|leading| leading.exited.is_some()) {
                self.runs.end(run, leader, now, None);
            }
        }
        self.end_sessions(now);
    }

    /// Decides whether a process that was there already leads a run.
    fn consider_known(&mut self, key: Key, start: Timestamp) {
        let found = self.proc.stat(key.pid);
        let found = found.filter(|found| Key::from(found.process) == key);
        self.consider_run(&Beginner {
            key,
            parent: found.map_or(0, |found| found.parent),
            group: found.map_or(0, |found| found.process_group),
            time: start,
        });
    }

    /// Learns from an observation, and when by the clock it was. All observations are to be shown, in
    /// their order.
    pub fn observe(&mut self, observation: &Observation, time: Timestamp) {
        match &observation.who {
            Who::Task(task) => self.observe_task(task, &observation.event, time),
            Who::Pid(pid) => self.observe_pid(*pid, time),
        }
        self.end_sessions(time);
    }

    /// Tells who did something at a time. None if nothing at all is known of the process.
    pub fn actor(&mut self, who: &Who, time: Timestamp) -> Option<Arc<Actor>> {
        if self.users.refresh(time) {
            self.actors.clear();
        }
        let doer = match who {
            Who::Task(task) => {
                let key = Key::from(task.process);
                if let Some(told) = self.actors.get(key, time)
                    && told.standing.is_of(task)
                {
                    return Some(Arc::clone(&told.actor));
                }
                self.take_in(task, time, false);
                Doer {
                    id: task.process,
                    parent: task.parent,
                    standing: Arc::new(Standing::from(task)),
                }
            }
            Who::Pid(pid) => {
                let (processes, from) = self.lookout(time);
                let living = processes.living_pid(&from, *pid);
                if let Some(told) = living.and_then(|key| self.actors.get(key, time))
                    && time < told.time.plus_nanos(PID_HOLDS_NS)
                {
                    return Some(Arc::clone(&told.actor));
                }
                let (processes, from) = self.lookout(time);
                let key = processes.by_pid(&from, *pid)?;
                self.doer_of(key)?
            }
        };
        let actor = Arc::new(self.tell(&doer, time));
        let key = Key::from(doer.id);
        let told = Told {
            standing: doer.standing,
            time,
            since: self.processes.get(key).and_then(Entry::program_since),
            actor: Arc::clone(&actor),
        };
        let is_past = told.since.is_some_and(|since| time < since);
        if !is_past {
            self.actors.keep(key, told);
        }
        Some(actor)
    }

    /// Tells who did something at a time, and within which run.
    pub fn by(&mut self, who: &Who, time: Timestamp) -> Option<By> {
        let actor = self.actor(who, time)?;
        let entry = match who {
            Who::Task(task) => self.processes.get(Key::from(task.process)),
            Who::Pid(pid) => {
                let (processes, from) = self.lookout(time);
                processes.started_by(*pid, from.latest_start())
            }
        };
        let run = entry.and_then(|entry| entry.run);
        Some(By { actor, run })
    }

    /// Whether two processes are known to run the same executable, with whatever arguments: as the
    /// children of a loop in a shell do.
    pub fn is_same_program(&self, one: &Who, other: &Who) -> bool {
        let exe = |who: &Who| self.entry(who)?.program.as_deref()?.exe.as_deref();
        exe(one).is_some_and(|one| exe(other) == Some(one))
    }

    /// Whether a process is known to have ended.
    pub fn has_ended(&self, who: &Who) -> bool {
        self.entry(who).is_some_and(|entry| entry.exited.is_some())
    }

    fn entry(&self, who: &Who) -> Option<&Entry> {
        match who {
            Who::Task(task) => self.processes.get(Key::from(task.process)),
            Who::Pid(pid) => self.processes.started_by(*pid, u64::MAX),
        }
    }

    /// The sessions that are new, have changed or have ended since the last call; the number of
    /// changes in them is the store's to count.
    pub fn take_session_updates(&mut self) -> Vec<SessionBody> {
        self.sessions.take_updates()
    }

    /// The runs that are new or have changed since the last call, by their numbers; how many changes
    /// they own is the store's to count.
    pub fn take_run_updates(&mut self) -> Vec<Run> {
        self.runs.take_updates()
    }

    /// How many processes are known, for the daemon's metrics.
    pub fn process_count(&self) -> usize {
        self.processes.count()
    }

    fn observe_task(&mut self, task: &Task, event: &Event, time: Timestamp) {
        let key = Key::from(task.process);
        match event {
            Event::Exit { status } => {
                self.processes.update(key, task);
                self.note_end(key, task, *status, time);
                self.processes.exit(key, time);
                if let Some(run) = self.processes.get(key).and_then(|entry| entry.run) {
                    self.runs.end(run, key, time, Some(*status));
                }
                self.runs.forget_caller(key);
                return;
            }
            Event::Fork { child } => {
                self.take_in(task, time, true);
                self.processes.fork(task, *child, time);
            }
            Event::Exec(program) => {
                self.take_in(task, time, true);
                self.processes.exec(key, program, time);
                if self.processes.get(key).is_some_and(Entry::has_children) {
                    // It is in its children's ancestry.
                    self.actors.clear();
                } else {
                    self.actors.forget(key);
                }
                self.consider_run(&Beginner {
                    key,
                    parent: task.parent,
                    group: program.process_group,
                    time,
                });
                self.note_client(key, task, time);
            }
            Event::Cgroup { id, path } => self.units.made(*id, path),
            Event::Signal(sent) => self.note_signal(*sent, task, time),
            Event::File(_)
            | Event::Sysctl(_)
            | Event::Setting { .. }
            | Event::Sysrq { .. }
            | Event::Module(_)
            | Event::Mount(_) => {
                self.take_in(task, time, false);
                self.processes.mark_active(key);
            }
        }
        self.units.learn(task.cgroup, task.process.pid);
        let Some(session) = task.audit_session else {
            return;
        };
        if self.sessions.wants(session, time, task.tty.is_some()) {
            self.note_session(key, &Standing::from(task), time);
        }
        if matches!(event, Event::Fork { .. } | Event::Exec(_)) {
            self.sessions.reopen(session);
        }
    }

    fn observe_pid(&mut self, pid: u32, time: Timestamp) {
        let (processes, from) = self.lookout(time);
        let living = processes.living_pid(&from, pid);
        let Some(key) = living.or_else(|| processes.by_pid(&from, pid)) else {
            return;
        };
        self.processes.mark_active(key);
        if let Some(entry) = self.processes.get(key) {
            let standing = Arc::clone(&entry.standing);
            self.units.learn(standing.cgroup, pid);
            self.note_session(key, &standing, time);
        }
    }

    /// Brings the table up to what a record says of a task, which it may hear of the first time.
    fn take_in(&mut self, task: &Task, time: Timestamp, will_exit: bool) {
        let key = Key::from(task.process);
        if self.processes.contains(key) {
            self.processes.update(key, task);
        } else {
            let (processes, from) = self.lookout(time);
            processes.adopt(&from, task, will_exit);
        }
    }

    fn lookout(&mut self, time: Timestamp) -> (&mut Processes, Lookout<'_>) {
        let from = Lookout {
            proc: &self.proc,
            clock: &self.clock,
            time,
        };
        (&mut self.processes, from)
    }

    /// A process of the table as it stands now, or stood at last.
    fn doer_of(&mut self, key: Key) -> Option<Doer> {
        let id = self.processes.get(key)?.id;
        let stat = self.proc.alive(id);
        if let Some(task) = stat.and_then(|stat| self.proc.task(&stat)) {
            self.processes.update(key, &task);
        }
        Some(Doer {
            id,
            parent: stat.map_or(0, |stat| stat.parent),
            standing: Arc::clone(&self.processes.get(key)?.standing),
        })
    }
}

#[cfg(test)]
mod tests;
