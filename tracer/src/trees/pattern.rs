//! Watch patterns: absolute paths in which `*` stands for any part of a name, and what exists of
//! them.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::sync::Arc;

use change::Text;
use globset::{Glob, GlobMatcher};

use super::path;

/// Holds one watch pattern, name by name.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    names: Arc<[Name]>,
    /// Whether what it names is not watched: only what happens to such names in their directory is
    /// told.
    is_of_names: bool,
}

#[derive(Debug)]
enum Name {
    Literal(Vec<u8>),
    Glob(GlobMatcher),
}

impl Name {
    fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Literal(literal) => literal == name,
            Self::Glob(glob) => glob.is_match(path::as_path(name)),
        }
    }
}

/// Holds what exists of the patterns at one moment.
#[derive(Debug, Default)]
pub(super) struct Expansion {
    /// What the patterns name, without symbolic links.
    pub(super) targets: BTreeSet<Text>,
    /// Directories in which more of them can appear, with what is awaited there.
    pub(super) awaited: Vec<Awaited>,
}

/// Says which names are awaited in a directory.
#[derive(Clone, Debug)]
pub(super) struct Awaited {
    /// The directory.
    pub(super) directory: Text,
    names: Arc<[Name]>,
    first: usize,
    is_of_names: bool,
}

impl Awaited {
    /// Whether a path is, or lies in, what is awaited and then watched.
    pub(super) fn contains(&self, path: &[u8]) -> bool {
        !self.is_of_names && self.matching(path).is_some_and(|awaited| awaited == 0)
    }

    /// Whether a path is a name that is told of, and not watched, or a directory on the way to such names.
    pub(super) fn is_told(&self, path: &[u8]) -> bool {
        self.is_of_names && self.matching(path).is_some()
    }

    /// Whether a path is a directory on the way to what is awaited, or that itself; not what lies in that.
    pub(super) fn leads_through(&self, path: &[u8]) -> bool {
        let rest = path::below(path, self.directory.as_bytes());
        let count = rest.map_or(0, |rest| path::components(rest).count());
        if count > self.names.len() - self.first {
            return false;
        }
        let matching = self.matching(path);
        matching.is_some_and(|awaited| awaited > 0 || !self.is_of_names)
    }

    /// How many names are still missing behind a path; none if it leads elsewhere.
    fn matching(&self, path: &[u8]) -> Option<usize> {
        let rest = path::below(path, self.directory.as_bytes())?;
        let awaited = &self.names[self.first..];
        let mut matched = 0;
        for (name, pattern) in path::components(rest).zip(awaited) {
            if !pattern.matches(name) {
                return None;
            }
            matched += 1;
        }
        (matched > 0).then(|| awaited.len() - matched)
    }
}

impl Pattern {
    /// Reads a pattern.
    pub(super) fn parse(text: &str) -> io::Result<Self> {
        let refuse = |why: String| {
            let message = format!("watch `{text}`: {why}");
            Err(io::Error::new(io::ErrorKind::InvalidInput, message))
        };
        if !text.starts_with('/') {
            return refuse("the path has to be absolute".to_owned());
        }
        let mut names = Vec::new();
        for name in text.split('/').filter(|name| !name.is_empty()) {
            match name {
                "." | ".." => return refuse(format!("`{name}` is no name")),
                _ if name.contains(['*', '?', '[', '{']) => match Glob::new(name) {
                    Ok(glob) => names.push(Name::Glob(glob.compile_matcher())),
                    Err(error) => return refuse(error.to_string()),
                },
                _ => names.push(Name::Literal(name.as_bytes().to_vec())),
            }
        }
        Ok(Self {
            names: names.into(),
            is_of_names: false,
        })
    }

    /// Reads a pattern of names that are told of where they come and go, and not watched.
    pub(super) fn parse_names(text: &str) -> io::Result<Self> {
        Ok(Self {
            is_of_names: true,
            ..Self::parse(text)?
        })
    }

    /// Finds what exists of the pattern now.
    ///
    /// A target's directory is always told, too: the target can be replaced by another one.
    pub(super) fn expand(&self, into: &mut Expansion) {
        let mut reached = BTreeSet::from([Text::from("/")]);
        for index in 0..self.names.len() {
            let next = reached
                .into_iter()
                .flat_map(|directory| self.step(index, directory, &mut into.awaited));
            reached = next.collect();
        }
        into.targets.extend(reached);
    }

    /// Finds what the name with that index stands for in a directory.
    fn step(&self, index: usize, directory: Text, awaited: &mut Vec<Awaited>) -> Vec<Text> {
        let name = &self.names[index];
        let is_last = index + 1 == self.names.len();
        let found = if is_last && self.is_of_names {
            Vec::new()
        } else {
            find(&directory, name, is_last)
        };
        if found.is_empty() || is_last || matches!(name, Name::Glob(_)) {
            awaited.push(Awaited {
                directory,
                names: Arc::clone(&self.names),
                first: index,
                is_of_names: self.is_of_names,
            });
        }
        found
    }
}

/// Finds the files in a directory that have such a name, as the paths they are reached by without
/// symbolic links; only directories unless any file will do.
fn find(directory: &Text, name: &Name, any_file: bool) -> Vec<Text> {
    let candidates = match name {
        Name::Literal(literal) => vec![path::join(directory.as_bytes(), literal)],
        Name::Glob(glob) => {
            let Ok(entries) = std::fs::read_dir(path::as_path(directory.as_bytes())) else {
                return Vec::new();
            };
            let names = entries.flatten().map(|entry| entry.file_name());
            let matching = names.filter(|name| glob.is_match(name));
            matching
                .map(|name| path::join(directory.as_bytes(), name.as_bytes()))
                .collect()
        }
    };
    let resolved = candidates.iter().filter_map(|path| resolve(path, any_file));
    resolved.collect()
}

fn resolve(path: &Text, any_file: bool) -> Option<Text> {
    let path = path::as_path(path.as_bytes());
    let kind = std::fs::symlink_metadata(path).ok()?.file_type();
    if kind.is_symlink() {
        let target = std::fs::canonicalize(path).ok()?;
        let is_fit = any_file || target.is_dir();
        return is_fit.then(|| Text::from(target.into_os_string().into_vec()));
    }
    (any_file || kind.is_dir()).then(|| Text::from(path.as_os_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn awaited(pattern: &str, directory: &str, first: usize) -> Awaited {
        Awaited {
            directory: Text::from(directory),
            names: Pattern::parse(pattern).unwrap().names,
            first,
            is_of_names: false,
        }
    }

    #[test]
    fn a_star_stands_for_a_whole_name_or_a_part_of_it() {
        let keys = awaited("/home/*/.ssh", "/home", 1);
        assert!(keys.contains(b"/home/alice/.ssh/authorized_keys"));
        assert!(keys.contains(b"/home/\xff/.ssh"));
        assert!(!keys.contains(b"/home/alice"));
        assert!(keys.leads_through(b"/home/alice"));
        assert!(!keys.leads_through(b"/home"));
        assert!(!keys.leads_through(b"/home/alice/.sshd"));
        let part = awaited("/etc/*.conf", "/etc", 1);
        assert!(part.contains(b"/etc/ssh.conf"));
        assert!(!part.contains(b"/etc/ssh.config"));
    }

    #[test]
    fn what_can_t_be_watched_is_refused_with_the_reason() {
        for text in ["etc", "/etc/../root", "/etc/[a"] {
            let error = Pattern::parse(text).unwrap_err();
            assert!(
                error.to_string().contains(&format!("watch `{text}`")),
                "{error}"
            );
        }
    }
}
