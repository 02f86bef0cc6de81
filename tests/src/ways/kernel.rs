//! Ways in which the kernel itself writes to a file: for a process that dies, or to make room.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::wait::{WaitStatus, waitpid};

use super::mounts::is_tiny_guest;
use super::tasks::begun;
use super::{Acting, Limit, Outcome, Way};

pub(super) const WAYS: &[Way] = &[
    Way::telling("core dump", dump_here, dump, &["create core"]).tidied(|_| dump_to("core")),
    Way::telling("swapon and swapoff", swap_file, swap, &[]),
    Way::telling(
        "memory that is written to a swap file",
        swap_file,
        swap_out,
        &[],
    )
    .limited(&[Limit {
        on: &[""],
        instead: Outcome::Unseen,
        why: "neither the file nor its times are touched, so only reading every file would tell",
    }]),
];

fn dump_here(folder: &Path) {
    if is_tiny_guest() {
        dump_to(folder.join("core").to_str().unwrap());
    }
}

/// Says where the kernel writes what is left of a process.
fn dump_to(pattern: &str) {
    if is_tiny_guest() {
        fs::write("/proc/sys/kernel/core_pattern", pattern).unwrap();
    }
}

#[expect(unsafe_code, reason = "abort without unwinding")]
fn dump(_folder: &Path) -> Acting {
    if !is_tiny_guest() {
        return Acting::Missing("where the host's core dumps go is its own".to_owned());
    }
    let child = begun(|| {
        setrlimit(
            Resource::RLIMIT_CORE,
            libc::RLIM_INFINITY,
            libc::RLIM_INFINITY,
        )
        .unwrap();
        // SAFETY: it takes nothing, and does not return.
        unsafe { libc::abort() }
    });
    match waitpid(child, None).unwrap() {
        WaitStatus::Signaled(_, _, true) => Acting::By {
            pid: u32::try_from(child.as_raw()).unwrap(),
            uid: 0,
        },
        ended => Acting::Missing(format!("a core dump: {ended:?}")),
    }
}

/// Space for swapping, in a file without holes.
fn swap_file(folder: &Path) {
    if is_tiny_guest() {
        let path = folder.join("swap");
        fs::write(&path, vec![0; 1 << 20]).unwrap();
        let made = Command::new("mkswap").arg(&path).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        File::open(&path).unwrap().sync_all().unwrap();
    }
}

fn swap(folder: &Path) -> Acting {
    swapping(folder, || {})
}

/// Lets the kernel write memory of this process to the file.
fn swap_out(folder: &Path) -> Acting {
    swapping(folder, || {
        let before = swapped();
        page_out(&vec![7_u8; 256 << 10]);
        assert!(swapped() > before, "nothing was written");
    })
}

/// Pages that were written to any swap file since the start.
fn swapped() -> u64 {
    let counts = fs::read_to_string("/proc/vmstat").unwrap();
    let count = counts
        .lines()
        .find_map(|line| line.strip_prefix("pswpout "));
    count.unwrap().parse().unwrap()
}

#[expect(unsafe_code, reason = "advice on memory")]
fn page_out(memory: &[u8]) {
    let skipped = memory.as_ptr().align_offset(4096);
    let start = memory.as_ptr().wrapping_add(skipped).cast_mut();
    // SAFETY: the pages are this process's, and keep what is in them.
    let advised = unsafe { libc::madvise(start.cast(), memory.len() - 4096, libc::MADV_PAGEOUT) };
    assert_eq!(advised, 0);
    std::hint::black_box(memory);
}

#[expect(unsafe_code, reason = "nobody wraps these calls")]
fn swapping(folder: &Path, act: fn()) -> Acting {
    if !is_tiny_guest() {
        return Acting::Missing("the host's memory is its own".to_owned());
    }
    let path = std::ffi::CString::new(folder.join("swap").to_str().unwrap()).unwrap();
    // SAFETY: it reads a path.
    if unsafe { libc::swapon(path.as_ptr(), 0) } != 0 {
        return Acting::Missing(format!("swapon: {}", std::io::Error::last_os_error()));
    }
    act();
    // SAFETY: as above.
    assert_eq!(unsafe { libc::swapoff(path.as_ptr()) }, 0);
    Acting::Done
}
