//! From a record's bytes to an observation; the only file that knows both.
//! Announced attempts wait here for their outcome, so that only what succeeded is told.

mod modules;
mod mounts;
mod paths;
mod processes;
mod settings;

use std::collections::HashMap;

use change::Text;
use tracer_ebpf::{
    CgroupRecord, DoneRecord, ExitRecord, FileRecord, Header, MountRecord, PathFlags, RecordKind,
    RenameRecord,
};
use zerocopy::{FromBytes, Immutable, KnownLayout};

use self::modules::module;
use self::mounts::mount;
use self::paths::{device, inode_seen, join, name, watched_path};
use self::processes::{exec, fork, signal};
use self::settings::{setting, sysctl, sysctl_done, sysrq};
use crate::capture::FLAGS_NAME;
use crate::observed::{Action, Event, FileEvent, Inode, Left, Observation, ProcessId, Task, Who};

/// Says why a record cannot be understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It ends before it should.
    #[error("a record of kind {kind} is cut short: {len} bytes")]
    CutShort {
        /// Its kind, 0 where not even that is there.
        kind: u32,
        /// Its length in bytes.
        len: usize,
    },
    /// It is of a kind that does not exist.
    #[error("a record is of the unknown kind {0}")]
    UnknownKind(u32),
    /// It names a root that is not watched (any more).
    #[error("a record names the unknown root {0}")]
    UnknownRoot(u32),
    /// Its path is deeper or longer than a record holds.
    #[error("a path under `{0}` is deeper than 64 names or longer than 4096 bytes")]
    PathTooLong(Text),
}

/// What the numbers in records stand for.
pub trait Places {
    /// The path of a watched root.
    fn root(&self, id: u32) -> Option<Text>;
    /// Where a mount of the host's namespace is mounted.
    fn mount(&self, id: u32) -> Option<Text>;
    /// Where a device is mounted, best guess; as in `stat(2)`.
    fn device(&self, dev: u64) -> Option<Text>;
}

/// How many attempts may wait at once; beyond, the kernel has lost outcomes.
const MAX_WAITING: usize = 8192;

// `ia_valid` of include/linux/fs.h, unchanged from 5.10 to 7.3.
const ATTR_MODE: u64 = 1;
const ATTR_UID: u64 = 1 << 1;
const ATTR_GID: u64 = 1 << 2;
const ATTR_SIZE: u64 = 1 << 3;

// Flags of renameat2(2).
const RENAME_EXCHANGE: u32 = 2;
const RENAME_WHITEOUT: u32 = 4;

/// Stands for what a call of the file system's own changed.
pub(crate) const UNKNOWN_NAME: &str = "?";

/// Turns records into observations.
#[derive(Default)]
pub struct Decoder {
    waiting: HashMap<(u32, u64), Observation>,
    /// How many outcomes never came.
    abandoned: u64,
    /// Whether a write to a sysctl waits for its outcome, too.
    awaits_sysctls: bool,
}

/// Stands for the attempt to write a sysctl: a thread writes one at a time.
const SYSCTL_ATTEMPT: u64 = u64::MAX;

impl Decoder {
    /// A decoder that waits for the outcome of a write to a sysctl, or takes it as unknown.
    pub fn new(awaits_sysctls: bool) -> Self {
        Self {
            awaits_sysctls,
            ..Self::default()
        }
    }

    /// Decodes one record. None where it is only a part of something: an attempt whose outcome
    /// is not known yet, or one that failed.
    pub fn decode(
        &mut self,
        record: &[u8],
        places: &dyn Places,
    ) -> Result<Option<Observation>, Error> {
        let (header, _) = take::<Header>(record, RecordKind(0))?;
        let kind = header.kind;
        let event = match kind {
            RecordKind::DONE => return self.outcome(record),
            RecordKind::SYSCTL_DONE => return self.sysctl_outcome(record),
            RecordKind::FORK => fork(record)?,
            RecordKind::EXEC => exec(record, places)?,
            RecordKind::EXIT => {
                let (ExitRecord { status, .. }, _) = take(record, kind)?;
                Event::Exit { status }
            }
            RecordKind::RENAMING => match rename(record, places)? {
                Some(event) => event,
                None => return Ok(None),
            },
            RecordKind::SYSCTL => sysctl(record)?,
            RecordKind::SETTING => setting(record)?,
            RecordKind::SYSRQ => sysrq(record)?,
            RecordKind(17 | 18 | 29..=31) => Event::Module(module(record, kind, places)?),
            RecordKind::CGROUP => cgroup(record)?,
            RecordKind::SIGNAL => signal(record)?,
            RecordKind(19..=23) => Event::Mount(mount(record, kind)?),
            RecordKind(4..=15) => file(record, places)?,
            RecordKind(unknown) => return Err(Error::UnknownKind(unknown)),
        };
        let observation = Observation {
            boot_ns: header.time_ns,
            who: Who::Task(task(&header)),
            event,
        };
        match self.attempt(record, kind)? {
            Some(id) => {
                self.wait((header.tid, id), observation);
                Ok(None)
            }
            None => Ok(Some(observation)),
        }
    }

    /// How many attempts were announced whose outcome never came.
    pub fn abandoned(&self) -> u64 {
        self.abandoned
    }

    fn wait(&mut self, key: (u32, u64), observation: Observation) {
        if self.waiting.len() >= MAX_WAITING {
            self.abandoned += self.waiting.len() as u64;
            self.waiting.clear();
        }
        if self.waiting.insert(key, observation).is_some() {
            self.abandoned += 1;
        }
    }

    fn outcome(&mut self, record: &[u8]) -> Result<Option<Observation>, Error> {
        let (
            DoneRecord {
                header,
                attempt,
                result,
                ..
            },
            _,
        ) = take(record, RecordKind::DONE)?;
        let observation = self.waiting.remove(&(header.tid, attempt));
        Ok(observation.filter(|_| result == 0))
    }

    /// The attempt that a record announces.
    fn attempt(&self, record: &[u8], kind: RecordKind) -> Result<Option<u64>, Error> {
        Ok(match kind {
            RecordKind::REMOVING => Some(take::<FileRecord>(record, kind)?.0.detail),
            RecordKind::RENAMING => Some(take::<RenameRecord>(record, kind)?.0.attempt),
            RecordKind::MOVING_MOUNT => Some(take::<MountRecord>(record, kind)?.0.attempt),
            RecordKind::SYSCTL => self.awaits_sysctls.then_some(SYSCTL_ATTEMPT),
            _ => None,
        })
    }

    /// A write to a sysctl ended: the one that was announced, or one of which nothing more is known.
    fn sysctl_outcome(&mut self, record: &[u8]) -> Result<Option<Observation>, Error> {
        let (header, ended) = sysctl_done(record)?;
        let announced = self.waiting.remove(&(header.tid, SYSCTL_ATTEMPT));
        let Some(ended) = ended else {
            return Ok(None);
        };
        Ok(Some(match announced {
            Some(announced) => announced.ended(header.time_ns),
            None => Observation {
                boot_ns: header.time_ns,
                who: Who::Task(task(&header)),
                event: Event::Sysctl(ended),
            },
        }))
    }
}

fn take<T: FromBytes + KnownLayout + Immutable>(
    bytes: &[u8],
    kind: RecordKind,
) -> Result<(T, &[u8]), Error> {
    let short = |_| Error::CutShort {
        kind: kind.0,
        len: bytes.len(),
    };
    T::read_from_prefix(bytes).map_err(short)
}

/// Splits off the first `len` bytes.
fn split(bytes: &[u8], len: u32, kind: RecordKind) -> Result<(&[u8], &[u8]), Error> {
    let short = || Error::CutShort {
        kind: kind.0,
        len: bytes.len(),
    };
    bytes.split_at_checked(len as usize).ok_or_else(short)
}

fn task(header: &Header) -> Task {
    let some = |id: u32| (id != u32::MAX).then_some(id);
    let tty = header
        .tty
        .split(|byte| *byte == 0)
        .next()
        .unwrap_or_default();
    Task {
        process: ProcessId {
            pid: header.pid,
            start_ns: header.start_ns,
        },
        tid: header.tid,
        parent: header.parent,
        uid: header.uid,
        euid: header.euid,
        login_uid: some(header.login_uid),
        audit_session: some(header.audit_session),
        posix_session: header.posix_session,
        tty: (!tty.is_empty()).then(|| String::from_utf8_lossy(tty).into_owned()),
        cgroup: header.cgroup,
        mount_ns: header.mount_ns,
        pid_ns: header.pid_ns,
    }
}

fn cgroup(record: &[u8]) -> Result<Event, Error> {
    let kind = RecordKind::CGROUP;
    let (CgroupRecord { id, path_len, .. }, rest) = take(record, kind)?;
    let (path, _) = split(rest, path_len, kind)?;
    Ok(Event::Cgroup {
        id,
        path: path.into(),
    })
}

fn file(record: &[u8], places: &dyn Places) -> Result<Event, Error> {
    let (
        FileRecord {
            header,
            inode,
            path,
            detail,
            description,
            extra_len,
            extra_root,
        },
        rest,
    ) = take(record, RecordKind(0))?;
    let kind = header.kind;
    let (names, rest) = split(rest, path.names_len, kind)?;
    let (extra, _) = split(rest, extra_len, kind)?;
    let unnamed = path.flags.0 & PathFlags::UNNAMED != 0;
    let path = watched_path(names, path, places)?;
    let action = match kind {
        RecordKind::CLOSED => Action::Closed {
            created: detail != 0,
        },
        RecordKind::DIRTIED => Action::Dirtied,
        RecordKind::RELEASED => Action::Released {
            written_bytes: detail,
        },
        RecordKind::CREATING => Action::Creating,
        RecordKind::CREATED => Action::Created,
        RecordKind::SYMLINKED => Action::Symlinked {
            target: extra.into(),
        },
        RecordKind::LINKED => Action::Linked {
            existing: match extra_root {
                0 => places
                    .device(device(inode.dev))
                    .map(|top| join(&top, extra)),
                id => places.root(id).map(|root| join(&root, extra)),
            },
        },
        RecordKind::REMOVING => Action::Deleted,
        RecordKind::ATTRIBUTES => Action::Attributes {
            size: detail & ATTR_SIZE != 0,
            mode: detail & ATTR_MODE != 0,
            owner: detail & (ATTR_UID | ATTR_GID) != 0,
        },
        RecordKind::XATTR => Action::Xattr {
            name: attribute(detail, extra),
        },
        RecordKind(unknown) => return Err(Error::UnknownKind(unknown)),
    };
    let unnamed = unnamed && !matches!(kind, RecordKind::CREATING | RecordKind::REMOVING);
    let description = (description != 0).then_some(description);
    Ok(Event::File(FileEvent {
        action,
        path,
        inode: inode_seen(&inode),
        unnamed,
        description,
    }))
}

/// The name of the attribute that changed; access control lists, the flags and what is not
/// known are told by number.
fn attribute(detail: u64, name: &[u8]) -> String {
    match detail {
        1 => "system.posix_acl_access".to_owned(),
        2 => "system.posix_acl_default".to_owned(),
        3 => FLAGS_NAME.to_owned(),
        4 => UNKNOWN_NAME.to_owned(),
        _ => String::from_utf8_lossy(name).into_owned(),
    }
}

/// None where both names are of the same file: then rename(2) succeeds, and does nothing.
fn rename(record: &[u8], places: &dyn Places) -> Result<Option<Event>, Error> {
    let kind = RecordKind::RENAMING;
    let (
        RenameRecord {
            inode,
            replaced,
            from,
            to,
            flags,
            ..
        },
        rest,
    ) = take(record, kind)?;
    if inode.number == replaced.number && inode.dev == replaced.dev {
        return Ok(None);
    }
    let (from_names, rest) = split(rest, from.names_len, kind)?;
    let (to_names, _) = split(rest, to.names_len, kind)?;
    let from = name(from_names, from, places)?;
    let to = name(to_names, to, places)?;
    let left = match flags {
        _ if flags & RENAME_EXCHANGE != 0 => Left::Other,
        _ if flags & RENAME_WHITEOUT != 0 => Left::Whiteout,
        _ => Left::Nothing,
    };
    let action = Action::Renamed {
        from,
        into_watched: to.watched,
        left,
        replaced: inode_seen(&replaced),
    };
    // The record is made before the rename, which moves the change time on.
    let inode = inode_seen(&inode).map(|inode| Inode {
        ctime_ns: Inode::UNKNOWN_TIME,
        ..inode
    });
    let path = to.path;
    Ok(Some(Event::File(FileEvent {
        action,
        path,
        inode,
        unnamed: false,
        description: None,
    })))
}

#[cfg(test)]
mod tests;
