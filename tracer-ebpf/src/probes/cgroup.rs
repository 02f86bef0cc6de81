//! Cgroups that are made: the service manager makes one for each unit.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use tracer_ebpf::{CgroupRecord, Probe, RecordKind};

use super::{fill_header, run};
use crate::maps::Buffer;
use crate::read::{self, Memory as _, Typed};

/// `TRACE_CGROUP_PATH_LEN`: what the tracepoint has of a path, with the NUL
/// (<https://github.com/torvalds/linux/blob/v6.12/kernel/cgroup/cgroup-internal.h>).
const PATH_BYTES: u32 = 1024;

/// A cgroup was made, before any process is in it; without it: the unit of a process that ends before the
/// daemon has looked, in a cgroup that is gone by then.
/// match-proto: `cgroup_mkdir(struct cgroup *cgrp, const char *path)`
#[btf_tracepoint(function = "cgroup_mkdir")]
pub(crate) fn cgroup(ctx: BtfTracePointContext) -> u32 {
    let (cgroup, path) = (read::pointer::<0>(&ctx), read::pointer::<1>(&ctx));
    run(Probe::Cgroup, || tell(cgroup, path))
}

#[inline(always)]
fn tell(cgroup: Typed, path: Typed) -> Option<()> {
    // The unified hierarchy is the kernel's first one; ids of the others mean nothing to a task's.
    if cgroup.object(|o| &o.cgroup_root).u32(|o| &o.hierarchy_id) != 0 {
        return Some(());
    }
    let mut buffer = Buffer::of(Probe::Cgroup)?;
    let head = size_of::<CgroupRecord>() as u32;
    let end = buffer.put_string::<PATH_BYTES>(head, path.address());
    let record: &mut CgroupRecord = buffer.head();
    let now_ns = fill_header(&mut record.header, RecordKind::CGROUP);
    record.id = cgroup.object(|o| &o.cgroup_node).u64(|o| &o.node_id);
    record.path_len = end - head;
    record.reserved = 0;
    buffer.send(end, now_ns);
    Some(())
}
