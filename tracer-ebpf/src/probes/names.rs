//! Names that come, go and move: create, link, symlink, mkdir, mknod, unlink, rmdir, rename.

use aya_ebpf::macros::{fentry, fexit};
use aya_ebpf::programs::{FEntryContext, FExitContext};
use tracer_ebpf::{DoneRecord, FileRecord, NAMES_BYTES, Probe, RecordKind, RenameRecord};

use super::file::{put_file, send_file};
use super::{fill_header, fill_inode, recorded, run};
use crate::maps::{self, Attempt, Buffer};
use crate::path::{self, TO_THE_TOP};
use crate::read::{self, Memory as _, Typed};

/// An open is about to create a file: `security_inode_create`. What came of it is told by `close`,
/// or by looking, where the file stays open.
///
/// Without it: a new file that stays open is seen when it is first written or closed.
/// match-proto: `int security_inode_create(struct inode *dir, struct dentry *dentry, umode_t mode)`
#[fentry]
pub(crate) fn creating(ctx: FEntryContext) -> u32 {
    run(Probe::Creating, || try_creating(read::pointer::<1>(&ctx)))
}

#[inline(always)]
fn try_creating(entry: Typed) -> Option<()> {
    let Some(place) = recorded(maps::settings()?, entry) else {
        return Some(());
    };
    send_file(Probe::Creating, RecordKind::CREATING, entry, place, 0)
}

/// Whether a call that returns an int, or (`POINTER`) a pointer or an error, succeeded.
#[inline(always)]
fn succeeded<const RESULT: usize, const POINTER: bool>(ctx: &FExitContext) -> bool {
    let result = read::argument::<RESULT>(ctx);
    if POINTER {
        result < -4095_i64 as u64
    } else {
        result as i32 == 0
    }
}

#[inline(always)]
fn try_created<const ENTRY: usize, const RESULT: usize, const POINTER: bool>(
    ctx: &FExitContext,
    probe: Probe,
) -> Option<()> {
    if !succeeded::<RESULT, POINTER>(ctx) {
        return Some(());
    }
    let entry = read::pointer::<ENTRY>(ctx);
    let Some(place) = recorded(maps::settings()?, entry) else {
        return Some(());
    };
    send_file(probe, RecordKind::CREATED, entry, place, 0)
}

/// One program for each shape that a function has had: the place of the directory entry, and of
/// the result (one past the last argument). The loader picks by the prototype in BTF.
macro_rules! created {
    ($($(#[$doc:meta])* $name:ident: $probe:ident <$entry:literal, $result:literal, $pointer:literal>,)*) => {$(
        $(#[$doc])*
        #[fexit]
        pub(crate) fn $name(ctx: FExitContext) -> u32 {
            run(Probe::$probe, || try_created::<$entry, $result, $pointer>(&ctx, Probe::$probe))
        }
    )*};
}

created! {
    /// A regular file by `mknod(2)`, nfsd and the like; without it: seen late.
    /// match-proto: `int vfs_create(struct inode *dir, struct dentry *dentry, umode_t mode, bool want_excl)`
    /// match-proto: `int vfs_create(struct mnt_idmap *idmap, struct dentry *dentry, umode_t mode, struct delegated_inode *di)`
    create_1_4: Create<1, 4, false>,
    /// match-proto: `int vfs_create(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode, bool want_excl)`
    create_2_5: Create<2, 5, false>,
    /// A pipe, socket or device; without it: seen late.
    /// match-proto: `int vfs_mknod(struct inode *dir, struct dentry *dentry, umode_t mode, dev_t dev)`
    mknod_1_4: Mknod<1, 4, false>,
    /// match-proto: `int vfs_mknod(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode, dev_t dev)`
    mknod_2_5: Mknod<2, 5, false>,
    /// match-proto: `int vfs_mknod(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode, dev_t dev, struct delegated_inode *delegated_inode)`
    mknod_2_6: Mknod<2, 6, false>,
    /// A directory; without it: seen late.
    /// match-proto: `int vfs_mkdir(struct inode *dir, struct dentry *dentry, umode_t mode)`
    mkdir_1_3: Mkdir<1, 3, false>,
    /// match-proto: `int vfs_mkdir(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode)`
    mkdir_2_4: Mkdir<2, 4, false>,
    /// match-proto: `struct dentry *vfs_mkdir(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode)`
    mkdir_2_4_pointer: Mkdir<2, 4, true>,
    /// match-proto: `struct dentry *vfs_mkdir(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode, struct delegated_inode *delegated_inode)`
    mkdir_2_5_pointer: Mkdir<2, 5, true>,
}

#[inline(always)]
fn try_symlink<const ENTRY: usize, const TARGET: usize, const RESULT: usize>(
    ctx: &FExitContext,
) -> Option<()> {
    if !succeeded::<RESULT, false>(ctx) {
        return Some(());
    }
    let entry = read::pointer::<ENTRY>(ctx);
    let Some(place) = recorded(maps::settings()?, entry) else {
        return Some(());
    };
    let mut buffer = Buffer::of(Probe::Symlink)?;
    let (names_end, now_ns) = put_file(&mut buffer, RecordKind::SYMLINKED, entry, place, 0);
    let target = read::argument::<TARGET>(ctx) as *const u8;
    let end = buffer.put_string::<NAMES_BYTES>(names_end, target);
    buffer.head::<FileRecord>().extra_len = end - names_end;
    buffer.send(end, now_ns);
    Some(())
}

/// A symbolic link; without it: seen late.
/// match-proto: `int vfs_symlink(struct inode *dir, struct dentry *dentry, const char *oldname)`
#[fexit]
pub(crate) fn symlink_1_3(ctx: FExitContext) -> u32 {
    run(Probe::Symlink, || try_symlink::<1, 2, 3>(&ctx))
}

/// match-proto: `int vfs_symlink(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, const char *oldname)`
#[fexit]
pub(crate) fn symlink_2_4(ctx: FExitContext) -> u32 {
    run(Probe::Symlink, || try_symlink::<2, 3, 4>(&ctx))
}

/// match-proto: `int vfs_symlink(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, const char *oldname, struct delegated_inode *delegated_inode)`
#[fexit]
pub(crate) fn symlink_2_5(ctx: FExitContext) -> u32 {
    run(Probe::Symlink, || try_symlink::<2, 3, 5>(&ctx))
}

#[inline(always)]
fn try_link<const NEW: usize, const RESULT: usize>(ctx: &FExitContext) -> Option<()> {
    if !succeeded::<RESULT, false>(ctx) {
        return Some(());
    }
    let settings = maps::settings()?;
    let entry = read::pointer::<NEW>(ctx);
    let Some(place) = recorded(settings, entry) else {
        return Some(());
    };
    let mut buffer = Buffer::of(Probe::Link)?;
    let (names_end, now_ns) = put_file(&mut buffer, RecordKind::LINKED, entry, place, 0);
    let existing = read::pointer::<0>(ctx);
    let existing_place = path::watched(settings, existing).unwrap_or(TO_THE_TOP);
    let nowhere = Typed::new(core::ptr::null());
    let (end, path) = path::put_names(&mut buffer, names_end, existing, existing_place, nowhere);
    let record: &mut FileRecord = buffer.head();
    record.extra_len = end - names_end;
    record.extra_root = path.root;
    buffer.send(end, now_ns);
    Some(())
}

/// Another name of a file, `linkat(2)` of an unnamed file included; without it: seen late.
/// match-proto: `int vfs_link(struct dentry *old_dentry, struct inode *dir, struct dentry *new_dentry, struct inode **delegated_inode)`
#[fexit]
pub(crate) fn link_2_4(ctx: FExitContext) -> u32 {
    run(Probe::Link, || try_link::<2, 4>(&ctx))
}

/// match-proto: `int vfs_link(struct dentry *old_dentry, struct mnt_idmap *idmap, struct inode *dir, struct dentry *new_dentry, struct inode **delegated_inode)`
#[fexit]
pub(crate) fn link_3_5(ctx: FExitContext) -> u32 {
    run(Probe::Link, || try_link::<3, 5>(&ctx))
}

/// A name is about to be removed. The outcome is told by the function's end; by then the entry
/// may have lost its inode, so the record is made here.
#[inline(always)]
fn try_removing(entry: Typed, probe: Probe, named: bool) -> Option<()> {
    let Some(place) = recorded(maps::settings()?, entry) else {
        return Some(());
    };
    let id = if named { entry.address() as u64 } else { 0 };
    send_file(probe, RecordKind::REMOVING, entry, place, id)?;
    let (_, tid) = read::pid_and_tid();
    maps::await_outcome(
        Attempt {
            entry: id,
            tid: u64::from(tid),
        },
        probe,
    );
    Some(())
}

/// match-proto: `int vfs_unlink(struct inode *dir, struct dentry *dentry, struct inode **delegated_inode)`
#[fentry]
pub(crate) fn unlinking_1(ctx: FEntryContext) -> u32 {
    run(Probe::Unlink, || {
        try_removing(read::pointer::<1>(&ctx), Probe::Unlink, true)
    })
}

/// match-proto: `int vfs_unlink(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, struct inode **delegated_inode)`
#[fentry]
pub(crate) fn unlinking_2(ctx: FEntryContext) -> u32 {
    run(Probe::Unlink, || {
        try_removing(read::pointer::<2>(&ctx), Probe::Unlink, true)
    })
}

/// match-proto: `int vfs_rmdir(struct inode *dir, struct dentry *dentry)`
#[fentry]
pub(crate) fn removing_directory_1(ctx: FEntryContext) -> u32 {
    run(Probe::Rmdir, || {
        try_removing(read::pointer::<1>(&ctx), Probe::Rmdir, true)
    })
}

/// match-proto: `int vfs_rmdir(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry)`
#[fentry]
pub(crate) fn removing_directory_2(ctx: FEntryContext) -> u32 {
    run(Probe::Rmdir, || {
        try_removing(read::pointer::<2>(&ctx), Probe::Rmdir, true)
    })
}

/// Where the compiler split `vfs_rmdir` (5.10 as Debian builds it), the entry is taken from the
/// security hook, and the outcome from `do_rmdir`, which does not know the entry.
/// match-proto: `int security_inode_rmdir(struct inode *dir, struct dentry *dentry)`
#[fentry]
pub(crate) fn removing_directory_split(ctx: FEntryContext) -> u32 {
    run(Probe::Rmdir, || {
        try_removing(read::pointer::<1>(&ctx), Probe::Rmdir, false)
    })
}

/// Sends the outcome of an attempt, if a watched one was under way.
#[inline(always)]
pub(super) fn try_done(id: u64, result: i32) -> Option<()> {
    let (pid, tid) = read::pid_and_tid();
    if !maps::take_awaited(Attempt {
        entry: id,
        tid: u64::from(tid),
    }) {
        return Some(());
    }
    let mut buffer = Buffer::of(Probe::Done)?;
    let now_ns = read::now_ns();
    let record: &mut DoneRecord = buffer.head();
    record.header.time_ns = now_ns;
    record.header.kind = RecordKind::DONE;
    (record.header.pid, record.header.tid) = (pid, tid);
    record.attempt = id;
    record.result = result;
    record.reserved = 0;
    buffer.send(size_of::<DoneRecord>() as u32, now_ns);
    Some(())
}

macro_rules! done {
    ($($(#[$doc:meta])* $name:ident <$entry:literal, $result:literal>,)*) => {$(
        $(#[$doc])*
        #[fexit]
        pub(crate) fn $name(ctx: FExitContext) -> u32 {
            let result = read::argument::<$result>(&ctx) as i32;
            run(Probe::Done, || try_done(read::argument::<$entry>(&ctx), result))
        }
    )*};
}

done! {
    /// How `vfs_unlink` ended; without it: what is deleted is seen late.
    unlinked_1_3<1, 3>,
    /// The same from 5.12 on.
    unlinked_2_4<2, 4>,
    /// How `vfs_rmdir` ended; without it: directories that are deleted are seen late.
    removed_directory_1_2<1, 2>,
    /// The same from 5.12 on.
    removed_directory_2_3<2, 3>,
    /// The same from 6.19 on.
    removed_directory_2_4<2, 4>,
    /// How `vfs_rename` ended; without it: renames are seen late, and so is an editor's save.
    renamed_0_1<0, 1>,
}

/// match-proto: `long do_rmdir(int dfd, struct filename *name)`
#[fexit]
pub(crate) fn removed_directory_split(ctx: FExitContext) -> u32 {
    let result = read::argument::<2>(&ctx) as i32;
    run(Probe::Done, || try_done(0, result))
}

/// A name is about to move: `vfs_rename`. At its end the names are swapped already, so the record
/// is made here.
/// match-proto: `int vfs_rename(struct renamedata *rd)`
#[fentry]
pub(crate) fn renaming(ctx: FEntryContext) -> u32 {
    run(Probe::Rename, || try_renaming(read::pointer::<0>(&ctx)))
}

#[inline(always)]
fn try_renaming(rename: Typed) -> Option<()> {
    let settings = maps::settings()?;
    let from = rename.object(|o| &o.rename_old_dentry);
    let to = rename.object(|o| &o.rename_new_dentry);
    let (from_place, to_place) = (path::watched(settings, from), path::watched(settings, to));
    let (pid, tid) = read::pid_and_tid();
    if (from_place.is_none() && to_place.is_none()) || pid == settings.ignored_pid {
        return Some(());
    }
    let mut buffer = Buffer::of(Probe::Rename)?;
    let nowhere = Typed::new(core::ptr::null());
    let head = size_of::<RenameRecord>() as u32;
    let from_place = from_place.unwrap_or(TO_THE_TOP);
    let to_place = to_place.unwrap_or(TO_THE_TOP);
    let (from_end, from_path) = path::put_names(&mut buffer, head, from, from_place, nowhere);
    let (end, to_path) = path::put_names(&mut buffer, from_end, to, to_place, nowhere);
    let record: &mut RenameRecord = buffer.head();
    let now_ns = fill_header(&mut record.header, RecordKind::RENAMING);
    fill_inode(&mut record.inode, from.object(|o| &o.dentry_inode));
    fill_inode(&mut record.replaced, to.object(|o| &o.dentry_inode));
    (record.from, record.to) = (from_path, to_path);
    record.from.place = record.inode.dev;
    record.to.place = record.inode.dev;
    record.attempt = rename.address() as u64;
    record.flags = rename.u32(|o| &o.rename_flags);
    record.reserved = 0;
    buffer.send(end, now_ns);
    maps::await_outcome(
        Attempt {
            entry: rename.address() as u64,
            tid: u64::from(tid),
        },
        Probe::Rename,
    );
    Some(())
}
