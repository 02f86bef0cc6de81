//! Login sessions by the kernel's audit session id: what sort they are, on which terminal, from
//! where, and how long they last.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::{Path, PathBuf};

use change::wire::SessionBody;
use change::{Session, SessionKind, Timestamp, User};

use super::procfs::Procfs;
use super::remote::{self, Login};
use crate::observed::ProcessId;

/// How often an ssh session's origin is looked for.
const MAX_TRIES: u32 = 8;

/// How long to wait before the second try; doubled for each one after that. logind writes its file
/// some milliseconds after the session's first process was seen.
const FIRST_WAIT_NS: i64 = 20_000_000;

/// How many ended sessions are remembered, for records that come late.
const MAX_ENDED: usize = 1024;

/// How many sessions are remembered at all.
const MAX_SESSIONS: usize = 16_384;

/// One process of those that a session's kind is told from.
#[derive(Clone, Debug)]
pub(super) struct Kin {
    pub(super) id: ProcessId,
    /// What sort of session its program begins.
    pub(super) begins: Option<SessionKind>,
}

/// What is known of a session when one of its processes is seen.
#[derive(Debug)]
pub(super) struct Sighting {
    pub(super) time: Timestamp,
    /// The process and its ancestors, nearest first.
    pub(super) kin: Vec<Kin>,
    pub(super) tty: Option<String>,
    pub(super) user: Option<User>,
    /// What sort it is if neither ancestry nor logind tell.
    pub(super) otherwise: SessionKind,
}

/// Knows the sessions since the boot.
#[derive(Debug)]
pub(super) struct Sessions {
    root: PathBuf,
    known: HashMap<u32, Known>,
    ended: VecDeque<u32>,
    changed: BTreeSet<u32>,
}

#[derive(Debug)]
struct Known {
    session: Session,
    user: Option<User>,
    start: Timestamp,
    end: Option<Timestamp>,
    tries: u32,
    next_try: Timestamp,
}

impl Known {
    fn is_origin_unknown(&self) -> bool {
        self.session.kind == SessionKind::Ssh && self.session.remote.is_none()
    }
}

impl Sessions {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
            known: HashMap::new(),
            ended: VecDeque::new(),
            changed: BTreeSet::new(),
        }
    }

    /// Whether a record of this time should bring a [`Sighting`].
    pub(super) fn wants(&self, id: u32, time: Timestamp, has_tty: bool) -> bool {
        let Some(known) = self.known.get(&id) else {
            return true;
        };
        (has_tty && known.session.tty.is_none())
            || (known.is_origin_unknown() && known.tries < MAX_TRIES && time >= known.next_try)
    }

    /// Learns from a process of the session; tells if anything is known now that was not before.
    pub(super) fn sight(&mut self, proc: &Procfs, id: u32, seen: &Sighting) -> bool {
        let before = self.known.get(&id).map(|known| known.session.clone());
        if before.is_none() {
            self.begin(id, seen);
        }
        let Some(known) = self.known.get_mut(&id) else {
            return false;
        };
        if known.session.tty.is_none() {
            known.session.tty = seen.tty.as_deref().map(terminal);
        }
        if before.is_none() || known.is_origin_unknown() {
            known.next_try = seen
                .time
                .plus_nanos(FIRST_WAIT_NS << known.tries.min(MAX_TRIES));
            known.tries += 1;
            let login = remote::login(&self.root, id).unwrap_or_default();
            Self::look_up(known, proc, login, seen);
        }
        let is_changed = before.as_ref() != Some(&known.session);
        if is_changed {
            self.changed.insert(id);
        }
        is_changed
    }

    /// The session as far as it is known.
    pub(super) fn get(&self, id: u32) -> Option<&Session> {
        Some(&self.known.get(&id)?.session)
    }

    /// The last process of the session ended.
    pub(super) fn end(&mut self, id: u32, time: Timestamp) {
        let Some(known) = self.known.get_mut(&id) else {
            return;
        };
        if known.end.is_none() {
            self.ended.push_back(id);
        }
        known.end = Some(time);
        self.changed.insert(id);
        while self.ended.len() > MAX_ENDED {
            self.forget_oldest();
        }
    }

    /// The session goes on, although its last known process had ended.
    pub(super) fn reopen(&mut self, id: u32) {
        if let Some(known) = self.known.get_mut(&id)
            && known.end.take().is_some()
        {
            self.ended.retain(|&ended| ended != id);
            self.changed.insert(id);
        }
    }

    /// The sessions that are new or have changed since the last call.
    pub(super) fn take_updates(&mut self) -> Vec<SessionBody> {
        std::mem::take(&mut self.changed)
            .into_iter()
            .filter_map(|id| {
                let known = self.known.get(&id)?;
                Some(SessionBody {
                    session: known.session.clone(),
                    user: known.user.clone(),
                    start: known.start,
                    end: known.end,
                    changes: 0,
                })
            })
            .collect()
    }

    fn begin(&mut self, id: u32, seen: &Sighting) {
        if self.known.len() >= MAX_SESSIONS && !self.forget_oldest() {
            return;
        }
        let kind = seen.kin.iter().find_map(|kin| kin.begins);
        let known = Known {
            session: Session {
                id,
                kind: kind.unwrap_or(seen.otherwise),
                tty: None,
                remote: None,
            },
            user: seen.user.clone(),
            start: seen.time,
            end: None,
            tries: 0,
            next_try: seen.time,
        };
        self.known.insert(id, known);
    }

    /// Forgets the session that ended first, once its end was told.
    fn forget_oldest(&mut self) -> bool {
        let Some(id) = self.ended.pop_front() else {
            return false;
        };
        self.known.remove(&id);
        self.changed.remove(&id);
        true
    }

    fn look_up(known: &mut Known, proc: &Procfs, login: Login, seen: &Sighting) {
        let session = &mut known.session;
        let is_told = seen.kin.iter().any(|kin| kin.begins.is_some());
        let service = login.service.as_deref().and_then(begun_by);
        if let (false, Some(kind)) = (is_told, service) {
            session.kind = kind;
        }
        if session.tty.is_none() {
            session.tty = login.tty;
        }
        session.remote = login.remote;
        if session.remote.is_none() && session.kind == SessionKind::Ssh {
            session.remote = seen
                .kin
                .iter()
                .filter(|kin| kin.begins == Some(SessionKind::Ssh))
                .find_map(|kin| remote::peer(proc, kin.id));
        }
    }
}

/// What sort of session a program begins, by the file name of its executable.
pub(super) fn begun_by(program: &str) -> Option<SessionKind> {
    match program {
        // OpenSSH 9.8 and later split the server: https://www.openssh.com/txt/release-9.8
        "sshd" | "sshd-session" | "sshd-auth" | "dropbear" => Some(SessionKind::Ssh),
        "cron" | "crond" | "atd" | "anacron" | "fcron" => Some(SessionKind::Cron),
        "login" | "agetty" | "getty" | "mgetty" | "lightdm" | "sddm" | "greetd" | "lxdm"
        | "xdm" | "systemd-logind" => Some(SessionKind::Console),
        _ if program.starts_with("gdm") || program.starts_with("sddm-") => {
            Some(SessionKind::Console)
        }
        _ => None,
    }
}

/// A terminal as people know it, from the kernel's name: `pts0` is `pts/0`.
pub(super) fn terminal(name: &str) -> String {
    match name.strip_prefix("pts") {
        Some(number) if number.starts_with(|c: char| c.is_ascii_digit()) => format!("pts/{number}"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn sighting(time_ms: i64, begins: Option<SessionKind>) -> Sighting {
        Sighting {
            time: Timestamp::from_nanos(time_ms * 1_000_000),
            kin: vec![Kin {
                id: ProcessId {
                    pid: 7,
                    start_ns: 0,
                },
                begins,
            }],
            tty: None,
            user: None,
            otherwise: SessionKind::Boot,
        }
    }

    #[test]
    fn an_origin_that_comes_late_is_found() {
        let root = tempfile::tempdir().unwrap();
        let proc = Procfs::new(root.path());
        let mut sessions = Sessions::new(root.path());
        let ssh = Some(SessionKind::Ssh);
        assert!(sessions.sight(&proc, 41, &sighting(0, ssh)));
        assert_eq!(sessions.take_updates().len(), 1);
        let folder = root.path().join("run/systemd/sessions");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("41"), "AUDIT=41\nREMOTE_HOST=10.1.2.3\n").unwrap();
        let soon = sighting(5, ssh);
        assert!(!sessions.wants(41, soon.time, false));
        let later = sighting(25, ssh);
        assert!(sessions.wants(41, later.time, false));
        assert!(sessions.sight(&proc, 41, &later));
        let updates = sessions.take_updates();
        assert_eq!(updates[0].session.remote.as_deref(), Some("10.1.2.3"));
        assert_eq!(updates[0].start, Timestamp::from_nanos(0));
        assert!(!sessions.wants(41, sighting(9999, ssh).time, false));
    }

    #[test]
    fn an_origin_that_nobody_knows_is_not_looked_for_for_ever() {
        let root = tempfile::tempdir().unwrap();
        let proc = Procfs::new(root.path());
        let mut sessions = Sessions::new(root.path());
        let tries = (0..1000)
            .map(|second| sighting(second * 1000, Some(SessionKind::Ssh)))
            .filter(|seen| sessions.wants(41, seen.time, false))
            .collect::<Vec<_>>();
        assert_eq!(tries.len(), 1000, "nothing is known yet");
        let mut looked = 0;
        for seen in tries {
            if sessions.wants(41, seen.time, false) {
                sessions.sight(&proc, 41, &seen);
                looked += 1;
            }
        }
        assert_eq!(looked, MAX_TRIES);
    }

    #[test]
    fn logind_tells_the_kind_where_the_ancestry_does_not() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("run/systemd/sessions");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("3"), "SERVICE=gdm-password\nTTY=tty2\n").unwrap();
        let mut sessions = Sessions::new(root.path());
        sessions.sight(&Procfs::new(root.path()), 3, &sighting(0, None));
        let session = sessions.get(3).unwrap();
        assert_eq!(session.kind, SessionKind::Console);
        assert_eq!(session.tty.as_deref(), Some("tty2"));
    }

    #[test]
    fn a_session_ends_and_may_go_on() {
        let root = tempfile::tempdir().unwrap();
        let mut sessions = Sessions::new(root.path());
        sessions.sight(&Procfs::new(root.path()), 3, &sighting(0, None));
        sessions.end(3, Timestamp::from_nanos(9));
        assert_eq!(
            sessions.take_updates()[0].end,
            Some(Timestamp::from_nanos(9))
        );
        sessions.reopen(3);
        assert_eq!(sessions.take_updates()[0].end, None);
        assert!(sessions.take_updates().is_empty());
    }

    #[test]
    fn terminals_are_named_as_people_know_them() {
        assert_eq!(terminal("pts12"), "pts/12");
        assert_eq!(terminal("tty1"), "tty1");
        assert_eq!(terminal("ptsx"), "ptsx");
    }
}
