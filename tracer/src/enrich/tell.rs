//! Puts an actor together from all that is known of a process.

use std::sync::Arc;

use change::{Actor, Ancestor, Process, Session, SessionKind, Timestamp};

use super::place::Place;
use super::processes::{Key, MAX_DEPTH};
use super::program::{self, MaskedProgram};
use super::sessions::{begun_by, terminal};
use super::standing::Standing;
use super::{Enrich, begins};
use crate::observed::ProcessId;

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
        Actor {
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
        }
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

    /// The ancestors up to the one that began the session.
    fn ancestry(&mut self, ancestors: &[Key], kind: SessionKind, time: Timestamp) -> Vec<Ancestor> {
        let mut ancestry = Vec::new();
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
            ancestry.push(Ancestor {
                pid: key.pid,
                exe: program.and_then(|program| program.exe.clone()),
                argv: program.map_or_else(Vec::new, |program| program.argv.clone()),
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
