//! What is mounted, moved, given other options and unmounted, and swap space that is turned on and off.
//! Only in the daemon's own mount namespace, and only what succeeded.

use aya_ebpf::macros::{fentry, fexit};
use aya_ebpf::programs::{FEntryContext, FExitContext};
use tracer_ebpf::{MountRecord, NAMES_BYTES, PathRecord, Probe, RecordKind};

use super::process::put_path;
use super::{fill_header, run};
use crate::maps::{self, Attempt, Buffer};
use crate::read::{self, CurrentTask, Memory, Probed, Typed};

/// Names the move of a mount among the attempts of a thread, whose other names are addresses.
const MOVE: u64 = 1;

/// Whether the current task sees the mounts that the daemon sees, and is not the daemon.
#[inline(always)]
fn is_own() -> Option<bool> {
    let settings = maps::settings()?;
    let namespace = CurrentTask::get()
        .object(|o| &o.task_nsproxy)
        .object(|o| &o.nsproxy_mnt_ns)
        .u32(|o| &o.mnt_ns_inum);
    let (pid, _) = read::pid_and_tid();
    Some(namespace == settings.mount_ns && pid != settings.ignored_pid)
}

/// Tells of what was done, or begun as `attempt`, at a place.
#[inline(always)]
fn tell<M: Memory>(path: M, kind: RecordKind, attempt: u64, probe: Probe) -> Option<()> {
    let mut buffer = Buffer::of(probe)?;
    let (end, path) = put_path(&mut buffer, size_of::<MountRecord>() as u32, path);
    buffer.head::<MountRecord>().path = path;
    send(buffer, kind, attempt, (end, 0));
    Some(())
}

/// Sends a record whose place is filled in already.
#[inline(always)]
fn send(mut buffer: Buffer, kind: RecordKind, attempt: u64, (end, given_len): (u32, u32)) {
    // The compiler would call a function for the zeros that it knows of.
    let given_len = buffer.forget(given_len);
    let record: &mut MountRecord = buffer.head();
    let now_ns = fill_header(&mut record.header, kind);
    record.attempt = attempt;
    record.given_len = given_len;
    record.reserved = 0;
    buffer.send(end, now_ns);
}

/// Something was mounted, bound, moved or given other options by `mount(2)`; without it: seen late.
/// match-proto: `int path_mount(const char *dev_name, struct path *path, const char *type_page, unsigned long flags, void *data_page)`
#[fexit]
pub(crate) fn mounted_1_5(ctx: FExitContext) -> u32 {
    run(Probe::Mount, || {
        try_done::<1, 5>(&ctx, RecordKind::MOUNTED, Probe::Mount)
    })
}

/// Something was unmounted. Its mount is still in memory: it is freed when the task returns from the
/// system call. Without it: seen late.
/// match-proto: `int path_umount(struct path *path, int flags)`
#[fexit]
pub(crate) fn unmounted_0_2(ctx: FExitContext) -> u32 {
    run(Probe::Unmount, || {
        try_done::<0, 2>(&ctx, RecordKind::UNMOUNTED, Probe::Unmount)
    })
}

#[inline(always)]
fn try_done<const PATH: usize, const RESULT: usize>(
    ctx: &FExitContext,
    kind: RecordKind,
    probe: Probe,
) -> Option<()> {
    if read::argument::<RESULT>(ctx) as i32 != 0 || !is_own()? {
        return Some(());
    }
    tell(read::pointer::<PATH>(ctx), kind, 0, probe)
}

/// A mount is about to be put in its place by `move_mount(2)`, the last step of the newer calls; the
/// system call's end tells whether it succeeded. Without it: seen late.
/// match-proto: `int security_move_mount(const struct path *from_path, const struct path *to_path)`
#[fentry]
pub(crate) fn moving_mount(ctx: FEntryContext) -> u32 {
    run(Probe::MoveMount, || try_moving(read::pointer::<1>(&ctx)))
}

#[inline(always)]
fn try_moving(to: Typed) -> Option<()> {
    if !is_own()? {
        return Some(());
    }
    tell(to, RecordKind::MOVING_MOUNT, MOVE, Probe::MoveMount)?;
    let (_, tid) = read::pid_and_tid();
    let attempt = Attempt {
        entry: MOVE,
        tid: u64::from(tid),
    };
    maps::await_outcome(attempt, Probe::MoveMount);
    Some(())
}

/// How `move_mount(2)` ended.
/// match-proto: `long __x64_sys_move_mount(const struct pt_regs *regs)`
#[fexit]
pub(crate) fn moved_mount(ctx: FExitContext) -> u32 {
    let result = read::argument::<1>(&ctx) as i32;
    run(Probe::Done, || super::names::try_done(MOVE, result))
}

/// A file system was given other options, by whichever call; without it: those that `fsconfig(2)` sets
/// are found when the mounts are compared.
/// match-proto: `int reconfigure_super(struct fs_context *fc)`
#[fexit]
pub(crate) fn remounted_0_1(ctx: FExitContext) -> u32 {
    run(Probe::Remount, || try_remounted(&ctx))
}

#[inline(always)]
fn try_remounted(ctx: &FExitContext) -> Option<()> {
    if read::argument::<1>(ctx) as i32 != 0 || !is_own()? {
        return Some(());
    }
    let root = read::pointer::<0>(ctx).object(|o| &o.context_root);
    let mut buffer = Buffer::of(Probe::Remount)?;
    let path: &mut PathRecord = &mut buffer.head::<MountRecord>().path;
    read::clear(path);
    path.place = root.object(|o| &o.dentry_sb).u32(|o| &o.sb_dev);
    let end = size_of::<MountRecord>() as u32;
    send(buffer, RecordKind::REMOUNTED, 0, (end, 0));
    Some(())
}

/// The options of a mount were set by `mount_setattr(2)`; without it: seen late.
/// match-proto: `long __x64_sys_mount_setattr(const struct pt_regs *regs)`
#[fexit]
pub(crate) fn set_mount(ctx: FExitContext) -> u32 {
    run(Probe::Mount, || try_set(&ctx))
}

#[inline(always)]
fn try_set(ctx: &FExitContext) -> Option<()> {
    if read::argument::<1>(ctx) as i32 != 0 || !is_own()? {
        return Some(());
    }
    let (directory, given) = first_two(read::pointer::<0>(ctx));
    let mut buffer = Buffer::of(Probe::Mount)?;
    let head = size_of::<MountRecord>() as u32;
    read::clear(&mut buffer.head::<MountRecord>().path);
    let mut names_end = head;
    if let Some(file) = open_file(directory as i32) {
        let (end, path) = put_path(&mut buffer, head, file.at(|o| &o.file_path));
        buffer.head::<MountRecord>().path = path;
        names_end = buffer.forget(end);
    }
    let end = buffer.put_user_string::<NAMES_BYTES>(names_end, given);
    let given_len = end - names_end;
    send(buffer, RecordKind::MOUNTED, 0, (end, given_len));
    Some(())
}

/// Swap space was turned on or off; without it: seen late.
/// match-proto: `long __x64_sys_swapon(const struct pt_regs *regs)`
#[fexit]
pub(crate) fn swapped_on(ctx: FExitContext) -> u32 {
    run(Probe::Swap, || try_swapped(&ctx))
}

/// match-proto: `long __x64_sys_swapoff(const struct pt_regs *regs)`
#[fexit]
pub(crate) fn swapped_off(ctx: FExitContext) -> u32 {
    run(Probe::Swap, || try_swapped(&ctx))
}

#[inline(always)]
fn try_swapped(ctx: &FExitContext) -> Option<()> {
    if read::argument::<1>(ctx) as i32 != 0 || !is_own()? {
        return Some(());
    }
    let (given, _) = first_two(read::pointer::<0>(ctx));
    let mut buffer = Buffer::of(Probe::Swap)?;
    let head = size_of::<MountRecord>() as u32;
    read::clear(&mut buffer.head::<MountRecord>().path);
    let end = buffer.put_user_string::<NAMES_BYTES>(head, given);
    send(buffer, RecordKind::SWAPPED, 0, (end, end - head));
    Some(())
}

/// The first two arguments of a system call.
#[inline(always)]
fn first_two(registers: Typed) -> (u64, u64) {
    let registers = Probed::new(registers.address());
    let first = registers.at(|o| &o.regs_first);
    let second = if read::is_present(|o| &o.regs_second) {
        registers.at(|o| &o.regs_second)
    } else {
        Probed::new(first.address().wrapping_add(8))
    };
    (
        Probed::load(first.address()),
        Probed::load(second.address()),
    )
}

/// The file behind a descriptor of the current task; none for `AT_FDCWD`.
#[inline(always)]
fn open_file(descriptor: i32) -> Option<Probed> {
    let table = CurrentTask::get()
        .object(|o| &o.task_files)
        .object(|o| &o.files_fdt)
        .address();
    let table = Probed::new(table);
    let open = table.u32(|o| &o.fdt_max_fds);
    if descriptor < 0 || descriptor as u32 >= open {
        return None;
    }
    let slot = (table.u64(|o| &o.fdt_fd) as *const u8).wrapping_add(descriptor as usize * 8);
    let file = Probed::new(Probed::load::<u64>(slot) as *const u8);
    (!file.is_null()).then_some(file)
}
