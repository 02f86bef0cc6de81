//! Extended attributes and flags of an open file, as a fact holds them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;

use super::secret;
use crate::trees::open;

/// Left out: the integrity subsystem rewrites its hashes and signatures by itself.
const LEFT_OUT: [&str; 2] = ["security.ima", "security.evm"];

/// Left out, too: file systems note there for themselves what they do, overlayfs above all. To read
/// it takes `CAP_SYS_ADMIN`, and facts are to be the same with it and without.
const LEFT_OUT_NAMESPACE: &str = "trusted.";

/// A value larger than this stands as its hash.
const LARGEST_SHOWN: usize = 1024;

/// What stands for a value that is a secret.
const HIDDEN: &str = "***";

/// A list or value cannot be larger: `XATTR_LIST_MAX` and `XATTR_SIZE_MAX` in xattr(7).
const LARGEST: usize = 65536;

/// The name that the flags of chattr(1) stand under. No extended attribute is called like it: their
/// names have a dot.
pub(crate) const FLAGS_NAME: &str = "chattr";

/// The flags that statx(2) tells, by the letters of lsattr(1). Others, such as that access times are
/// not kept, change nothing for whoever uses the file.
const FLAGS: [(StatxAttributes, char); 6] = [
    (StatxAttributes::APPEND, 'a'),
    (StatxAttributes::COMPRESSED, 'c'),
    (StatxAttributes::NODUMP, 'd'),
    (StatxAttributes::IMMUTABLE, 'i'),
    (StatxAttributes::ENCRYPTED, 'E'),
    (StatxAttributes::VERITY, 'V'),
];

/// Reads all extended attributes, and the flags as if they were one. Where the file system has none there are none.
pub(super) fn read(file: impl AsFd) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::new();
    let flags = flags(&file);
    if !flags.is_empty() {
        attributes.insert(FLAGS_NAME.to_owned(), flags);
    }
    // The calls on descriptors refuse those with `O_PATH`, and a link or a device has no other.
    let path = open::path_of(file);
    let list = sized(|buffer| rustix::fs::listxattr(path.as_str(), buffer));
    let names = list.as_deref().unwrap_or_default().split(|&byte| byte == 0);
    for name in names.filter(|name| !name.is_empty()) {
        let shown = String::from_utf8_lossy(name).into_owned();
        if LEFT_OUT.contains(&shown.as_str()) || shown.starts_with(LEFT_OUT_NAMESPACE) {
            continue;
        }
        // It can be removed between listing and reading.
        if let Ok(value) = sized(|buffer| rustix::fs::getxattr(path.as_str(), name, buffer)) {
            attributes.insert(shown, show(name, &value));
        }
    }
    attributes
}

fn flags(file: impl AsFd) -> String {
    let told = rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::empty());
    // Kernels that have no statx(2) have no flags that it tells.
    let set = told.map_or(StatxAttributes::empty(), |told| told.stx_attributes);
    let letters = FLAGS.iter().filter(|(flag, _)| set.contains(*flag));
    letters.map(|(_, letter)| letter).collect()
}

/// Reads into a small buffer first, since most values are small, and then into the largest.
fn sized(
    mut call: impl FnMut(&mut [u8]) -> rustix::io::Result<usize>,
) -> rustix::io::Result<Vec<u8>> {
    let mut buffer = vec![0; LARGEST_SHOWN];
    let mut result = call(&mut buffer);
    if result == Err(Errno::RANGE) {
        buffer.resize(LARGEST, 0);
        result = call(&mut buffer);
    }
    buffer.truncate(result?);
    Ok(buffer)
}

fn show(name: &[u8], value: &[u8]) -> String {
    if value.len() > LARGEST_SHOWN {
        return format!("b3:{}", blake3::hash(value).to_hex());
    }
    if secret::is_secret_content(value) {
        return HIDDEN.to_owned();
    }
    // SELinux labels end with a NUL.
    let text = value.strip_suffix(b"\0").unwrap_or(value);
    let is_binary = name.starts_with(b"system.posix_acl_");
    match str::from_utf8(text) {
        Ok(text) if !is_binary && !text.starts_with("0x") && !text.contains(char::is_control) => {
            text.to_owned()
        }
        _ => value.iter().fold("0x".to_owned(), |mut hex, byte| {
            let written = write!(hex, "{byte:02x}");
            debug_assert!(written.is_ok(), "a string takes all that is written");
            hex
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_shown_as_it_is_and_anything_else_in_hex() {
        assert_eq!(
            show(b"security.selinux", b"system_u:object_r:etc_t:s0\0"),
            "system_u:object_r:etc_t:s0"
        );
        assert_eq!(show(b"user.x", b"\x01\xff"), "0x01ff");
        assert_eq!(show(b"user.x", b"0x12"), "0x30783132");
        assert_eq!(show(b"system.posix_acl_access", b"ab"), "0x6162");
        assert!(show(b"user.x", &[b'a'; 2000]).starts_with("b3:"));
    }
}
