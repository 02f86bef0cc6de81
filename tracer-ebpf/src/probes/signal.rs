//! Signals that one process sends to end another.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use tracer_ebpf::{ENDING_SIGNALS, Probe, RecordKind, SignalRecord};

use super::{fill_header, run};
use crate::maps::Buffer;
use crate::read::{self, CurrentTask, Memory as _, Probed, Typed};

/// What stands in the place of a description for what the kernel itself sends (`SEND_SIG_PRIV`):
/// <https://github.com/torvalds/linux/blob/v6.12/include/linux/sched/signal.h>.
const BY_THE_KERNEL: u64 = 1;

/// `si_code` of what kill(2), sigqueue(3) and tgkill(2) send: the others are timers, files and the kernel.
const SI_USER: i32 = 0;
const SI_QUEUE: i32 = -1;
const SI_TKILL: i32 = -6;

/// `TRACE_SIGNAL_DELIVERED` and `TRACE_SIGNAL_LOSE_INFO`: the process gets it. It does not where it ignores it, or has
/// the same waiting already (<https://github.com/torvalds/linux/blob/v6.12/include/trace/events/signal.h>).
const DELIVERED: [u64; 2] = [0, 4];

/// The first process, which is the service manager.
const MANAGER: u32 = 1;

/// A process sent a signal that may end a child of the service manager, as the main process of a service is; without
/// it: who killed a service is not known.
/// match-proto: `signal_generate(int sig, struct kernel_siginfo *info, struct task_struct *task, int group, int result)`
#[btf_tracepoint(function = "signal_generate")]
pub(crate) fn signal(ctx: BtfTracePointContext) -> u32 {
    let signal = read::argument::<0>(&ctx) & 0x3f;
    if ENDING_SIGNALS >> signal & 1 == 0 || !DELIVERED.contains(&(read::argument::<4>(&ctx) & 0xff))
    {
        return 0;
    }
    let (info, target) = (read::argument::<1>(&ctx), read::pointer::<2>(&ctx));
    run(Probe::Signal, || tell(signal, info, target))
}

#[inline(always)]
fn tell(signal: u64, info: u64, target: Typed) -> Option<()> {
    let (sender, pid) = (CurrentTask::get(), target.u32(|o| &o.task_tgid));
    let sender_pid = sender.u32(|o| &o.task_tgid);
    let is_manager_at_work = sender_pid == MANAGER || sender_pid == pid;
    let is_service = target.object(|o| &o.task_real_parent).u32(|o| &o.task_tgid) == MANAGER;
    // The kernel's own threads have no memory.
    if is_manager_at_work
        || !is_service
        || sender.object(|o| &o.task_mm).is_null()
        || !is_sent(info)
    {
        return Some(());
    }
    let mut buffer = Buffer::of(Probe::Signal)?;
    let record: &mut SignalRecord = buffer.head();
    let now_ns = fill_header(&mut record.header, RecordKind::SIGNAL);
    let leader = target.object(|o| &o.task_group_leader);
    record.target_start_ns = leader.u64(|o| &o.task_start_boottime);
    record.target = pid;
    record.signal = signal as u32;
    buffer.send(size_of::<SignalRecord>() as u32, now_ns);
    Some(())
}

/// Whether a process sent it, and not a timer or the kernel. Without a description it is the process that runs.
#[inline(always)]
fn is_sent(info: u64) -> bool {
    if info == BY_THE_KERNEL {
        return false;
    }
    // `si_signo`, `si_errno`, `si_code`, as siginfo(2) has them; zeros where there is no description.
    let [_, _, code] = Probed::load::<[i32; 3]>(info as *const u8);
    matches!(code, SI_USER | SI_QUEUE | SI_TKILL)
}
