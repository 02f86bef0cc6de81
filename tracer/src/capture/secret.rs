//! Which files are secrets: by their path, and by what is in them.

use change::Text;
use globset::GlobSet;

/// What begins a private key of PEM, OpenSSH and PGP; the words behind it say whether it is one.
const ARMOR: &[u8] = b"-----BEGIN ";

/// How far behind [`ARMOR`] `PRIVATE KEY` can end: `ENCRYPTED`, `OPENSSH`, `PGP … BLOCK`.
const ARMOR_LINE: usize = 48;

/// What begins a private key of other programs (`age` and its plugins, `PuTTY`, `WireGuard`), and the
/// hashes of passwords in files like `/etc/shadow`, by method as in crypt(5), wherever a copy is.
const MARKERS: [&[u8]; 12] = [
    b"AGE-SECRET-KEY-",
    b"AGE-PLUGIN-",
    b"PuTTY-User-Key-File-",
    b"PrivateKey =",
    b"PrivateKey=",
    b":$y$",
    b":$gy$",
    b":$7$",
    b":$6$",
    b":$5$",
    b":$2b$",
    b":$2y$",
];

/// Whether a path says that the file is a secret.
pub(super) fn is_secret_path(globs: &GlobSet, path: &Text) -> bool {
    crate::trees::is_match(globs, path.as_bytes())
}

/// Whether a private key or the hash of a password is in the content.
pub(super) fn is_secret_content(bytes: &[u8]) -> bool {
    if MARKERS.iter().any(|marker| find(bytes, marker).is_some()) {
        return true;
    }
    let mut rest = bytes;
    while let Some(at) = find(rest, ARMOR) {
        rest = &rest[at + ARMOR.len()..];
        let line = &rest[..rest.len().min(ARMOR_LINE)];
        if find(line, b"PRIVATE KEY").is_some() {
            return true;
        }
    }
    false
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let (&first, rest) = wanted.split_first()?;
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|&byte| byte == first) {
        if bytes[from + at + 1..].starts_with(rest) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_keys_of_all_programs_and_passwords_are_secrets() {
        for key in [
            "-----BEGIN PRIVATE KEY-----\nMII",
            "# mine\n-----BEGIN OPENSSH PRIVATE KEY-----\n",
            "-----BEGIN CERTIFICATE-----\nx\n-----BEGIN RSA PRIVATE KEY-----\n",
            "{\"private_key\": \"-----BEGIN PRIVATE KEY-----\\nMII\"}",
            "-----BEGIN PGP PRIVATE KEY BLOCK-----",
            "AGE-SECRET-KEY-1QQQ",
            "PuTTY-User-Key-File-3: ssh-ed25519",
            "[Interface]\nPrivateKey = x",
            "root:$y$j9T$abc:19000:0:99999:7:::",
        ] {
            assert!(is_secret_content(key.as_bytes()), "{key}");
        }
    }

    #[test]
    fn what_anyone_may_see_is_no_secret() {
        for text in [
            "",
            "-----BEGIN CERTIFICATE-----\nMII",
            "-----BEGIN PUBLIC KEY-----",
            "ssh-ed25519 AAAA alice@web-1",
            "-----BEGIN CERTIFICATE-----\nMIIabcdefghijklmnopqrstuvwxyzabcdefghij PRIVATE KEY",
        ] {
            assert!(!is_secret_content(text.as_bytes()), "{text}");
        }
    }
}
