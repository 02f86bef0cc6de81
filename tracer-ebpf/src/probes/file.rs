//! Changes of a file's content and attributes.

use aya_ebpf::macros::{fentry, fexit};
use aya_ebpf::programs::{FEntryContext, FExitContext};
use tracer_ebpf::{FileRecord, Probe, RecordKind, XATTR_NAME_BYTES};

use super::{fill_header, fill_inode, recorded, run};
use crate::maps::{self, Buffer};
use crate::path::{self, Place};
use crate::read::{self, Memory, Typed};

/// `FMODE_WRITE` of include/linux/fs.h, the same from 5.10 to 7.3.
pub(super) const FMODE_WRITE: u32 = 0x2;
/// `FMODE_CREATED`, likewise.
const FMODE_CREATED: u32 = 0x10_0000;
pub(super) const S_IFMT: u16 = 0o170_000;
pub(super) const S_IFREG: u16 = 0o100_000;

/// The last close of a description: `__fput`, which every kernel passes for every open file,
/// mapped files and passed descriptors included.
///
/// Without it: no end of a write is seen.
/// match-proto: `void __fput(struct file *file)`
#[fentry]
pub(crate) fn close(ctx: FEntryContext) -> u32 {
    run(Probe::Close, || try_close(read::pointer::<0>(&ctx)))
}

/// The file's times move on because of a write: `mnt_get_write_access_file` (6.6 on) or
/// `__mnt_want_write_file`. Writers call it only then, whichever way they write, and so at most
/// once a clock tick for each file.
///
/// Without it: a file that stays open shows its writes only when it is closed, and a writer that
/// did not open the file itself is not told from the one that did.
/// match-proto: `int mnt_get_write_access_file(struct file *file)`
/// match-proto: `int __mnt_want_write_file(struct file *file)`
#[fentry]
pub(crate) fn dirtied(ctx: FEntryContext) -> u32 {
    run(Probe::Dirtied, || try_dirtied(read::pointer::<0>(&ctx)))
}

#[inline(always)]
fn try_close(file: Typed) -> Option<()> {
    let mode = file.u32(|o| &o.file_mode);
    if mode & FMODE_WRITE == 0 {
        return Some(());
    }
    let created = u64::from(mode & FMODE_CREATED != 0);
    send_description(file, RecordKind::CLOSED, Probe::Close, created)
}

#[inline(always)]
fn try_dirtied(file: Typed) -> Option<()> {
    send_description(file, RecordKind::DIRTIED, Probe::Dirtied, 0)
}

/// Sends what happened to an open description of a regular file in a watched tree.
#[inline(always)]
fn send_description(file: Typed, kind: RecordKind, probe: Probe, detail: u64) -> Option<()> {
    let entry = file.at(|o| &o.file_path).object(|o| &o.path_dentry);
    if entry.is_null() {
        // It was never opened: the last step of an open failed.
        return Some(());
    }
    let Some(place) = recorded(maps::settings()?, entry) else {
        return Some(());
    };
    let inode = file.object(|o| &o.file_inode);
    if inode.u16(|o| &o.inode_mode) & S_IFMT != S_IFREG {
        return Some(());
    }
    let mut buffer = Buffer::of(probe)?;
    let (end, now_ns) = put_file(&mut buffer, kind, entry, place, detail);
    buffer.head::<FileRecord>().description = file.address() as u64;
    buffer.send(end, now_ns);
    Some(())
}

/// Sends what happened to the file of a directory entry.
#[inline(always)]
pub(super) fn send_file<M: Memory>(
    probe: Probe,
    kind: RecordKind,
    entry: M,
    place: Place,
    detail: u64,
) -> Option<()> {
    let mut buffer = Buffer::of(probe)?;
    let (end, now_ns) = put_file(&mut buffer, kind, entry, place, detail);
    buffer.send(end, now_ns);
    Some(())
}

/// Puts a record together, but for what follows the names; tells where they end, and the time.
#[inline(always)]
pub(super) fn put_file<M: Memory>(
    buffer: &mut Buffer,
    kind: RecordKind,
    entry: M,
    place: Place,
    detail: u64,
) -> (u32, u64) {
    let head = size_of::<FileRecord>() as u32;
    let (end, path) = path::put_names(buffer, head, entry, place, M::new(core::ptr::null()));
    let record: &mut FileRecord = buffer.head();
    let now_ns = fill_header(&mut record.header, kind);
    fill_inode(&mut record.inode, entry.object(|o| &o.dentry_inode));
    record.path = path;
    record.path.place = record.inode.dev;
    record.detail = detail;
    // Unknown to the compiler, or it would call a function to write zeros; see `read::clear`.
    let none = core::hint::black_box(0_u32);
    record.description = u64::from(none);
    record.extra_len = none;
    record.extra_root = none;
    (end, now_ns)
}

/// `ATTR_MODE`, `ATTR_UID`, `ATTR_GID` and `ATTR_SIZE` of include/linux/fs.h: what is told of. That
/// times are set is not.
const ATTR_TOLD: u32 = 0xf;

/// Mode, owner and size: `notify_change`, where all of them end.
///
/// Without it: chmod, chown and truncate are seen late.
#[inline(always)]
fn try_attributes<const ENTRY: usize, const ATTR: usize, const RESULT: usize>(
    ctx: &FExitContext,
) -> Option<()> {
    let valid = read::pointer::<ATTR>(ctx).u32(|o| &o.iattr_valid);
    if valid & ATTR_TOLD == 0 || read::argument::<RESULT>(ctx) as i32 != 0 {
        return Some(());
    }
    let entry = read::pointer::<ENTRY>(ctx);
    let Some(place) = recorded(maps::settings()?, entry) else {
        return Some(());
    };
    send_file(
        Probe::Attributes,
        RecordKind::ATTRIBUTES,
        entry,
        place,
        u64::from(valid),
    )
}

/// match-proto: `int notify_change(struct dentry *dentry, struct iattr *attr, struct inode **delegated_inode)`
#[fexit]
pub(crate) fn attributes_0_3(ctx: FExitContext) -> u32 {
    run(Probe::Attributes, || try_attributes::<0, 1, 3>(&ctx))
}

/// match-proto: `int notify_change(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr, struct inode **delegated_inode)`
#[fexit]
pub(crate) fn attributes_1_4(ctx: FExitContext) -> u32 {
    run(Probe::Attributes, || try_attributes::<1, 2, 4>(&ctx))
}

/// An extended attribute is set or removed: `__vfs_setxattr_noperm`, `__vfs_removexattr_locked`,
/// below all callers.
///
/// Without it: extended attributes and file capabilities are seen late.
#[inline(always)]
fn try_xattr<const ENTRY: usize, const NAME: usize, const RESULT: usize>(
    ctx: &FExitContext,
    probe: Probe,
) -> Option<()> {
    if read::argument::<RESULT>(ctx) as i32 != 0 {
        return Some(());
    }
    let entry = read::pointer::<ENTRY>(ctx);
    let Some(place) = recorded(maps::settings()?, entry) else {
        return Some(());
    };
    let mut buffer = Buffer::of(probe)?;
    let (names_end, now_ns) = put_file(&mut buffer, RecordKind::XATTR, entry, place, 0);
    let name = read::argument::<NAME>(ctx) as *const u8;
    let end = buffer.put_string::<XATTR_NAME_BYTES>(names_end, name);
    buffer.head::<FileRecord>().extra_len = end - names_end;
    buffer.send(end, now_ns);
    Some(())
}

/// match-proto: `int __vfs_setxattr_noperm(struct dentry *dentry, const char *name, const void *value, size_t size, int flags)`
#[fexit]
pub(crate) fn set_xattr_0_5(ctx: FExitContext) -> u32 {
    run(Probe::SetXattr, || {
        try_xattr::<0, 1, 5>(&ctx, Probe::SetXattr)
    })
}

/// match-proto: `int __vfs_setxattr_noperm(struct mnt_idmap *idmap, struct dentry *dentry, const char *name, const void *value, size_t size, int flags)`
#[fexit]
pub(crate) fn set_xattr_1_6(ctx: FExitContext) -> u32 {
    run(Probe::SetXattr, || {
        try_xattr::<1, 2, 6>(&ctx, Probe::SetXattr)
    })
}

/// match-proto: `int __vfs_removexattr_locked(struct dentry *dentry, const char *name, struct inode **delegated_inode)`
#[fexit]
pub(crate) fn remove_xattr_0_3(ctx: FExitContext) -> u32 {
    run(Probe::RemoveXattr, || {
        try_xattr::<0, 1, 3>(&ctx, Probe::RemoveXattr)
    })
}

/// match-proto: `int __vfs_removexattr_locked(struct mnt_idmap *idmap, struct dentry *dentry, const char *name, struct inode **delegated_inode)`
#[fexit]
pub(crate) fn remove_xattr_1_4(ctx: FExitContext) -> u32 {
    run(Probe::RemoveXattr, || {
        try_xattr::<1, 2, 4>(&ctx, Probe::RemoveXattr)
    })
}

/// An access control list is set or removed: `set_posix_acl`, which from 6.2 on does not pass the
/// functions for extended attributes. Its second argument tells which list, not the name.
///
/// Without it: access control lists are seen late.
/// match-proto: `int set_posix_acl(struct mnt_idmap *idmap, struct dentry *dentry, int type, struct posix_acl *acl)`
#[fexit]
pub(crate) fn set_acl_1_4(ctx: FExitContext) -> u32 {
    run(Probe::SetAcl, || try_acl(&ctx))
}

/// `ACL_TYPE_DEFAULT` of `include/linux/posix_acl.h`.
const ACL_TYPE_DEFAULT: u64 = 0x4000;

#[inline(always)]
fn try_acl(ctx: &FExitContext) -> Option<()> {
    if read::argument::<4>(ctx) as i32 != 0 {
        return Some(());
    }
    let entry = read::pointer::<1>(ctx);
    let Some(place) = recorded(maps::settings()?, entry) else {
        return Some(());
    };
    let is_default = u64::from(read::argument::<2>(ctx) & 0xffff == ACL_TYPE_DEFAULT);
    send_file(
        Probe::SetAcl,
        RecordKind::XATTR,
        entry,
        place,
        1 + is_default,
    )
}

/// What an `XATTR` record says where it is the inode's flags that were set: 1 and 2 are the access
/// control lists.
const FLAGS: u64 = 3;
/// What it says where something was done that only the file system knows.
const UNKNOWN: u64 = 4;

/// The flags of chattr(1) are set: `vfs_fileattr_set`, which `FS_IOC_SETFLAGS`, `FS_IOC_FSSETXATTR`
/// and `file_setattr(2)` end in from 5.13 on.
///
/// Without it: what `file_setattr(2)` sets is seen late.
/// match-proto: `int vfs_fileattr_set(struct mnt_idmap *idmap, struct dentry *dentry, struct file_kattr *fa)`
#[fexit]
pub(crate) fn set_flags_1_3(ctx: FExitContext) -> u32 {
    if read::argument::<3>(&ctx) as i32 != 0 {
        return 0;
    }
    let entry = read::pointer::<1>(&ctx);
    run(Probe::SetFlags, || try_set(entry, Probe::SetFlags, FLAGS))
}

/// A call of a file system's own has changed an open file: all of them give back the write access to
/// the mount with `mnt_drop_write_file` when they are done, and so do fchown(2) and fsetxattr(2);
/// plain writes do not come here.
///
/// Without it: what verity, encryption and the like do to a file is not seen, and up to 5.12 the flags
/// of chattr(1) are seen late.
/// match-proto: `void mnt_drop_write_file(struct file *file)`
#[fentry]
pub(crate) fn file_ioctl(ctx: FEntryContext) -> u32 {
    let path = read::pointer::<0>(&ctx).at(|o| &o.file_path);
    let entry = path.object(|o| &o.path_dentry);
    run(Probe::FileIoctl, || {
        try_set(entry, Probe::FileIoctl, UNKNOWN)
    })
}

#[inline(always)]
fn try_set(entry: Typed, probe: Probe, what: u64) -> Option<()> {
    let Some(place) = recorded(maps::settings()?, entry) else {
        return Some(());
    };
    send_file(probe, RecordKind::XATTR, entry, place, what)
}
