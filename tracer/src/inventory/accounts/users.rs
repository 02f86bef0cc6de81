//! Users, as passwd(5) has them.

use super::super::Facts;
use super::super::part::{Lines, Show, attributes, key, put};
use super::passwords;

/// Lines that are no users are passed over: comments, those that name NIS, and those without numbers.
pub(super) fn read(lines: &Lines, show: Show<'_>) -> Facts {
    let mut facts = Facts::new();
    for line in lines.iter() {
        let fields: Vec<&[u8]> = line.split(|&byte| byte == b':').collect();
        let [name, password, uid, gid, gecos, home, shell] = fields[..] else {
            continue;
        };
        let (Some(uid), Some(gid)) = (number(uid), number(gid)) else {
            continue;
        };
        if !is_name(name) {
            continue;
        }
        let text = |bytes: &[u8]| show(&String::from_utf8_lossy(bytes), false);
        let value = attributes([
            ("uid", uid),
            ("gid", gid),
            ("gecos", text(gecos)),
            ("home", text(home)),
            ("shell", text(shell)),
            ("password", passwords::out_of_place(password)),
        ]);
        put(&mut facts, key(&[b"user", name]), value);
    }
    facts
}

/// Whether it can be a name: `+` and `-` begin what NIS is asked for, `#` what somebody put aside.
pub(super) fn is_name(name: &[u8]) -> bool {
    !matches!(name.first(), None | Some(b'+' | b'-' | b'#'))
}

/// A number as the system reads it.
pub(super) fn number(digits: &[u8]) -> Option<String> {
    let number: u32 = str::from_utf8(digits).ok()?.parse().ok()?;
    Some(number.to_string())
}
