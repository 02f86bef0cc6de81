//! Walks up the directory entries: whether a file is in a watched tree, and what its path is.

use tracer_ebpf::{
    MAX_DEPTH, NAMES_BYTES, PathFlags, PathRecord, RootValue, SUBVOLUME_REACH, Settings,
};

use crate::maps::{self, Buffer};
use crate::read::{Memory, Probed};

/// Where a file lies: how many names are between it and what they lead up to.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// The watched root's number; 0 for the top of the file system.
    pub(crate) root: u32,
    /// How many names lead up to it.
    pub(crate) depth: u32,
}

/// Finds the watched root above a directory entry, or at it.
#[inline(always)]
pub(crate) fn watched<M: Memory>(settings: &Settings, entry: M) -> Option<Place> {
    let mut entry = entry;
    for depth in 0..MAX_DEPTH {
        let inode = entry.object(|o| &o.dentry_inode);
        if !inode.is_null() {
            let number = inode.u64(|o| &o.inode_number);
            let dev = || device(settings, inode);
            match maps::root(settings, number, depth == 1, dev) {
                Some(RootValue {
                    id,
                    children_only: 0,
                }) => return Some(Place { root: id, depth }),
                Some(RootValue { id, .. }) if depth == 1 => {
                    return Some(Place { root: id, depth });
                }
                _ => {}
            }
        }
        let parent = entry.object(|o| &o.dentry_parent);
        if parent.is(entry) {
            return None;
        }
        entry = parent;
    }
    None
}

/// `BTRFS_SUPER_MAGIC` of include/uapi/linux/magic.h.
const BTRFS: u64 = 0x9123_683e;

/// The device of a file as stat(2) tells it: on Btrfs that of its subvolume, as inodes of several
/// subvolumes have the same number.
#[inline(always)]
fn device<M: Memory>(settings: &Settings, inode: M) -> u32 {
    let fs = inode.object(|o| &o.inode_sb);
    if settings.subvolume_dev == 0 || fs.u64(|o| &o.sb_magic) != BTRFS {
        return fs.u32(|o| &o.sb_dev);
    }
    let before = settings.subvolume_before % SUBVOLUME_REACH;
    let subvolume = Probed::load::<u64>(inode.address().wrapping_sub(before as usize));
    Probed::load((subvolume as *const u8).wrapping_add(settings.subvolume_dev as usize))
}

/// Puts the names from `entry` up to its place at `start`; tells where they end, and describes them.
///
/// `top` is where the names stop at the latest: the root of a mount, or any null pointer.
#[inline(always)]
pub(crate) fn put_names<M: Memory>(
    buffer: &mut Buffer,
    start: u32,
    entry: M,
    up_to: Place,
    top: M,
) -> (u32, PathRecord) {
    let unnamed = entry.u64(|o| &o.dentry_hash_pprev) == 0;
    let mut flags = if unnamed { PathFlags::UNNAMED } else { 0 };
    let mut end = start;
    let mut entry = entry;
    let mut complete = false;
    let names = buffer.forget(up_to.depth);
    for depth in 0..MAX_DEPTH {
        let parent = entry.object(|o| &o.dentry_parent);
        if depth == names || parent.is(entry) || entry.is(top) {
            complete = true;
            break;
        }
        let name = entry.at(|o| &o.dentry_name);
        let len = name.u32(|o| &o.qstr_len);
        if end - start + len + 1 > NAMES_BYTES || len > 255 {
            break;
        }
        let name_end = buffer.put_name(end, name.object(|o| &o.qstr_name).address(), len);
        end = buffer.forget(name_end);
        entry = parent;
    }
    if !complete {
        flags |= PathFlags::CUT;
    }
    // Every way out of the loop leads on with the same state of knowledge.
    let (end, flags) = (buffer.forget(end), buffer.forget(flags));
    let record = PathRecord {
        root: up_to.root,
        names_len: end - start,
        flags: PathFlags(flags),
        place: 0,
    };
    (end, record)
}

/// Stands for a path that is told up to the top of its file system.
pub(crate) const TO_THE_TOP: Place = Place {
    root: 0,
    depth: u32::MAX,
};

/// The id of the mount that a `vfsmount` is part of.
#[inline(always)]
pub(crate) fn mount_id<M: Memory>(vfsmount: M) -> u32 {
    let embedded = Probed::new(core::ptr::null())
        .at(|o| &o.mount_mnt)
        .address() as usize;
    Probed::new(vfsmount.address().wrapping_sub(embedded)).u32(|o| &o.mount_id)
}
