//! What the daemon may do once it has started: see everything, change nothing but its own.
//!
//! It becomes a user of its own, for whom nothing is writable but its own folders and what is open
//! to everybody, keeps few capabilities, and gives up the system calls by which those few could
//! change something (`calls`). All of it holds on every kernel and in both ways of watching.
//! Landlock would forbid to look at processes outside of its domain, and so to tell who did something.

mod calls;
mod proof;

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
pub(super) use proof::prove;
use rustix::fs::{Gid, Mode, OFlags, Uid, fchown};
use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, set_capabilities, set_keep_capabilities, set_no_new_privs,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

/// The user and the group that it becomes. No account has this number, and none will be given it:
/// it lies above what directory services map and below what systemd gives to containers of others
/// (<https://systemd.io/UIDS-GIDS>). So nobody can send it signals but root.
pub(super) const OWN_ID: u32 = 2_007_200_700;

/// To read files and directories of everyone, to leave their access times alone, to look at
/// processes in `/proc`, and to use the maps of the loaded programs. Without `CAP_SYS_ADMIN` it
/// loads and mounts nothing; the price is that extended attributes in `trusted.` are not seen.
const NEEDED: CapabilitySet = CapabilitySet::DAC_READ_SEARCH
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::SYS_PTRACE)
    .union(CapabilitySet::BPF);

/// What the way of watching needs besides.
#[derive(Clone, Copy, Debug)]
pub(super) enum Watching {
    Programs,
    /// Marks are added while it runs.
    Fanotify,
}

/// The files that it writes, and is given before it gives up the rights of root.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) state_dir: PathBuf,
    /// Its store in there.
    pub(super) store: PathBuf,
    /// The folder of its socket, where that is its own too.
    pub(super) socket_dir: Option<PathBuf>,
}

impl Own {
    /// Makes them a user's.
    fn give(&self, id: u32) -> anyhow::Result<()> {
        let Self {
            state_dir,
            store,
            socket_dir,
        } = self;
        let beside = |suffix: &str| {
            let mut name = store.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let files = [store.clone(), beside("-wal"), beside("-shm")];
        let folders = [Some(state_dir), socket_dir.as_ref()];
        let collector = files_in(&crate::push::folder(state_dir))?;
        let all = folders
            .into_iter()
            .flatten()
            .chain(&files)
            .chain(&collector);
        for path in all {
            let given = give(path, id);
            given.with_context(|| format!("make `{}` the daemon's own", path.display()))?;
        }
        Ok(())
    }
}

/// A folder with the files in it; nothing where there is none.
fn files_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let read = || -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut found = vec![folder.to_owned()];
        for entry in entries {
            found.push(entry?.path());
        }
        Ok(found)
    };
    read().with_context(|| format!("look into `{}`", folder.display()))
}

fn give(path: &Path, id: u32) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        file => File::from(file?),
    };
    if is_of(&file, id)? {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(id), Gid::from_raw(id));
    Ok(fchown(file.as_fd(), Some(user), Some(group))?)
}

fn is_of(file: &File, id: u32) -> io::Result<bool> {
    let found = file.metadata()?;
    Ok((found.uid(), found.gid()) == (id, id))
}

/// Makes the folder of a socket, and tells whether it is the daemon's own: made by it, now or when it
/// ran before.
pub(super) fn socket_folder(socket: &Path) -> Option<PathBuf> {
    let folder = socket.parent()?;
    let above = folder.parent()?;
    // What cannot be made is told of when the socket is bound.
    drop(fs::create_dir_all(above));
    let is_made = fs::DirBuilder::new().mode(0o755).create(folder).is_ok();
    let is_own = fs::symlink_metadata(folder).is_ok_and(|found| found.uid() == OWN_ID);
    (is_made || is_own).then(|| folder.to_owned())
}

/// Gives up what the calling thread does not need any more, and so do the threads that it starts
/// from now on, and the programs. Where a step fails, the others are done all the same.
pub(super) fn keep_needed(watching: Watching, own: &Own) -> anyhow::Result<()> {
    let became = own.give(OWN_ID).and_then(|()| become_own_user());
    let became = became.inspect_err(|_| {
        // Root without its rights could not write them either.
        if let Err(error) = own.give(0) {
            tracing::error!("{error:#}");
        }
    });
    let kept = keep_capabilities(watching);
    let privileges = set_no_new_privs(true).context("give up new privileges");
    let calls = calls::give_up();
    became.and(kept).and(privileges).and(calls)
}

fn become_own_user() -> anyhow::Result<()> {
    let (user, group) = (Uid::from_raw(OWN_ID), Gid::from_raw(OWN_ID));
    let become_it = || {
        // Capabilities would be gone with root otherwise: capabilities(7).
        set_keep_capabilities(true)?;
        set_thread_groups(&[])?;
        set_thread_res_gid(group, group, group)?;
        set_thread_res_uid(user, user, user)
    };
    become_it().with_context(|| format!("become the user {OWN_ID}"))
}

fn keep_capabilities(watching: Watching) -> anyhow::Result<()> {
    let kept = match watching {
        Watching::Programs => NEEDED,
        Watching::Fanotify => NEEDED | CapabilitySet::SYS_ADMIN,
    };
    let before = rustix::thread::capabilities(None).context("read the own capabilities")?;
    let permitted = before.permitted & kept;
    let sets = CapabilitySets {
        effective: permitted,
        permitted,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).context("give up capabilities")
}
