//! Writes to sysctls.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::macros::{cgroup_sysctl, fexit};
use aya_ebpf::programs::{FExitContext, SysctlContext};
use tracer_ebpf::{Probe, RecordKind, SysctlRecord};

use super::setting::send_written;
use super::{fill_header, fill_namespaces, run};
use crate::maps::Buffer;
use crate::read::{self, Memory as _};

/// A sysctl is about to be written, in any cgroup below the one it is attached to. It always lets
/// the write pass; whether the kernel accepts the value is not known here.
///
/// Without it: changes of sysctls are not seen; where [`sysctl_done`] is, what was asked for and
/// the value before.
#[cgroup_sysctl]
pub(crate) fn sysctl(ctx: SysctlContext) -> i32 {
    run(Probe::Sysctl, || try_sysctl(&ctx));
    1
}

const VALUE_BYTES: usize = 1024;

#[inline(always)]
fn try_sysctl(ctx: &SysctlContext) -> Option<()> {
    if !read::is_sysctl_write(ctx) {
        return Some(());
    }
    let mut buffer = Buffer::of(Probe::Sysctl)?;
    let head = size_of::<SysctlRecord>() as u32;
    let raw = ctx.as_ptr();
    let name_end = buffer.put_with::<256>(head, |to, max| read::sysctl_name(raw, to, max));
    let before_end =
        buffer.put_with::<VALUE_BYTES>(name_end, |to, max| read::sysctl_before(raw, to, max));
    let end =
        buffer.put_with::<VALUE_BYTES>(before_end, |to, max| read::sysctl_after(raw, to, max));
    let record: &mut SysctlRecord = buffer.head();
    let now_ns = fill_header(&mut record.header, RecordKind::SYSCTL);
    record.name_len = name_end - head;
    record.before_len = before_end - name_end;
    record.after_len = end - before_end;
    record.reserved = 0;
    fill_namespaces(&mut record.namespaces);
    buffer.send(end, now_ns);
    Some(())
}

/// A write to a sysctl ended, taken by the kernel or not.
///
/// Without it: whether a write was taken is told by the value that there is afterwards.
/// match-proto: `ssize_t proc_sys_call_handler(struct kiocb *iocb, struct iov_iter *iter, int write)`
#[fexit]
pub(crate) fn sysctl_done(ctx: FExitContext) -> u32 {
    run(Probe::SysctlDone, || try_sysctl_done(&ctx))
}

#[inline(always)]
fn try_sysctl_done(ctx: &FExitContext) -> Option<()> {
    if read::argument::<2>(ctx) as i32 == 0 {
        return Some(());
    }
    let file = read::pointer::<0>(ctx).object(|o| &o.kiocb_file);
    let result = read::argument::<3>(ctx) as i64;
    send_written(Probe::SysctlDone, RecordKind::SYSCTL_DONE, file, result)
}
