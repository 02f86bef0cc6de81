//! Keys that let somebody in over ssh, as sshd(8) reads `authorized_keys`: of each what `ssh-keygen -lf` shows.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_STANDARD_NO_PAD;
use change::{FactValue, Text};
use sha2::{Digest as _, Sha256};

use super::super::Facts;
use super::super::part::{Lines, Show, attributes, key, put};
use crate::enrich::mask::mask_script;

/// A line that is longer is none for sshd: `SSH_MAX_PUBKEY_BYTES` in its `sshkey.h`.
const LONGEST_KEY: usize = 16 << 10;

/// What a key's name ends with where it is a certificate, which stands in other files.
const CERTIFICATE: &[u8] = b"-cert-v01@openssh.com";

/// Lines that sshd takes for no key are passed over: nothing of them is kept.
pub(super) fn read(owner: &Text, files: &[Lines], show: Show<'_>) -> Facts {
    let mut facts = Facts::new();
    let lines = files.iter().flat_map(Lines::iter);
    for line in lines.filter(|line| line.len() <= LONGEST_KEY) {
        let line = line.trim_ascii();
        if line.first() == Some(&b'#') {
            continue;
        }
        if let Some((fingerprint, value)) = parse(line, show) {
            let key = key(&[b"key", owner.as_bytes(), fingerprint.as_bytes()]);
            put(&mut facts, key, value);
        }
    }
    facts
}

/// The fingerprint of a key, and what is kept of it.
fn parse(line: &[u8], show: Show<'_>) -> Option<(String, FactValue)> {
    let (options, key) = if let Some(key) = Key::parse(line) {
        (&b""[..], key)
    } else {
        let (options, rest) = line.split_at(end_of_options(line)?);
        (options, Key::parse(rest.trim_ascii_start())?)
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let value = attributes([
        ("type", text(key.name)),
        ("comment", show(&text(key.comment), false)),
        // A command may have a password in it.
        ("options", show(&mask_script(&text(options)), false)),
    ]);
    Some((key.fingerprint, value))
}

/// Where the options before a key end: at the first blank that is not quoted.
fn end_of_options(line: &[u8]) -> Option<usize> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    line.iter().position(|byte| {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b' ' | b'\t' => return !is_quoted,
            _ => {}
        }
        false
    })
}

struct Key<'l> {
    name: &'l [u8],
    fingerprint: String,
    comment: &'l [u8],
}

impl<'l> Key<'l> {
    /// The name of the kind of key, the key, and what somebody wrote behind it.
    fn parse(line: &'l [u8]) -> Option<Self> {
        let (name, rest) = word(line);
        let (code, comment) = word(rest);
        let blob = lenient().decode(code).ok()?;
        // A key has the name of its kind in itself (RFC 4253, 6.6).
        let (length, named) = blob.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let is_key = named.get(..length) == Some(name) && named.len() > length;
        let hash = || BASE64_STANDARD_NO_PAD.encode(Sha256::digest(&blob));
        (is_key && !name.ends_with(CERTIFICATE)).then(|| Self {
            name,
            fingerprint: format!("SHA256:{}", hash()),
            comment,
        })
    }
}

/// A word and what is behind it and the blanks.
fn word(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line.iter().position(|byte| matches!(byte, b' ' | b'\t'));
    let (word, rest) = line.split_at(end.unwrap_or(line.len()));
    (word, rest.trim_ascii_start())
}

/// Takes base64 with the padding and without.
fn lenient() -> GeneralPurpose {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(&alphabet::STANDARD, config)
}
