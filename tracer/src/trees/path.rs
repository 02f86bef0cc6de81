//! Absolute paths as bytes: taking them apart and putting them together, without touching a disk.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use change::Text;

/// The path for the standard library's functions.
pub(crate) fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

/// The names between the slashes.
pub(crate) fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty())
}

/// The path of `name` in `directory`.
pub(crate) fn join(directory: &[u8], name: &[u8]) -> Text {
    let mut path = Vec::with_capacity(directory.len() + 1 + name.len());
    path.extend_from_slice(directory);
    if directory.last() != Some(&b'/') {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    Text::from(path)
}

/// What stands behind `tree` in `path`: empty for the tree itself, none outside of it.
pub(crate) fn below<'a>(path: &'a [u8], tree: &[u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(tree)?;
    if rest.is_empty() || tree.ends_with(b"/") {
        return Some(rest);
    }
    rest.strip_prefix(b"/")
}

/// What a path becomes when `from` is renamed to `to`; none if it lies elsewhere.
pub(crate) fn moved(path: &[u8], from: &[u8], to: &[u8]) -> Option<Text> {
    match below(path, from)? {
        b"" => Some(Text::from(to)),
        rest => Some(join(to, rest)),
    }
}

/// Whether `path` is `tree` itself or lies in it.
pub(crate) fn is_within(path: &[u8], tree: &[u8]) -> bool {
    below(path, tree).is_some()
}

/// The directory and the name in it; none for the root directory.
pub(crate) fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = path.iter().rposition(|&byte| byte == b'/')?;
    let name = &path[slash + 1..];
    if name.is_empty() {
        return None;
    }
    Some((&path[..slash.max(1)], name))
}

/// The path and all directories above it, the path first.
pub(crate) fn ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(Some(path), |path| split(path).map(|(parent, _)| parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_only_begins_like_the_tree_is_outside() {
        assert_eq!(below(b"/etc/ssh/x", b"/etc"), Some(b"ssh/x".as_slice()));
        assert_eq!(below(b"/etc", b"/etc"), Some(b"".as_slice()));
        assert_eq!(below(b"/etc.d/x", b"/etc"), None);
        assert_eq!(below(b"/etc", b"/"), Some(b"etc".as_slice()));
    }

    #[test]
    fn a_path_comes_apart_up_to_the_root() {
        let all: Vec<_> = ancestors(b"/a/b").collect();
        assert_eq!(all, [b"/a/b".as_slice(), b"/a", b"/"]);
        assert_eq!(moved(b"/a/b", b"/a", b"/c"), Some(Text::from("/c/b")));
        assert_eq!(moved(b"/a", b"/a", b"/c"), Some(Text::from("/c")));
        assert_eq!(moved(b"/ab", b"/a", b"/c"), None);
        assert_eq!(join(b"/", b"a"), Text::from("/a"));
        assert_eq!(join(b"/a", b"b"), Text::from("/a/b"));
    }
}
