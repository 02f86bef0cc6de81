//! Puts an actor together from all that is known of a process.

use std::sync::Arc;

use change::{Actor, Ancestor, Process, Session, SessionKind, Timestamp};

use super::Enrich;
use super::logins::begins;
use super::place::Place;
use super::processes::{Key, MAX_DEPTH};
use super::program::{self, MaskedProgram};
use super::sessions::{begun_by, terminal};
use super::standing::Standing;
use crate::observed::ProcessId;

/// How much of the command lines of all ancestors together is told; behind that each is kept short.
const ANCESTRY_ARGV_BYTES: usize = 16 * 1024;

/// How much of each is told in any case.
const SHORT_ARGV_BYTES: usize = 128;

/// Stands for the rest of an ancestor's command line that was cut.
const CUT: &str = "…";

/// A process that an actor is told of.
pub(super) struct Doer {
    pub(super) id: ProcessId,
    /// Its parent's process id as of now; for one that the table has no room for.
    pub(super) parent: u32,
    pub(super) standing: Arc<Standing>,
}

impl Enrich {
    /// Tells the actor that a process was at a time.
    pub(super) fn tell(&mut self, doer: &Doer, time: Timestamp) -> Actor {
        self.clock.follow();
        let key = Key::from(doer.id);
        let standing = &*doer.standing;
        self.note_session(key, standing, time);
        let (program, ancestors) = self.ancestors(doer, time);
        let place = self.units.place(standing.cgroup, doer.id.pid, time);
        let session = self.session(standing, &place, &ancestors);
        let is_first = program
            .as_deref()
            .is_some_and(|program| begun_by(program.name()) == Some(session.kind));
        let ancestors = if is_first { &[] } else { ancestors.as_slice() };
        let ancestry = self.ancestry(ancestors, session.kind, time);
        let program = program.map(|program| (*program).clone());
        let MaskedProgram {
            exe,
            argv,
            argv_truncated,
            cwd,
        } = program.unwrap_or_default();
        let mut actor = Actor {
            user: self.users.user(standing.euid, time),
            login_user: standing
                .login_uid
                .map(|login_uid| self.users.user(login_uid, time)),
            process: Process {
                pid: doer.id.pid,
                start: self.clock.wall(doer.id.start_ns),
                exe,
                argv,
                argv_truncated,
                cwd,
            },
            ancestry,
            session: Some(session),
            unit: place.unit.clone(),
            container: self.units.container(&place, standing),
            by: None,
        };
        actor.by = Some(self.runs.tools.author(&actor));
        actor
    }

    /// The program of a process, and all its ancestors but the first process.
    fn ancestors(
        &mut self,
        doer: &Doer,
        time: Timestamp,
    ) -> (Option<Arc<MaskedProgram>>, Vec<Key>) {
        let key = Key::from(doer.id);
        let (program, parent) = if let Some(entry) = self.processes.get(key) {
            (entry.program_at(time).cloned(), entry.parent)
        } else {
            // The table has no room for it.
            let (processes, from) = self.lookout(time);
            let parent = processes.parent(&from, doer.parent, doer.id, 0);
            let seen = self.proc.program(doer.id);
            let program = seen.map(|seen| MaskedProgram::new(&seen, program::MAX_ARGV_BYTES));
            (program.map(Arc::new), parent)
        };
        let ancestors = parent.into_iter().flat_map(|parent| {
            let lineage = self.processes.lineage(parent);
            lineage.map(|entry| Key::from(entry.id))
        });
        let ancestors = ancestors
            .take_while(|kin| kin.pid != 1)
            .take(usize::from(MAX_DEPTH));
        (program, ancestors.collect())
    }

    fn session(&self, standing: &Standing, place: &Place, ancestors: &[Key]) -> Session {
        if let Some(session) = standing.audit_session.and_then(|id| self.sessions.get(id)) {
            return session.clone();
        }
        // Kernels without audit, and hosts whose logins don't set it up, still have logind's scope.
        let is_login = place.is_login_scope();
        let begun = ancestors
            .iter()
            .filter(|_| is_login)
            .find_map(|&key| begins(self.processes.get(key)?));
        Session {
            id: standing.audit_session.unwrap_or(0),
            kind: begun.unwrap_or_else(|| self.kind_without_login(place, standing)),
            tty: standing.tty.as_deref().map(terminal),
            remote: None,
        }
    }

    /// What a chain of processes belongs to that no login began.
    pub(super) fn kind_without_login(&self, place: &Place, standing: &Standing) -> SessionKind {
        if self.units.container(place, standing).is_some() {
            SessionKind::Container
        } else if place.is_service() {
            SessionKind::Service
        } else {
            SessionKind::Boot
        }
    }

    /// The ancestors up to the one that began the session.
    fn ancestry(&mut self, ancestors: &[Key], kind: SessionKind, time: Timestamp) -> Vec<Ancestor> {
        let mut ancestry = Vec::new();
        let mut room = ANCESTRY_ARGV_BYTES;
        for &key in ancestors {
            let Some(begun) = self.processes.get(key).map(begins) else {
                break;
            };
            if begun == Some(SessionKind::Ssh) {
                self.read_title(key);
            }
            let Some(entry) = self.processes.get(key) else {
                break;
            };
            let program = entry.program_at(time).map(Arc::as_ref);
            let argv = program.map_or_else(Vec::new, |program| shortened(program, &mut room));
            ancestry.push(Ancestor {
                pid: key.pid,
                exe: program.and_then(|program| program.exe.clone()),
                argv,
            });
            if begun == Some(kind) {
                break;
            }
        }
        ancestry
    }

    /// The ssh server's processes say whom they serve: `sshd: alice@pts/0`.
    fn read_title(&mut self, key: Key) {
        let Some(entry) = self.processes.get(key) else {
            return;
        };
        let title = entry
            .program
            .as_deref()
            .and_then(|program| program.argv.first());
        let is_final = title.is_some_and(|title| title.contains('@'));
        if is_final || entry.exited.is_some() {
            return;
        }
        if let Some(title) = self.proc.title(entry.id).filter(|title| !title.is_empty()) {
            self.processes.retitle(key, title);
        }
    }
}

/// An ancestor's command line, as far as there is room for it.
fn shortened(program: &MaskedProgram, room: &mut usize) -> Vec<String> {
    let mut argv = program.argv.clone();
    let most = (*room).clamp(SHORT_ARGV_BYTES, program::MAX_ARGV_BYTES);
    let is_cut = program::truncate(&mut argv, most);
    let told: usize = argv.iter().map(|word| word.len() + 1).sum();
    *room = room.saturating_sub(told);
    if is_cut || program.argv_truncated {
        argv.push(CUT.to_owned());
    }
    argv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_command_lines_of_many_ancestors_are_cut_and_say_so() {
        let program = MaskedProgram {
            argv: vec!["x".repeat(999); 4],
            ..MaskedProgram::default()
        };
        let mut room = ANCESTRY_ARGV_BYTES;
        let told: Vec<_> = (0..MAX_DEPTH)
            .map(|_| shortened(&program, &mut room))
            .collect();
        assert_eq!(told[0], program.argv);
        assert_eq!(told[63].last().map(String::as_str), Some(CUT));
        assert_eq!(told[63][0].len(), SHORT_ARGV_BYTES);
        let bytes: usize = told.iter().flatten().map(String::len).sum();
        assert!(bytes < 2 * ANCESTRY_ARGV_BYTES, "{bytes}");
    }
}
