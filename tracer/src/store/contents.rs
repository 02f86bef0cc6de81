//! Contents of files: their names, and the table that keeps each of them once, packed.

use std::io::{self, Read as _};

use rusqlite::{CachedStatement, Connection, OptionalExtension as _};
use zstd::bulk::Compressor;
use zstd::stream::read::Decoder;

use super::error::Doing as _;
use super::{Content, Error, Kept};

const INSERT: &str = "INSERT INTO contents (hash, size, bytes) VALUES (?1, ?2, ?3)";
const EXISTS: &str =
    "SELECT 1 FROM contents WHERE substr(hash, 1, 8) = substr(?1, 1, 8) AND hash = ?1";
const SELECT: &str =
    "SELECT size, bytes, EXISTS (SELECT 1 FROM forgotten WHERE content = id) FROM contents
    WHERE substr(hash, 1, 8) = substr(?1, 1, 8) AND hash = ?1";

const IS_FORGOTTEN: &str = "
    SELECT 1 FROM contents c JOIN forgotten f ON f.content = c.id
    WHERE substr(c.hash, 1, 8) = substr(?1, 1, 8) AND c.hash = ?1";
const HAS_FORGOTTEN: &str = "SELECT 1 FROM forgotten";

/// Fast, and on configuration files nearly as small as the levels above.
const LEVEL: i32 = 1;
/// What is smaller rarely gets smaller still.
const WORTH_PACKING_BYTES: usize = 128;

/// No content is larger: what says so was altered, and would only fill the memory.
const LARGEST_BYTES: u64 = 1 << 32;

const PLAIN: &str = "b3:";
const KEYED: &str = "k3:";

/// The name by which a file's state refers to a content: `b3:` and the hash in hexadecimal.
pub fn content_name(hash: &[u8; 32]) -> String {
    name_of(false, hash)
}

/// The hash in a name that [`content_name`] made; none for anything else.
pub fn parse_content_name(name: &str) -> Option<[u8; 32]> {
    parse_name(name).and_then(|(keyed, hash)| (!keyed).then_some(hash))
}

/// The name of a hash, plain or keyed with the host's secret.
pub(super) fn name_of(keyed: bool, hash: &[u8; 32]) -> String {
    let digits = b"0123456789abcdef";
    let prefix = if keyed { KEYED } else { PLAIN };
    let mut name = String::with_capacity(prefix.len() + 64);
    name.push_str(prefix);
    for byte in hash {
        name.push(char::from(digits[usize::from(byte >> 4)]));
        name.push(char::from(digits[usize::from(byte & 15)]));
    }
    name
}

/// Whether a name's hash is keyed, and the hash; none where [`name_of`] would not write it so.
pub(super) fn parse_name(name: &str) -> Option<(bool, [u8; 32])> {
    let (keyed, digits) = match name.strip_prefix(PLAIN) {
        Some(digits) => (false, digits),
        None => (true, name.strip_prefix(KEYED)?),
    };
    let digits: &[u8; 64] = digits.as_bytes().try_into().ok()?;
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some((keyed, hash))
}

fn digit(letter: u8) -> Option<u8> {
    let value = DIGITS[usize::from(letter)];
    (value < 16).then_some(value)
}

/// The value of each letter that is a digit of a name; 16 for any other.
const DIGITS: [u8; 256] = {
    let mut values = [16; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    values
};

/// Packs contents; keeps its memory between them.
pub(super) struct Packer(Compressor<'static>);

impl Packer {
    pub(super) fn new() -> io::Result<Self> {
        Compressor::new(LEVEL).map(Self)
    }

    /// The packed bytes; none where packing would not make them smaller.
    fn pack(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        if bytes.len() < WORTH_PACKING_BYTES {
            return None;
        }
        let packed = self.0.compress(bytes).ok()?;
        (packed.len() < bytes.len()).then_some(packed)
    }
}

/// The statements that write contents.
pub(super) struct ContentWriter<'c> {
    exists: CachedStatement<'c>,
    insert: CachedStatement<'c>,
}

impl<'c> ContentWriter<'c> {
    pub(super) fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            exists: connection.prepare_cached(EXISTS)?,
            insert: connection.prepare_cached(INSERT)?,
        })
    }

    /// Writes a content unless it is there already.
    pub(super) fn write(&mut self, packer: &mut Packer, content: &Content) -> rusqlite::Result<()> {
        let Content { hash, bytes } = content;
        if self.exists.exists([hash.as_slice()])? {
            return Ok(());
        }
        let smaller = packer.pack(bytes);
        let stored = smaller.as_deref().unwrap_or(bytes);
        let size = bytes.len().cast_signed();
        self.insert.execute((hash.as_slice(), size, stored))?;
        Ok(())
    }
}

/// Reads what is kept of the content with that hash.
pub(super) fn read(connection: &Connection, hash: &[u8; 32]) -> Result<Kept, Error> {
    let mut select = connection.prepare_cached(SELECT).doing("read a content")?;
    let row = select
        .query_row([hash.as_slice()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()
        .doing("read a content")?;
    let (size, stored) = match row {
        None => return Ok(Kept::Nothing),
        Some((_, _, true)) => return Ok(Kept::Forgotten),
        Some((size, stored, false)) => (size, stored),
    };
    unpack(stored, size)
        .map(Kept::Bytes)
        .map_err(|source| Error::Content {
            name: content_name(hash),
            source,
        })
}

/// Whether the content with that hash was purged.
pub(super) fn is_forgotten(connection: &Connection, hash: &[u8; 32]) -> Result<bool, Error> {
    let doing = "read a forgotten content";
    let mut select = connection.prepare_cached(IS_FORGOTTEN).doing(doing)?;
    select.exists([hash.as_slice()]).doing(doing)
}

/// Whether any content was purged.
pub(super) fn has_forgotten(connection: &Connection) -> Result<bool, Error> {
    let doing = "read forgotten contents";
    let mut select = connection.prepare_cached(HAS_FORGOTTEN).doing(doing)?;
    select.exists([]).doing(doing)
}

/// The bytes of a content as it is stored. Takes no more memory than there are bytes, whatever the
/// size says.
pub(super) fn unpack(stored: Vec<u8>, size: i64) -> io::Result<Vec<u8>> {
    let size = u64::try_from(size).map_err(io::Error::other)?;
    if size > LARGEST_BYTES {
        return Err(io::Error::other("it is larger than any content is"));
    }
    if stored.len() as u64 == size {
        return Ok(stored);
    }
    let mut bytes = Vec::new();
    Decoder::new(stored.as_slice())?
        .take(size.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 == size {
        Ok(bytes)
    } else {
        Err(io::Error::other("it has not the size that is noted"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Batch, Reader, Writer};

    fn content(bytes: &[u8]) -> Content {
        Content {
            hash: *blake3::hash(bytes).as_bytes(),
            bytes: bytes.to_vec(),
        }
    }

    #[test]
    fn a_content_is_stored_once_and_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tracer.db");
        let mut writer = Writer::open(&path).unwrap();
        let contents = [
            content(b""),
            content(b"short\n"),
            content(&b"worker_connections 768;\n".repeat(500)),
            content(
                &(0..2000u32)
                    .flat_map(|i| blake3::hash(&i.to_le_bytes()).as_bytes().to_owned())
                    .collect::<Vec<_>>(),
            ),
        ];
        for _ in 0..2 {
            let mut batch = Batch::default();
            batch.contents.extend(contents.iter().cloned());
            batch.contents.extend(contents.iter().cloned());
            writer.commit(batch).unwrap();
        }
        let reader = Reader::open(&path).unwrap();
        for content in &contents {
            assert_eq!(
                reader.content(&content.hash).unwrap(),
                Kept::Bytes(content.bytes.clone())
            );
        }
        assert_eq!(reader.content(&[7; 32]).unwrap(), Kept::Nothing);
        let count: i64 = Connection::open(&path)
            .unwrap()
            .query_row("SELECT count(*) FROM contents", [], |row| row.get(0))
            .unwrap();
        assert_eq!(count, 4);
    }

    #[test]
    fn contents_with_the_same_first_bytes_of_their_hash_are_kept_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tracer.db");
        let mut other = [9; 32];
        other[31] = 1;
        let twin = |hash, bytes: &[u8]| Content {
            hash,
            bytes: bytes.to_vec(),
        };
        let batch = Batch {
            contents: vec![twin([9; 32], b"one"), twin(other, b"two")],
            ..Batch::default()
        };
        Writer::open(&path).unwrap().commit(batch).unwrap();
        let reader = Reader::open(&path).unwrap();
        let bytes = |hash| reader.content(hash).unwrap().into_bytes().unwrap();
        assert_eq!(bytes(&[9; 32]), b"one");
        assert_eq!(bytes(&other), b"two");
    }

    #[test]
    fn the_index_is_used_to_find_a_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tracer.db");
        drop(Writer::open(&path).unwrap());
        let plan: String = Connection::open(&path)
            .unwrap()
            .query_row(
                &format!("EXPLAIN QUERY PLAN {SELECT}"),
                [[0u8; 32].as_slice()],
                |row| row.get(3),
            )
            .unwrap();
        assert!(plan.contains("contents_by_hash"), "{plan}");
    }

    #[test]
    fn names_read_back_and_other_texts_are_none() {
        let hash = *blake3::hash(b"x").as_bytes();
        assert_eq!(parse_name(&name_of(true, &hash)), Some((true, hash)));
        assert_eq!(parse_content_name(&content_name(&hash)), Some(hash));
        assert_eq!(parse_content_name(&name_of(true, &hash)), None);
        let upper = content_name(&hash).to_uppercase();
        for name in ["", "b3:", "b3:zz", "md5:00", upper.as_str()] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }
}
