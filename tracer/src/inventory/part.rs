//! Facts that files decide, part by part: a file, or a few together, are all that a part's facts are read from.
//! What is common to all of them: reading lines that anyone may have written, and taking in facts.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use change::{FactValue, Text, Timestamp};

use super::{Facts, Source, accounts, jobs};
use crate::bounded;

/// Files are read so far.
const LONGEST_FILE: usize = 4 << 20;
/// Lines that are longer are passed over.
const LONGEST_LINE: usize = 64 << 10;
/// So many facts are taken of one part, the first ones: each takes about a kilobyte of memory.
const MOST_FACTS: usize = 4096;

/// How a value may be kept, and whether it is a secret.
pub(super) type Show<'a> = &'a dyn Fn(&str, bool) -> String;

/// Names what some files decide together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part(pub(super) What);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Account(accounts::Part),
    Job(jobs::Part),
}

impl Part {
    /// The source that it is a part of.
    pub fn source(&self) -> Source {
        match &self.0 {
            What::Account(_) => Source::Accounts,
            What::Job(_) => Source::Jobs,
        }
    }

    /// What the keys of its facts begin with, and no others.
    pub fn prefix(&self) -> Text {
        match &self.0 {
            What::Account(part) => part.prefix(),
            What::Job(part) => part.prefix(),
        }
    }

    /// Whether the service manager writes its files when somebody asks it to.
    pub fn is_of_manager(&self) -> bool {
        matches!(self.0, What::Job(jobs::Part::Timers))
    }

    /// Whether it counts that a file may be run, and not only what is in it.
    pub fn is_of_modes(&self) -> bool {
        match &self.0 {
            What::Account(_) => false,
            What::Job(part) => part.is_of_modes(),
        }
    }
}

/// The lines of a text that are whole and not too long; of a text that was cut off the last one is none.
pub(super) struct Lines(Vec<u8>);

impl Lines {
    /// Those of a file of the administrator's; none where there is no file.
    pub(super) fn of(file: &Path) -> Self {
        Self::within(bounded::read(file, LONGEST_FILE as u64 + 1))
    }

    /// Those of a file in a folder that a user may write to.
    pub(super) fn of_users_file(file: &Path) -> Self {
        Self::within(bounded::read_regular(file, LONGEST_FILE as u64 + 1))
    }

    fn within(bytes: Option<Vec<u8>>) -> Self {
        let mut bytes = bytes.unwrap_or_default();
        if bytes.len() > LONGEST_FILE {
            bytes.truncate(LONGEST_FILE);
            let end = bytes.iter().rposition(|&byte| byte == b'\n');
            bytes.truncate(end.unwrap_or_default());
        }
        Self(bytes)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let lines = self.0.split(|&byte| byte == b'\n');
        lines.filter(|line| (1..=LONGEST_LINE).contains(&line.len()))
    }

    /// The lines as text, those that a backslash continues put together; what is no UTF-8 is replaced.
    pub(super) fn joined(&self) -> Vec<String> {
        let mut joined = Vec::new();
        let mut open = String::new();
        for line in self.0.split(|&byte| byte == b'\n') {
            let continued = line.strip_suffix(b"\\");
            if open.len() <= LONGEST_LINE {
                let line = continued.unwrap_or(line);
                let line = line.get(..=LONGEST_LINE).unwrap_or(line);
                open.push_str(&String::from_utf8_lossy(line));
            }
            match continued {
                Some(_) => open.push(' '),
                None => joined.push(std::mem::take(&mut open)),
            }
        }
        joined.push(open);
        joined.retain(|line| (1..=LONGEST_LINE).contains(&line.len()));
        joined
    }
}

#[cfg(test)]
impl From<&[u8]> for Lines {
    fn from(bytes: &[u8]) -> Self {
        Self::within(Some(bytes.to_vec()))
    }
}

/// Takes in a fact. Where one is said twice the first counts, as it does for the programs that read the file.
pub(super) fn put(facts: &mut Facts, key: Text, value: FactValue) {
    if facts.len() < MOST_FACTS {
        facts.entry(key).or_insert(value);
    }
}

/// The value of attributes, but for those that are empty.
pub(super) fn attributes<'n>(pairs: impl IntoIterator<Item = (&'n str, String)>) -> FactValue {
    let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value));
    FactValue::Attributes(pairs.collect::<BTreeMap<_, _>>())
}

/// The key of a fact: names behind each other, with slashes between.
pub(super) fn key(names: &[&[u8]]) -> Text {
    names.join(&b'/').into()
}

/// The name of a file as a path.
pub(super) fn path(name: &Text) -> &Path {
    Path::new(OsStr::from_bytes(name.as_bytes()))
}

/// When any of the files changed last; none where there are none.
pub(super) fn changed_at(files: &[PathBuf]) -> Option<Timestamp> {
    let changed = |file: &PathBuf| file.symlink_metadata().ok().as_ref().and_then(ctime);
    files.iter().filter_map(changed).max()
}

fn ctime(metadata: &Metadata) -> Option<Timestamp> {
    let nanos = u32::try_from(metadata.ctime_nsec()).ok()?;
    Some(Timestamp::from_parts(metadata.ctime(), nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_s_parts_are_read_in_no_time() {
        let begun = std::time::Instant::now();
        let show = |value: &str, _| value.to_owned();
        let accounts = accounts::Accounts::below("/");
        let parts = accounts.parts();
        let found = parts.iter().map(|part| accounts.read(part, &show).len());
        assert!(found.sum::<usize>() >= 1, "at least root");
        let jobs = jobs::Jobs::below("/");
        for part in jobs.parts() {
            jobs.read(&part);
        }
        assert!(begun.elapsed().as_secs() < 1, "{:?}", begun.elapsed());
    }

    #[test]
    fn lines_that_are_too_long_or_cut_off_are_none() {
        let long = [vec![b'x'; LONGEST_LINE + 1], b"\na\n\nb".to_vec()].concat();
        let lines = Lines::from(long.as_slice());
        assert_eq!(lines.iter().collect::<Vec<_>>(), [b"a", b"b"]);
        let endless = b"ab\n".repeat(LONGEST_FILE / 3 + 9);
        let lines = Lines::from(endless.as_slice());
        assert!(lines.iter().all(|line| line == b"ab"));
        assert_eq!(lines.iter().count(), LONGEST_FILE / 3);
    }

    #[test]
    fn lines_are_continued_by_a_backslash_up_to_a_limit() {
        let lines = Lines::from(b"a \\\n b\n\nc\xff\\".as_slice());
        assert_eq!(lines.joined(), ["a   b", "c\u{fffd} "]);
        let endless = b"abc\\\n".repeat(1 << 18);
        assert!(Lines::from(endless.as_slice()).joined().is_empty());
    }

    #[test]
    fn of_many_facts_the_first_are_taken_and_of_two_with_one_key_the_first() {
        let mut facts = Facts::new();
        for number in 0..2 * MOST_FACTS {
            let name = format!("{:05}", number / 2);
            put(
                &mut facts,
                key(&[b"a", name.as_bytes()]),
                attributes([("n", number.to_string()), ("none", String::new())]),
            );
        }
        put(&mut facts, "b".into(), attributes([]));
        assert_eq!(facts.len(), MOST_FACTS);
        let first = FactValue::Attributes([("n".to_owned(), "0".to_owned())].into());
        assert_eq!(facts[&Text::from("a/00000")], first);
    }
}
