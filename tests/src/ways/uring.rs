//! Ways through `io_uring`, where no system call tells of what is done.

use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::path::Path;

use io_uring::squeue::{Entry, Flags};
use io_uring::types::{Fd, Fixed};
use io_uring::{IoUring, Probe, opcode};
use nix::libc;

use super::content::{large, open};
use super::{Acting, Way, file, nothing};

const HERE: Fd = Fd(libc::AT_FDCWD);
const MODIFIED: &[&str] = &["modify file"];

pub(super) const WAYS: &[Way] = &[
    Way::telling("IORING_OP_OPENAT", nothing, create, &["create file"]),
    Way::telling(
        "IORING_OP_WRITE",
        file,
        |f| {
            let file = open(f);
            let write = opcode::Write::new(Fd(file.as_raw_fd()), b"1234".as_ptr(), 4);
            submit(opcode::Write::CODE, &write.build(), 4)
        },
        MODIFIED,
    ),
    Way::telling(
        "IORING_OP_WRITE by a worker",
        file,
        |f| {
            let file = open(f);
            let write = opcode::Write::new(Fd(file.as_raw_fd()), b"1234".as_ptr(), 4);
            let write = write.build().flags(Flags::ASYNC);
            submit(opcode::Write::CODE, &write, 4)
        },
        MODIFIED,
    ),
    Way::telling(
        "IORING_OP_WRITEV",
        file,
        |f| {
            let file = open(f);
            let part = std::io::IoSlice::new(b"1234");
            let parts = (&raw const part).cast();
            let write = opcode::Writev::new(Fd(file.as_raw_fd()), parts, 1);
            submit(opcode::Writev::CODE, &write.build(), 4)
        },
        MODIFIED,
    ),
    Way::telling("IORING_OP_WRITE_FIXED", file, fixed, MODIFIED),
    Way::telling("IORING_OP_WRITE with SQPOLL", file, polled, MODIFIED),
    Way::telling(
        "IORING_OP_SPLICE",
        file,
        |f| {
            let file = open(f);
            let (from, mut to) = std::io::pipe().unwrap();
            std::io::Write::write_all(&mut to, b"123").unwrap();
            let (from, to) = (Fd(from.as_raw_fd()), Fd(file.as_raw_fd()));
            let splice = opcode::Splice::new(from, -1, to, 0, 3);
            submit(opcode::Splice::CODE, &splice.build(), 3)
        },
        MODIFIED,
    ),
    Way::telling(
        "IORING_OP_FALLOCATE",
        large,
        |f| {
            let file = open(f);
            let allocate = opcode::Fallocate::new(Fd(file.as_raw_fd()), 5 * 4096);
            submit(opcode::Fallocate::CODE, &allocate.build(), 0)
        },
        MODIFIED,
    ),
    Way::telling(
        "IORING_OP_FTRUNCATE",
        file,
        |f| {
            let file = open(f);
            let truncate = opcode::Ftruncate::new(Fd(file.as_raw_fd()), 4);
            submit(opcode::Ftruncate::CODE, &truncate.build(), 0)
        },
        MODIFIED,
    ),
    Way::telling(
        "IORING_OP_RENAMEAT",
        file,
        |f| {
            let (from, to) = (path(f, "file"), path(f, "moved"));
            let rename = opcode::RenameAt::new(HERE, from.as_ptr(), HERE, to.as_ptr());
            submit(opcode::RenameAt::CODE, &rename.build(), 0)
        },
        &["rename moved"],
    ),
    Way::telling(
        "IORING_OP_UNLINKAT",
        file,
        |f| {
            let path = path(f, "file");
            let unlink = opcode::UnlinkAt::new(HERE, path.as_ptr());
            submit(opcode::UnlinkAt::CODE, &unlink.build(), 0)
        },
        &["delete file"],
    ),
    Way::telling(
        "IORING_OP_UNLINKAT of a directory",
        |f| fs::create_dir(f.join("old")).unwrap(),
        |f| {
            let path = path(f, "old");
            let unlink = opcode::UnlinkAt::new(HERE, path.as_ptr()).flags(libc::AT_REMOVEDIR);
            submit(opcode::UnlinkAt::CODE, &unlink.build(), 0)
        },
        &["delete old"],
    ),
    Way::telling(
        "IORING_OP_LINKAT",
        file,
        |f| {
            let (from, to) = (path(f, "file"), path(f, "second"));
            let link = opcode::LinkAt::new(HERE, from.as_ptr(), HERE, to.as_ptr());
            submit(opcode::LinkAt::CODE, &link.build(), 0)
        },
        &["link second"],
    ),
    Way::telling(
        "IORING_OP_SYMLINKAT",
        nothing,
        |f| {
            let link = path(f, "link");
            let symlink = opcode::SymlinkAt::new(HERE, c"target".as_ptr(), link.as_ptr());
            submit(opcode::SymlinkAt::CODE, &symlink.build(), 0)
        },
        &["symlink link"],
    ),
    Way::telling(
        "IORING_OP_MKDIRAT",
        nothing,
        |f| {
            let path = path(f, "new");
            let mkdir = opcode::MkDirAt::new(HERE, path.as_ptr()).mode(0o755);
            submit(opcode::MkDirAt::CODE, &mkdir.build(), 0)
        },
        &["create new"],
    ),
    Way::telling(
        "IORING_OP_SETXATTR",
        file,
        |f| {
            let path = path(f, "file");
            let (name, value) = (c"user.origin".as_ptr(), b"here".as_ptr().cast());
            let set = opcode::SetXattr::new(name, value, path.as_ptr(), 4);
            submit(opcode::SetXattr::CODE, &set.build(), 0)
        },
        &["xattr file"],
    ),
    Way::telling(
        "IORING_OP_FSETXATTR",
        file,
        |f| {
            let file = open(f);
            let (name, value) = (c"user.origin".as_ptr(), b"here".as_ptr().cast());
            let set = opcode::FSetXattr::new(Fd(file.as_raw_fd()), name, value, 4);
            submit(opcode::FSetXattr::CODE, &set.build(), 0)
        },
        &["xattr file"],
    ),
];

fn path(folder: &Path, name: &str) -> CString {
    CString::new(folder.join(name).to_str().unwrap()).unwrap()
}

/// Does one operation and waits for its end, which must have that result.
fn submit(code: u8, entry: &Entry, result: i32) -> Acting {
    match ring(code) {
        Ok(mut ring) => {
            assert_eq!(push(&mut ring, entry), result);
            Acting::Done
        }
        Err(missing) => missing,
    }
}

/// A ring of a kernel that has the operation.
fn ring(code: u8) -> Result<IoUring, Acting> {
    let missing = |what: &str| Acting::Missing(what.to_owned());
    let ring = IoUring::new(4).map_err(|error| missing(&format!("io_uring: {error}")))?;
    let mut probe = Probe::new();
    let asked = ring.submitter().register_probe(&mut probe);
    asked.map_err(|error| missing(&format!("io_uring: {error}")))?;
    if probe.is_supported(code) {
        Ok(ring)
    } else {
        Err(missing("no such operation"))
    }
}

#[expect(unsafe_code, reason = "the ring takes addresses")]
fn push(ring: &mut IoUring, entry: &Entry) -> i32 {
    // SAFETY: the caller keeps what the entry points to until this returns, and then the kernel is
    // done with it.
    unsafe { ring.submission().push(entry) }.unwrap();
    ring.submit_and_wait(1).unwrap();
    let done = ring.completion().next().expect("one was waited for");
    done.result()
}

/// Opens a new file, writes it and closes it.
fn create(folder: &Path) -> Acting {
    let mut ring = match ring(opcode::OpenAt::CODE) {
        Ok(ring) => ring,
        Err(missing) => return missing,
    };
    let path = path(folder, "file");
    let open = opcode::OpenAt::new(HERE, path.as_ptr())
        .flags(libc::O_CREAT | libc::O_WRONLY | libc::O_EXCL)
        .mode(0o600);
    let file = Fd(push(&mut ring, &open.build()));
    assert!(file.0 >= 0, "{}", file.0);
    let write = opcode::Write::new(file, b"new\n".as_ptr(), 4);
    assert_eq!(push(&mut ring, &write.build()), 4);
    assert_eq!(push(&mut ring, &opcode::Close::new(file).build()), 0);
    Acting::Done
}

/// Writes from a buffer that the kernel knows, to a file that it knows by number.
#[expect(unsafe_code, reason = "the ring takes addresses")]
fn fixed(folder: &Path) -> Acting {
    let mut ring = match ring(opcode::WriteFixed::CODE) {
        Ok(ring) => ring,
        Err(missing) => return missing,
    };
    let file = open(folder);
    let bytes = *b"1234";
    let buffer = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: the buffer lives as long as the ring.
    unsafe { ring.submitter().register_buffers(&[buffer]) }.unwrap();
    ring.submitter()
        .register_files(&[file.as_raw_fd()])
        .unwrap();
    let write = opcode::WriteFixed::new(Fixed(0), bytes.as_ptr(), 4, 0);
    assert_eq!(push(&mut ring, &write.build()), 4);
    Acting::Done
}

/// Lets a thread of the kernel's look for what is to be done.
fn polled(folder: &Path) -> Acting {
    let file: File = open(folder);
    let built = IoUring::builder().setup_sqpoll(100).build(4);
    let mut ring = match built {
        Ok(ring) => ring,
        Err(error) => return Acting::Missing(format!("SQPOLL: {error}")),
    };
    // Before 5.11 it takes files by number only.
    ring.submitter()
        .register_files(&[file.as_raw_fd()])
        .unwrap();
    let write = opcode::Write::new(Fixed(0), b"1234".as_ptr(), 4);
    assert_eq!(push(&mut ring, &write.build()), 4);
    Acting::Done
}
