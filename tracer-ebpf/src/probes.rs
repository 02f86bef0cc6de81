//! What all probes share: the header, the inode, and whether a change is to be recorded.
//!
//! The design in one paragraph: nothing sits on the write path. A change of content is told by
//! what follows it: the kernel moves the file's times on, at most once a clock tick (`dirtied`),
//! and the description is closed for the last time (`close`). Both run in the writer's context.
//! Every other change is told by the function that carries it out, with its result.

mod cgroup;
mod file;
mod module;
mod mount;
mod names;
mod process;
mod setting;
mod signal;
mod sysctl;

use tracer_ebpf::{Header, InodeRecord, NamespacesRecord, Probe, RecordKind, Settings};

use crate::maps;
use crate::path::{self, Place};
use crate::read::{self, CurrentTask, Memory, Probed};

/// Indices among a process's ids (`enum pid_type`, unchanged since 4.19).
const PIDTYPE_PGID: usize = 2;
const PIDTYPE_SID: usize = 3;

/// The watched place of a directory entry, unless the daemon itself is at work.
#[inline(always)]
fn recorded<M: Memory>(settings: &Settings, entry: M) -> Option<Place> {
    by_another(settings, path::watched(settings, entry)?)
}

#[inline(always)]
fn by_another(settings: &Settings, place: Place) -> Option<Place> {
    (read::pid_and_tid().0 != settings.ignored_pid).then_some(place)
}

/// Fills in a header from the current task; tells the time it put there.
#[inline(always)]
fn fill_header(header: &mut Header, kind: RecordKind) -> u64 {
    let task = CurrentTask::get();
    let cred = task.object(|o| &o.task_cred);
    let nsproxy = task.object(|o| &o.task_nsproxy);
    let leader = task.object(|o| &o.task_group_leader);
    // Not by the helper, which cgroup programs do not have on 5.10.
    header.pid = task.u32(|o| &o.task_tgid);
    header.tid = task.u32(|o| &o.task_pid);
    header.time_ns = read::now_ns();
    header.start_ns = leader.u64(|o| &o.task_start_boottime);
    header.cgroup = read::cgroup_id();
    header.kind = kind;
    header.parent = task.object(|o| &o.task_real_parent).u32(|o| &o.task_tgid);
    header.uid = cred.u32(|o| &o.cred_uid);
    header.euid = cred.u32(|o| &o.cred_euid);
    header.login_uid = task.u32(|o| &o.task_login_uid);
    header.audit_session = task.u32(|o| &o.task_session_id);
    header.mount_ns = nsproxy
        .object(|o| &o.nsproxy_mnt_ns)
        .u32(|o| &o.mnt_ns_inum);
    header.pid_ns = nsproxy
        .object(|o| &o.nsproxy_pid_ns)
        .u32(|o| &o.pid_ns_inum);
    header.reserved = 0;
    fill_terminal(header, task.object(|o| &o.task_signal).address());
    header.time_ns
}

/// Fills in the POSIX session and the terminal, which lie in arrays that the verifier does not
/// follow by type.
#[inline(always)]
fn fill_terminal(header: &mut Header, signal: *const u8) {
    let signal = Probed::new(signal);
    header.posix_session = shared_id(signal, PIDTYPE_SID);
    read::clear(&mut header.tty);
    let tty = signal.object(|o| &o.signal_tty);
    if !tty.is_null() {
        let name = tty.at(|o| &o.tty_name).address();
        read::copy_kernel_string(header.tty.as_mut_ptr(), 16, name);
    }
}

/// One of the ids that the threads of a process share, in the host's namespace.
#[inline(always)]
fn shared_id(signal: Probed, index: usize) -> u32 {
    let ids = signal.at(|o| &o.signal_pids).address();
    let id = Probed::new(Probed::load::<u64>(ids.wrapping_add(index * 8)) as *const u8);
    // The first of `numbers` is that of the host.
    id.u32(|o| &o.pid_numbers)
}

/// Fills in the namespaces of the current task that sysctls can be of.
#[inline(always)]
fn fill_namespaces(namespaces: &mut NamespacesRecord) {
    let task = CurrentTask::get();
    let nsproxy = task.object(|o| &o.task_nsproxy);
    namespaces.net = if read::is_present(|o| &o.net_ns_inum) {
        nsproxy
            .object(|o| &o.nsproxy_net_ns)
            .u32(|o| &o.net_ns_inum)
    } else {
        0
    };
    namespaces.ipc = if read::is_present(|o| &o.ipc_ns_inum) {
        nsproxy
            .object(|o| &o.nsproxy_ipc_ns)
            .u32(|o| &o.ipc_ns_inum)
    } else {
        0
    };
    namespaces.uts = nsproxy
        .object(|o| &o.nsproxy_uts_ns)
        .u32(|o| &o.uts_ns_inum);
    namespaces.user = task
        .object(|o| &o.task_cred)
        .object(|o| &o.cred_user_ns)
        .u32(|o| &o.user_ns_inum);
}

/// Fills in an inode, zeros for none.
#[inline(always)]
fn fill_inode<M: Memory>(record: &mut InodeRecord, inode: M) {
    if inode.is_null() {
        read::clear(record);
        return;
    }
    record.number = inode.u64(|o| &o.inode_number);
    record.size = inode.u64(|o| &o.inode_size);
    record.ctime_sec = inode.u64(|o| &o.inode_ctime_sec) as i64;
    record.mtime_sec = inode.u64(|o| &o.inode_mtime_sec) as i64;
    record.ctime_nsec = inode.u32(|o| &o.inode_ctime_nsec);
    record.mtime_nsec = inode.u32(|o| &o.inode_mtime_nsec);
    record.dev = inode.object(|o| &o.inode_sb).u32(|o| &o.sb_dev);
    record.mode = u32::from(inode.u16(|o| &o.inode_mode));
    record.links = inode.u32(|o| &o.inode_links);
    record.uid = inode.u32(|o| &o.inode_uid);
    record.gid = inode.u32(|o| &o.inode_gid);
    record.generation = inode.u32(|o| &o.inode_generation);
}

/// Runs a probe. One that could not get its own memory has lost a record.
#[inline(always)]
fn run(probe: Probe, tell: impl FnOnce() -> Option<()>) -> u32 {
    if tell().is_none() {
        maps::count_lost(probe);
    }
    0
}
