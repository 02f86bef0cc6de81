//! What is no secret of passwords, of shadow(5): whether there is one, and how long it is good for.

use super::super::Facts;
use super::super::part::{Lines, Show, attributes, key, put};
use super::users::{is_name, number};

/// A day of shadow(5) in seconds.
const DAY: i64 = 86_400;

const SET: &str = "set";
const LOCKED: &str = "locked";
const NONE: &str = "none";

/// The hash of a password is a secret: what stands for it tells one from another, and no more.
pub(super) fn read(lines: &Lines, show: Show<'_>) -> Facts {
    let mut facts = Facts::new();
    for line in lines.iter() {
        let mut fields = line.split(|&byte| byte == b':');
        let (Some(name), Some(password)) = (fields.next(), fields.next()) else {
            continue;
        };
        if !is_name(name) {
            continue;
        }
        let changed = fields.next().unwrap_or_default();
        let must_change = if changed == b"0" { "yes" } else { "" };
        let mut next = || fields.next().unwrap_or_default();
        let value = attributes([
            ("state", state(password).to_owned()),
            ("hash", hash(password, show)),
            ("changed", day(changed)),
            ("must-change", must_change.to_owned()),
            ("min-days", number(next()).unwrap_or_default()),
            ("max-days", number(next()).unwrap_or_default()),
            ("warn-days", number(next()).unwrap_or_default()),
            ("inactive-days", number(next()).unwrap_or_default()),
            ("expires", day(next())),
        ]);
        put(&mut facts, key(&[b"password", name]), value);
    }
    facts
}

/// What is said of a password that stands in a file whose place it is not; nothing where there is none.
pub(super) fn out_of_place(field: &[u8]) -> String {
    match field {
        b"x" => String::new(),
        field => state(field).to_owned(),
    }
}

/// As `passwd --status` tells them apart: one with a mark before it, or with nothing else, lets nobody in.
fn state(field: &[u8]) -> &'static str {
    match field.first() {
        None => NONE,
        Some(b'!' | b'*') => LOCKED,
        Some(_) => SET,
    }
}

/// What stands for the hash, the same whether it is locked or not; nothing where there is none.
fn hash(field: &[u8], show: Show<'_>) -> String {
    let marks = |byte: &u8| matches!(byte, b'!' | b'*');
    let begin = field.iter().position(|byte| !marks(byte));
    let hash = begin.and_then(|begin| field.get(begin..));
    hash.map(|hash| show(&String::from_utf8_lossy(hash), true))
        .unwrap_or_default()
}

/// A day counted from the first of 1970, as a date; that day itself has another meaning.
fn day(field: &[u8]) -> String {
    let date = || {
        let days: i64 = str::from_utf8(field)
            .ok()?
            .parse()
            .ok()
            .filter(|days| *days != 0)?;
        let day = jiff::Timestamp::from_second(days.checked_mul(DAY)?).ok()?;
        Some(day.to_zoned(jiff::tz::TimeZone::UTC).date().to_string())
    };
    date().unwrap_or_default()
}
