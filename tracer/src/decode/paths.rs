//! Paths and inodes in records.

use change::{Text, Timestamp};
use tracer_ebpf::{InodeRecord, PathFlags, PathRecord};

use super::{Error, Places};
use crate::observed::{Inode, Name};

/// The bit of `i_ctime_nsec` that is the kernel's own from 6.13 on: `I_CTIME_QUERIED`,
/// include/linux/fs.h of 6.13.
const CTIME_QUERIED: u32 = 1 << 31;

pub(super) fn name(names: &[u8], record: PathRecord, places: &dyn Places) -> Result<Name, Error> {
    if record.root != 0 {
        return Ok(Name {
            path: watched_path(names, record, places)?,
            watched: true,
        });
    }
    let top = places
        .device(device(record.place))
        .unwrap_or_else(|| "/".into());
    Ok(Name {
        path: join(&top, names),
        watched: false,
    })
}

pub(super) fn watched_path(
    names: &[u8],
    record: PathRecord,
    places: &dyn Places,
) -> Result<Text, Error> {
    let root = places
        .root(record.root)
        .ok_or(Error::UnknownRoot(record.root))?;
    if record.flags.0 & PathFlags::CUT != 0 {
        return Err(Error::PathTooLong(root));
    }
    Ok(join(&root, names))
}

/// Puts the names, which come from the leaf upwards with their lengths in front, below `top`.
pub(super) fn join(top: &Text, names: &[u8]) -> Text {
    let mut parts = Vec::new();
    let mut rest = names;
    while let Some((len, after)) = rest.split_first() {
        let (name, after) = after
            .split_at_checked(usize::from(*len))
            .unwrap_or((after, &[]));
        parts.push(name);
        rest = after;
    }
    let mut path = top.as_bytes().to_vec();
    for name in parts.iter().rev() {
        if path.last() != Some(&b'/') {
            path.push(b'/');
        }
        path.extend_from_slice(name);
    }
    path.into()
}

pub(super) fn inode_seen(record: &InodeRecord) -> Option<Inode> {
    let nanos = |seconds: i64, nanos: u32| Timestamp::from_parts(seconds, nanos).as_nanos();
    (record.number != 0).then(|| Inode {
        dev: device(record.dev),
        number: record.number,
        mode: record.mode,
        links: record.links,
        uid: record.uid,
        gid: record.gid,
        size: record.size,
        ctime_ns: nanos(record.ctime_sec, record.ctime_nsec & !CTIME_QUERIED),
        mtime_ns: nanos(record.mtime_sec, record.mtime_nsec),
    })
}

/// The device as `stat(2)` gives it, from the kernel's encoding.
pub(super) fn device(dev: u32) -> u64 {
    rustix::fs::makedev(dev >> 20, dev & 0x000f_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_leaf_upwards() {
        assert_eq!(
            join(&"/etc".into(), b"\x05hosts\x01d"),
            "/etc/d/hosts".into()
        );
        assert_eq!(join(&"/".into(), b"\x01a"), "/a".into());
        assert_eq!(join(&"/etc".into(), b""), "/etc".into());
    }

    #[test]
    fn names_that_are_cut_short_do_not_panic() {
        assert_eq!(join(&"/etc".into(), b"\xffab"), "/etc/ab".into());
    }
}
