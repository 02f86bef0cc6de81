//! Ways to get at a file that are not its path in the watched tree.

use std::fs::{self, File};
use std::io::{IoSlice, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::content::open;
use super::tasks::forked;
use super::{Acting, Limit, Outcome, Way, file, outside};

const MODIFIED: &[&str] = &["modify file"];

pub(super) const WAYS: &[Way] = &[
    Way::new(
        "another hard link in the tree",
        |f| {
            file(f);
            fs::hard_link(f.join("file"), f.join("second")).unwrap();
        },
        |f| write(&f.join("second")),
        &["modify second"],
    ),
    Way::new(
        "hard link outside the tree",
        |f| {
            file(f);
            fs::hard_link(f.join("file"), outside(f)).unwrap();
        },
        |f| write(&outside(f)),
        MODIFIED,
    )
    .limited(&[Limit {
        on: &[""],
        instead: Outcome::Late(MODIFIED),
        why: "the kernel tells the name that was used, and that one is not watched",
    }]),
    Way::new(
        "symbolic link outside the tree",
        |f| {
            file(f);
            symlink(f.join("file"), outside(f)).unwrap();
        },
        |f| write(&outside(f)),
        MODIFIED,
    ),
    Way::telling("bind mount", file, bound, MODIFIED),
    Way::telling("another mount namespace", file, elsewhere, MODIFIED),
    Way::telling("chroot", file, changed_root, MODIFIED),
    Way::new(
        "/proc/PID/root",
        file,
        |f| {
            let root = format!("/proc/{}/root", std::process::id());
            write(
                &Path::new(&root)
                    .join(f.strip_prefix("/").unwrap())
                    .join("file"),
            );
        },
        MODIFIED,
    ),
    Way::new(
        "/proc/self/fd",
        file,
        |f| {
            let reading = File::open(f.join("file")).unwrap();
            let again = format!("/proc/self/fd/{}", reading.as_raw_fd());
            write(Path::new(&again));
        },
        MODIFIED,
    ),
    Way::telling("open_by_handle_at", file, by_handle, MODIFIED),
    Way::telling(
        "inherited descriptor",
        file,
        |f| {
            let mut file = open(f);
            by(forked(|| file.write_all(b"new").unwrap()))
        },
        MODIFIED,
    ),
    Way::telling("descriptor passed over a socket", file, passed, MODIFIED),
    Way::telling("pidfd_getfd", file, taken, MODIFIED),
];

fn write(path: &Path) {
    let mut file = File::options().write(true).open(path).unwrap();
    file.write_all(b"new").unwrap();
}

pub(super) fn by(pid: u32) -> Acting {
    Acting::By { pid, uid: 0 }
}

/// A mount namespace of the process's own, so that its mounts go with it; none where that is not
/// permitted.
pub(super) fn own_mounts() -> Result<(), Acting> {
    let private = || {
        unshare(CloneFlags::CLONE_NEWNS)?;
        let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount::<str, str, str, str>(None, "/", None, flags, None)
    };
    private().map_err(|error| Acting::Missing(format!("a mount namespace: {error}")))
}

/// Mounts the folder in a second place.
fn bind(folder: &Path) -> Result<(), Acting> {
    let second = outside(folder);
    fs::create_dir(&second).unwrap();
    let none = None::<&str>;
    mount(Some(folder), &second, none, MsFlags::MS_BIND, none)
        .map_err(|error| Acting::Missing(format!("a bind mount: {error}")))
}

/// In the daemon's own mount namespace.
fn bound(folder: &Path) -> Acting {
    if let Err(missing) = bind(folder) {
        return missing;
    }
    write(&outside(folder).join("file"));
    nix::mount::umount(&outside(folder)).unwrap();
    Acting::Done
}

fn elsewhere(folder: &Path) -> Acting {
    if let Err(missing) = own_mounts().and_then(|()| bind(folder)) {
        return missing;
    }
    write(&outside(folder).join("file"));
    Acting::Done
}

fn changed_root(folder: &Path) -> Acting {
    if let Err(error) = nix::unistd::chroot(folder) {
        return Acting::Missing(format!("chroot: {error}"));
    }
    write(Path::new("/file"));
    Acting::Done
}

/// `struct file_handle` with room for what any file system puts there.
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    name: [u8; 128],
}

#[expect(unsafe_code, reason = "nobody wraps these calls")]
fn by_handle(folder: &Path) -> Acting {
    let path = std::ffi::CString::new(folder.join("file").to_str().unwrap()).unwrap();
    let mount = File::open(folder).unwrap();
    let mut handle = Handle {
        bytes: 128,
        kind: 0,
        name: [0; 128],
    };
    let mut mount_id = 0_i32;
    // SAFETY: the pointers are to what the calls take, and live through them; the descriptor is new.
    let file = unsafe {
        let named = libc::syscall(
            libc::SYS_name_to_handle_at,
            libc::AT_FDCWD,
            path.as_ptr(),
            &raw mut handle,
            &raw mut mount_id,
            0,
        );
        assert_eq!(named, 0);
        let flags = libc::O_WRONLY | libc::O_CLOEXEC;
        let number = libc::syscall(
            libc::SYS_open_by_handle_at,
            mount.as_raw_fd(),
            &raw mut handle,
            flags,
        );
        if number < 0 {
            return Acting::Missing("open_by_handle_at".to_owned());
        }
        OwnedFd::from_raw_fd(i32::try_from(number).unwrap())
    };
    File::from(file).write_all(b"new").unwrap();
    Acting::Done
}

fn passed(folder: &Path) -> Acting {
    let (ours, theirs) = UnixStream::pair().unwrap();
    // Queued before there is anybody to receive it.
    send(&ours, &open(folder));
    by(forked(|| {
        let mut file = File::from(receive(&theirs));
        file.write_all(b"new").unwrap();
    }))
}

fn send(socket: &UnixStream, file: &File) {
    let descriptors = [file.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let data = [IoSlice::new(b"x")];
    sendmsg(socket, &data, &mut ancillary, SendFlags::empty()).unwrap();
}

fn receive(socket: &UnixStream) -> OwnedFd {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut data = [IoSliceMut::new(&mut byte)];
    recvmsg(socket, &mut data, &mut ancillary, RecvFlags::empty()).unwrap();
    let received = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    received.expect("a descriptor was passed")
}

/// A child takes the descriptor of its parent.
fn taken(folder: &Path) -> Acting {
    let file = open(folder);
    let parent = Pid::from_raw(i32::try_from(std::process::id()).unwrap()).unwrap();
    by(forked(|| {
        let parent = pidfd_open(parent, PidfdFlags::empty()).unwrap();
        let taken = pidfd_getfd(parent, file.as_raw_fd(), PidfdGetfdFlags::empty());
        File::from(taken.unwrap()).write_all(b"new").unwrap();
    }))
}
