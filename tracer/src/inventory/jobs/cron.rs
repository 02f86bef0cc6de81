//! Entries of cron and anacron, as crontab(5) and anacrontab(5) have them, and the scripts that run-parts(8) runs.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use change::Text;

use super::super::Facts;
use super::super::part::{Lines, attributes, key, put};
use crate::enrich::mask::mask_script;

/// A command that is longer is cut in the key, and told from others by a hash.
const LONGEST_KEY: usize = 160;

/// So much is kept of a command and of its times, in bytes.
const LONGEST_VALUE: usize = 4096;

/// Whether cron and run-parts look at a file of this name: not at what an editor or a package manager left.
pub(super) fn is_run(name: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    !name.is_empty() && name.iter().all(is_part)
}

/// An entry: when it runs as whom, and what.
struct Entry {
    schedule: String,
    user: String,
    command: String,
}

/// Entries that say as whom they run.
pub(super) fn of_system(prefix: &Text, lines: &Lines) -> Facts {
    let entries = texts(lines).filter_map(|line| {
        let (schedule, rest) = schedule(&line)?;
        let (user, command) = word(rest)?;
        let entry = Entry::of(schedule, user, command);
        let name = format!("{}/{}", cut(user, LONGEST_KEY), key_of(&entry.command));
        Some((name, entry))
    });
    facts(prefix, entries)
}

/// Entries that run as the user who has them.
pub(super) fn of_user(prefix: &Text, user: &Text, files: impl Iterator<Item = Lines>) -> Facts {
    let lines: Vec<String> = files
        .flat_map(|lines| texts(&lines).collect::<Vec<_>>())
        .collect();
    let entries = lines.iter().filter_map(|line| {
        let (schedule, command) = schedule(line)?;
        let entry = Entry::of(schedule, &user.to_lossy(), command);
        Some((key_of(&entry.command), entry))
    });
    facts(prefix, entries)
}

/// Jobs of anacron: a period, a delay, a name and a command.
pub(super) fn of_anacron(prefix: &Text, lines: &Lines) -> Facts {
    let mut facts = Facts::new();
    for line in texts(lines) {
        let job = || {
            let (period, rest) = word(&line)?;
            let (delay, rest) = word(rest)?;
            let (name, command) = word(rest)?;
            let is_job = period.starts_with('@') || period.parse::<u32>().is_ok();
            is_job.then_some((period, delay, name, command))
        };
        if let Some((period, delay, name, command)) = job() {
            let value = attributes([
                ("period", cut(period, LONGEST_KEY)),
                ("delay", cut(delay, LONGEST_KEY)),
                ("command", cut(&mask_script(command), LONGEST_VALUE)),
            ]);
            put(
                &mut facts,
                key(&[trimmed(prefix), cut(name, LONGEST_KEY).as_bytes()]),
                value,
            );
        }
    }
    facts
}

/// Scripts of a folder that are run so often, if they may be run.
pub(super) fn scripts(
    prefix: &Text,
    period: &str,
    files: impl Iterator<Item = (PathBuf, Text)>,
) -> Facts {
    let mut facts = Facts::new();
    for (path, name) in files {
        let Some(found) = path.metadata().ok().filter(|found| !found.is_dir()) else {
            continue;
        };
        let runs = if found.mode() & 0o111 == 0 {
            "no"
        } else {
            "yes"
        };
        let value = attributes([("schedule", period.to_owned()), ("runs", runs.to_owned())]);
        put(&mut facts, key(&[trimmed(prefix), name.as_bytes()]), value);
    }
    facts
}

/// One fact for each name. What runs at several times has these as its schedule together.
fn facts(prefix: &Text, entries: impl Iterator<Item = (String, Entry)>) -> Facts {
    let mut by_name: BTreeMap<String, Entry> = BTreeMap::new();
    for (name, entry) in entries {
        let Some(first) = by_name.get_mut(&name) else {
            by_name.insert(name, entry);
            continue;
        };
        if first.schedule.len() + entry.schedule.len() < LONGEST_VALUE {
            first.schedule.push_str("; ");
            first.schedule.push_str(&entry.schedule);
        }
    }
    let mut facts = Facts::new();
    for (name, entry) in by_name {
        let Entry {
            schedule,
            user,
            command,
        } = entry;
        let value = attributes([
            ("schedule", cut(&schedule, LONGEST_VALUE)),
            ("user", cut(&user, LONGEST_VALUE)),
            ("command", cut(&command, LONGEST_VALUE)),
        ]);
        put(&mut facts, key(&[trimmed(prefix), name.as_bytes()]), value);
    }
    facts
}

impl Entry {
    fn of(schedule: String, user: &str, command: &str) -> Self {
        Self {
            schedule,
            user: user.to_owned(),
            command: mask_script(command.trim_end()),
        }
    }
}

/// The lines that may be entries.
fn texts(lines: &Lines) -> impl Iterator<Item = String> {
    let lines = lines
        .iter()
        .map(|line| String::from_utf8_lossy(line).trim().to_owned());
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// When a line runs, and the rest of it; none of a line that sets a variable.
fn schedule(line: &str) -> Option<(String, &str)> {
    if line.starts_with('@') {
        let (schedule, rest) = word(line)?;
        return Some((schedule.to_owned(), rest));
    }
    // A dash keeps some crons from logging; a tilde is a time by chance.
    if !line.starts_with(|c: char| c.is_ascii_digit() || "*-~".contains(c)) {
        return None;
    }
    let mut fields = Vec::new();
    let mut rest = line;
    for _ in 0..5 {
        let (field, behind) = word(rest)?;
        fields.push(field);
        rest = behind;
    }
    Some((fields.join(" "), rest))
}

/// A word and what is behind it; none where that is nothing.
fn word(text: &str) -> Option<(&str, &str)> {
    let (word, rest) = text.split_once([' ', '\t'])?;
    let rest = rest.trim_start();
    (!rest.is_empty()).then_some((word, rest))
}

/// What stands for a command in a key.
fn key_of(command: &str) -> String {
    if command.len() <= LONGEST_KEY {
        return command.to_owned();
    }
    let hash = blake3::hash(command.as_bytes()).to_hex();
    format!(
        "{}#{}",
        cut(command, LONGEST_KEY),
        hash.get(..8).unwrap_or_default()
    )
}

/// A text up to a length in bytes, with a mark where it was cut.
fn cut(text: &str, length: usize) -> String {
    if text.len() <= length {
        return text.to_owned();
    }
    let mut end = length;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", text.get(..end).unwrap_or_default())
}

/// A prefix without the slash at its end.
fn trimmed(prefix: &Text) -> &[u8] {
    let prefix = prefix.as_bytes();
    prefix.strip_suffix(b"/").unwrap_or(prefix)
}
