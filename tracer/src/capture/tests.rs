//! What is read of real files, each of a sort.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use super::*;
use crate::trees::path;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn path(&self, name: &[u8]) -> Text {
        path::join(self.0.path().as_os_str().as_encoded_bytes(), name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Text {
        fs::write(self.join(name), content).unwrap();
        self.path(name.as_bytes())
    }
}

fn capture() -> Capture {
    let config = CaptureConfig {
        keep_bytes: 1000,
        hash_bytes: 200_000,
        host_key: [7; 32],
        ..CaptureConfig::default()
    };
    Capture::new(config).unwrap()
}

fn found(path: &Text) -> Found {
    capture().read(path, None).into_found().unwrap()
}

fn inode(path: &Text) -> Inode {
    let file = open::file(path).unwrap();
    inode_of(&rustix::fs::fstat(&file).unwrap())
}

#[test]
fn a_file_s_content_is_kept_under_its_hash() {
    let folder = Folder::new();
    let path = folder.write("hosts", "127.0.0.1 localhost\n");
    fs::set_permissions(folder.join("hosts"), fs::Permissions::from_mode(0o4640)).unwrap();
    let found = found(&path);
    let hash = format!("b3:{}", blake3::hash(b"127.0.0.1 localhost\n").to_hex());
    assert_eq!(found.state.hash, Some(hash));
    assert_eq!(
        found.bytes.as_deref(),
        Some(b"127.0.0.1 localhost\n".as_slice())
    );
    assert_eq!((found.state.mode.as_str(), found.state.size), ("4640", 20));
    assert_eq!(found.state.content, ContentState::Kept);
    assert!(!found.moved_on);
    assert_eq!(found.identity.inode, found.state.inode);
}

#[test]
fn larger_files_are_hashed_only_and_still_larger_ones_not_read() {
    let folder = Folder::new();
    let large = found(&folder.write("large", vec![b'x'; 150_000]));
    let hash = format!("b3:{}", blake3::hash(&vec![b'x'; 150_000]).to_hex());
    assert_eq!((large.state.hash, large.bytes), (Some(hash), None));
    assert_eq!(large.state.content, ContentState::TooLarge);
    let huge = found(&folder.write("huge", vec![b'x'; 200_001]));
    assert_eq!(
        (huge.state.hash, huge.state.content),
        (None, ContentState::TooLarge)
    );
}

#[test]
fn a_secret_leaves_a_keyed_hash_and_no_bytes() {
    let folder = Folder::new();
    let by_path = found(&folder.write("tls.key", "whatever"));
    let by_content = found(&folder.write("x", "-----BEGIN RSA PRIVATE KEY-----\nMII"));
    let keyed = |bytes| format!("k3:{}", blake3::keyed_hash(&[7; 32], bytes).to_hex());
    assert_eq!(by_path.state.hash, Some(keyed(b"whatever")));
    assert_eq!(
        by_content.state.hash,
        Some(keyed(b"-----BEGIN RSA PRIVATE KEY-----\nMII"))
    );
    for found in [by_path, by_content] {
        assert_eq!(found.state.content, ContentState::Secret);
        assert_eq!(found.bytes, None);
    }
    assert!(!format!("{:?}", capture()).contains("7, 7"));
}

#[test]
fn a_file_that_moved_on_shows_what_was_expected_and_no_content() {
    let folder = Folder::new();
    let path = folder.write("x", "before");
    let expected = inode(&path);
    let same = capture().read(&path, Some(&expected)).into_found().unwrap();
    assert!(!same.moved_on);
    folder.write("x", "after that");
    let found = capture().read(&path, Some(&expected)).into_found().unwrap();
    assert!(found.moved_on);
    assert_eq!((found.state.hash, found.bytes), (None, None));
    assert_eq!(
        (found.state.content, found.state.size),
        (ContentState::MovedOn, 6)
    );
    assert_ne!(found.identity.ctime_ns, expected.ctime_ns);
}

#[test]
fn a_file_whose_change_time_is_not_known_is_the_same_by_that_of_its_content() {
    let folder = Folder::new();
    let path = folder.write("x", "before");
    let expected = Inode {
        ctime_ns: Inode::UNKNOWN_TIME,
        ..inode(&path)
    };
    let same = capture().read(&path, Some(&expected)).into_found().unwrap();
    assert!(!same.moved_on);
    folder.write("x", "after that");
    let found = capture().read(&path, Some(&expected)).into_found().unwrap();
    assert!(found.moved_on);
}

#[test]
fn a_replaced_file_is_not_taken_for_the_old_one() {
    let folder = Folder::new();
    let path = folder.write("x", "same");
    let expected = inode(&path);
    folder.write("y", "same");
    fs::rename(folder.join("y"), folder.join("x")).unwrap();
    let found = capture().read(&path, Some(&expected)).into_found().unwrap();
    assert!(found.moved_on);
    assert_eq!(found.state.inode, expected.number);
    assert_ne!(found.identity.inode, expected.number);
}

#[test]
fn links_are_not_followed_and_pipes_and_sockets_not_opened() {
    let folder = Folder::new();
    let secret = folder.write("target", "content");
    symlink("target", folder.join("link")).unwrap();
    let link = found(&folder.path(b"link"));
    assert_eq!(link.state.file_type, FileType::Symlink);
    assert_eq!(
        (link.state.target.as_deref(), link.state.hash),
        (Some("target"), None)
    );
    symlink(&folder.0, folder.join("inner")).unwrap();
    let inner = path::join(folder.path(b"inner").as_bytes(), b"target");
    assert!(matches!(capture().read(&inner, None), Captured::Absent));
    assert!(matches!(
        capture().read(&path::join(secret.as_bytes(), b"x"), None),
        Captured::Absent
    ));

    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.join("pipe"), mode).unwrap();
    let pipe = found(&folder.path(b"pipe"));
    assert_eq!(
        (pipe.state.file_type, pipe.state.content),
        (FileType::Fifo, ContentState::None)
    );
    let listener = std::os::unix::net::UnixListener::bind(folder.join("socket")).unwrap();
    assert_eq!(
        found(&folder.path(b"socket")).state.file_type,
        FileType::Socket
    );
    drop(listener);
}

#[test]
fn a_directory_is_the_same_whatever_is_made_in_it() {
    let folder = Folder::new();
    fs::create_dir(folder.join("d")).unwrap();
    let path = folder.path(b"d");
    let before = found(&path).state;
    let expected = inode(&path);
    folder.write("d/x", "x");
    let after = capture().read(&path, Some(&expected)).into_found().unwrap();
    assert_eq!((after.state, after.moved_on), (before, false));
}

#[test]
fn names_of_any_bytes_are_read() {
    let folder = Folder::new();
    let path = folder.path(b"\xff\n");
    fs::write(path::as_path(path.as_bytes()), "x").unwrap();
    assert_eq!(found(&path).bytes.as_deref(), Some(b"x".as_slice()));
    assert!(matches!(
        capture().read(&folder.path(b"none"), None),
        Captured::Absent
    ));
}

#[test]
fn extended_attributes_are_part_of_the_state() {
    let folder = Folder::new();
    let path = folder.write("x", "x");
    let flags = rustix::fs::XattrFlags::empty();
    let set = rustix::fs::setxattr(folder.join("x"), "user.origin", b"https://example", flags);
    if set == Err(Errno::OPNOTSUPP) {
        // tmpfs has user attributes only since Linux 6.6.
        return;
    }
    set.unwrap();
    let xattrs = found(&path).state.xattrs;
    assert_eq!(
        xattrs.get("user.origin").map(String::as_str),
        Some("https://example")
    );
}

#[test]
fn the_kernel_s_own_files_say_no_size_and_are_not_shown() {
    let found = found(&Text::from("/proc/version"));
    assert!(found.moved_on);
    assert_eq!(found.bytes, None);
}

#[test]
fn a_look_leaves_the_content_alone_and_says_so() {
    let folder = Folder::new();
    let path = folder.write("hosts", "127.0.0.1 localhost\n");
    let found = Capture::look(&path, None).into_found().unwrap();
    assert_eq!(found.state.content, ContentState::Shed);
    assert_eq!((found.state.hash, found.bytes), (None, None));
    assert_eq!(found.state.size, 20);
    symlink("x", folder.join("link")).unwrap();
    let link = Capture::look(&folder.path(b"link"), None);
    let link = link.into_found().unwrap();
    assert_eq!(link.state.content, ContentState::None);
    assert_eq!(link.state.target.as_deref(), Some("x"));
}
