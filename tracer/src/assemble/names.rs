//! Names that programs give to files on the way to their true name.

use std::time::Duration;

use change::Text;

/// Endings of names that a package's file keeps until the package is configured, the last of a
/// long run of its manager.
const PACKAGED: [&[u8]; 3] = [b".dpkg-new", b".dpkg-tmp", b".rpmnew~"];
/// Endings of names that a file keeps only until it is complete.
const ENDINGS: [&[u8]; 4] = [b".tmp", b".new", b".part", b"~"];
/// Beginnings of such names: Ansible, sed, mkstemp users in glib and coreutils' `ln -sf`.
const BEGINNINGS: [(&[u8], usize); 5] = [
    (b".ansible_tmp", 0),
    (b"sed", 9),
    (b".goutputstream-", 0),
    (b"CuO", 8),
    (b".#", 0),
];

/// How long a package's file waits for its true name.
const PACKAGED_WAITS: Duration = Duration::from_mins(5);
/// How long any other file waits for it, from when it was touched last.
const WAITS: Duration = Duration::from_secs(10);

/// How long a file of that name waits for being renamed or removed, which by all experience it is
/// when it is complete; none for a name that is meant to stay.
pub(super) fn waits(path: &Text) -> Option<Duration> {
    let name = last(path);
    if PACKAGED.iter().any(|ending| name.ends_with(ending)) {
        return Some(PACKAGED_WAITS);
    }
    let begins = |(start, len): &(&[u8], usize)| {
        name.starts_with(start) && (*len == 0 || name.len() == *len)
    };
    let is_temporary = ENDINGS.iter().any(|ending| name.ends_with(ending))
        || BEGINNINGS.iter().any(begins)
        || is_vim_swap(name);
    is_temporary.then_some(WAITS)
}

/// Whether a file of that name was never meant to stay: it waits for its true name, or vim made it
/// to find out what it may do in the directory, and removes it at once.
pub(super) fn is_passing(path: &Text) -> bool {
    waits(path).is_some() || last(path) == b"4913"
}

fn last(path: &Text) -> &[u8] {
    let names = path.as_bytes().rsplit(|byte| *byte == b'/');
    names.into_iter().next().unwrap_or_default()
}

/// `.name.swp`, `.name.swo`, `.name.swx`, ….
fn is_vim_swap(name: &[u8]) -> bool {
    name.starts_with(b".") && name.len() > 5 && name[..name.len() - 1].ends_with(b".sw")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_names_are_known_and_true_names_are_not() {
        for name in [
            "/etc/.hosts.swp",
            "/etc/a.dpkg-new",
            "/etc/sedAbCdEf",
            "/etc/hosts~",
        ] {
            assert!(waits(&name.into()).is_some(), "{name}");
        }
        for name in [
            "/etc/hosts",
            "/etc/sedan.conf",
            "/etc/cron.d/new",
            "/etc/.swp",
            "/etc/x.swift",
        ] {
            assert!(waits(&name.into()).is_none(), "{name}");
            assert!(!is_passing(&name.into()), "{name}");
        }
        assert!(waits(&"/etc/4913".into()).is_none());
        assert!(is_passing(&"/etc/4913".into()));
    }
}
