//! Secrets that a text names itself: `NAME=value`, `"name": "value"`, headers, URLs, known tokens.

use super::{HIDDEN, names};
use crate::secret;

/// How tokens of widespread services begin, which need no name before them.
const TOKEN_STARTS: [&str; 12] = [
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "sk-",
    "hvs.",
    "eyJ",
];

/// The shortest text taken for a token by how it begins.
const TOKEN_MIN_BYTES: usize = 20;

/// Hides all that follows `NAME=` at the start of an argument, if the name promises a secret: the
/// value has no quotes any more that would tell where it ends.
pub(super) fn mask_whole_value(argument: &str) -> Option<String> {
    let (name, _) = argument.split_once('=')?;
    (name.bytes().all(is_name_byte) && names::is_secret(name)).then(|| format!("{name}={HIDDEN}"))
}

/// Hides the secrets that a text names, wherever in it.
pub(super) fn mask_text(text: &str) -> String {
    if text.len() < TOKEN_MIN_BYTES && !text.contains([':', '=', ' ', '\t']) {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut masked = String::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        if let Some(secret) = url_password(text, at).or_else(|| named_value(text, at)) {
            masked.push_str(&text[at..secret.start]);
            masked.push_str(HIDDEN);
            at = secret.end;
            continue;
        }
        let word_end = name_end(bytes, at);
        if is_token(&text[at..word_end]) {
            masked.push_str(HIDDEN);
            at = word_end;
            continue;
        }
        let end = if word_end > at {
            word_end
        } else {
            at + text[at..].chars().next().map_or(1, char::len_utf8)
        };
        masked.push_str(&text[at..end]);
        at = end;
    }
    masked
}

fn is_token(word: &str) -> bool {
    let is_known = || TOKEN_STARTS.iter().any(|start| word.starts_with(start));
    word.len() >= TOKEN_MIN_BYTES && (is_known() || secret::is_in(word.as_bytes()))
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

fn name_end(bytes: &[u8], start: usize) -> usize {
    skip(bytes, start, is_name_byte)
}

fn skip(bytes: &[u8], start: usize, matches: impl Fn(u8) -> bool) -> usize {
    bytes[start..]
        .iter()
        .position(|&byte| !matches(byte))
        .map_or(bytes.len(), |length| start + length)
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// The password in `://user:password@`, where `at` is at the colon.
fn url_password(text: &str, at: usize) -> Option<std::ops::Range<usize>> {
    let rest = text[at..].strip_prefix("://")?;
    let start = at + 3;
    let authority = rest
        .find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\''))
        .map_or(rest, |end| &rest[..end]);
    let user_end = authority.rfind('@')?;
    match authority[..user_end].find(':') {
        Some(colon) => Some(start + colon + 1..start + user_end),
        // Alone and this long it is not a user's name but a token.
        None if user_end >= TOKEN_MIN_BYTES => Some(start..start + user_end),
        None => None,
    }
}

/// The value of the name that begins at `at`, if that promises a secret.
fn named_value(text: &str, at: usize) -> Option<std::ops::Range<usize>> {
    let bytes = text.as_bytes();
    let end = name_end(bytes, at);
    if end == at {
        return None;
    }
    let name = &text[at..end];
    if name.eq_ignore_ascii_case("bearer") {
        let start = skip(bytes, end, is_blank);
        return (start > end && start < bytes.len()).then(|| start..value_end(bytes, start));
    }
    // `"name": "value"`, with the quotes escaped or not.
    let quoted = skip(bytes, end, |byte| matches!(byte, b'"' | b'\'' | b'\\'));
    let mark = skip(bytes, quoted, is_blank);
    let is_header = bytes.get(mark) == Some(&b':');
    if !is_header && bytes.get(mark) != Some(&b'=') {
        return None;
    }
    let spaced = skip(bytes, mark + 1, is_blank);
    if is_header && names::is_secret_header(name) {
        let stop = |byte| !matches!(byte, b'"' | b'\'' | b'\r' | b'\n');
        return Some(spaced..skip(bytes, spaced, stop));
    }
    if !names::is_secret(name) {
        return None;
    }
    // `NAME= command` sets it to nothing.
    let start = if is_header || mark > quoted {
        spaced
    } else {
        mark + 1
    };
    // `token:/path` names a file.
    let is_path = is_header && matches!(bytes.get(start), Some(b'/'));
    (start < bytes.len() && !is_path && !is_blank(bytes[start]))
        .then(|| quoted_or_word(bytes, start))
}

/// The value that begins at `start`, without its quotes.
fn quoted_or_word(bytes: &[u8], start: usize) -> std::ops::Range<usize> {
    let escaped = usize::from(bytes[start] == b'\\');
    match bytes.get(start + escaped) {
        Some(&quote @ (b'"' | b'\'')) => {
            let inner = start + escaped + 1;
            let end = quote_end(bytes, inner, quote, escaped == 1);
            inner..end
        }
        _ => start..value_end(bytes, start),
    }
}

/// Where a quoted value ends: at its quote, and where the quote is escaped, at the next escaped
/// one.
fn quote_end(bytes: &[u8], start: usize, quote: u8, is_escaped: bool) -> usize {
    let mut at = start;
    while at < bytes.len() {
        if bytes[at] == b'\\' && quote == b'"' {
            if is_escaped && bytes.get(at + 1) == Some(&quote) {
                return at;
            }
            at += 1;
        } else if bytes[at] == quote {
            return at;
        }
        at += 1;
    }
    bytes.len()
}

/// Where a value without quotes ends. Quotes within it do not end it: rather a quote too few.
fn value_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            byte if byte.is_ascii_whitespace() => break,
            b'&' | b';' | b'|' | b')' => break,
            _ => {}
        }
        at += 1;
    }
    // An escape may have led past the end, or into a character of several bytes.
    let mut end = at.min(bytes.len());
    while end < bytes.len() && bytes[end] & 0xc0 == 0x80 {
        end += 1;
    }
    end
}
