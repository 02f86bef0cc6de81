//! Marking the directories of the watched trees, one by one, and looking for what is in them.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;

use change::Text;
use rustix::fs::{AtFlags, Dir, FileType, Stat};

use super::Unwatched;
use super::directories::Directories;
use super::group::Group;
use super::handle::Handles;
use crate::trees::{Root, RootDepth, Trees, open, path};

/// Holds which directories are marked.
#[derive(Debug)]
pub(super) struct Marks {
    pub(super) group: Group,
    pub(super) trees: Arc<Trees>,
    pub(super) directories: Directories,
    pub(super) unwatched: Vec<Unwatched>,
    handles: Handles,
}

/// Names a file that was found in a directory.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: Text,
    pub(super) stat: Stat,
}

impl Marks {
    pub(super) fn new(group: Group, trees: Arc<Trees>) -> io::Result<Self> {
        Ok(Self {
            group,
            trees,
            directories: Directories::default(),
            unwatched: Vec::new(),
            handles: Handles::new()?,
        })
    }

    /// Marks all trees from scratch.
    pub(super) fn add_all(&mut self) {
        self.directories.clear();
        self.unwatched.clear();
        for root in self.trees.roots() {
            self.add_root(&root, &mut |_| {});
        }
    }

    /// Marks what belongs to a root, and hands over what is found there.
    pub(super) fn add_root(&mut self, root: &Root, found: &mut dyn FnMut(Found)) {
        match root.depth {
            RootDepth::Whole => self.add_tree(&root.path, found),
            RootDepth::Children => self.add_directory(&root.path).into_iter().for_each(found),
            // The mark on its directory tells of it.
            RootDepth::File => {}
        }
    }

    /// Marks a directory and all below it, and hands over the watched files found there.
    ///
    /// Each directory is marked before it is listed: what is made later is told by an event, and
    /// what is made between both twice.
    pub(super) fn add_tree(&mut self, top: &Text, found: &mut dyn FnMut(Found)) {
        let mounts = self.trees.mounts();
        let mut todo = vec![top.clone()];
        while let Some(directory) = todo.pop() {
            let entries = self.add_directory(&directory);
            let inner = entries.iter().filter(|entry| is_directory(&entry.stat));
            // What is mounted there is another root, or deliberately none.
            let inner = inner.filter(|entry| mounts.at(entry.path.as_bytes()).is_none());
            todo.extend(inner.map(|entry| entry.path.clone()));
            entries.into_iter().for_each(&mut *found);
        }
    }

    fn add_directory(&mut self, path: &Text) -> Vec<Found> {
        match self.try_add_directory(path) {
            Ok(entries) => entries,
            // It is gone already, and another event tells how.
            Err(error) if is_gone(&error) => Vec::new(),
            Err(error) => {
                tracing::warn!("watch `{path}` by fanotify: {error}");
                let path = path.clone();
                self.unwatched.push(Unwatched { path, error });
                Vec::new()
            }
        }
    }

    fn try_add_directory(&mut self, path: &Text) -> io::Result<Vec<Found>> {
        let directory = open::directory(path.as_bytes())?;
        self.group.mark(directory.as_fd())?;
        let handle = self.handles.of(&directory)?;
        self.directories.insert(&handle, path.clone());
        let mut entries = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let path = path::join(path.as_bytes(), name.to_bytes());
            if matches!(name.to_bytes(), b"." | b"..") || !self.trees.contains(&path) {
                continue;
            }
            if let Ok(stat) = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                entries.push(Found { path, stat });
            }
        }
        Ok(entries)
    }
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
        || error.raw_os_error() == Some(nix::libc::ELOOP)
}
