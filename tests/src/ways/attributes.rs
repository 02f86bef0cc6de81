//! Ways to change whose a file is, who may do what with it, and what else is known of it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown, fchown, lchown, symlink};
use std::path::Path;

use nix::libc;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags};

use self::calls::{
    APPEND, IMMUTABLE, NOATIME, enable_verity, encrypt, fchmodat2, file_setattr, set_flags,
    setxattrat,
};
use super::content::open;
use super::{Acting, Limit, Outcome, Way, by_fanotify, file};

mod calls;

const OWNER: &[&str] = &["owner file"];
const MODE: &[&str] = &["mode file"];
const XATTR: &[&str] = &["xattr file"];

const NO_FLAGS: Limit = by_fanotify(Outcome::Late(XATTR), "fanotify does not tell of flags");

pub(super) const WAYS: &[Way] = &[
    Way::new(
        "chmod",
        file,
        |f| fs::set_permissions(f.join("file"), mode(0o600)).unwrap(),
        MODE,
    ),
    Way::new(
        "fchmod",
        file,
        |f| open(f).set_permissions(mode(0o600)).unwrap(),
        MODE,
    ),
    Way::telling("fchmodat2", file, fchmodat2, MODE),
    Way::new(
        "chown",
        file,
        |f| chown(f.join("file"), Some(1000), None).unwrap(),
        OWNER,
    ),
    Way::new(
        "fchown",
        file,
        |f| fchown(open(f), None, Some(1000)).unwrap(),
        OWNER,
    ),
    Way::new(
        "lchown of a symbolic link",
        |f| symlink("target", f.join("link")).unwrap(),
        |f| lchown(f.join("link"), Some(1000), Some(1000)).unwrap(),
        &["owner link"],
    ),
    Way::telling(
        "write that clears the set-user-id bit",
        |f| {
            file(f);
            chown(f.join("file"), Some(1000), Some(1000)).unwrap();
            fs::set_permissions(f.join("file"), mode(0o4755)).unwrap();
        },
        |f| {
            let mut file = open(f);
            // As its owner: root keeps the bit.
            drop_rights();
            file.write_all(b"new").unwrap();
            Acting::By {
                pid: std::process::id(),
                uid: 1000,
            }
        },
        &["modify file"],
    )
    .limited(&[by_fanotify(
        Outcome::Misattributed(&["modify file"]),
        "fanotify tells a process and no thread, and the user is looked up afterwards",
    )]),
    Way::new(
        "utimensat",
        file,
        |f| {
            let none = AtFlags::empty();
            rustix::fs::utimensat(CWD, f.join("file"), &epoch(), none).unwrap();
        },
        &[],
    ),
    Way::new(
        "futimens",
        file,
        |f| rustix::fs::futimens(open(f), &epoch()).unwrap(),
        &[],
    ),
    Way::new("setxattr", file, label, XATTR),
    Way::new(
        "fsetxattr",
        file,
        |f| rustix::fs::fsetxattr(open(f), "user.origin", b"here", XattrFlags::empty()).unwrap(),
        XATTR,
    ),
    Way::telling("setxattrat", file, setxattrat, XATTR),
    Way::new(
        "removexattr",
        |f| {
            file(f);
            label(f);
        },
        |f| rustix::fs::removexattr(f.join("file"), "user.origin").unwrap(),
        XATTR,
    ),
    Way::new(
        "access control list",
        file,
        |f| set(f, "system.posix_acl_access", &acl()),
        XATTR,
    ),
    Way::new(
        "access control list removed",
        |f| {
            file(f);
            set(f, "system.posix_acl_access", &acl());
        },
        |f| rustix::fs::removexattr(f.join("file"), "system.posix_acl_access").unwrap(),
        XATTR,
    ),
    Way::new(
        "default access control list",
        |f| fs::create_dir(f.join("file")).unwrap(),
        |f| set(f, "system.posix_acl_default", &acl()),
        XATTR,
    ),
    Way::new(
        "file capabilities",
        file,
        |f| set(f, "security.capability", &CAPABILITY),
        XATTR,
    ),
    Way::telling(
        "FS_IOC_SETFLAGS, immutable",
        file,
        |f| set_flags(f, IMMUTABLE),
        XATTR,
    )
    .limited(&[NO_FLAGS])
    .tidied(|f| drop(set_flags(f, 0))),
    Way::telling(
        "FS_IOC_SETFLAGS, append only",
        file,
        |f| set_flags(f, APPEND),
        XATTR,
    )
    .limited(&[NO_FLAGS])
    .tidied(|f| drop(set_flags(f, 0))),
    Way::telling(
        "FS_IOC_SETFLAGS, mutable again",
        |f| {
            file(f);
            drop(set_flags(f, IMMUTABLE));
        },
        |f| set_flags(f, 0),
        XATTR,
    )
    .limited(&[NO_FLAGS]),
    Way::telling(
        "FS_IOC_SETFLAGS, no access times",
        file,
        |f| set_flags(f, NOATIME),
        &[],
    )
    .limited(&[Limit {
        on: &[""],
        instead: Outcome::Unseen,
        why: "of the flags only a, c, d, E, i and V are facts",
    }]),
    Way::telling("FS_IOC_ENABLE_VERITY", file, enable_verity, XATTR),
    Way::telling(
        "FS_IOC_SET_ENCRYPTION_POLICY",
        |f| fs::create_dir(f.join("file")).unwrap(),
        encrypt,
        XATTR,
    ),
    Way::telling("file_setattr", file, file_setattr, XATTR)
        .limited(&[NO_FLAGS])
        .tidied(|f| drop(set_flags(f, 0))),
];

fn mode(mode: u32) -> fs::Permissions {
    fs::Permissions::from_mode(mode)
}

fn epoch() -> Timestamps {
    let epoch = Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };
    Timestamps {
        last_access: epoch,
        last_modification: epoch,
    }
}

#[expect(
    unsafe_code,
    reason = "for this thread only, which the C library does not offer"
)]
fn drop_rights() {
    // SAFETY: it takes numbers.
    let dropped = unsafe { libc::syscall(libc::SYS_setresuid, -1, 1000, -1) };
    assert_eq!(dropped, 0);
}

fn label(folder: &Path) {
    set(folder, "user.origin", b"here");
}

fn set(folder: &Path, name: &str, value: &[u8]) {
    rustix::fs::setxattr(folder.join("file"), name, value, XattrFlags::empty()).unwrap();
}

/// An access control list as the kernel takes it (`include/uapi/linux/posix_acl_xattr.h`): the
/// owner may write, user 1000 and all others may read.
fn acl() -> Vec<u8> {
    let nobody = u32::MAX;
    let entries: [(u16, u16, u32); 5] = [
        (0x01, 6, nobody),
        (0x02, 4, 1000),
        (0x04, 4, nobody),
        (0x10, 4, nobody),
        (0x20, 4, nobody),
    ];
    let mut acl = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in entries {
        acl.extend(tag.to_le_bytes());
        acl.extend(rights.to_le_bytes());
        acl.extend(id.to_le_bytes());
    }
    acl
}

/// `cap_net_bind_service=ep` as a `struct vfs_cap_data` of version 2.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
