//! The directories that are marked: which handle is which path now.

use std::collections::{BTreeMap, HashMap};

use change::Text;

use super::handle::Handle;
use crate::trees::path;

/// Holds the marked directories in both directions.
#[derive(Debug, Default)]
pub(super) struct Directories {
    paths: HashMap<Handle, Text>,
    handles: BTreeMap<Text, Handle>,
}

impl Directories {
    pub(super) fn path(&self, handle: &Handle) -> Option<&Text> {
        self.paths.get(handle)
    }

    pub(super) fn handle(&self, path: &Text) -> Option<&Handle> {
        self.handles.get(path)
    }

    pub(super) fn len(&self) -> usize {
        self.paths.len()
    }

    /// Says that the directory with that handle is at a path now, and nothing else is.
    pub(super) fn insert(&mut self, handle: &Handle, path: Text) {
        if let Some(before) = self.paths.insert(handle.clone(), path.clone())
            && before != path
        {
            self.handles.remove(&before);
        }
        if let Some(before) = self.handles.insert(path, handle.clone())
            && before != *handle
        {
            self.paths.remove(&before);
        }
    }

    /// Forgets a directory and all below it.
    pub(super) fn remove(&mut self, path: &Text) {
        for (_, handle) in self.take(path) {
            self.paths.remove(&handle);
        }
    }

    /// Moves a directory and all below it. What was at `to` is no more.
    pub(super) fn rename(&mut self, from: &Text, to: &Text) {
        let moved = self.take(from);
        self.remove(to);
        for (path, handle) in moved {
            let moved = path::moved(path.as_bytes(), from.as_bytes(), to.as_bytes());
            self.insert(&handle, moved.unwrap_or(path));
        }
    }

    pub(super) fn clear(&mut self) {
        self.paths.clear();
        self.handles.clear();
    }

    /// Takes out the paths of a tree; the handles are left to the caller.
    fn take(&mut self, tree: &Text) -> Vec<(Text, Handle)> {
        let from = self.handles.range(tree.clone()..);
        let begin_alike = from.take_while(|(path, _)| path.as_bytes().starts_with(tree.as_bytes()));
        let within = begin_alike.filter(|(path, _)| {
            // Between a directory and what is in it are those whose names only begin alike.
            path::is_within(path.as_bytes(), tree.as_bytes())
        });
        let paths: Vec<Text> = within.map(|(path, _)| path.clone()).collect();
        let taken = paths
            .into_iter()
            .filter_map(|path| self.handles.remove_entry(&path));
        taken.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(number: u8) -> Handle {
        Handle {
            fs_id: 1,
            kind: 1,
            bytes: vec![number],
        }
    }

    fn directories(paths: &[&str]) -> Directories {
        let mut directories = Directories::default();
        for (number, path) in (0..).zip(paths) {
            directories.insert(&handle(number), Text::from(*path));
        }
        directories
    }

    fn paths(directories: &Directories) -> Vec<String> {
        assert_eq!(directories.paths.len(), directories.handles.len());
        for (path, handle) in &directories.handles {
            assert_eq!(directories.path(handle), Some(path));
        }
        directories.handles.keys().map(Text::to_string).collect()
    }

    #[test]
    fn a_renamed_directory_takes_along_what_is_in_it() {
        let mut directories = directories(&["/a", "/a.d", "/a/x", "/a/x/y", "/b", "/b/old"]);
        directories.rename(&Text::from("/a"), &Text::from("/b"));
        assert_eq!(paths(&directories), ["/a.d", "/b", "/b/x", "/b/x/y"]);
        assert_eq!(directories.path(&handle(3)), Some(&Text::from("/b/x/y")));
        assert_eq!(directories.path(&handle(4)), None);
    }

    #[test]
    fn a_removed_directory_is_forgotten_with_what_was_in_it() {
        let mut directories = directories(&["/a", "/a.d", "/a/x"]);
        directories.remove(&Text::from("/a"));
        assert_eq!(paths(&directories), ["/a.d"]);
    }

    #[test]
    fn a_directory_that_is_found_elsewhere_has_one_path() {
        let mut directories = directories(&["/a", "/b"]);
        directories.insert(&handle(0), Text::from("/b"));
        assert_eq!(paths(&directories), ["/b"]);
    }
}
