//! Walking the watched trees in the byte order of the paths, with memory for one directory a level.

use std::collections::{BTreeMap, HashSet};
use std::io;

use change::Text;
use rustix::fs::{AtFlags, Dir, FileType, Stat};
use rustix::io::Errno;

use crate::trees::{Mounts, Root, RootDepth, Trees, open, path};

/// Walks all trees. An item is a watched file, directories included, as it was when its directory
/// was listed.
pub(super) struct Walk<'a> {
    trees: &'a Trees,
    mounts: Mounts,
    whole: HashSet<Text>,
    levels: Vec<Level>,
    unseen: Vec<Text>,
}

/// What is still to be told of one directory, the next thing last.
struct Level {
    directory: Text,
    steps: Vec<(Vec<u8>, Step)>,
}

enum Step {
    Tell(Box<Stat>),
    Enter,
}

impl<'a> Walk<'a> {
    pub(super) fn new(trees: &'a Trees) -> io::Result<Self> {
        let roots = trees.roots();
        let whole: HashSet<Text> = roots
            .iter()
            .filter(|root| root.depth == RootDepth::Whole)
            .map(|root| root.path.clone())
            .collect();
        let mut walk = Self {
            trees,
            mounts: Mounts::read()?,
            whole,
            levels: Vec::new(),
            unseen: Vec::new(),
        };
        let mut steps = BTreeMap::new();
        for root in roots {
            // A root that lies in another one's tree is entered from there, in its order.
            if !walk.is_in_another(&root.path) {
                walk.start_at(&root, &mut steps);
            }
        }
        walk.levels.push(Level {
            directory: Text::default(),
            steps: steps.into_iter().rev().collect(),
        });
        Ok(walk)
    }

    fn start_at(&mut self, root: &Root, steps: &mut BTreeMap<Vec<u8>, Step>) {
        if root.depth != RootDepth::Children {
            if let Ok(stat) = open::file(&root.path).and_then(rustix::fs::fstat) {
                add_steps(steps, root.path.as_bytes().to_vec(), stat);
            }
            return;
        }
        for (name, stat) in self.list(&root.path) {
            // A pattern can name a symbolic link, which then is no root itself.
            if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
                let path = path::join(root.path.as_bytes(), &name);
                steps.insert(path.as_bytes().to_vec(), Step::Tell(Box::new(stat)));
            }
        }
    }

    /// Whether a path lies where the walk could not or should not look.
    pub(super) fn is_unseen(&self, path: &Text) -> bool {
        let mut unseen = self.unseen.iter();
        unseen.any(|tree| path::is_within(path.as_bytes(), tree.as_bytes()) && tree != path)
    }

    fn is_in_another(&self, root: &Text) -> bool {
        let mut above = path::ancestors(root.as_bytes()).skip(1);
        above.any(|above| self.whole.contains(&Text::from(above)))
    }

    fn enter(&mut self, directory: Text) {
        let is_mount = self.mounts.at(directory.as_bytes()).is_some();
        if is_mount && !self.whole.contains(&directory) {
            self.unseen.push(directory);
            return;
        }
        let mut steps = BTreeMap::new();
        for (name, stat) in self.list(&directory) {
            add_steps(&mut steps, name, stat);
        }
        self.levels.push(Level {
            directory,
            steps: steps.into_iter().rev().collect(),
        });
    }

    /// The watched files in a directory.
    fn list(&mut self, directory: &Text) -> Vec<(Vec<u8>, Stat)> {
        match list(self.trees, directory) {
            Ok(entries) => entries,
            // It is gone, and so is what was in it.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Vec::new(),
            Err(error) => {
                tracing::warn!("list `{directory}`: {error}");
                self.unseen.push(directory.clone());
                Vec::new()
            }
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = (Text, Stat);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let level = self.levels.last_mut()?;
            let Some((name, step)) = level.steps.pop() else {
                self.levels.pop();
                continue;
            };
            let name = name.strip_suffix(b"/").unwrap_or(&name);
            let path = if level.directory.is_empty() {
                Text::from(name)
            } else {
                path::join(level.directory.as_bytes(), name)
            };
            match step {
                Step::Tell(stat) => return Some((path, *stat)),
                Step::Enter => self.enter(path),
            }
        }
    }
}

/// Puts a file among the steps of its directory. What is in a directory comes after all names that
/// begin with the directory's name and a byte less than `/`: `a`, `a.b`, `a/b` is the byte order.
fn add_steps(steps: &mut BTreeMap<Vec<u8>, Step>, name: Vec<u8>, stat: Stat) {
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        let mut inside = name.clone();
        inside.push(b'/');
        steps.insert(inside, Step::Enter);
    }
    steps.insert(name, Step::Tell(Box::new(stat)));
}

fn list(trees: &Trees, directory: &Text) -> rustix::io::Result<Vec<(Vec<u8>, Stat)>> {
    let file = open::directory(directory.as_bytes())?;
    let mut entries = Vec::new();
    for entry in Dir::read_from(&file)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if !trees.contains(&path::join(directory.as_bytes(), name.to_bytes())) {
            continue;
        }
        // What is gone between listing and looking is gone.
        if let Ok(stat) = rustix::fs::statat(&file, name, AtFlags::SYMLINK_NOFOLLOW) {
            entries.push((name.to_bytes().to_vec(), stat));
        }
    }
    Ok(entries)
}
