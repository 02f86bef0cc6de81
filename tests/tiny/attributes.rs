//! Permissions, owners and extended attributes.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use rustix::fs::{XattrFlags, removexattr, setxattr};
use serde_json::Value;
use tests::act;

use crate::daemon;

fn prepare(folder: &Path) {
    fs::write(folder.join("file"), "file\n").unwrap();
}

fn prepare_labelled(folder: &Path) {
    prepare(folder);
    label(folder);
}

fn label(folder: &Path) {
    let flags = XattrFlags::empty();
    setxattr(folder.join("file"), "user.origin", b"here", flags).unwrap();
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

#[test]
fn a_chmod_is_a_mode() {
    let acted = act(daemon, prepare, |folder| {
        fs::set_permissions(folder.join("file"), fs::Permissions::from_mode(0o4711)).unwrap();
    });
    let change = acted.only("mode", "file");
    assert_eq!(change["before"]["mode"], "0644", "{change:#}");
    assert_eq!(change["after"]["mode"], "4711", "{change:#}");
    assert_eq!(
        change["before"]["hash"], change["after"]["hash"],
        "{change:#}"
    );
}

#[test]
fn a_chown_is_an_owner() {
    let acted = act(daemon, prepare, |folder| {
        chown(folder.join("file"), Some(1000), Some(1001)).unwrap();
    });
    let change = acted.only("owner", "file");
    assert_eq!(change["before"]["uid"], 0, "{change:#}");
    assert_eq!(change["after"]["uid"], 1000, "{change:#}");
    assert_eq!(change["after"]["gid"], 1001, "{change:#}");
}

#[test]
fn a_new_extended_attribute_is_an_xattr() {
    let acted = act(daemon, prepare, label);
    let change = acted.only("xattr", "file");
    assert_eq!(change["before"]["xattrs"], Value::Null, "{change:#}");
    assert_eq!(
        change["after"]["xattrs"]["user.origin"], "here",
        "{change:#}"
    );
}

#[test]
fn a_removed_extended_attribute_is_an_xattr() {
    let acted = act(daemon, prepare_labelled, |folder| {
        removexattr(folder.join("file"), "user.origin").unwrap();
    });
    let change = acted.only("xattr", "file");
    assert_eq!(
        change["before"]["xattrs"]["user.origin"], "here",
        "{change:#}"
    );
    assert_eq!(change["after"]["xattrs"], Value::Null, "{change:#}");
}

#[test]
fn a_new_access_control_list_is_an_xattr() {
    let acted = act(daemon, prepare, |folder| {
        let flags = XattrFlags::empty();
        setxattr(
            folder.join("file"),
            "system.posix_acl_access",
            &acl(),
            flags,
        )
        .unwrap();
    });
    let change = acted.only("xattr", "file");
    let list = &change["after"]["xattrs"]["system.posix_acl_access"];
    assert!(list.is_string(), "{change:#}");
}

#[test]
fn setting_what_is_set_already_changes_nothing() {
    let acted = act(daemon, prepare, |folder| {
        fs::set_permissions(folder.join("file"), fs::Permissions::from_mode(0o644)).unwrap();
        chown(folder.join("file"), Some(0), Some(0)).unwrap();
    });
    assert_eq!(acted.told(), [""; 0]);
}
