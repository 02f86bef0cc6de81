//! Subvolumes of Btrfs that came or went by a call of its own, which passes no function that tells of
//! names: that there was such a call in a directory is known, and what it did is found by looking.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;

use change::{FileState, FileType, Op, Text, Timestamp};

use super::Conclude;
use super::ledger::Draft;
use crate::enrich::By;
use crate::store;
use crate::trees::{open, path};

/// The inode number of every subvolume's own directory, and of nothing else:
/// `BTRFS_FIRST_FREE_OBJECTID` of `include/uapi/linux/btrfs_tree.h`.
const SUBVOLUME: u64 = 256;

impl Conclude {
    /// Tells which subvolumes appeared in a directory or are gone from it, with all that is in them,
    /// by the hand that made the call.
    pub(super) fn subvolumes(
        &mut self,
        directory: &Text,
        time: Timestamp,
        by: Option<&By>,
    ) -> Result<(), store::Error> {
        if !open::is_on_btrfs(directory) {
            return Ok(());
        }
        let present = listed(directory);
        for path in &present {
            if self.ledger.known(path)?.is_none() && self.trees.contains(path) {
                self.brought_one(path.clone(), time, by);
                self.brought(path, time, by);
            }
        }
        for path in self.gone(directory, &present)? {
            let before = self.ledger.known(&path)?.map(|known| known.state);
            let draft = Draft {
                time,
                path,
                op: Op::Delete,
                from: None,
                before,
                after: None,
                operations: 1,
                notes: Vec::new(),
                by: by.cloned(),
            };
            self.deleted(draft);
        }
        Ok(())
    }

    /// What is known of subvolumes that are not in their directory any more, innermost first.
    fn gone(&self, directory: &Text, present: &BTreeSet<Text>) -> Result<Vec<Text>, store::Error> {
        let below = self.ledger.below(directory)?;
        let is_in = |path: &Text| {
            path::split(path.as_bytes()).is_some_and(|(parent, _)| parent == directory.as_bytes())
        };
        let is_gone = |(path, known): &&(Text, super::Known)| {
            is_subvolume(&known.state) && is_in(path) && !present.contains(path)
        };
        let gone: Vec<&Text> = below.iter().filter(is_gone).map(|(path, _)| path).collect();
        let is_below = |path: &Text| {
            gone.iter()
                .any(|tree| path::is_within(path.as_bytes(), tree.as_bytes()))
        };
        let mut paths: Vec<Text> = Vec::new();
        for (path, _) in &below {
            // What was created since the last transaction has its own record, as has what was removed.
            if is_below(path) && self.ledger.known(path)?.is_some() {
                paths.push(path.clone());
            }
        }
        paths.sort_unstable_by(|a, b| b.cmp(a));
        Ok(paths)
    }
}

fn is_subvolume(state: &FileState) -> bool {
    state.inode == SUBVOLUME && state.file_type == FileType::Directory
}

/// The subvolumes in a directory.
fn listed(directory: &Text) -> BTreeSet<Text> {
    let entries = std::fs::read_dir(OsStr::from_bytes(directory.as_bytes()));
    let entries = entries.into_iter().flatten().flatten();
    // What a directory lists of it is the number of the subvolume.
    let subvolumes = entries.filter(|entry| {
        let metadata = entry.metadata();
        metadata.is_ok_and(|metadata| metadata.is_dir() && metadata.ino() == SUBVOLUME)
    });
    subvolumes
        .map(|entry| Text::from(entry.path().as_os_str().as_bytes()))
        .collect()
}
