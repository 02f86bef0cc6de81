//! What the daemon tells the programs: whom to ignore and which trees are watched.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Size of the ring buffer in bytes; a power of two and a multiple of the page size.
pub const RING_BYTES: u32 = 4 << 20;
/// How many roots of watched trees there can be.
pub const ROOTS_ENTRIES: u32 = 4096;
/// How many attempts can be under way at once.
pub const PENDING_ENTRIES: u32 = 8192;
/// Words of the Bloom filter over the roots' inode numbers.
pub const BLOOM_WORDS: usize = 64;

/// The word and the bit that stand for an inode number in the filter.
///
/// A walk up the parents asks the filter at every step, and only on a hit the map of roots: with
/// 20 roots in 4096 bits one step in 200 asks in vain.
#[inline]
pub fn bloom_bit(inode: u64) -> (usize, u64) {
    let folded = inode ^ inode >> 12 ^ inode >> 24;
    ((folded >> 6) as usize % BLOOM_WORDS, 1 << (folded & 63))
}

/// The one value of the map `SETTINGS`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Settings {
    /// The filter over the roots' inode numbers; see [`bloom_bit`].
    pub bloom: [u64; BLOOM_WORDS],
    /// When a program last woke the daemon, in nanoseconds of `CLOCK_BOOTTIME`.
    pub woken_at_ns: u64,
    /// The daemon's own process id, whose changes are not recorded; 0 for none.
    pub ignored_pid: u32,
    /// Keeps the size a multiple of 8.
    pub reserved: u32,
}

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
    Sysctl,
    Done,
}

impl Probe {
    /// Every probe with its name.
    pub const ALL: [(Self, &'static str); 20] = [
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
        (Self::Sysctl, "sysctl"),
        (Self::Done, "done"),
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
    fn the_filter_spreads_neighbouring_inodes() {
        let mut bloom = [0u64; BLOOM_WORDS];
        for inode in 1000..1064 {
            let (word, bit) = bloom_bit(inode);
            bloom[word] |= bit;
        }
        assert_eq!(bloom.iter().map(|word| word.count_ones()).sum::<u32>(), 64);
    }

    #[test]
    fn probes_are_numbered_in_order() {
        for (index, (probe, _)) in Probe::ALL.iter().enumerate() {
            assert_eq!(*probe as usize, index);
        }
    }
}
