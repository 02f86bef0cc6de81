//! Writes to the switches of sysfs.

use aya_ebpf::macros::{fentry, fexit};
use aya_ebpf::programs::{FEntryContext, FExitContext};
use tracer_ebpf::{Probe, RecordKind, SysrqRecord, WrittenRecord};

use super::{fill_header, fill_namespaces, run};
use crate::maps::Buffer;
use crate::path::{TO_THE_TOP, put_names};
use crate::read::{self, Memory as _, Typed};

/// `SYSFS_MAGIC` of include/uapi/linux/magic.h: cgroups are of kernfs, too.
const SYSFS: u64 = 0x6265_6572;

/// A write to a file of kernfs ended. What failed, and what is not of sysfs, is not told; which of the
/// rest is a setting the daemon knows.
///
/// Without it: changes of kernel settings are found by comparing.
/// match-proto: `ssize_t kernfs_fop_write_iter(struct kiocb *iocb, struct iov_iter *iter)`
#[fexit]
pub(crate) fn setting(ctx: FExitContext) -> u32 {
    run(Probe::Setting, || try_setting(&ctx))
}

#[inline(always)]
fn try_setting(ctx: &FExitContext) -> Option<()> {
    let result = read::argument::<2>(ctx) as i64;
    if result <= 0 {
        return Some(());
    }
    let file = read::pointer::<0>(ctx).object(|o| &o.kiocb_file);
    let fs = file.object(|o| &o.file_inode).object(|o| &o.inode_sb);
    if fs.u64(|o| &o.sb_magic) != SYSFS {
        return Some(());
    }
    send_written(Probe::Setting, RecordKind::SETTING, file, result)
}

/// A function of the magic system request key is about to be carried out. By the key itself it is only
/// where the mask allows it, by `/proc/sysrq-trigger` always: that is who is told of.
///
/// Without it: who wrote to `/proc/sysrq-trigger` is not seen.
/// match-proto: `void __handle_sysrq(u8 key, bool check_mask)`
#[fentry]
pub(crate) fn sysrq(ctx: FEntryContext) -> u32 {
    run(Probe::Sysrq, || try_sysrq(&ctx))
}

#[inline(always)]
fn try_sysrq(ctx: &FEntryContext) -> Option<()> {
    if read::argument::<1>(ctx) & 0xff != 0 {
        return Some(());
    }
    let mut buffer = Buffer::of(Probe::Sysrq)?;
    let record: &mut SysrqRecord = buffer.head();
    let now_ns = fill_header(&mut record.header, RecordKind::SYSRQ);
    record.key = (read::argument::<0>(ctx) & 0xff) as u32;
    record.reserved = 0;
    buffer.send(size_of::<SysrqRecord>() as u32, now_ns);
    Some(())
}

/// Sends that a write to a file ended.
#[inline(always)]
pub(super) fn send_written(probe: Probe, kind: RecordKind, file: Typed, result: i64) -> Option<()> {
    let mut buffer = Buffer::of(probe)?;
    let entry = file.at(|o| &o.file_path).object(|o| &o.path_dentry);
    let head = size_of::<WrittenRecord>() as u32;
    let nowhere = Typed::new(core::ptr::null());
    let (end, path) = put_names(&mut buffer, head, entry, TO_THE_TOP, nowhere);
    let record: &mut WrittenRecord = buffer.head();
    let now_ns = fill_header(&mut record.header, kind);
    record.path = path;
    fill_namespaces(&mut record.namespaces);
    record.result = result;
    buffer.send(end, now_ns);
    Some(())
}
