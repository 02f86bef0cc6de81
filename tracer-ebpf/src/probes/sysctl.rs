//! Writes to sysctls.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::macros::cgroup_sysctl;
use aya_ebpf::programs::SysctlContext;
use tracer_ebpf::{Probe, RecordKind, SysctlRecord};

use super::{fill_header, finish};
use crate::maps::Buffer;
use crate::read;

/// A sysctl is about to be written, in any cgroup below the one it is attached to. It always lets
/// the write pass; whether the kernel accepts the value is not known here.
///
/// Without it: changes of sysctls are not seen.
#[cgroup_sysctl]
pub(crate) fn sysctl(ctx: SysctlContext) -> i32 {
    finish(try_sysctl(&ctx), Probe::Sysctl);
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
    buffer.send(end, now_ns);
    Some(())
}
