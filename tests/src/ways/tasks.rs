//! Ways that differ in who acts: what is done is a plain write.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, Uid, fork, setresuid};

use super::content::{end, open};
use super::reach::by;
use super::{Acting, Way, file};

const MODIFIED: &[&str] = &["modify file"];

pub(super) const WAYS: &[Way] = &[
    Way::telling(
        "process that ends at once",
        file,
        |f| by(forked(|| open(f).write_all(b"new").unwrap())),
        MODIFIED,
    ),
    Way::telling("exec after opening", file, opened_before_exec, MODIFIED),
    Way::new(
        "thread that is not the leader",
        file,
        |f| {
            let mut file = open(f);
            let writer = thread::spawn(move || file.write_all(b"new").unwrap());
            writer.join().unwrap();
        },
        MODIFIED,
    ),
    Way::telling(
        "thread whose leader has ended",
        file,
        |f| by(forked(|| outlive_leader(f))),
        MODIFIED,
    ),
    Way::telling("other effective user", open_to_all, other_user, MODIFIED),
    Way::telling(
        "pid namespace",
        file,
        |f| in_namespaces(f, CloneFlags::CLONE_NEWPID, 0),
        MODIFIED,
    ),
    Way::telling(
        "user and pid namespace",
        open_to_all,
        |f| {
            let both = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID;
            in_namespaces(f, both, 1000)
        },
        MODIFIED,
    ),
    Way::telling("32-bit process", file, narrow, MODIFIED),
];

/// Lets a child act and end; its process id.
pub(super) fn forked(act: impl FnOnce()) -> u32 {
    let child = begun(act);
    waitpid(child, None).unwrap();
    u32::try_from(child.as_raw()).unwrap()
}

/// Lets a child act, which is still to be waited for.
#[expect(unsafe_code, reason = "fork")]
pub(super) fn begun(act: impl FnOnce()) -> Pid {
    // SAFETY: the acting process has no other thread that could hold a lock but the harness's, which
    // waits for this one.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            act();
            end()
        }
        ForkResult::Parent { child } => child,
    }
}

fn open_to_all(folder: &Path) {
    file(folder);
    fs::set_permissions(folder.join("file"), fs::Permissions::from_mode(0o666)).unwrap();
}

fn opened_before_exec(folder: &Path) -> Acting {
    let file = open(folder);
    let number = file.as_raw_fd();
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
    by(forked(|| {
        let script = format!("echo new >&{number}");
        drop(Command::new("/bin/sh").args(["-c", &script]).exec());
    }))
}

/// Ends the leader of the process, while another thread goes on to write.
#[expect(unsafe_code, reason = "a thread's end without its process's")]
fn outlive_leader(folder: &Path) {
    let folder = folder.to_owned();
    thread::spawn(move || {
        let mut file = open(&folder);
        thread::sleep(Duration::from_millis(50));
        file.write_all(b"new").unwrap();
        drop(file);
        end();
    });
    // SAFETY: it takes a number, and nothing of this thread is used by the other.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
}

fn other_user(folder: &Path) -> Acting {
    let user = Uid::from_raw(1000);
    let pid = forked(|| {
        setresuid(Uid::from_raw(0), user, Uid::from_raw(0)).unwrap();
        open(folder).write_all(b"new").unwrap();
    });
    Acting::By { pid, uid: 1000 }
}

/// Lets the first process of new namespaces act, whose user is root there and `uid` here.
fn in_namespaces(folder: &Path, kinds: CloneFlags, uid: u32) -> Acting {
    let (mut told, mut tell) = std::io::pipe().unwrap();
    forked(|| {
        let user = Uid::from_raw(uid);
        setresuid(user, user, user).unwrap();
        // Else its files in `/proc` would be root's.
        prctl::set_dumpable(true).unwrap();
        if unshare(kinds).is_err() {
            return;
        }
        if kinds.contains(CloneFlags::CLONE_NEWUSER) {
            fs::write("/proc/self/uid_map", format!("0 {uid} 1")).unwrap();
        }
        let pid = forked(|| open(folder).write_all(b"new").unwrap());
        write!(tell, "{pid}").unwrap();
    });
    drop(tell);
    let mut pid = String::new();
    told.read_to_string(&mut pid).unwrap();
    match pid.parse() {
        Ok(pid) => Acting::By { pid, uid },
        Err(_) => Acting::Missing("namespaces are not permitted".to_owned()),
    }
}

/// A 32-bit program for x86: opens its first argument for appending, writes two bytes, and ends.
const NARROW: [u8; 136] = {
    let header = *b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x03\0\x01\0\0\0\
        \x54\x80\x04\x08\x34\0\0\0\0\0\0\0\0\0\0\0\x34\0\x20\0\x01\0\0\0\0\0\0\0";
    let segment = *b"\x01\0\0\0\0\0\0\0\0\x80\x04\x08\0\x80\x04\x08\
        \x88\0\0\0\x88\0\0\0\x05\0\0\0\0\x10\0\0";
    let code = *b"\x8b\x5c\x24\x08\xb8\x05\0\0\0\xb9\x01\x04\0\0\x31\xd2\xcd\x80\
        \x89\xc3\x68\x78\x0a\0\0\x89\xe1\xba\x02\0\0\0\xb8\x04\0\0\0\xcd\x80\
        \xb8\x01\0\0\0\x31\xdb\xcd\x80\x90\x90\x90\x90";
    let mut program = [0; 136];
    let mut at = 0;
    while at < 136 {
        program[at] = if at < 52 {
            header[at]
        } else if at < 84 {
            segment[at - 52]
        } else {
            code[at - 84]
        };
        at += 1;
    }
    program
};

fn narrow(folder: &Path) -> Acting {
    let name = folder.file_name().unwrap().to_str().unwrap();
    let program = std::env::temp_dir().join(format!("{name}-program"));
    let mut file = File::create(&program).unwrap();
    file.write_all(&NARROW).unwrap();
    drop(file);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    match Command::new(&program).arg(folder.join("file")).spawn() {
        Ok(mut child) => {
            assert!(child.wait().unwrap().success());
            by(child.id())
        }
        Err(error) => Acting::Missing(format!("32-bit programs: {error}")),
    }
}
