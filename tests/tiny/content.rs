//! Each way to change what is in a file.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{IoSlice, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mm::{MapFlags, MsyncFlags, ProtFlags};
use serde_json::Value;
use tests::act;

use crate::daemon;

const BEFORE: &str = "one\ntwo\n";

fn prepare(folder: &Path) {
    fs::write(folder.join("file"), BEFORE).unwrap();
}

fn open(folder: &Path) -> File {
    File::options()
        .read(true)
        .write(true)
        .open(folder.join("file"))
        .unwrap()
}

/// Lets a process change the prepared file, which must be one `modify` to this content.
fn modified(action: fn(&Path), after: &str) -> Value {
    let acted = act(daemon, prepare, action);
    let change = acted.only("modify", "file");
    assert_eq!(change["before"]["size"], BEFORE.len(), "{change:#}");
    assert_eq!(change["after"]["size"], after.len(), "{change:#}");
    assert_ne!(
        change["before"]["hash"], change["after"]["hash"],
        "{change:#}"
    );
    assert_eq!(
        fs::read_to_string(acted.folder.join("file")).unwrap(),
        after
    );
    let content = daemon().who(acted.folder.join("file")).remove(0);
    let diff = content["diff"].as_str().unwrap_or_default();
    assert!(!diff.is_empty(), "{content:#}");
    change.clone()
}

#[test]
fn a_new_file_is_a_create() {
    let acted = act(
        daemon,
        |_| {},
        |folder| fs::write(folder.join("file"), "hello\n").unwrap(),
    );
    let change = acted.only("create", "file");
    assert_eq!(change["before"], Value::Null);
    assert_eq!(change["after"]["size"], 6, "{change:#}");
    assert_eq!(change["after"]["mode"], "0644", "{change:#}");
    assert_eq!(change["after"]["uid"], 0, "{change:#}");
    let hash = change["after"]["hash"].as_str().unwrap_or_default();
    assert!(hash.starts_with("b3:"), "{change:#}");
}

#[test]
fn an_append_is_a_modify() {
    let change = modified(
        |folder| {
            let mut file = File::options()
                .append(true)
                .open(folder.join("file"))
                .unwrap();
            file.write_all(b"three\n").unwrap();
        },
        "one\ntwo\nthree\n",
    );
    assert_eq!(change["before"]["mode"], change["after"]["mode"]);
}

#[test]
fn a_write_at_an_offset_is_a_modify() {
    modified(
        |folder| open(folder).write_all_at(b"TWO", 4).unwrap(),
        "one\nTWO\n",
    );
}

#[test]
fn a_gathered_write_is_a_modify() {
    modified(
        |folder| {
            let slices = [IoSlice::new(b"1\n"), IoSlice::new(b"2\n3\n")];
            assert_eq!(rustix::io::writev(open(folder), &slices), Ok(6));
        },
        "1\n2\n3\no\n",
    );
}

#[test]
fn a_truncation_by_path_is_a_modify() {
    modified(
        |folder| nix::unistd::truncate(&folder.join("file"), 4).unwrap(),
        "one\n",
    );
}

#[test]
fn a_truncation_of_an_open_file_is_a_modify() {
    modified(|folder| open(folder).set_len(4).unwrap(), "one\n");
}

#[test]
fn opening_with_truncation_is_a_modify() {
    modified(
        |folder| drop(File::create(folder.join("file")).unwrap()),
        "",
    );
}

#[test]
fn a_preallocation_is_a_modify() {
    modified(
        |folder| {
            let mode = rustix::fs::FallocateFlags::empty();
            rustix::fs::fallocate(open(folder), mode, 0, 10).unwrap();
        },
        "one\ntwo\n\0\0",
    );
}

#[test]
#[expect(unsafe_code, reason = "writing through a mapping is what is tested")]
fn a_write_through_a_shared_mapping_is_a_modify() {
    modified(
        |folder| {
            let file = open(folder);
            // SAFETY: a new mapping overlaps nothing.
            let mapped = unsafe {
                rustix::mm::mmap(
                    std::ptr::null_mut(),
                    8,
                    ProtFlags::READ | ProtFlags::WRITE,
                    MapFlags::SHARED,
                    &file,
                    0,
                )
            }
            .unwrap();
            drop(file);
            // SAFETY: the mapping is eight bytes long and may be written.
            unsafe { mapped.cast::<u8>().write(b'O') };
            // SAFETY: the address and the length are those of the mapping.
            unsafe { rustix::mm::msync(mapped, 8, MsyncFlags::SYNC) }.unwrap();
            // SAFETY: nothing refers to the mapping any more.
            unsafe { rustix::mm::munmap(mapped, 8) }.unwrap();
        },
        "One\ntwo\n",
    );
}

#[test]
fn sendfile_into_a_file_is_a_modify() {
    modified(
        |folder| {
            let from = File::open("/etc/hosts").unwrap();
            assert_eq!(rustix::fs::sendfile(open(folder), from, None, 3), Ok(3));
        },
        "127\ntwo\n",
    );
}

#[test]
fn copy_file_range_into_a_file_is_a_modify() {
    modified(
        |folder| {
            let from = File::open("/etc/hosts").unwrap();
            let copied = rustix::fs::copy_file_range(from, None, open(folder), None, 3);
            assert_eq!(copied, Ok(3));
        },
        "127\ntwo\n",
    );
}

#[test]
fn an_unnamed_file_that_gets_a_name_is_a_create() {
    let acted = act(
        daemon,
        |_| {},
        |folder| {
            let flags = OFlags::TMPFILE | OFlags::WRONLY;
            let file = rustix::fs::open(folder, flags, Mode::from(0o600)).unwrap();
            let mut file = File::from(file);
            file.write_all(b"whole\n").unwrap();
            let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
            let flags = rustix::fs::AtFlags::SYMLINK_FOLLOW;
            let path = CString::new(path).unwrap();
            rustix::fs::linkat(CWD, path, CWD, folder.join("file"), flags).unwrap();
        },
    );
    let change = acted.only("create", "file");
    assert_eq!(change["after"]["size"], 6, "{change:#}");
    assert_eq!(change["after"]["mode"], "0600", "{change:#}");
}

#[test]
fn an_open_file_shows_its_writes_while_it_is_open() {
    let folder = daemon().tree().join("long-open");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("file"), "start\n").unwrap();
    assert_eq!(daemon().who(folder.join("file")).len(), 1);
    let mut file = File::options()
        .append(true)
        .open(folder.join("file"))
        .unwrap();
    for count in 2..4 {
        file.write_all(b"more\n").unwrap();
        let change = tests::wait_for("the write is told", || {
            let mut changes = daemon().who(folder.join("file"));
            let is_told = changes.len() == count;
            is_told
                .then(|| changes.remove(0))
                .ok_or(format!("{changes:#?}"))
        });
        assert_eq!(change["op"], "modify", "{change:#}");
        assert_eq!(change["actor"]["process"]["pid"], std::process::id());
        assert_eq!(change["after"]["size"], 6 + 5 * (count - 1), "{change:#}");
        let diff = change["diff"].as_str().unwrap_or_default();
        assert!(diff.contains("+more"), "{change:#}");
    }
    drop(file);
    let changes = daemon().who(folder.join("file"));
    assert_eq!(changes.len(), 3, "{changes:#?}");
}

#[test]
fn reading_and_opening_for_writing_without_a_write_change_nothing() {
    let acted = act(daemon, prepare, |folder| {
        fs::read(folder.join("file")).unwrap();
        drop(open(folder));
    });
    assert_eq!(acted.told(), [""; 0]);
}
