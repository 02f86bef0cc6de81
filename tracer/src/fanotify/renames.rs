//! Renames: within the trees, into them and out of them, of files and of directories.

use change::Text;

use super::Fanotify;
use super::handle::Handle;
use super::tell::{Appearance, Batch};
use crate::trees::{RootDepth, path};

/// Describes what was renamed.
#[derive(Debug)]
pub(super) struct Moved {
    /// The file itself, where the kernel tells.
    pub(super) file: Option<Handle>,
    pub(super) is_directory: bool,
    pub(super) pid: u32,
}

/// Holds the first halves of renames, on kernels that tell both names apart.
#[derive(Debug, Default)]
pub(super) struct Halves(Vec<Half>);

#[derive(Debug)]
pub(super) struct Half {
    pub(super) path: Text,
    pub(super) pid: u32,
    pub(super) is_directory: bool,
}

impl Halves {
    pub(super) fn add(&mut self, path: Text, pid: u32, is_directory: bool) {
        self.0.push(Half {
            path,
            pid,
            is_directory,
        });
    }

    /// The name before, of what the same process renamed just now. Nothing ties the halves
    /// together but that: fanotify has no cookie as inotify(7) has.
    pub(super) fn take(&mut self, pid: u32, is_directory: bool) -> Option<Text> {
        let fits = |half: &Half| half.pid == pid && half.is_directory == is_directory;
        let at = self.0.iter().position(fits)?;
        Some(self.0.remove(at).path)
    }

    /// The halves that nothing can follow any more: the second half comes right after the first
    /// one, unless another process acts in between on something else.
    pub(super) fn take_lone(&mut self, path: &Text, pid: u32) -> Vec<Half> {
        let is_lone = |half: &mut Half| half.pid == pid || half.path == *path;
        self.0.extract_if(.., is_lone).collect()
    }

    pub(super) fn take_all(&mut self) -> Vec<Half> {
        std::mem::take(&mut self.0)
    }
}

impl Fanotify {
    /// Deals with a rename. A name is only told for a directory that is marked.
    pub(super) fn renamed(
        &mut self,
        from: Option<Text>,
        to: Option<Text>,
        moved: &Moved,
        batch: &mut Batch,
    ) {
        match (from, to) {
            (Some(from), Some(to)) => {
                self.creations.rename(&from, &to);
                let is_another = moved.file.is_some() && moved.file != self.last_renamed;
                if !(is_another && batch.exchange(&from, &to, moved.pid)) {
                    self.teller.renamed(Some(&from), &to, moved.pid, batch);
                }
                self.last_renamed.clone_from(&moved.file);
                if moved.is_directory {
                    self.directory_renamed(&from, &to, moved, batch);
                }
            }
            (Some(from), None) => self.left(&from, moved.is_directory, moved.pid, batch),
            (None, Some(to)) => {
                self.teller.renamed(None, &to, moved.pid, batch);
                if moved.is_directory {
                    self.appear(&to, moved.pid, Appearance::Moved, batch);
                }
            }
            (None, None) => {}
        }
    }

    /// Deals with a file or directory that was moved to where nothing is watched. Which name it
    /// has there is not told, so for the trees it was deleted.
    pub(super) fn left(&mut self, path: &Text, is_directory: bool, pid: u32, batch: &mut Batch) {
        let roots = self.watched_roots_in(path);
        self.deleted(path, is_directory, pid, batch);
        for root in roots {
            if root != *path {
                self.teller.deleted(&root, pid, batch);
            }
        }
        self.look_for_roots();
    }

    fn directory_renamed(&mut self, from: &Text, to: &Text, moved: &Moved, batch: &mut Batch) {
        let known = self.marks.directories.handle(from);
        // Another one has that name already: both were swapped, or the event comes late.
        let is_known = known.is_some() && (moved.file.is_none() || known == moved.file.as_ref());
        let roots = self.watched_roots_in(from);
        let was_watched = self.marks.trees.contains(from);
        if is_known {
            self.marks.directories.rename(from, to);
        }
        if !roots.is_empty() {
            self.look_for_roots();
        }
        // A tree went along with a directory above it, which itself is not watched.
        for root in roots {
            let now = path::moved(root.as_bytes(), from.as_bytes(), to.as_bytes());
            if let Some(now) = now.filter(|now| now != to) {
                self.teller.renamed(Some(&root), &now, moved.pid, batch);
            }
        }
        let is_watched = self.marks.trees.contains(to);
        if !(is_known && was_watched && is_watched) {
            self.appear(to, moved.pid, Appearance::Moved, batch);
        }
        let is_needed = is_watched
            || self
                .marks
                .trees
                .roots()
                .iter()
                .any(|root| path::is_within(root.path.as_bytes(), to.as_bytes()));
        if !is_needed {
            self.marks.directories.remove(to);
        }
    }

    /// The trees and watched files at a path and below it.
    fn watched_roots_in(&self, path: &Text) -> Vec<Text> {
        let roots = self.marks.trees.roots().into_iter();
        let watched = roots.filter(|root| {
            root.depth != RootDepth::Children
                && path::is_within(root.path.as_bytes(), path.as_bytes())
        });
        watched.map(|root| root.path).collect()
    }

    fn look_for_roots(&self) {
        if let Err(error) = self.marks.trees.refresh() {
            tracing::error!("look for the watched trees: {error}");
        }
    }
}
