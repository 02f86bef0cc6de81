//! The files that services take variables from (`EnvironmentFile=` of systemd.exec(5)).

use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::entries;
use crate::bounded;

/// How much of a file is read.
const MAX_BYTES: u64 = 64 * 1024;

/// Stands for a value in a file of secrets.
const SECRET: &str = "***";

/// How many files a pattern is taken for at most.
const MOST_FILES: usize = 256;

/// Tells of a path and what the file says whether that is a secret as a whole.
pub(crate) type IsSecret<'a> = &'a dyn Fn(&Path, &[u8]) -> bool;

/// The path that a unit file names, with what stands for the unit's name put in; none where it is no path, or has
/// something in it that stands for anything else (systemd.unit(5), "Specifiers").
pub(super) fn resolved(file: &str, unit: &str) -> Option<PathBuf> {
    let name = unit.rsplit_once('.').map_or(unit, |(name, _)| name);
    let (prefix, instance) = name.split_once('@').unwrap_or((name, ""));
    let mut path = String::new();
    let mut characters = file.chars();
    while let Some(character) = characters.next() {
        match (character, (character == '%').then(|| characters.next())) {
            (_, Some(Some('n'))) => path.push_str(unit),
            (_, Some(Some('N'))) => path.push_str(name),
            (_, Some(Some('p'))) => path.push_str(prefix),
            (_, Some(Some('i'))) => path.push_str(instance),
            (_, Some(Some('%'))) => path.push('%'),
            (_, Some(_)) => return None,
            (character, None) => path.push(character),
        }
    }
    path.starts_with('/').then(|| path.into())
}

/// The files below a root that a pattern of glob(7) matches, in order.
pub(super) fn matching(root: &Path, pattern: &Path) -> Vec<PathBuf> {
    let mut paths = vec![root.to_owned()];
    for component in pattern.components() {
        let Component::Normal(component) = component else {
            continue;
        };
        let Some(glob) = component
            .to_str()
            .filter(|name| has_wildcard(name))
            .and_then(glob)
        else {
            for path in &mut paths {
                path.push(component);
            }
            continue;
        };
        let mut next = Vec::new();
        for path in paths {
            let found = entries(&path).filter(|(name, _)| is_name(&glob, name));
            next.extend(found.map(|(_, path)| path).take(MOST_FILES));
        }
        next.sort();
        next.truncate(MOST_FILES);
        paths = next;
    }
    paths
}

/// Whether a pattern matches a path.
pub(super) fn is_match(pattern: &Path, path: &Path) -> bool {
    let (mut patterns, mut names) = (pattern.components(), path.components());
    loop {
        match (patterns.next(), names.next()) {
            (None, None) => return true,
            (Some(pattern), Some(name)) if pattern == name => {}
            (Some(Component::Normal(pattern)), Some(Component::Normal(name))) => {
                let glob = pattern
                    .to_str()
                    .filter(|text| has_wildcard(text))
                    .and_then(glob);
                if !glob
                    .zip(name.to_str())
                    .is_some_and(|(glob, name)| is_name(&glob, name))
                {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

fn has_wildcard(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

fn glob(pattern: &str) -> Option<GlobMatcher> {
    let glob = GlobBuilder::new(pattern).backslash_escape(true).build();
    Some(glob.ok()?.compile_matcher())
}

/// Names that begin with a dot are matched by none that does not begin with one.
fn is_name(glob: &GlobMatcher, name: &str) -> bool {
    glob.is_match(name) && (!name.starts_with('.') || glob.glob().glob().starts_with('.'))
}

/// Reads the variables of a file, of a secret one without their values; none where there is no such file.
pub(super) fn read(path: &Path, is_secret: IsSecret<'_>) -> Option<Vec<(String, String)>> {
    let bytes = bounded::read(path, MAX_BYTES)?;
    let mut variables = variables(&String::from_utf8_lossy(&bytes));
    if is_secret(path, &bytes) {
        for (_, value) in &mut variables {
            SECRET.clone_into(value);
        }
    }
    Some(variables)
}

/// Says where in a file one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before or in a name.
    Name,
    /// Behind the sign, or between parts of a value.
    Between,
    /// In a value.
    Plain,
    /// In a quoted part of one.
    Quoted(char),
    /// In a comment.
    Comment,
}

/// What a file assigns, in order: a value may have quoted parts, and go on in the next line behind a backslash. Lines
/// without a sign or with a name that is none say nothing.
fn variables(text: &str) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    let (mut name, mut value) = (String::new(), String::new());
    // How much of the value is none of the blanks that it may end in.
    let mut kept = 0;
    let mut place = Place::Name;
    let mut characters = text.chars().chain(['\n']);
    while let Some(character) = characters.next() {
        match (place, character) {
            (Place::Name, '=') => place = Place::Between,
            (Place::Name, '\n') => name.clear(),
            (Place::Name, '#' | ';') if name.trim().is_empty() => place = Place::Comment,
            (Place::Name, _) => name.push(character),
            (Place::Comment, '\n') => place = Place::Name,
            (Place::Comment, '\\') => drop(characters.next()),
            (Place::Comment, _) => {}
            (Place::Between | Place::Plain, '\n') => {
                value.truncate(kept);
                let assigned = (std::mem::take(&mut name), std::mem::take(&mut value));
                variables.push(assigned);
                (kept, place) = (0, Place::Name);
            }
            (Place::Between, '"' | '\'') => place = Place::Quoted(character),
            (Place::Between, _) if character.is_whitespace() => {}
            (Place::Between | Place::Plain, '\\') => {
                value.extend(characters.next().filter(|next| *next != '\n'));
                (kept, place) = (value.len(), Place::Plain);
            }
            (Place::Between | Place::Plain, _) => {
                value.push(character);
                place = Place::Plain;
                if !character.is_whitespace() {
                    kept = value.len();
                }
            }
            (Place::Quoted(quote), _) if quote == character => {
                (kept, place) = (value.len(), Place::Between);
            }
            (Place::Quoted('"'), '\\') => {
                let next = characters.next();
                let is_plain = next.is_some_and(|next| !"\"\\`$\n".contains(next));
                value.extend(is_plain.then_some('\\'));
                value.extend(next.filter(|next| *next != '\n'));
            }
            (Place::Quoted(_), _) => value.push(character),
        }
    }
    let named = variables
        .into_iter()
        .map(|(name, value)| (name.trim().to_owned(), value));
    named.filter(|(name, _)| is_variable(name)).collect()
}

fn is_variable(name: &str) -> bool {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.chars().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_read_as_the_service_manager_reads_them() {
        let text = "# A=comment\\\nB=still\n; C=1\n\n A = 1 2  \nB='x \\y'\"$z\\$\\q\" t\nC=a\\\nb\nno sign\n\
                    D=\n1E=1\nF=\"two\nlines\"\nG=\\\"x\nH=open";
        let expected = [
            ("A", "1 2"),
            ("B", "x \\y$z$\\qt"),
            ("C", "ab"),
            ("D", ""),
            ("F", "two\nlines"),
            ("G", "\"x"),
            ("H", "open"),
        ];
        let found = variables(text);
        let found: Vec<_> = found
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn paths_have_the_unit_put_in_and_may_be_patterns() {
        let resolved =
            |file| resolved(file, "demo@x.service").map(|path| path.display().to_string());
        assert_eq!(
            resolved("/etc/%p/%i-%N.%%"),
            Some("/etc/demo/x-demo@x.%".to_owned())
        );
        assert_eq!(resolved("/etc/%H"), None);
        assert_eq!(resolved("etc/x"), None);
        let is_match = |pattern: &str, path: &str| is_match(Path::new(pattern), Path::new(path));
        assert!(is_match("/etc/default/demo", "/etc/default/demo"));
        assert!(is_match("/etc/*/[de]*", "/etc/default/demo"));
        for (pattern, path) in [
            ("/etc/*", "/etc/default/demo"),
            ("/etc/*", "/etc/.demo"),
            ("/etc/*/x", "/etc/default"),
            ("/etc/de", "/etc/demo"),
        ] {
            assert!(!is_match(pattern, path), "{pattern} {path}");
        }
    }
}
