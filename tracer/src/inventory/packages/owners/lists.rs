//! The lists of files that packages consist of, as far as they are watched: paths by their hashes.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::mem;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use change::Text;

use crate::trees::path;

/// So many lists are read of one manager.
const MOST_LISTS: usize = 65_536;

/// Folders that can be links to those in `/usr`; lists may name files by either.
const MERGED: [&str; 6] = ["bin", "lib", "lib32", "lib64", "libx32", "sbin"];

/// The lists of one manager, by what it calls them.
pub(super) type Lists = BTreeMap<Vec<u8>, List>;

/// What tells whether a list was written.
pub(super) type Stamp = [i64; 3];

/// The watched files of one package.
pub(super) struct List {
    stamp: Stamp,
    /// The key of its fact.
    pub(super) package: Arc<str>,
    pub(super) paths: Vec<u64>,
}

/// How many paths there are in lists.
pub(super) fn count(lists: &Lists) -> usize {
    lists.values().map(|list| list.paths.len()).sum()
}

/// Says which paths are of interest, and makes numbers of them.
#[derive(Default)]
pub(super) struct Watched {
    hasher: RandomState,
    trees: Vec<Text>,
}

impl Watched {
    /// Takes in which trees are watched; tells whether they were others before.
    pub(super) fn are_now(&mut self, trees: Vec<Text>) -> bool {
        mem::replace(&mut self.trees, trees) != self.trees
    }

    pub(super) fn hash(&self, path: &[u8]) -> u64 {
        self.hasher.hash_one(path)
    }

    fn contains(&self, path: &[u8]) -> bool {
        let mut trees = self.trees.iter();
        trees.any(|tree| path::is_within(path, tree.as_bytes()))
    }
}

/// Gathers the lists of one manager as they are now.
pub(super) struct Gathering<'a> {
    /// Those from before that were not met again.
    before: Lists,
    now: Lists,
    is_other: bool,
    watched: &'a Watched,
    /// What the paths are below of, and those that begin with a link into `usr`.
    roots: [Text; 2],
    links: Vec<&'static str>,
    /// So many more paths are taken at most.
    most: usize,
}

impl<'a> Gathering<'a> {
    pub(super) fn new(before: Lists, watched: &'a Watched, root: &Path, most: usize) -> Self {
        let mut links = MERGED.to_vec();
        links.retain(|name| root.join(name).is_symlink());
        Self {
            before,
            now: Lists::new(),
            is_other: false,
            watched,
            roots: [root.to_owned(), root.join("usr")].map(text),
            links,
            most,
        }
    }

    /// Whether there are so many lists that no more are taken.
    pub(super) fn is_full(&self) -> bool {
        self.now.len() >= MOST_LISTS
    }

    /// Whether a list is known as it was written at that time; it then stays.
    pub(super) fn keep(&mut self, name: &[u8], stamp: Stamp) -> bool {
        let is_same = |list: &List| list.stamp == stamp;
        if !self.before.get(name).is_some_and(is_same) {
            return false;
        }
        if let Some((name, list)) = self.before.remove_entry(name) {
            self.most = self.most.saturating_sub(list.paths.len());
            self.now.insert(name, list);
        }
        true
    }

    /// Takes in a list: the key of the package, and the absolute paths of its files below the root.
    pub(super) fn add<P: AsRef<[u8]>>(
        &mut self,
        (name, stamp): (&[u8], Stamp),
        package: &str,
        paths: impl IntoIterator<Item = P>,
    ) {
        let hashes = paths
            .into_iter()
            .filter_map(|path| self.hash(path.as_ref()));
        let paths: Vec<u64> = hashes.take(self.most).collect();
        self.most -= paths.len();
        let package = package.into();
        let list = List {
            stamp,
            package,
            paths,
        };
        self.is_other = true;
        self.now.insert(name.to_vec(), list);
    }

    /// The hash of a path, if it is watched.
    fn hash(&self, path: &[u8]) -> Option<u64> {
        let path = path.strip_prefix(b"/").filter(|path| !path.is_empty())?;
        let mut links = self.links.iter();
        let is_merged = links.any(|name| path::is_within(path, name.as_bytes()));
        let root = &self.roots[usize::from(is_merged)];
        let path = path::join(root.as_bytes(), path);
        let path = path.as_bytes();
        self.watched.contains(path).then(|| self.watched.hash(path))
    }

    /// The lists as they are now, those that are gone or were replaced, and whether there are any others than before.
    pub(super) fn finish(self) -> (Lists, Lists, bool) {
        let is_other = self.is_other || !self.before.is_empty();
        (self.now, self.before, is_other)
    }

    /// The lists as far as they are known, where not all could be read; and whether there are any others than before.
    pub(super) fn give_up(mut self) -> (Lists, bool) {
        self.before.append(&mut self.now);
        (self.before, self.is_other)
    }
}

fn text(path: PathBuf) -> Text {
    path.into_os_string().into_vec().into()
}
