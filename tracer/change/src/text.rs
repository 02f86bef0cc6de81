//! Bytes from the kernel that are usually UTF-8, like path names, kept without loss.

use std::borrow::Borrow;
use std::fmt;

/// Holds a name as the kernel gave it: any bytes but NUL, mostly UTF-8.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Vec<u8>);

impl Text {
    /// The bytes as they are.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text, where it is valid UTF-8.
    pub fn as_utf8(&self) -> Option<&str> {
        str::from_utf8(&self.0).ok()
    }

    /// The text with U+FFFD for every byte that is not UTF-8.
    pub fn to_lossy(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Base64 of the bytes, given only where the lossy text would lose some.
    pub(crate) fn to_base64_if_lossy(&self) -> Option<String> {
        self.as_utf8().is_none().then(|| encode_base64(&self.0))
    }

    /// The bytes in base64, for what carries only text.
    pub fn to_base64(&self) -> String {
        encode_base64(&self.0)
    }

    /// Reads what [`Text::to_base64`] wrote; none where it is something else.
    pub fn from_base64(code: &str) -> Option<Self> {
        decode_base64(code).map(Self::from)
    }

    /// Puts together what [`Text::to_lossy`] and [`Text::to_base64_if_lossy`] took apart.
    pub(crate) fn from_parts(lossy: String, base64: Option<&str>) -> Result<Self, String> {
        match base64 {
            None => Ok(Self(lossy.into_bytes())),
            Some(code) => decode_base64(code)
                .map(Self)
                .ok_or_else(|| format!("`{code}` is not base64")),
        }
    }
}

impl Borrow<[u8]> for Text {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl fmt::Display for Text {
    /// Writes the text as it may go to a terminal: control characters and bytes that are not UTF-8
    /// are escaped as in Rust (`\n`, `\u{1b}`, `\xff`), and a backslash is doubled where it could
    /// be mistaken for one of these.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = self
            .as_utf8()
            .is_some_and(|text| !text.chars().any(is_unprintable));
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\\' if !plain => f.write_str("\\\\")?,
                    c if is_unprintable(c) => write!(f, "{}", c.escape_default())?,
                    c => fmt::Write::write_char(f, c)?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Control characters, and the marks that reorder or hide text.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn encode_base64(bytes: &[u8]) -> String {
    let mut code = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .fold(0u32, |bits, &byte| bits << 8 | u32::from(byte))
            << (8 * (3 - group.len()));
        for place in 0..4 {
            let index = (bits >> (18 - 6 * place) & 63) as usize;
            code.push(if place <= group.len() {
                char::from(ALPHABET[index])
            } else {
                '='
            });
        }
    }
    code
}

fn decode_base64(code: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(code.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for c in code.trim_end_matches('=').bytes() {
        let value = ALPHABET.iter().position(|&letter| letter == c)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_reads_back_every_length() {
        for length in 0..40u8 {
            let bytes: Vec<u8> = (0..length).map(|i| i.wrapping_mul(37) ^ 0xa5).collect();
            assert_eq!(decode_base64(&encode_base64(&bytes)), Some(bytes));
        }
        assert_eq!(encode_base64(b"foob"), "Zm9vYg==");
    }

    #[test]
    fn a_terminal_gets_no_control_characters() {
        assert_eq!(
            Text::from(b"a\nb\x1b[31m\xff\\".as_slice()).to_string(),
            r"a\nb\u{1b}[31m\xff\\"
        );
        assert_eq!(
            Text::from("/etc/back\\slash é").to_string(),
            "/etc/back\\slash é"
        );
    }
}
