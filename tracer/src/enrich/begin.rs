//! Whether a process begins a run: it is a package manager, configuration management, or was typed.

use std::sync::Arc;

use change::{RunKind, Timestamp, Tool};

use super::Enrich;
use super::processes::{Entry, Key};
use super::runs::Beginning;
use super::standing::Standing;
use super::tell::Doer;
use crate::command::Command;

/// Tools that serve for months: what one does at somebody's request is no execution of its own.
const SERVERS: [&str; 4] = ["cf-execd", "packagekitd", "salt-minion", "snapd"];

/// A process that has just begun to run a program.
pub(super) struct Beginner {
    pub(super) key: Key,
    /// Its parent's process id, for one that the table has no room for.
    pub(super) parent: u32,
    /// Its process group; 0 where it is not known.
    pub(super) group: u32,
    pub(super) time: Timestamp,
}

impl Enrich {
    /// Decides whether the program that a process has begun to run makes a run.
    pub(super) fn consider_run(&mut self, beginner: &Beginner) {
        let Some(entry) = self.processes.get(beginner.key) else {
            return;
        };
        let (parent, standing) = (entry.run, Arc::clone(&entry.standing));
        let Some(command) = command_of(entry) else {
            return;
        };
        let name = command.known_as();
        let tool = self.runs.tools.of_command(command.exe, command.argv);
        let tool = tool.filter(|_| !SERVERS.contains(&name));
        let tool = tool.map(|tool| match tool {
            Tool::PackageManager(name) => (RunKind::PackageManager, name.to_owned()),
            Tool::ConfigManagement(name) => (RunKind::ConfigManagement, name.to_owned()),
        });
        if let Some(id) = parent.filter(|id| self.is_what_was_meant(*id, beginner.key)) {
            let (kind, name) = match &tool {
                Some((kind, name)) => (Some(*kind), name.as_str()),
                None => (None, name),
            };
            self.runs.rename(id, name, kind);
            return;
        }
        let above = parent.and_then(|id| Some(self.runs.get(id)?.0.kind));
        let is_typed = self.is_typed(beginner, &standing);
        let (kind, tool) = match tool {
            Some((kind, tool)) if is_typed || above != Some(kind) => (kind, tool),
            None if is_typed => (RunKind::Command, name.to_owned()),
            _ => return,
        };
        self.begin_run(beginner, standing, (kind, tool), parent);
    }

    fn begin_run(
        &mut self,
        beginner: &Beginner,
        standing: Arc<Standing>,
        (kind, tool): (RunKind, String),
        parent: Option<u64>,
    ) {
        let Some(entry) = self.processes.get(beginner.key) else {
            return;
        };
        let doer = Doer {
            id: entry.id,
            parent: beginner.parent,
            standing,
        };
        let above = entry.parent.unwrap_or(beginner.key);
        let caller = self.processes.beginner(above);
        let caller = caller.map_or(above, |caller| Key::from(caller.id));
        let counted = self.runs.count_to_last(caller, beginner.time);
        let id = counted.unwrap_or_else(|| {
            let actor = Arc::new(self.tell(&doer, beginner.time));
            let beginning = Beginning {
                kind,
                tool,
                leader: beginner.key,
                caller,
                parent,
                time: beginner.time,
            };
            self.runs.begin(beginning, actor)
        });
        self.processes.set_run(beginner.key, id);
    }

    /// Whether a process runs what somebody meant by the command of a run: after nothing but wrappers
    /// such as `sudo`, or in the run's own process.
    fn is_what_was_meant(&self, id: u64, key: Key) -> bool {
        let Some((run, leader)) = self.runs.get(id) else {
            return false;
        };
        if run.kind != RunKind::Command {
            return false;
        }
        let is_wrapper = |entry: &Entry| {
            let command = command_of(entry);
            command.is_none_or(|command| command.is_wrapper())
        };
        let above = self.processes.lineage(key).skip(1);
        key == leader
            || above
                .take_while(|entry| is_wrapper(entry))
                .any(|entry| Key::from(entry.id) == leader)
    }

    /// Whether somebody typed it: a shell to type in, on a terminal, gave it a process group of its
    /// own. What a shell runs in order to know its output stays in the shell's group.
    fn is_typed(&self, beginner: &Beginner, standing: &Standing) -> bool {
        let entry = self.processes.get(beginner.key);
        let above = entry.and_then(|entry| entry.parent);
        let Some(shell) = above.and_then(|above| self.processes.beginner(above)) else {
            return false;
        };
        let is_shell = command_of(shell).is_some_and(|command| command.is_shell_to_type_in());
        let is_job = beginner.group != 0 && beginner.group != shell.id.pid;
        standing.tty.is_some() && is_shell && is_job
    }
}

fn command_of(entry: &Entry) -> Option<Command<'_>> {
    let program = entry.program.as_deref()?;
    Some(Command {
        exe: program.exe.as_deref(),
        argv: &program.argv,
    })
}
