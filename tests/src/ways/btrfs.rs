//! Ways that only a file system which shares blocks and has subvolumes offers; and the plain ones
//! there, as it has its own way of naming devices and inodes.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::Path;

use super::content::{BEFORE, large, open, stored};
use super::{Acting, Limit, Outcome, Way, file, nothing};

const MODIFIED: &[&str] = &["modify file"];

/// The kernel half tells subvolumes apart by types of the file system's module.
const NO_TYPES: &str =
    "this kernel does not tell the types of its modules, and so not which subvolume is which";

const fn untyped(late: &'static [&'static str]) -> Limit {
    Limit {
        on: &["5.10"],
        instead: Outcome::Late(late),
        why: NO_TYPES,
    }
}

const MODIFIED_LATE: &[Limit] = &[untyped(MODIFIED)];

pub(super) const WAYS: &[Way] = &[
    Way::new(
        "write",
        file,
        |f| open(f).write_all(b"ONE").unwrap(),
        MODIFIED,
    )
    .limited(MODIFIED_LATE),
    Way::new("store through a shared mapping", large, stored, MODIFIED).limited(MODIFIED_LATE),
    Way::new(
        "rename over another",
        |f| {
            file(f);
            fs::write(f.join("other"), "the other\n").unwrap();
        },
        |f| fs::rename(f.join("file"), f.join("other")).unwrap(),
        &["rename other"],
    )
    .limited(&[untyped(&["delete file", "modify other"])]),
    Way::new(
        "unlink",
        file,
        |f| fs::remove_file(f.join("file")).unwrap(),
        &["delete file"],
    )
    .limited(&[untyped(&["delete file"])]),
    Way::new("FICLONE", two, clone, MODIFIED).limited(MODIFIED_LATE),
    Way::telling("FICLONERANGE", two, clone_range, MODIFIED).limited(MODIFIED_LATE),
    Way::new("copy_file_range that shares blocks", two, copy, MODIFIED).limited(MODIFIED_LATE),
    Way::telling("FIDEDUPERANGE", same, share, &[]),
    Way::telling(
        "BTRFS_IOC_SUBVOL_CREATE",
        nothing,
        |f| subvolume(f, "new"),
        &["create new"],
    )
    .limited(&[untyped(&["create new"])]),
    Way::telling(
        "BTRFS_IOC_SNAP_CREATE",
        filled,
        |f| snapshot(f, "sub", "snap"),
        &["create snap", "create snap/file", "create snap/folder"],
    )
    .limited(&[untyped(&[
        "create snap",
        "create snap/file",
        "create snap/folder",
    ])]),
    Way::telling(
        "BTRFS_IOC_SNAP_DESTROY",
        filled,
        |f| destroy(f, "sub"),
        &["delete sub", "delete sub/file", "delete sub/folder"],
    )
    .limited(&[untyped(&[
        "delete sub",
        "delete sub/file",
        "delete sub/folder",
    ])]),
    Way::new(
        "rmdir of a subvolume",
        |f| drop(subvolume(f, "old")),
        |f| fs::remove_dir(f.join("old")).unwrap(),
        &["delete old"],
    )
    .limited(&[untyped(&["delete old"])]),
    Way::new(
        "write in a subvolume",
        filled,
        |f| fs::write(f.join("sub/file"), "new\n").unwrap(),
        &["modify sub/file"],
    )
    .limited(&[untyped(&["modify sub/file"])]),
    Way::new(
        "write in a snapshot of it that is not watched",
        |f| {
            filled(f);
            drop(snapshot(f, "sub", &snapshot_outside(f)));
        },
        |f| fs::write(super::outside(f).join("file"), "new\n").unwrap(),
        &[],
    ),
    Way::new(
        "rename of a subvolume",
        filled,
        |f| fs::rename(f.join("sub"), f.join("moved")).unwrap(),
        &["rename moved"],
    )
    .limited(&[untyped(&[
        "create moved",
        "create moved/file",
        "create moved/folder",
        "delete sub",
        "delete sub/file",
        "delete sub/folder",
    ])]),
];

/// Two files of three pages, with different bytes.
fn two(folder: &Path) {
    large(folder);
    fs::write(folder.join("other"), vec![b'x'; 3 * 4096]).unwrap();
}

/// Two files of the same bytes, on the disk.
fn same(folder: &Path) {
    for name in ["file", "other"] {
        let mut file = File::create(folder.join(name)).unwrap();
        file.write_all(&vec![b'x'; 3 * 4096]).unwrap();
        file.sync_all().unwrap();
    }
}

fn other(folder: &Path) -> File {
    File::open(folder.join("other")).unwrap()
}

fn clone(folder: &Path) {
    rustix::fs::ioctl_ficlone(open(folder), other(folder)).unwrap();
}

fn copy(folder: &Path) {
    let copied = rustix::fs::copy_file_range(other(folder), None, open(folder), None, 3 * 4096);
    assert_eq!(copied, Ok(3 * 4096));
}

/// `struct file_clone_range` of `include/uapi/linux/fs.h`.
#[repr(C)]
struct CloneRange {
    from: i64,
    from_offset: u64,
    bytes: u64,
    to_offset: u64,
}

nix::ioctl_write_ptr!(ficlonerange, 0x94, 13, CloneRange);

#[expect(unsafe_code, reason = "an ioctl")]
fn clone_range(folder: &Path) -> Acting {
    let (from, to) = (other(folder), open(folder));
    let range = CloneRange {
        from: from.as_raw_fd().into(),
        from_offset: 0,
        bytes: 4096,
        to_offset: 4096,
    };
    // SAFETY: it reads the range.
    let done = unsafe { ficlonerange(to.as_raw_fd(), &raw const range) };
    acted("FICLONERANGE", done)
}

/// `struct file_dedupe_range` of `include/uapi/linux/fs.h`, with one `struct file_dedupe_range_info`.
#[repr(C)]
struct ShareRange {
    from_offset: u64,
    bytes: u64,
    count: u16,
    reserved: [u16; 3],
    to: i64,
    to_offset: u64,
    shared_bytes: u64,
    status: i32,
    more_reserved: u32,
}

/// `struct file_dedupe_range` without what follows it, for the number of the call.
#[repr(C)]
struct ShareHead([u64; 3]);

const FIDEDUPERANGE: u64 = nix::request_code_readwrite!(0x94, 54, size_of::<ShareHead>());

#[expect(unsafe_code, reason = "an ioctl")]
fn share(folder: &Path) -> Acting {
    let (from, to) = (other(folder), open(folder));
    let mut range = ShareRange {
        from_offset: 0,
        bytes: 4096,
        count: 1,
        reserved: [0; 3],
        to: to.as_raw_fd().into(),
        to_offset: 0,
        shared_bytes: 0,
        status: 0,
        more_reserved: 0,
    };
    // SAFETY: it reads and writes the range, which is as long as it says.
    let done = unsafe { nix::libc::ioctl(from.as_raw_fd(), FIDEDUPERANGE, &raw mut range) };
    assert_eq!(
        (range.status, range.shared_bytes),
        (0, 4096),
        "what it shared"
    );
    acted("FIDEDUPERANGE", nix::errno::Errno::result(done))
}

/// `struct btrfs_ioctl_vol_args` of `include/uapi/linux/btrfs.h`.
#[repr(C)]
struct VolumeArguments {
    descriptor: i64,
    name: [u8; 4088],
}

impl VolumeArguments {
    fn new(descriptor: i64, volume: &str) -> Self {
        let mut name = [0; 4088];
        name[..volume.len()].copy_from_slice(volume.as_bytes());
        Self { descriptor, name }
    }
}

nix::ioctl_write_ptr!(btrfs_ioc_snap_create, 0x94, 1, VolumeArguments);
nix::ioctl_write_ptr!(btrfs_ioc_subvol_create, 0x94, 14, VolumeArguments);
nix::ioctl_write_ptr!(btrfs_ioc_snap_destroy, 0x94, 15, VolumeArguments);

/// An empty subvolume.
#[expect(unsafe_code, reason = "an ioctl")]
fn subvolume(folder: &Path, name: &str) -> Acting {
    let directory = File::open(folder).unwrap();
    let arguments = VolumeArguments::new(0, name);
    // SAFETY: it reads the arguments.
    let done = unsafe { btrfs_ioc_subvol_create(directory.as_raw_fd(), &raw const arguments) };
    acted("BTRFS_IOC_SUBVOL_CREATE", done)
}

/// A subvolume with something in it.
fn filled(folder: &Path) {
    assert!(matches!(subvolume(folder, "sub"), Acting::Done));
    fs::write(folder.join("sub/file"), BEFORE).unwrap();
    fs::create_dir(folder.join("sub/folder")).unwrap();
}

/// The name of a snapshot outside of the tree.
fn snapshot_outside(folder: &Path) -> String {
    super::outside(folder).to_str().unwrap().to_owned()
}

#[expect(unsafe_code, reason = "an ioctl")]
fn snapshot(folder: &Path, of: &str, to: &str) -> Acting {
    let source = File::open(folder.join(of)).unwrap();
    let to = folder.join(to);
    let directory = File::open(to.parent().unwrap()).unwrap();
    let name = to.file_name().unwrap().to_str().unwrap();
    let arguments = VolumeArguments::new(source.as_raw_fd().into(), name);
    // SAFETY: it reads the arguments.
    let done = unsafe { btrfs_ioc_snap_create(directory.as_raw_fd(), &raw const arguments) };
    acted("BTRFS_IOC_SNAP_CREATE", done)
}

#[expect(unsafe_code, reason = "an ioctl")]
fn destroy(folder: &Path, name: &str) -> Acting {
    let directory = File::open(folder).unwrap();
    let arguments = VolumeArguments::new(0, name);
    // SAFETY: it reads the arguments.
    let done = unsafe { btrfs_ioc_snap_destroy(directory.as_raw_fd(), &raw const arguments) };
    acted("BTRFS_IOC_SNAP_DESTROY", done)
}

/// Where the disk is there, each of the calls is.
fn acted(call: &str, done: nix::Result<i32>) -> Acting {
    done.unwrap_or_else(|error| panic!("{call}: {error}"));
    Acting::Done
}
