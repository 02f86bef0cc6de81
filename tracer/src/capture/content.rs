//! Reading a file's content once: hashed while it is read, and kept only as far as it may be.

use std::os::fd::{AsFd, OwnedFd};

use change::ContentState;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use zeroize::{Zeroize as _, Zeroizing};

use super::{CaptureConfig, secret};
use crate::trees::open;

const CHUNK: usize = 64 * 1024;

/// Holds what was read of a file.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) hash: Option<String>,
    pub(super) state: ContentState,
    pub(super) bytes: Option<Vec<u8>>,
    /// Whether there was less or more to read than the size said.
    pub(super) is_torn: bool,
}

impl Content {
    /// What there is to say of content that was not read.
    pub(super) fn unread(state: ContentState) -> Self {
        Self {
            state,
            ..Self::default()
        }
    }
}

/// Reads a regular file that had `size` bytes. Never more than that and one chunk is read, so that
/// a file which keeps growing ends.
pub(super) fn read(
    config: &CaptureConfig,
    file: &OwnedFd,
    size: u64,
    is_secret: bool,
) -> rustix::io::Result<Content> {
    if size > config.hash_bytes {
        let state = if is_secret {
            ContentState::Secret
        } else {
            ContentState::TooLarge
        };
        return Ok(Content::unread(state));
    }
    let file = open_for_reading(file)?;
    if is_secret || size > config.keep_bytes {
        return hash(config, &file, size, is_secret);
    }
    keep(config, &file, size)
}

/// Opens what an `O_PATH` descriptor stands for. `O_NONBLOCK` so that a lease on the file does not
/// make us wait (fcntl(2)); the access time is left alone where we may.
fn open_for_reading(file: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let path = open::path_of(file);
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let open = |flags| rustix::fs::openat(CWD, path.as_str(), flags, Mode::empty());
    match open(flags | OFlags::NOATIME) {
        // Only the owner and CAP_FOWNER may leave the access time alone: open(2).
        Err(Errno::PERM) => open(flags),
        result => result,
    }
}

/// Hashes without keeping more than a chunk.
fn hash(
    config: &CaptureConfig,
    file: &OwnedFd,
    size: u64,
    is_secret: bool,
) -> rustix::io::Result<Content> {
    let mut hasher = if is_secret {
        blake3::Hasher::new_keyed(&config.host_key)
    } else {
        blake3::Hasher::new()
    };
    let mut chunk = Zeroizing::new(vec![0; CHUNK]);
    let mut total = 0;
    while total <= size {
        let count = read_some(file, &mut chunk)?;
        if count == 0 {
            break;
        }
        hasher.update(&chunk[..count]);
        total += count as u64;
    }
    let (prefix, state) = if is_secret {
        ("k3", ContentState::Secret)
    } else {
        ("b3", ContentState::TooLarge)
    };
    Ok(Content {
        hash: Some(format!("{prefix}:{}", hasher.finalize().to_hex())),
        state,
        bytes: None,
        is_torn: total != size,
    })
}

/// Reads all bytes, and gives them away unless there is a secret in them.
fn keep(config: &CaptureConfig, file: &OwnedFd, size: u64) -> rustix::io::Result<Content> {
    // One byte more than the size shows whether it has grown. The buffer must not move, because
    // a copy of a secret would stay behind.
    let room = usize::try_from(size).unwrap_or(usize::MAX - 1) + 1;
    let mut bytes = Zeroizing::new(vec![0; room]);
    let mut total = 0;
    while total < room {
        let count = read_some(file, &mut bytes[total..])?;
        if count == 0 {
            break;
        }
        total += count;
    }
    bytes.truncate(total);
    let is_torn = total as u64 != size;
    if config.secret_contents && secret::is_secret_content(&bytes) {
        let hash = blake3::keyed_hash(&config.host_key, &bytes);
        bytes.zeroize();
        return Ok(Content {
            hash: Some(format!("k3:{}", hash.to_hex())),
            state: ContentState::Secret,
            bytes: None,
            is_torn,
        });
    }
    Ok(Content {
        hash: Some(format!("b3:{}", blake3::hash(&bytes).to_hex())),
        state: ContentState::Kept,
        bytes: Some(std::mem::take(&mut *bytes)),
        is_torn,
    })
}

fn read_some(file: impl AsFd, buffer: &mut [u8]) -> rustix::io::Result<usize> {
    rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut *buffer))
}
