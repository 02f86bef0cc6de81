//! Which package a file belongs to, by what the package managers know of their files: as `dpkg -S` or `rpm -qf` has it,
//! but known at once, for each change. Only paths that are watched are remembered, by their hashes.

mod lists;
mod origin;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use change::Text;

use self::lists::{Gathering, List, Lists, Watched};
pub(super) use self::origin::Origin;
use self::origin::Stand;
use crate::trees::{RootDepth, Trees};

/// So often it is looked for new lists at most.
const PAUSE: Duration = Duration::from_millis(200);

/// So many paths are remembered, which take 4 MB.
const MOST_PATHS: usize = 100_000;

/// Knows which package the watched files belong to.
pub struct Owners {
    trees: Arc<Trees>,
    watched: Watched,
    known: Vec<Known>,
    /// By the hashes of paths; none where several packages have one, as they have folders.
    packages: HashMap<u64, Option<Arc<str>>>,
    /// Those of the lists that went or became shorter last: a file is gone before its list is.
    gone: HashMap<u64, Option<Arc<str>>>,
    looked: Option<Instant>,
}

/// What is known of the packages of one manager.
struct Known {
    origin: Origin,
    /// What the paths in its lists are below of.
    root: PathBuf,
    lists: Lists,
    gone: Lists,
    /// When they were written that are known; none where they are to be read in any case.
    seen: Option<Stand>,
}

impl Owners {
    /// By what these say, each of files below a root; of those that are in the trees.
    pub(super) fn new(
        origins: impl IntoIterator<Item = (Origin, PathBuf)>,
        trees: Arc<Trees>,
    ) -> Self {
        let known = origins.into_iter().map(|(origin, root)| Known {
            origin,
            root,
            lists: Lists::new(),
            gone: Lists::new(),
            seen: None,
        });
        Self {
            trees,
            watched: Watched::default(),
            known: known.collect(),
            packages: HashMap::new(),
            gone: HashMap::new(),
            looked: None,
        }
    }

    /// The package that a path belongs to; of one that is gone, also the one that it belonged to.
    pub fn of(&self, path: &Text, is_gone: bool) -> Option<&str> {
        let hash = self.watched.hash(path.as_bytes());
        let found = self.packages.get(&hash);
        let found = found.or_else(|| self.gone.get(&hash).filter(|_| is_gone));
        found?.as_deref()
    }

    /// Looks whether there are other lists than before, and reads those.
    pub fn refresh(&mut self) {
        let now = Instant::now();
        if self.looked.is_some_and(|looked| now - looked < PAUSE) {
            return;
        }
        self.looked = Some(now);
        let roots = self.trees.roots().into_iter();
        let roots = roots.filter(|root| root.depth != RootDepth::Children);
        if self.watched.are_now(roots.map(|root| root.path).collect()) {
            for known in &mut self.known {
                (known.lists, known.seen) = (Lists::new(), None);
            }
        }
        let mut is_other = false;
        for at in 0..self.known.len() {
            let others = self
                .known
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != at);
            let taken: usize = others.map(|(_, known)| lists::count(&known.lists)).sum();
            let most = MOST_PATHS.saturating_sub(taken);
            is_other |= self.known[at].refresh(&self.watched, most);
        }
        if is_other {
            self.packages = by_path(self.known.iter().flat_map(|known| known.lists.values()));
            self.gone = by_path(self.known.iter().flat_map(|known| known.gone.values()));
        }
    }
}

impl Known {
    /// Reads what was written since; tells whether it says anything else than before.
    fn refresh(&mut self, watched: &Watched, most: usize) -> bool {
        let stand = self.origin.stand();
        if stand == Stand::Unknown || stand != Stand::Moving && self.seen == Some(stand) {
            return false;
        }
        let mut gathering =
            Gathering::new(std::mem::take(&mut self.lists), watched, &self.root, most);
        let read = self.origin.read(&mut gathering);
        let is_other;
        (self.lists, is_other) = match read {
            Ok(()) => {
                self.seen = Some(stand);
                let (lists, gone, is_other) = gathering.finish();
                if !gone.is_empty() {
                    self.gone = gone;
                }
                (lists, is_other)
            }
            // It is looked again, next time.
            Err(error) => {
                tracing::debug!("read the files of packages: {error}");
                gathering.give_up()
            }
        };
        is_other
    }
}

fn by_path<'l>(lists: impl Iterator<Item = &'l List>) -> HashMap<u64, Option<Arc<str>>> {
    let mut packages: HashMap<u64, Option<Arc<str>>> = HashMap::new();
    for list in lists {
        for path in &list.paths {
            match packages.entry(*path) {
                Entry::Vacant(entry) => {
                    entry.insert(Some(Arc::clone(&list.package)));
                }
                // Two versions of one package are there at once while the one takes the other's place.
                Entry::Occupied(entry) if entry.get().as_ref() == Some(&list.package) => {}
                Entry::Occupied(mut entry) => drop(entry.insert(None)),
            }
        }
    }
    packages
}

#[cfg(test)]
mod tests;
