//! Ways to change what is in a file.

use std::fs::{self, File};
use std::io::{IoSlice, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::libc;
use rustix::fs::FallocateFlags;
use rustix::io::{Errno, ReadWriteFlags};
use rustix::mm::{Advice, MapFlags, MprotectFlags, MsyncFlags, ProtFlags};
use rustix::pipe::SpliceFlags;

use super::mounts::is_tiny_guest;
use super::{Acting, Way, file, outside};

/// The prepared file.
pub(super) const BEFORE: &str = "one\ntwo\n";

const MODIFIED: &[&str] = &["modify file"];

pub(super) const WAYS: &[Way] = &[
    Way::new(
        "write",
        file,
        |f| open(f).write_all(b"ONE").unwrap(),
        MODIFIED,
    ),
    Way::new(
        "pwrite",
        file,
        |f| open(f).write_all_at(b"TWO", 4).unwrap(),
        MODIFIED,
    ),
    Way::new(
        "writev",
        file,
        |f| {
            let parts = [IoSlice::new(b"1"), IoSlice::new(b"2")];
            assert_eq!(rustix::io::writev(open(f), &parts), Ok(2));
        },
        MODIFIED,
    ),
    Way::new(
        "pwritev2",
        file,
        |f| {
            let parts = [IoSlice::new(b"1"), IoSlice::new(b"2")];
            let flags = ReadWriteFlags::APPEND;
            assert_eq!(rustix::io::pwritev2(open(f), &parts, 0, flags), Ok(2));
        },
        MODIFIED,
    ),
    Way::telling("write with O_DIRECT", large, direct, MODIFIED),
    Way::telling("io_submit", file, submit, MODIFIED),
    Way::new(
        "truncate",
        file,
        |f| nix::unistd::truncate(&f.join("file"), 4).unwrap(),
        MODIFIED,
    ),
    Way::new("ftruncate", file, |f| open(f).set_len(4).unwrap(), MODIFIED),
    Way::new(
        "open with O_TRUNC",
        file,
        |f| drop(File::create(f.join("file")).unwrap()),
        MODIFIED,
    ),
    Way::new(
        "fallocate, grow",
        file,
        |f| allocate(f, FallocateFlags::empty()),
        MODIFIED,
    ),
    Way::new(
        "fallocate, punch a hole",
        large,
        |f| allocate(f, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE),
        MODIFIED,
    ),
    Way::new(
        "fallocate, zero",
        large,
        |f| allocate(f, FallocateFlags::ZERO_RANGE),
        MODIFIED,
    ),
    Way::new(
        "fallocate, collapse",
        large,
        |f| allocate(f, FallocateFlags::COLLAPSE_RANGE),
        MODIFIED,
    ),
    Way::new(
        "fallocate, insert",
        large,
        |f| allocate(f, FallocateFlags::INSERT_RANGE),
        MODIFIED,
    ),
    Way::new(
        "sendfile",
        file,
        |f| {
            let from = File::open("/etc/passwd").unwrap();
            assert_eq!(rustix::fs::sendfile(open(f), from, None, 3), Ok(3));
        },
        MODIFIED,
    ),
    Way::new(
        "splice",
        file,
        |f| {
            let (from, mut to) = std::io::pipe().unwrap();
            to.write_all(b"123").unwrap();
            splice(from.into(), f);
        },
        MODIFIED,
    ),
    Way::new("vmsplice and splice", file, vmsplice, MODIFIED),
    Way::new(
        "copy_file_range",
        file,
        |f| {
            let from = File::open("/etc/passwd").unwrap();
            let copied = rustix::fs::copy_file_range(from, None, open(f), None, 3);
            // Across file systems only some kernels copy.
            assert!(copied == Ok(3) || copied == Err(Errno::XDEV), "{copied:?}");
            if copied.is_err() {
                let from = File::open(f.join("file")).unwrap();
                let (mut begin, mut end) = (0, 4);
                let copied =
                    rustix::fs::copy_file_range(from, Some(&mut begin), open(f), Some(&mut end), 3);
                assert_eq!(copied, Ok(3));
            }
        },
        MODIFIED,
    ),
    Way::new(
        "store through a shared mapping, msync",
        large,
        |f| {
            let mapped = map(f, ProtFlags::READ | ProtFlags::WRITE);
            store(mapped, b'O');
            sync(mapped);
        },
        MODIFIED,
    ),
    Way::new("store through a shared mapping", large, stored, MODIFIED),
    Way::new(
        "store after mprotect",
        large,
        |f| {
            let mapped = map(f, ProtFlags::READ);
            protect(mapped);
            store(mapped, b'O');
        },
        MODIFIED,
    ),
    Way::new(
        "second store to a page that is dirty",
        large,
        |f| {
            let mapped = map(f, ProtFlags::READ | ProtFlags::WRITE);
            store(mapped, b'O');
            // So that both stores are not of the same clock tick.
            std::thread::sleep(std::time::Duration::from_millis(30));
            store(mapped, b'P');
        },
        MODIFIED,
    ),
    Way::telling("madvise with MADV_REMOVE", large, remove, MODIFIED),
    Way::telling("EXT4_IOC_SWAP_BOOT", file, swap_boot, MODIFIED),
    Way::telling("EXT4_IOC_MOVE_EXT", with_donor, move_extent, &[]),
];

/// A file of three pages.
pub(super) fn large(folder: &Path) {
    fs::write(folder.join("file"), "a line\n".repeat(3 * 4096 / 7 + 1)).unwrap();
    nix::unistd::truncate(&folder.join("file"), 3 * 4096).unwrap();
}

/// The prepared file, open for reading and writing.
pub(super) fn open(folder: &Path) -> File {
    let mut options = File::options();
    options.read(true).write(true);
    options.open(folder.join("file")).unwrap()
}

fn allocate(folder: &Path, mode: FallocateFlags) {
    rustix::fs::fallocate(open(folder), mode, 4096, 4096).unwrap();
}

fn splice(from: OwnedFd, folder: &Path) {
    let spliced = rustix::pipe::splice(from, None, open(folder), None, 3, SpliceFlags::empty());
    assert_eq!(spliced, Ok(3));
}

#[expect(unsafe_code, reason = "pages that the kernel takes as they are")]
fn vmsplice(folder: &Path) {
    let (from, to) = std::io::pipe().unwrap();
    let part = rustix::pipe::IoSliceRaw::from_slice(b"123");
    // SAFETY: the bytes are never changed.
    let given = unsafe { rustix::pipe::vmsplice(to.as_fd(), &[part], SpliceFlags::empty()) };
    assert_eq!(given, Ok(3));
    splice(from.into(), folder);
}

/// A page whose address is a multiple of what disks ask for.
#[repr(align(4096))]
struct Page([u8; 4096]);

fn direct(folder: &Path) -> Acting {
    let mut options = File::options();
    options.write(true).custom_flags(libc::O_DIRECT);
    match options.open(folder.join("file")) {
        Ok(mut file) => file.write_all(&Page([b'x'; 4096]).0).unwrap(),
        Err(error) => return Acting::Missing(format!("O_DIRECT: {error}")),
    }
    Acting::Done
}

/// `struct iocb` of `include/uapi/linux/aio_abi.h`.
#[repr(C)]
struct Iocb {
    data: u64,
    key: u32,
    flags: i32,
    opcode: u16,
    priority: i16,
    descriptor: u32,
    buffer: u64,
    bytes: u64,
    offset: i64,
    reserved: u64,
    more_flags: u32,
    event_descriptor: u32,
}

/// `IOCB_CMD_PWRITE`.
const PWRITE: u16 = 1;

#[expect(unsafe_code, reason = "nobody wraps these calls")]
fn submit(folder: &Path) -> Acting {
    let file = open(folder);
    let bytes = b"123";
    let mut request = Iocb {
        data: 0,
        key: 0,
        flags: 0,
        opcode: PWRITE,
        priority: 0,
        descriptor: u32::try_from(file.as_raw_fd()).unwrap(),
        buffer: bytes.as_ptr() as u64,
        bytes: bytes.len() as u64,
        offset: 0,
        reserved: 0,
        more_flags: 0,
        event_descriptor: 0,
    };
    let mut context: libc::c_ulong = 0;
    let mut requests = [&raw mut request];
    let mut events = [[0_u64; 4]];
    // SAFETY: the pointers are to what the calls take, and the request lives until its event came.
    unsafe {
        if libc::syscall(libc::SYS_io_setup, 1, &raw mut context) != 0 {
            return Acting::Missing("io_setup".to_owned());
        }
        let submitted = libc::syscall(libc::SYS_io_submit, context, 1, requests.as_mut_ptr());
        assert_eq!(submitted, 1);
        let none = std::ptr::null::<libc::timespec>();
        let came = libc::syscall(
            libc::SYS_io_getevents,
            context,
            1,
            1,
            events.as_mut_ptr(),
            none,
        );
        assert_eq!(came, 1);
    }
    assert_eq!(events[0][2], 3, "the result");
    Acting::Done
}

/// Maps the prepared file whole; the descriptor is closed at once.
#[expect(unsafe_code, reason = "writing through a mapping is what is tested")]
pub(super) fn map(folder: &Path, protection: ProtFlags) -> *mut u8 {
    let file = open(folder);
    let none = std::ptr::null_mut();
    // SAFETY: a new mapping overlaps nothing.
    let mapped =
        unsafe { rustix::mm::mmap(none, 3 * 4096, protection, MapFlags::SHARED, &file, 0) };
    mapped.unwrap().cast()
}

/// A store, and the end of the process without another call for it.
pub(super) fn stored(folder: &Path) {
    store(map(folder, ProtFlags::READ | ProtFlags::WRITE), b'O');
}

#[expect(unsafe_code, reason = "as in `map`")]
fn store(mapped: *mut u8, byte: u8) {
    // SAFETY: the mapping is three pages long, may be written, and lives until the process ends.
    unsafe { mapped.write_volatile(byte) };
}

#[expect(unsafe_code, reason = "as in `map`")]
fn sync(mapped: *mut u8) {
    // SAFETY: address and length are those of the mapping.
    unsafe { rustix::mm::msync(mapped.cast(), 3 * 4096, MsyncFlags::SYNC) }.unwrap();
}

#[expect(unsafe_code, reason = "as in `map`")]
fn protect(mapped: *mut u8) {
    let flags = MprotectFlags::READ | MprotectFlags::WRITE;
    // SAFETY: address and length are those of the mapping.
    unsafe { rustix::mm::mprotect(mapped.cast(), 3 * 4096, flags) }.unwrap();
}

#[expect(unsafe_code, reason = "as in `map`")]
fn remove(folder: &Path) -> Acting {
    let mapped = map(folder, ProtFlags::READ | ProtFlags::WRITE);
    // SAFETY: address and length are those of the mapping.
    match unsafe { rustix::mm::madvise(mapped.cast(), 4096, Advice::LinuxRemove) } {
        Ok(()) => Acting::Done,
        Err(error) => Acting::Missing(format!("MADV_REMOVE: {error}")),
    }
}

/// Ends a forked child without what its parent does at its end.
#[expect(unsafe_code, reason = "_exit")]
pub(super) fn end() -> ! {
    // SAFETY: it takes a number.
    unsafe { libc::_exit(0) }
}

/// Swaps the file with the boot loader's inode.
fn swap_boot(folder: &Path) -> Acting {
    if !is_tiny_guest() {
        return Acting::Missing("not on a disk that somebody needs".to_owned());
    }
    nix::ioctl_none!(ext4_ioc_swap_boot, b'f', 17);
    let file = open(folder);
    #[expect(unsafe_code, reason = "an ioctl")]
    // SAFETY: it takes no argument.
    match unsafe { ext4_ioc_swap_boot(file.as_raw_fd()) } {
        Ok(_) => Acting::Done,
        Err(error) => Acting::Missing(format!("EXT4_IOC_SWAP_BOOT: {error}")),
    }
}

/// A file, and another one outside whose blocks it can have.
fn with_donor(folder: &Path) {
    large(folder);
    fs::write(outside(folder), vec![b'x'; 3 * 4096]).unwrap();
    for path in [folder.join("file"), outside(folder)] {
        File::open(path).unwrap().sync_all().unwrap();
    }
}

/// `struct move_extent` of fs/ext4/ext4.h.
#[repr(C)]
struct MoveExtent {
    reserved: u32,
    donor: u32,
    start: u64,
    donor_start: u64,
    blocks: u64,
    moved: u64,
}

/// Swaps blocks of the file with those of another, as a defragmenter does: each keeps its bytes.
fn move_extent(folder: &Path) -> Acting {
    if !is_tiny_guest() {
        return Acting::Missing("not on a disk that somebody needs".to_owned());
    }
    nix::ioctl_readwrite!(ext4_ioc_move_ext, b'f', 15, MoveExtent);
    let donor = File::options().read(true).write(true).open(outside(folder));
    let (file, donor) = (open(folder), donor.unwrap());
    let mut arguments = MoveExtent {
        reserved: 0,
        donor: u32::try_from(donor.as_raw_fd()).unwrap(),
        start: 0,
        donor_start: 0,
        blocks: 2,
        moved: 0,
    };
    #[expect(unsafe_code, reason = "an ioctl")]
    // SAFETY: it reads and writes its argument.
    match unsafe { ext4_ioc_move_ext(file.as_raw_fd(), &raw mut arguments) } {
        Ok(_) => Acting::Done,
        Err(error) => Acting::Missing(format!("EXT4_IOC_MOVE_EXT: {error}")),
    }
}
