//! Processes that begin, run programs and end.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use tracer_ebpf::{
    ExecRecord, ExitRecord, FileRecord, ForkRecord, PathRecord, Probe, RecordKind, Settings,
};

use super::file::{FMODE_WRITE, S_IFMT, S_IFREG, put_file};
use super::{PIDTYPE_PGID, fill_header, recorded, run, shared_id};
use crate::maps::{self, Buffer};
use crate::path::{self, TO_THE_TOP};
use crate::read::{self, CurrentTask, Memory, Probed, Typed};

/// A new process; without it: the ancestry of processes whose parents ended is incomplete.
/// match-proto: `sched_process_fork(struct task_struct *parent, struct task_struct *child)`
#[btf_tracepoint(function = "sched_process_fork")]
pub(crate) fn fork(ctx: BtfTracePointContext) -> u32 {
    run(Probe::Fork, || try_fork(read::pointer::<1>(&ctx)))
}

#[inline(always)]
fn try_fork(child: Typed) -> Option<()> {
    let pid = child.u32(|o| &o.task_tgid);
    if pid != child.u32(|o| &o.task_pid) {
        return Some(());
    }
    let mut buffer = Buffer::of(Probe::Fork)?;
    let record: &mut ForkRecord = buffer.head();
    fill_header(&mut record.header, RecordKind::FORK);
    record.child_start_ns = child.u64(|o| &o.task_start_boottime);
    record.child = pid;
    record.reserved = 0;
    buffer.send_quietly(size_of::<ForkRecord>() as u32);
    Some(())
}

/// A program begins to run; without it: processes are known only by what `/proc` says later, and
/// short-lived ones not at all.
/// match-proto: `sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`
#[btf_tracepoint(function = "sched_process_exec")]
pub(crate) fn exec(ctx: BtfTracePointContext) -> u32 {
    run(Probe::Exec, || try_exec(read::pointer::<0>(&ctx)))
}

#[inline(always)]
fn try_exec(task: Typed) -> Option<()> {
    let mut buffer = Buffer::of(Probe::Exec)?;
    let memory = task.object(|o| &o.task_mm);
    let head = size_of::<ExecRecord>() as u32;
    let exe = memory.object(|o| &o.mm_exe_file).at(|o| &o.file_path);
    let cwd = task.object(|o| &o.task_fs).at(|o| &o.fs_pwd);
    let (exe_end, exe) = put_path(&mut buffer, head, exe);
    let (cwd_end, cwd) = put_path(&mut buffer, exe_end, cwd);
    let start = memory.u64(|o| &o.mm_arg_start);
    let bytes = memory.u64(|o| &o.mm_arg_end).wrapping_sub(start);
    let end = buffer.put_user(
        cwd_end,
        start,
        bytes.min(u64::from(tracer_ebpf::ARGV_BYTES) - 1),
    );
    let record: &mut ExecRecord = buffer.head();
    fill_header(&mut record.header, RecordKind::EXEC);
    (record.exe, record.cwd) = (exe, cwd);
    record.argv_len = end - cwd_end;
    record.argv_bytes = bytes as u32;
    let signal = Probed::new(task.object(|o| &o.task_signal).address());
    record.process_group = shared_id(signal, PIDTYPE_PGID);
    record.reserved = 0;
    buffer.send_quietly(end);
    Some(())
}

/// Puts the names of a `struct path` up to its mount's root.
#[inline(always)]
pub(super) fn put_path<M: Memory>(buffer: &mut Buffer, start: u32, path: M) -> (u32, PathRecord) {
    let mount = path.object(|o| &o.path_mnt);
    let top = mount.object(|o| &o.vfsmount_root);
    let entry = path.object(|o| &o.path_dentry);
    let (end, mut record) = path::put_names(buffer, start, entry, TO_THE_TOP, top);
    record.place = path::mount_id(mount);
    (end, record)
}

/// A process ends. What it still holds open for writing in watched trees is told first: it may
/// have written through a description that its parent opened and still holds.
///
/// Without it: ended processes are kept for longer, and such writers are told only by the clock
/// tick in which they wrote.
/// match-proto: `sched_process_exit(struct task_struct *p)`
#[btf_tracepoint(function = "sched_process_exit")]
pub(crate) fn exit(ctx: BtfTracePointContext) -> u32 {
    run(Probe::Exit, || try_exit(read::pointer::<0>(&ctx)))
}

/// How many descriptors an ending process is asked for: shells redirect 0 to 9, and save the old
/// ones from 10 on. Of those the first regular file open for writing is told, which is mostly what
/// output goes to.
const HELD_DESCRIPTORS: usize = 12;

#[inline(always)]
fn try_exit(task: Typed) -> Option<()> {
    if task.u32(|o| &o.task_pid) != task.u32(|o| &o.task_tgid) {
        return Some(());
    }
    tell_held_descriptors(task)?;
    let mut buffer = Buffer::of(Probe::Exit)?;
    let record: &mut ExitRecord = buffer.head();
    fill_header(&mut record.header, RecordKind::EXIT);
    record.status = task.u32(|o| &o.task_exit_code) as i32;
    record.reserved = 0;
    buffer.send_quietly(size_of::<ExitRecord>() as u32);
    Some(())
}

#[inline(always)]
fn tell_held_descriptors(task: Typed) -> Option<()> {
    let table = task.object(|o| &o.task_files).object(|o| &o.files_fdt);
    let open = table.u32(|o| &o.fdt_max_fds) as usize;
    let files = table.u64(|o| &o.fdt_fd) as *const u8;
    if files.is_null() {
        return Some(());
    }
    // The walk up the parents is long for the verifier, so the loop only looks for the file.
    let mut held = Probed::new(core::ptr::null());
    for descriptor in 0..HELD_DESCRIPTORS {
        if descriptor >= open {
            break;
        }
        let slot = files.wrapping_add(descriptor * 8);
        let file = Probed::new(Probed::load::<u64>(slot) as *const u8);
        if !file.is_null() && is_writable_file(file) {
            held = file;
            break;
        }
    }
    if held.is_null() {
        return Some(());
    }
    tell_held(maps::settings()?, held)
}

#[inline(always)]
fn is_writable_file(file: Probed) -> bool {
    let writable = file.u32(|o| &o.file_mode) & FMODE_WRITE != 0;
    writable && file.object(|o| &o.file_inode).u16(|o| &o.inode_mode) & S_IFMT == S_IFREG
}

#[inline(always)]
fn tell_held(settings: &Settings, file: Probed) -> Option<()> {
    let entry = file.at(|o| &o.file_path).object(|o| &o.path_dentry);
    let Some(place) = recorded(settings, entry) else {
        return Some(());
    };
    let written = if read::is_present(|o| &o.task_written_chars) {
        CurrentTask::get().u64(|o| &o.task_written_chars)
    } else {
        u64::MAX
    };
    let mut buffer = Buffer::of(Probe::Exit)?;
    let (end, now_ns) = put_file(&mut buffer, RecordKind::RELEASED, entry, place, written);
    buffer.head::<FileRecord>().description = file.address() as u64;
    buffer.send(end, now_ns);
    Some(())
}
