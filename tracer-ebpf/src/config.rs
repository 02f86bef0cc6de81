//! What the daemon tells the programs: whom to ignore and which trees are watched.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Size of the ring buffer in bytes; a power of two and a multiple of the page size.
pub const RING_BYTES: u32 = 2 << 20;
/// How many roots of watched trees there can be.
pub const ROOTS_ENTRIES: u32 = 4096;
/// How many attempts can be under way at once.
pub const PENDING_ENTRIES: u32 = 8192;
/// Words of the Bloom filter over the roots' inode numbers.
pub const BLOOM_WORDS: usize = 64;

/// The signals that are told of, a bit for each number.
///
/// Those that end a process that does not handle them, and that people and programs send for that; not those that timers,
/// pipes and terminals send all the time.
pub const ENDING_SIGNALS: u64 = 0b1001_1111_1111_1110;

/// The word and the bit that stand for an inode number in a filter.
///
/// A walk up the parents asks the filter at every step, and only on a hit the map of roots: with
/// 20 roots in 4096 bits one step in 200 asks in vain. A root of which only the direct children
/// matter stands in it by [`children_bit`], which is asked for at the parent only: else each walk
/// would ask in vain at `/`, which is such a root where `/etc` is watched.
///
/// Multiplied by 2^64 divided by the golden ratio, because ext4 spreads top-level directories over
/// block groups of 8192 inodes: the low bits of `/etc`, `/srv` and `/var` are the same.
#[inline]
pub fn bloom_bit(inode: u64) -> (usize, u64) {
    let mixed = inode.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (
        (mixed >> 58) as usize % BLOOM_WORDS,
        1 << (mixed >> 52 & 63),
    )
}

/// The word and the bit that stand for a root of which only the direct children matter.
#[inline]
pub fn children_bit(inode: u64) -> (usize, u64) {
    bloom_bit(!inode)
}

/// The one value of the map `SETTINGS`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Settings {
    /// The filter over the inode numbers of roots; see [`bloom_bit`].
    pub filter: [u64; BLOOM_WORDS],
    /// When a program last woke the daemon, in nanoseconds of `CLOCK_BOOTTIME`.
    pub woken_at_ns: u64,
    /// The daemon's own process id, whose changes are not recorded; 0 for none.
    pub ignored_pid: u32,
    /// How far before an inode of Btrfs the pointer to its subvolume lies: `btrfs_inode.vfs_inode` less
    /// `btrfs_inode.root`, less than [`SUBVOLUME_REACH`].
    pub subvolume_before: u32,
    /// `btrfs_root.anon_dev`, the device that stat(2) gives for what is in a subvolume; 0 where that is
    /// not known, or not needed.
    pub subvolume_dev: u32,
    /// Inode number of the daemon's mount namespace: what is mounted in others is not recorded.
    pub mount_ns: u32,
}

/// What is added to an inode's address must have a bound; a power of two.
pub const SUBVOLUME_REACH: u32 = 1 << 14;

/// Names a root in the map `ROOTS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RootKey {
    /// The inode number.
    pub inode: u64,
    /// The device in the kernel's encoding (major << 20 | minor).
    pub dev: u32,
    /// Keeps the size a multiple of 8.
    pub reserved: u32,
}

/// What the map `ROOTS` says of a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RootValue {
    /// The daemon's number of it; never 0.
    pub id: u32,
    /// 1 where only the direct children matter, 0 for the whole tree.
    pub children_only: u32,
}

/// Numbers the probes, for the map `LOST` of records that did not fit into the ring buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[expect(
    missing_docs,
    reason = "each is documented where it is implemented, in `probes`"
)]
pub enum Probe {
    Fork,
    Exec,
    Exit,
    Close,
    Dirtied,
    Creating,
    Create,
    Mknod,
    Mkdir,
    Symlink,
    Link,
    Unlink,
    Rmdir,
    Rename,
    Attributes,
    SetXattr,
    RemoveXattr,
    SetAcl,
    SetFlags,
    FileIoctl,
    Sysctl,
    Done,
    ModuleLoad,
    ModuleFree,
    Mount,
    MoveMount,
    Unmount,
    Remount,
    Swap,
    SysctlDone,
    Setting,
    Sysrq,
    Cgroup,
    Signal,
    ModuleRequest,
    ModuleFile,
    ModuleDone,
}

impl Probe {
    /// Every probe with its name.
    pub const ALL: [(Self, &'static str); 37] = [
        (Self::Fork, "fork"),
        (Self::Exec, "exec"),
        (Self::Exit, "exit"),
        (Self::Close, "close"),
        (Self::Dirtied, "dirtied"),
        (Self::Creating, "creating"),
        (Self::Create, "create"),
        (Self::Mknod, "mknod"),
        (Self::Mkdir, "mkdir"),
        (Self::Symlink, "symlink"),
        (Self::Link, "link"),
        (Self::Unlink, "unlink"),
        (Self::Rmdir, "rmdir"),
        (Self::Rename, "rename"),
        (Self::Attributes, "attributes"),
        (Self::SetXattr, "set-xattr"),
        (Self::RemoveXattr, "remove-xattr"),
        (Self::SetAcl, "set-acl"),
        (Self::SetFlags, "set-flags"),
        (Self::FileIoctl, "file-ioctl"),
        (Self::Sysctl, "sysctl"),
        (Self::Done, "done"),
        (Self::ModuleLoad, "module-load"),
        (Self::ModuleFree, "module-free"),
        (Self::Mount, "mount"),
        (Self::MoveMount, "move-mount"),
        (Self::Unmount, "unmount"),
        (Self::Remount, "remount"),
        (Self::Swap, "swap"),
        (Self::SysctlDone, "sysctl-done"),
        (Self::Setting, "setting"),
        (Self::Sysrq, "sysrq"),
        (Self::Cgroup, "cgroup"),
        (Self::Signal, "signal"),
        (Self::ModuleRequest, "module-request"),
        (Self::ModuleFile, "module-file"),
        (Self::ModuleDone, "module-done"),
    ];
}

#[cfg(not(target_arch = "bpf"))]
mod pod {
    //! The daemon hands these types to maps as plain bytes.
    use super::{RootKey, RootValue, Settings};

    #[expect(
        unsafe_code,
        reason = "aya asks for the marker, and the orphan rule for this place"
    )]
    // SAFETY: `repr(C)` without padding, which the derives of zerocopy prove.
    unsafe impl aya::Pod for Settings {}
    #[expect(
        unsafe_code,
        reason = "aya asks for the marker, and the orphan rule for this place"
    )]
    // SAFETY: as above.
    unsafe impl aya::Pod for RootKey {}
    #[expect(
        unsafe_code,
        reason = "aya asks for the marker, and the orphan rule for this place"
    )]
    // SAFETY: as above.
    unsafe impl aya::Pod for RootValue {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_tells_apart_the_top_level_directories_of_ext4() {
        let places: [_; 20] = core::array::from_fn(|group| bloom_bit(1 + 8192 * group as u64));
        for (index, place) in places.iter().enumerate() {
            assert!(!places[..index].contains(place), "{index}");
        }
    }

    #[test]
    fn probes_are_numbered_in_order() {
        for (index, (probe, _)) in Probe::ALL.iter().enumerate() {
            assert_eq!(*probe as usize, index);
        }
    }
}
