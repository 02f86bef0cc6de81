//! Reading what a file is now: its attributes, and its content within limits, never of a secret.
//! When to read, and which change the result belongs to, is decided elsewhere.

mod attributes;
mod content;
mod secret;

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;

use change::{ContentState, FileState, FileType, Text};
use globset::GlobSet;
use rustix::fs::Stat;
use rustix::io::Errno;

pub(crate) use self::attributes::FLAGS_NAME;
use self::content::Content;
use crate::observed::Inode;
use crate::trees::open;

/// Says how much of a file is read and kept.
#[derive(Clone)]
pub struct CaptureConfig {
    /// Up to this size the content is kept, in bytes.
    pub keep_bytes: u64,
    /// Up to this size the content is hashed, in bytes.
    pub hash_bytes: u64,
    /// Globs of files that are secrets, whatever is in them.
    pub secret_globs: Vec<String>,
    /// Whether a file is a secret too for what is in it.
    pub secret_contents: bool,
    /// The key of this host for hashes of secrets: without it a guess can't be tried.
    pub host_key: [u8; 32],
}

impl Default for CaptureConfig {
    fn default() -> Self {
        // While a password is set, shadow and PAM work on copies: `shadow+`, `nshadow`, `opasswd`.
        let globs = ["/etc/*shadow*", "/etc/security/*opasswd*", "*.key"];
        Self {
            keep_bytes: 1024 * 1024,
            hash_bytes: 64 * 1024 * 1024,
            secret_globs: globs.map(str::to_owned).to_vec(),
            secret_contents: true,
            host_key: [0; 32],
        }
    }
}

impl fmt::Debug for CaptureConfig {
    /// Leaves out the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            keep_bytes,
            hash_bytes,
            secret_globs,
            secret_contents,
            host_key: _,
        } = self;
        f.debug_struct("CaptureConfig")
            .field("keep_bytes", keep_bytes)
            .field("hash_bytes", hash_bytes)
            .field("secret_globs", secret_globs)
            .field("secret_contents", secret_contents)
            .finish_non_exhaustive()
    }
}

/// Reads files as they are now.
#[derive(Debug)]
pub struct Capture {
    config: CaptureConfig,
    secrets: GlobSet,
}

/// Says what was found at a path.
#[derive(Debug)]
pub enum Captured {
    /// Nothing is there.
    Absent,
    /// A file, of whatever type.
    Found(Box<Found>),
    /// Something is there or on the way, and we may not or cannot look at it.
    Unreadable(io::Error),
}

impl Captured {
    /// How much content it holds, in bytes.
    pub fn content_len(&self) -> usize {
        match self {
            Self::Found(found) => found.bytes.as_ref().map_or(0, Vec::len),
            Self::Absent | Self::Unreadable(_) => 0,
        }
    }

    /// The hash of the content, where it is known.
    pub fn hash(&self) -> Option<&str> {
        match self {
            Self::Found(found) => found.state.hash.as_deref(),
            Self::Absent | Self::Unreadable(_) => None,
        }
    }

    /// Takes the content out of it, with the state that names it.
    pub fn take_content(&mut self) -> Option<(FileState, Vec<u8>)> {
        match self {
            Self::Found(found) => Some((found.state.clone(), found.bytes.take()?)),
            Self::Absent | Self::Unreadable(_) => None,
        }
    }

    /// What was found, if there was something.
    pub fn into_found(self) -> Option<Found> {
        match self {
            Self::Found(found) => Some(*found),
            Self::Absent | Self::Unreadable(_) => None,
        }
    }
}

/// Holds what a file is.
#[derive(Debug)]
pub struct Found {
    /// Its state. Where the file moved on, what the caller expected of it, without a hash.
    pub state: FileState,
    /// Its content, only where `state.content` says that it is kept.
    pub bytes: Option<Vec<u8>>,
    /// Whether the content at the expected moment is not known, because the file changed since
    /// then or while it was read.
    pub moved_on: bool,
    /// Which file it is and when it changed last, as it is now.
    pub identity: Identity,
}

/// Tells whether a file is the same one and unchanged, without reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The device as `stat(2)` gives it.
    pub dev: u64,
    /// The inode number.
    pub inode: u64,
    /// Change time in nanoseconds since the epoch.
    pub ctime_ns: i64,
    /// Time of the last change of its content, likewise.
    pub mtime_ns: i64,
}

impl Identity {
    /// The identity in what `stat(2)` says.
    pub(crate) fn of(stat: &Stat) -> Self {
        Self {
            dev: stat.st_dev,
            inode: stat.st_ino,
            ctime_ns: nanos(stat.st_ctime, stat.st_ctime_nsec),
            mtime_ns: nanos(stat.st_mtime, stat.st_mtime_nsec),
        }
    }
}

#[expect(
    clippy::cast_possible_wrap,
    reason = "nanoseconds are less than a billion, whatever type the platform has for them"
)]
fn nanos(seconds: i64, nanos: u64) -> i64 {
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(nanos as i64)
}

/// What `stat(2)` says, in the words of an observation.
pub(crate) fn inode_of(stat: &Stat) -> Inode {
    let Identity {
        dev,
        inode,
        ctime_ns,
        mtime_ns,
    } = Identity::of(stat);
    Inode {
        dev,
        number: inode,
        mode: stat.st_mode,
        // More links than 32 bits hold exist nowhere.
        links: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
        uid: stat.st_uid,
        gid: stat.st_gid,
        size: size(stat),
        ctime_ns,
        mtime_ns,
    }
}

pub(crate) fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

impl Capture {
    /// Prepares reading; the only thing that can be wrong is a glob.
    pub fn new(config: CaptureConfig) -> io::Result<Self> {
        let secrets = crate::trees::any_of(&config.secret_globs)?;
        Ok(Self { config, secrets })
    }

    /// Reads what is at a path now. With `expected`, what was seen of the file at the moment that
    /// is asked for, the content is only given if it is still that one.
    pub fn read(&self, path: &Text, expected: Option<&Inode>) -> Captured {
        read_with(path, expected, |file, size| self.content(path, file, size))
    }

    /// A value of a setting as it may be kept: of a secret a keyed hash.
    pub fn shown(&self, value: &str, is_secret: bool) -> String {
        let is_secret_content =
            || self.config.secret_contents && secret::is_secret_content(value.as_bytes());
        if is_secret || is_secret_content() {
            let hash = blake3::keyed_hash(&self.config.host_key, value.as_bytes());
            return format!("k3:{}", hash.to_hex());
        }
        value.to_owned()
    }

    /// As [`Capture::read`], but for the content, which is shed.
    pub fn look(path: &Text, expected: Option<&Inode>) -> Captured {
        read_with(path, expected, |_, _| Content::unread(ContentState::Shed))
    }

    /// Whether nothing of the content of a file of that name may be kept.
    pub fn is_secret_path(&self, path: &Text) -> bool {
        secret::is_secret_path(&self.secrets, path)
    }

    /// Whether nothing of a file may be kept that has this in it.
    pub fn is_secret(&self, path: &std::path::Path, bytes: &[u8]) -> bool {
        let path = path.as_os_str().as_encoded_bytes().into();
        self.is_secret_path(&path)
            || (self.config.secret_contents && secret::is_secret_content(bytes))
    }

    fn content(&self, path: &Text, file: &OwnedFd, size: u64) -> Content {
        let is_secret = self.is_secret_path(path);
        content::read(&self.config, file, size, is_secret).unwrap_or_else(|error| {
            tracing::debug!("read `{path}`: {error}");
            Content::unread(ContentState::None)
        })
    }
}

fn read_with(
    path: &Text,
    expected: Option<&Inode>,
    content: impl FnOnce(&OwnedFd, u64) -> Content,
) -> Captured {
    match open::file(path) {
        Ok(file) => match read_open(&file, expected, content) {
            Ok(found) => Captured::Found(Box::new(found)),
            Err(error) => Captured::Unreadable(error.into()),
        },
        // A link in the place of a directory: what was there under this name is gone.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Captured::Absent,
        Err(error) => Captured::Unreadable(error.into()),
    }
}

fn read_open(
    file: &OwnedFd,
    expected: Option<&Inode>,
    content: impl FnOnce(&OwnedFd, u64) -> Content,
) -> rustix::io::Result<Found> {
    let before = rustix::fs::fstat(file)?;
    let mut state = describe(&before);
    let mut moved_on = expected.is_some_and(|expected| !is_same(&before, expected));
    let mut bytes = None;
    if state.file_type == FileType::Regular {
        let content = if moved_on {
            Content::unread(ContentState::MovedOn)
        } else {
            content(file, size(&before))
        };
        moved_on |= content.is_torn || !is_same(&rustix::fs::fstat(file)?, &inode_of(&before));
        if moved_on {
            state.content = ContentState::MovedOn;
        } else {
            state.hash = content.hash;
            state.content = content.state;
            bytes = content.bytes;
        }
    } else {
        state.content = ContentState::None;
    }
    if state.file_type == FileType::Symlink {
        let target = rustix::fs::readlinkat(file, "", Vec::new())?;
        state.target = Some(Text::from(target.into_bytes()).to_lossy());
    }
    state.xattrs = attributes::read(file);
    if moved_on && let Some(expected) = expected {
        overwrite(&mut state, expected);
    }
    Ok(Found {
        state,
        bytes,
        moved_on,
        identity: Identity::of(&before),
    })
}

/// Whether it is the same file, unchanged. The change time of a directory moves with each name in
/// it, and links and special files have no content, so there the inode alone says it. Where the
/// change time is not known, that of the content stands in for it.
fn is_same(stat: &Stat, expected: &Inode) -> bool {
    let is_regular = FileType::from_mode(stat.st_mode).is_regular();
    let now = inode_of(stat);
    let is_same_time = match expected.ctime_ns {
        Inode::UNKNOWN_TIME => now.mtime_ns == expected.mtime_ns,
        ctime_ns => now.ctime_ns == ctime_ns,
    };
    now.number == expected.number && (!is_regular || (is_same_time && now.size == expected.size))
}

fn describe(stat: &Stat) -> FileState {
    let mut state = FileState::default();
    overwrite(&mut state, &inode_of(stat));
    state
}

/// Puts in what an inode says.
fn overwrite(state: &mut FileState, inode: &Inode) {
    state.file_type = FileType::from_mode(inode.mode);
    state.mode = format!("{:04o}", inode.mode & 0o7777);
    state.uid = inode.uid;
    state.gid = inode.gid;
    state.inode = inode.number;
    // A directory's size is an inner matter of its file system.
    state.size = if state.file_type == FileType::Directory {
        0
    } else {
        inode.size
    };
}

#[cfg(test)]
mod tests;
