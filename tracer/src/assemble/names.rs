//! Names that programs give to files on the way to their true name.

use change::Text;

/// Endings of names that a file keeps only until it is complete.
const ENDINGS: [&[u8]; 7] = [
    b".dpkg-new",
    b".dpkg-tmp",
    b".rpmnew~",
    b".tmp",
    b".new",
    b".part",
    b"~",
];
/// Beginnings of such names: Ansible, sed, mkstemp users in glib and coreutils' `ln -sf`.
const BEGINNINGS: [(&[u8], usize); 5] = [
    (b".ansible_tmp", 0),
    (b"sed", 9),
    (b".goutputstream-", 0),
    (b"CuO", 8),
    (b".#", 0),
];

/// Whether a file of that name is, by all experience, renamed or removed when it is complete.
pub(super) fn is_temporary(path: &Text) -> bool {
    let path = path.as_bytes();
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let begins = |(start, len): &(&[u8], usize)| {
        name.starts_with(start) && (*len == 0 || name.len() == *len)
    };
    ENDINGS.iter().any(|ending| name.ends_with(ending))
        || BEGINNINGS.iter().any(begins)
        || is_vim_swap(name)
        || name == b"4913"
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
            "/etc/4913",
            "/etc/hosts~",
        ] {
            assert!(is_temporary(&name.into()), "{name}");
        }
        for name in [
            "/etc/hosts",
            "/etc/sedan.conf",
            "/etc/cron.d/new",
            "/etc/.swp",
            "/etc/x.swift",
        ] {
            assert!(!is_temporary(&name.into()), "{name}");
        }
    }
}
