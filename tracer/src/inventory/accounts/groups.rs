//! Groups with their members, as group(5) has them.

use super::super::Facts;
use super::super::part::{Lines, Show, attributes, key, put};
use super::passwords;
use super::users::{is_name, number};

/// The members stand in the order of their names, as theirs in the file means nothing.
pub(super) fn read(lines: &Lines, show: Show<'_>) -> Facts {
    let mut facts = Facts::new();
    for line in lines.iter() {
        let fields: Vec<&[u8]> = line.split(|&byte| byte == b':').collect();
        let [name, password, gid, members] = fields[..] else {
            continue;
        };
        let Some(gid) = number(gid).filter(|_| is_name(name)) else {
            continue;
        };
        let members = String::from_utf8_lossy(members);
        let mut members: Vec<&str> = members.split(',').map(str::trim).collect();
        members.sort_unstable();
        members.dedup();
        members.retain(|member| !member.is_empty());
        let password = match password {
            // Where there is none nobody gets in by one.
            b"" => String::new(),
            password => passwords::out_of_place(password),
        };
        let value = attributes([
            ("gid", gid),
            ("members", show(&members.join(","), false)),
            ("password", password),
        ]);
        put(&mut facts, key(&[b"group", name]), value);
    }
    facts
}
