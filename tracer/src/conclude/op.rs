//! Which op led from one state of a file to another.

use change::{FileState, FileType, Op};

use super::ledger::Known;
use crate::assemble::Came;
use crate::capture::Identity;

/// The op that led from what was known to what is there; none where nothing happened that is told.
pub(super) fn between(
    came: &Came,
    before: Option<&Known>,
    after: &FileState,
    identity: Identity,
) -> Option<Op> {
    let Some(Known {
        state,
        identity: known,
    }) = before
    else {
        return Some(of_new(came, after));
    };
    let op = of_difference(state, after);
    let rewritten = known.mtime_ns != identity.mtime_ns || state.inode != after.inode;
    // Nothing that is kept differs, and the content was not even written: only times were set, or
    // the file got another name.
    let only_times = op == Op::Modify && is_alike(state, after) && !rewritten;
    (!only_times).then_some(op)
}

/// The op that told of a file of which nothing was known.
fn of_new(came: &Came, after: &FileState) -> Op {
    match came {
        Came::Symlinked => Op::Symlink,
        Came::Linked(_) => Op::Link,
        // It was there, and what it was is not known: watching had only just begun.
        Came::Existed | Came::Replaced => Op::Modify,
        _ if after.file_type == FileType::Symlink => Op::Symlink,
        Came::Created | Came::Renamed { .. } => Op::Create,
    }
}

/// The op that tells best how two states differ.
pub(super) fn of_difference(before: &FileState, after: &FileState) -> Op {
    if !is_alike(before, after) {
        Op::Modify
    } else if before.mode != after.mode {
        Op::Mode
    } else if (before.uid, before.gid) != (after.uid, after.gid) {
        Op::Owner
    } else if before.xattrs != after.xattrs {
        Op::Xattr
    } else {
        Op::Modify
    }
}

/// Whether two states have the same content, as far as that is known.
fn is_alike(before: &FileState, after: &FileState) -> bool {
    let same_type = before.file_type == after.file_type;
    match after.file_type {
        FileType::Regular => same_type && before.hash.is_some() && before.hash == after.hash,
        _ => same_type && before.target == after.target,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(hash: &str) -> FileState {
        let hash = Some(hash.to_owned());
        FileState {
            hash,
            mode: "0644".to_owned(),
            inode: 7,
            ..FileState::default()
        }
    }

    fn known(hash: &str) -> Known {
        let identity = Identity::default();
        Known {
            state: state(hash),
            identity,
        }
    }

    #[test]
    fn the_difference_of_two_states_names_the_op() {
        let before = state("b3:1");
        assert_eq!(of_difference(&before, &state("b3:2")), Op::Modify);
        let mode = FileState {
            mode: "0600".to_owned(),
            ..state("b3:1")
        };
        assert_eq!(of_difference(&before, &mode), Op::Mode);
        let owner = FileState {
            uid: 5,
            ..state("b3:1")
        };
        assert_eq!(of_difference(&before, &owner), Op::Owner);
        let xattrs = [("user.a".to_owned(), "1".to_owned())].into();
        let xattr = FileState {
            xattrs,
            ..state("b3:1")
        };
        assert_eq!(of_difference(&before, &xattr), Op::Xattr);
    }

    #[test]
    fn setting_only_times_is_no_change_and_rewriting_the_same_is_one() {
        let before = known("b3:1");
        let touched = Identity {
            ctime_ns: 5,
            ..Identity::default()
        };
        assert_eq!(
            between(&Came::Existed, Some(&before), &state("b3:1"), touched),
            None
        );
        let rewritten = Identity {
            ctime_ns: 5,
            mtime_ns: 5,
            ..Identity::default()
        };
        let op = between(&Came::Existed, Some(&before), &state("b3:1"), rewritten);
        assert_eq!(op, Some(Op::Modify));
    }

    #[test]
    fn what_was_there_unknown_is_modified_not_created() {
        let after = state("b3:1");
        assert_eq!(
            between(&Came::Existed, None, &after, Identity::default()),
            Some(Op::Modify)
        );
        assert_eq!(
            between(&Came::Created, None, &after, Identity::default()),
            Some(Op::Create)
        );
    }
}
