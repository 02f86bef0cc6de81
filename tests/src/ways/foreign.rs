//! Stores into a mapping that another process has: the file changes, and its owner does nothing.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use nix::libc;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use rustix::mm::ProtFlags;

use super::content::{large, map};
use super::{Acting, Outcome, Way, by_fanotify};

const MODIFIED: &[&str] = &["modify file"];

const AT_THE_END: &[super::Limit] = &[by_fanotify(
    Outcome::Misattributed(MODIFIED),
    "fanotify tells of a mapping only as its process closes it",
)];

pub(super) const WAYS: &[Way] = &[
    Way::telling(
        "/proc/PID/mem of a shared mapping",
        large,
        |f| by_child(f, through_file),
        MODIFIED,
    )
    .limited(AT_THE_END),
    Way::telling(
        "process_vm_writev into a shared mapping",
        large,
        |f| by_child(f, by_call),
        MODIFIED,
    )
    .limited(AT_THE_END),
    Way::telling(
        "PTRACE_POKEDATA into a shared mapping",
        large,
        |f| by_child(f, by_debugger),
        MODIFIED,
    )
    .limited(AT_THE_END),
];

/// Lets a child store into a mapping of its parent, which only waits.
#[expect(unsafe_code, reason = "fork, and the end of what was forked")]
fn by_child(folder: &Path, store: fn(Pid, *mut u8) -> bool) -> Acting {
    let mapped = map(folder, ProtFlags::READ | ProtFlags::WRITE);
    let parent = Pid::this();
    // SAFETY: the child only makes calls, and ends.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let failed = !store(parent, mapped);
            // SAFETY: it takes a number.
            unsafe { libc::_exit(failed.into()) }
        }
        ForkResult::Parent { child } => match waitpid(child, None).unwrap() {
            WaitStatus::Exited(_, 0) => {
                let pid = u32::try_from(child.as_raw()).unwrap();
                Acting::By { pid, uid: 0 }
            }
            ended => Acting::Missing(format!("not permitted: {ended:?}")),
        },
    }
}

fn through_file(parent: Pid, mapped: *mut u8) -> bool {
    let memory = File::options()
        .write(true)
        .open(format!("/proc/{parent}/mem"));
    memory.is_ok_and(|memory| memory.write_all_at(b"X", mapped as u64).is_ok())
}

#[expect(unsafe_code, reason = "nobody wraps this call")]
fn by_call(parent: Pid, mapped: *mut u8) -> bool {
    let mut byte = *b"X";
    let local = libc::iovec {
        iov_base: byte.as_mut_ptr().cast(),
        iov_len: 1,
    };
    let remote = libc::iovec {
        iov_base: mapped.cast(),
        iov_len: 1,
    };
    // SAFETY: the local byte lives through the call, the other address is the parent's.
    let written = unsafe {
        libc::process_vm_writev(
            parent.as_raw(),
            &raw const local,
            1,
            &raw const remote,
            1,
            0,
        )
    };
    written == 1
}

/// Stops the parent, stores a word, and lets it go on.
#[expect(unsafe_code, reason = "nobody wraps this call")]
fn by_debugger(parent: Pid, mapped: *mut u8) -> bool {
    let none = std::ptr::null_mut::<libc::c_void>();
    let word = usize::from_ne_bytes(*b"XXXXXXXX") as *mut libc::c_void;
    let pid = parent.as_raw();
    // SAFETY: the addresses are the parent's, of which the kernel takes care.
    unsafe {
        libc::ptrace(libc::PTRACE_ATTACH, pid, none, none) == 0
            && waitpid(parent, None).is_ok()
            && libc::ptrace(
                libc::PTRACE_POKEDATA,
                pid,
                mapped.cast::<libc::c_void>(),
                word,
            ) == 0
            && libc::ptrace(libc::PTRACE_DETACH, pid, none, none) == 0
    }
}
