//! What a task's rights and place are, without who it is: what processes share with their parents.

use crate::observed::Task;

/// The part of a [`Task`] that an actor is told from besides the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) euid: u32,
    pub(super) login_uid: Option<u32>,
    pub(super) audit_session: Option<u32>,
    pub(super) tty: Option<String>,
    pub(super) cgroup: u64,
    pub(super) mount_ns: u32,
    pub(super) pid_ns: u32,
}

impl Standing {
    /// Whether the task stands like this.
    pub(super) fn is_of(&self, task: &Task) -> bool {
        self.euid == task.euid
            && self.login_uid == task.login_uid
            && self.audit_session == task.audit_session
            && self.tty == task.tty
            && self.cgroup == task.cgroup
            && self.mount_ns == task.mount_ns
            && self.pid_ns == task.pid_ns
    }
}

impl From<&Task> for Standing {
    fn from(task: &Task) -> Self {
        let Task {
            process: _,
            tid: _,
            parent: _,
            uid: _,
            euid,
            login_uid,
            audit_session,
            posix_session: _,
            tty,
            cgroup,
            mount_ns,
            pid_ns,
        } = task;
        Self {
            euid: *euid,
            login_uid: *login_uid,
            audit_session: *audit_session,
            tty: tty.clone(),
            cgroup: *cgroup,
            mount_ns: *mount_ns,
            pid_ns: *pid_ns,
        }
    }
}
