//! Frames: a batch as bytes, which come from hosts that may be broken or hostile.
//!
//! A frame is one byte for the version, and behind it, packed by zstd, bincode of an envelope whose rows are
//! JSON. bincode alone cannot hold the model: it writes no names, so what serde leaves out
//! (`skip_serializing_if`), folds in (`flatten`) or guesses (`untagged`) cannot be read back, and a field that a
//! newer peer adds would shift all that follows. In JSON a change is what the contract says it is, whose fields
//! only grow, and kinds that only a newer peer knows pass. The envelope itself never changes within a version.

use std::io::Read as _;
use std::sync::Arc;
use std::{fmt, io};

use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Batch, ChainHead, Content, Sender, SessionBody};
use crate::{Actor, Change, Timestamp};

/// A frame is no longer than this.
pub const MOST_FRAME_BYTES: usize = 8 << 20;
/// A frame unpacks to no more than this.
pub const MOST_UNPACKED_BYTES: usize = 32 << 20;

const VERSION: u8 = 1;
/// zstd's usual level: what follows is not worth its time.
const LEVEL: i32 = 3;
/// A packer may look back so far, as a power of two: what unpacking takes in memory. zstd's usual level
/// looks back 2 MiB.
const WINDOW_LOG: u32 = 23;

/// Packs a batch.
pub fn encode(batch: &Batch) -> Result<Vec<u8>, FrameError> {
    let envelope = Envelope::of(batch)?;
    let plain = bincode::serde::encode_to_vec(&envelope, bincode::config::standard())
        .map_err(|error| FrameError::Rows(error.to_string()))?;
    if plain.len() > MOST_UNPACKED_BYTES {
        return Err(FrameError::TooLarge);
    }
    let mut frame = vec![VERSION];
    zstd::stream::copy_encode(plain.as_slice(), &mut frame, LEVEL).map_err(FrameError::Packing)?;
    if frame.len() > MOST_FRAME_BYTES {
        return Err(FrameError::TooLarge);
    }
    Ok(frame)
}

/// Unpacks a batch. Takes memory for [`MOST_UNPACKED_BYTES`] and what they describe, whatever a frame claims.
pub fn decode(frame: &[u8]) -> Result<Batch, FrameError> {
    decode_sized(frame).map(|(batch, _bytes)| batch)
}

/// Unpacks a batch likewise, and tells how many bytes it had unpacked.
pub fn decode_sized(frame: &[u8]) -> Result<(Batch, usize), FrameError> {
    if frame.len() > MOST_FRAME_BYTES {
        return Err(FrameError::TooLarge);
    }
    let packed = match frame.split_first() {
        Some((&VERSION, packed)) => packed,
        Some((&version, _)) => return Err(FrameError::Version(version)),
        None => return Err(FrameError::Rows("it is empty".to_owned())),
    };
    let plain = unpack(packed)?;
    Ok((Batch::from_unpacked(&plain)?, plain.len()))
}

impl Batch {
    /// Reads what is in a frame once it is unpacked. By itself it is of use to feed it hostile bytes, which the
    /// packing would keep out.
    pub fn from_unpacked(plain: &[u8]) -> Result<Self, FrameError> {
        let limited = bincode::config::standard().with_limit::<MOST_UNPACKED_BYTES>();
        let (envelope, read) = bincode::serde::decode_from_slice::<Envelope, _>(plain, limited)
            .map_err(|error| FrameError::Rows(error.to_string()))?;
        if read != plain.len() {
            return Err(FrameError::Rows("something follows its end".to_owned()));
        }
        envelope.into_batch()
    }
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>, FrameError> {
    let mut decoder = zstd::Decoder::with_buffer(packed).map_err(FrameError::Packing)?;
    decoder
        .window_log_max(WINDOW_LOG)
        .map_err(FrameError::Packing)?;
    let mut plain = Vec::new();
    let most = MOST_UNPACKED_BYTES as u64 + 1;
    decoder
        .take(most)
        .read_to_end(&mut plain)
        .map_err(FrameError::Packing)?;
    if plain.len() > MOST_UNPACKED_BYTES {
        return Err(FrameError::TooLarge);
    }
    Ok(plain)
}

/// Says why a batch cannot be packed, or a frame not be read.
#[derive(Debug)]
pub enum FrameError {
    /// It is over [`MOST_FRAME_BYTES`], or over [`MOST_UNPACKED_BYTES`] when unpacked.
    TooLarge,
    /// It has a version that this program does not know.
    Version(u8),
    /// zstd refuses it.
    Packing(io::Error),
    /// What is packed is no batch.
    Rows(String),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(
                f,
                "frame is over {} MiB, or over {} MiB unpacked",
                MOST_FRAME_BYTES >> 20,
                MOST_UNPACKED_BYTES >> 20
            ),
            Self::Version(version) => write!(
                f,
                "frame has version {version} and this program knows {VERSION}; bring the collector up to date \
                 before the tracers"
            ),
            Self::Packing(error) => write!(f, "unpack frame: {error}"),
            Self::Rows(what) => write!(f, "read frame: {what}"),
        }
    }
}

impl std::error::Error for FrameError {}

/// The layout of version 1. Its order is the format.
#[derive(Serialize, Deserialize)]
struct Envelope {
    head: String,
    /// Each actor once: many changes in a row are one actor's.
    actors: Vec<String>,
    changes: Vec<ChangeRow>,
    facts: Vec<String>,
    runs: Vec<String>,
    gaps: Vec<String>,
    contents: Vec<ContentRow>,
}

/// A change without its actor, and which of the actors it is.
#[derive(Serialize, Deserialize)]
struct ChangeRow {
    actor: Option<u32>,
    change: String,
}

#[derive(Serialize, Deserialize)]
struct ContentRow {
    hash: [u8; 32],
    bytes: Bytes,
}

/// The rest of a batch, as JSON.
#[derive(Serialize, Deserialize)]
struct Head {
    sender: Sender,
    sent: Timestamp,
    first_seq: u64,
    newest_seq: u64,
    complete_until: Option<Timestamp>,
    #[serde(default)]
    before: Option<ChainHead>,
    chain: Option<ChainHead>,
    /// Here, and not a list of the envelope, whose layout an older collector would not know any more.
    #[serde(default)]
    sessions: Vec<SessionBody>,
}

impl Envelope {
    fn of(batch: &Batch) -> Result<Self, FrameError> {
        let Batch {
            sender,
            sent,
            first_seq,
            newest_seq,
            complete_until,
            before,
            changes,
            chain,
            facts,
            runs,
            gaps,
            sessions,
            contents,
        } = batch;
        let head = Head {
            sender: sender.clone(),
            sent: *sent,
            first_seq: *first_seq,
            newest_seq: *newest_seq,
            complete_until: *complete_until,
            before: before.clone(),
            chain: chain.clone(),
            sessions: sessions.clone(),
        };
        let mut actors = Actors::default();
        let changes = changes.iter().map(|change| actors.row(change));
        let changes = changes.collect::<Result<_, _>>()?;
        let content = |content: &Content| ContentRow {
            hash: content.hash,
            bytes: Bytes(content.bytes.clone()),
        };
        Ok(Self {
            head: to_json(&head)?,
            actors: actors.written,
            changes,
            facts: facts.iter().map(to_json).collect::<Result<_, _>>()?,
            runs: runs.iter().map(to_json).collect::<Result<_, _>>()?,
            gaps: gaps.iter().map(to_json).collect::<Result<_, _>>()?,
            contents: contents.iter().map(content).collect(),
        })
    }

    fn into_batch(self) -> Result<Batch, FrameError> {
        let Self {
            head,
            actors,
            changes,
            facts,
            runs,
            gaps,
            contents,
        } = self;
        let Head {
            sender,
            sent,
            first_seq,
            newest_seq,
            complete_until,
            before,
            chain,
            sessions,
        } = from_json(&head)?;
        let actors: Vec<Arc<Actor>> = rows(&actors)?;
        let changes = changes.iter().map(|row| row.read(&actors));
        let content = |row: ContentRow| Content {
            hash: row.hash,
            bytes: row.bytes.0,
        };
        Ok(Batch {
            sender,
            sent,
            first_seq,
            newest_seq,
            complete_until,
            before,
            changes: changes.collect::<Result<_, _>>()?,
            chain,
            facts: rows(&facts)?,
            runs: rows(&runs)?,
            gaps: rows(&gaps)?,
            sessions,
            contents: contents.into_iter().map(content).collect(),
        })
    }
}

impl ChangeRow {
    fn read(&self, actors: &[Arc<Actor>]) -> Result<Change, FrameError> {
        let mut change: Change = from_json(&self.change)?;
        change.actor = match self.actor {
            None => None,
            Some(number) => {
                let actor = actors.get(number as usize);
                let missing = || FrameError::Rows(format!("it has no actor {number}"));
                Some(Arc::clone(actor.ok_or_else(missing)?))
            }
        };
        Ok(change)
    }
}

/// The actors written so far. One that comes again right after itself is not written again.
#[derive(Default)]
struct Actors {
    written: Vec<String>,
    last: Option<Arc<Actor>>,
}

impl Actors {
    fn row(&mut self, change: &Change) -> Result<ChangeRow, FrameError> {
        let actor = change.actor.as_ref().map(|actor| self.number(actor));
        let plain = Change {
            actor: None,
            ..change.clone()
        };
        Ok(ChangeRow {
            actor: actor.transpose()?,
            change: to_json(&plain)?,
        })
    }

    fn number(&mut self, actor: &Arc<Actor>) -> Result<u32, FrameError> {
        let is_last = |last: &Arc<Actor>| Arc::ptr_eq(last, actor) || last == actor;
        if !self.last.as_ref().is_some_and(is_last) {
            self.written.push(to_json(actor)?);
            self.last = Some(Arc::clone(actor));
        }
        u32::try_from(self.written.len() - 1).map_err(|_beyond| FrameError::TooLarge)
    }
}

fn rows<T: DeserializeOwned>(rows: &[String]) -> Result<Vec<T>, FrameError> {
    rows.iter().map(|row| from_json(row)).collect()
}

fn to_json<T: Serialize>(value: &T) -> Result<String, FrameError> {
    serde_json::to_string(value).map_err(|error| FrameError::Rows(error.to_string()))
}

fn from_json<T: DeserializeOwned>(json: &str) -> Result<T, FrameError> {
    serde_json::from_str(json).map_err(|error| FrameError::Rows(error.to_string()))
}

/// Bytes that bincode copies as a whole; a `Vec<u8>` it would go through one by one.
struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsIs;
        impl Visitor<'_> for AsIs {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }

            fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes(bytes))
            }
        }
        deserializer.deserialize_byte_buf(AsIs)
    }
}

#[cfg(test)]
mod tests;
