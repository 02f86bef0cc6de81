//! Sessions that begin and end with their processes.

use change::{SessionKind, Timestamp};

use super::Enrich;
use super::processes::{Entry, Key};
use super::sessions::{Kin, Sighting, begun_by};
use super::standing::Standing;

impl Enrich {
    pub(super) fn end_sessions(&mut self, time: Timestamp) {
        for session in self.processes.take_emptied_sessions() {
            self.sessions.end(session, time);
        }
    }

    /// Lets the sessions learn from a process, if they still have something to learn.
    pub(super) fn note_session(&mut self, key: Key, standing: &Standing, time: Timestamp) {
        let Some(session) = standing.audit_session else {
            return;
        };
        if !self.sessions.wants(session, time, standing.tty.is_some()) {
            return;
        }
        let kin: Vec<Kin> = self
            .processes
            .lineage(key)
            .map(|entry| Kin {
                id: entry.id,
                begins: begins(entry),
            })
            .collect();
        let place = self.units.place(standing.cgroup, key.pid, time);
        let sighting = Sighting {
            time,
            kin,
            tty: standing.tty.clone(),
            user: standing.login_uid.map(|uid| self.users.user(uid, time)),
            otherwise: self.kind_without_login(&place, standing),
        };
        if self.sessions.sight(&self.proc, session, &sighting) {
            self.actors.clear();
        }
    }
}

/// What sort of session a process begins.
pub(super) fn begins(entry: &Entry) -> Option<SessionKind> {
    begun_by(entry.program.as_deref()?.name())
}
