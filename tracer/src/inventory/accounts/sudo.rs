//! The rules of sudo, by whom they are for, as sudoers(5) has them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use change::FactValue;

use super::super::Facts;
use super::super::part::{Lines, key, put};
use crate::enrich::mask::mask_script;

const DEFAULTS: &str = "Defaults";
const ALIASES: [&str; 4] = ["User_Alias", "Runas_Alias", "Host_Alias", "Cmnd_Alias"];
/// Tags that name a password and are none.
const TAGS: [&str; 2] = ["NOPASSWD:", "PASSWD:"];

/// So much is kept of what one file has for one name, in bytes.
const LONGEST_RULES: usize = 16 << 10;

/// All rules that one name has, as a value for each file that has some. Files are named as they are below `/`.
pub(super) fn read(root: &Path, files: &[PathBuf]) -> Facts {
    let mut rules: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for file in files {
        let name = file.strip_prefix(root).unwrap_or(file).to_string_lossy();
        for line in Lines::of(file).joined() {
            for (subject, rule) in parse(&normal(&line)) {
                let of_file = rules.entry(subject).or_default();
                add(of_file.entry(format!("/{name}")).or_default(), &rule);
            }
        }
    }
    let mut facts = Facts::new();
    for (subject, by_file) in rules {
        let value = FactValue::Attributes(by_file);
        put(&mut facts, key(&[b"sudo", subject.as_bytes()]), value);
    }
    facts
}

fn add(rules: &mut String, rule: &str) {
    if rules.len() + rule.len() < LONGEST_RULES {
        let between = if rules.is_empty() { "" } else { "; " };
        rules.push_str(between);
        rules.push_str(rule);
    }
}

/// What a rule is about, and what it says, once for each whom it is for.
fn parse(line: &str) -> Vec<(String, String)> {
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    if first.is_empty() {
        return Vec::new();
    }
    if let Some(include) = first.strip_prefix(['@', '#'])
        && ["include", "includedir"].contains(&include)
    {
        return vec![(format!("@{include}"), rest.to_owned())];
    }
    if first.starts_with(DEFAULTS) {
        return vec![(first.to_owned(), rest.to_owned())];
    }
    if ALIASES.contains(&first) {
        let (name, _) = rest.split_once('=').unwrap_or((rest, ""));
        return vec![(format!("{first}/{name}"), masked(rest))];
    }
    let (users, rule) = split_users(line);
    let rule = masked(rule);
    let users = users.into_iter().map(str::to_owned);
    users.map(|user| (user, rule.clone())).collect()
}

/// Those whom a rule is for, and the rest of it.
fn split_users(line: &str) -> (Vec<&str>, &str) {
    let mut users = Vec::new();
    let mut rest = line;
    loop {
        let end = end_of_word(rest);
        let (user, behind) = rest.split_at(end);
        rest = behind.trim_start();
        let Some(user) = user.strip_suffix(',') else {
            users.push(user);
            return (users, rest);
        };
        users.push(user);
        if rest.is_empty() {
            return (users, rest);
        }
    }
}

/// Where the first word ends: at a blank that is neither quoted nor escaped.
fn end_of_word(text: &str) -> usize {
    let mut marks = Marks::default();
    let end = text
        .char_indices()
        .find(|(_, c)| marks.is_bare(*c) && *c == ' ');
    end.map_or(text.len(), |(at, _)| at)
}

/// A rule without the secrets that arguments of its commands name.
fn masked(rule: &str) -> String {
    let mut masked = String::new();
    let mut rest = rule;
    let next = |rest: &str| {
        let found = TAGS
            .iter()
            .filter_map(|tag| Some((rest.find(tag)?, tag.len())));
        found.min().map(|(at, length)| at + length)
    };
    while let Some(end) = next(rest) {
        let (tagged, behind) = rest.split_at(end);
        // What stands before a tag has no arguments but those of commands before it.
        let (before, tag) = tagged.split_at(tagged.rfind([' ', ')']).map_or(0, |at| at + 1));
        masked.push_str(&mask_script(before));
        masked.push_str(tag);
        rest = behind;
    }
    masked.push_str(&mask_script(rest));
    masked
}

/// A line with its blanks as sudo takes them, and without what it passes over.
fn normal(line: &str) -> String {
    let mut normal = String::with_capacity(line.len());
    let mut marks = Marks::default();
    let mut chars = line.trim().chars().peekable();
    while let Some(c) = chars.next() {
        let is_bare = marks.is_bare(c);
        let is_comment = || {
            let mut rest = chars.clone();
            let is_number = rest.next().is_some_and(|next| next.is_ascii_digit());
            let is_include = normal.is_empty() && chars.clone().take(7).eq("include".chars());
            !is_number && !is_include
        };
        match c {
            '#' if is_bare && is_comment() => break,
            ' ' | '\t' if is_bare => {
                let is_next_joined = chars.peek().is_some_and(|next| " \t=,:".contains(*next));
                if !is_next_joined && !normal.ends_with(['=', ':', ' ']) {
                    normal.push(' ');
                }
            }
            ',' if is_bare => {
                normal.push_str(", ");
            }
            c => normal.push(c),
        }
    }
    normal.truncate(normal.trim_end().len());
    normal
}

/// Knows what is quoted or escaped.
#[derive(Default)]
struct Marks {
    is_quoted: bool,
    is_escaped: bool,
}

impl Marks {
    /// Whether the next character means what it means by itself.
    fn is_bare(&mut self, c: char) -> bool {
        let was_escaped = std::mem::replace(&mut self.is_escaped, false);
        if was_escaped {
            return false;
        }
        match c {
            '\\' => self.is_escaped = true,
            '"' => self.is_quoted = !self.is_quoted,
            _ => {}
        }
        !self.is_quoted
    }
}
