//! Purging contents: finding those that only one file has or had, and overwriting their bytes where
//! they lie. Their rows stay, so that the hash chain holds and the same bytes are never kept again.

use std::collections::{BTreeMap, BTreeSet};

use change::Subject;
use rusqlite::{Connection, OptionalExtension as _};

use super::error::Doing as _;
use super::{Error, subjects};

/// The hashes of contents that a subject has or had, with the states that have them.
const SELECT_OWN: &str = "
    SELECT c.id, c.size, c.hash FROM contents c
    WHERE c.hash IN (
        SELECT s.hash FROM states s WHERE s.keyed IS NULL AND s.hash IS NOT NULL AND s.id IN (
            SELECT before FROM changes WHERE subject = ?1 OR from_subject = ?1
            UNION SELECT after FROM changes WHERE subject = ?1 OR from_subject = ?1
            UNION SELECT state FROM facts WHERE subject = ?1))
    AND c.size > 0 AND c.id NOT IN (SELECT content FROM forgotten)";
const SELECT_NOW: &str = "
    SELECT s.hash FROM facts f JOIN states s ON s.id = f.state WHERE f.subject = ?1";
const SELECT_STATES: &str = "SELECT id, hash FROM states WHERE keyed IS NULL AND hash IS NOT NULL";
const SELECT_CHANGES: &str = "
    SELECT subject, from_subject, before, after FROM changes
    WHERE subject <> ?1 AND from_subject IS NOT ?1";
const SELECT_FACTS: &str = "SELECT subject, state FROM facts WHERE subject <> ?1";
const SELECT_KEY: &str = "SELECT kind, key FROM subjects WHERE id = ?1";

// Of the same length, so that SQLite writes it over the old bytes in their place: a row that moves
// leaves a copy behind in the part of a page that is not used.
const OVERWRITE: &str = "UPDATE contents SET bytes = zeroblob(length(bytes)) WHERE id = ?1";
const INSERT: &str = "INSERT INTO forgotten (content, seq) VALUES (?1, ?2)";

const PLAN: &str = "find the contents of a file";

/// What is kept of a content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Its bytes.
    Bytes(Vec<u8>),
    /// It was kept, and purged since.
    Forgotten,
    /// It never was.
    Nothing,
}

impl Kept {
    /// The bytes, where there are any.
    pub fn into_bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Forgotten | Self::Nothing => None,
        }
    }
}

/// Contents that are to be purged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purge {
    /// Rows of the contents.
    pub(super) rows: Vec<i64>,
    /// How many bytes they have.
    pub bytes: u64,
    /// Subjects that have or had some of the subject's contents.
    pub shared_with: Vec<Subject>,
    /// Whether the subject has one of the contents now.
    pub is_current: bool,
}

impl Purge {
    /// How many contents there are.
    pub fn count(&self) -> usize {
        self.rows.len()
    }
}

/// Finds the contents of a subject that no other one has or had, or with `with_shared` all of its
/// contents. What another file comes to have in the meantime is purged for that one too.
pub(super) fn plan(
    connection: &Connection,
    subject: &Subject,
    with_shared: bool,
) -> Result<Purge, Error> {
    let snapshot = connection.unchecked_transaction().doing(PLAN)?;
    let Some(id) = subjects::id_of(&snapshot, subject)? else {
        return Ok(Purge::default());
    };
    let mut own = own_contents(&snapshot, id)?;
    let now: Option<Option<Vec<u8>>> = snapshot
        .query_row(SELECT_NOW, [id], |row| row.get(0))
        .optional()
        .doing(PLAN)?;
    let mut shared = BTreeSet::new();
    if !own.is_empty() {
        for (hash, other) in shared_contents(&snapshot, id, &own)? {
            shared.insert(other);
            if !with_shared {
                own.remove(&hash);
            }
        }
    }
    Ok(Purge {
        is_current: now.flatten().is_some_and(|hash| own.contains_key(&hash)),
        rows: own.values().map(|(row, _)| *row).collect(),
        bytes: own.values().map(|(_, size)| size).sum(),
        shared_with: names(&snapshot, &shared)?,
    })
}

/// Row and size by hash.
type Contents = BTreeMap<Vec<u8>, (i64, u64)>;

fn own_contents(connection: &Connection, subject: i64) -> Result<Contents, Error> {
    let mut select = connection.prepare_cached(SELECT_OWN).doing(PLAN)?;
    let rows = select
        .query_map([subject], |row| {
            let size: i64 = row.get(1)?;
            Ok((row.get(2)?, (row.get(0)?, size.cast_unsigned())))
        })
        .doing(PLAN)?;
    rows.collect::<rusqlite::Result<_>>().doing(PLAN)
}

/// Which of the contents other subjects have or had. Reads all states, changes and facts: an index
/// for what is asked so seldom would cost each change.
fn shared_contents(
    connection: &Connection,
    subject: i64,
    own: &Contents,
) -> Result<BTreeSet<(Vec<u8>, i64)>, Error> {
    let mut states = BTreeMap::new();
    let mut select = connection.prepare_cached(SELECT_STATES).doing(PLAN)?;
    let mut rows = select.query([]).doing(PLAN)?;
    while let Some(row) = rows.next().doing(PLAN)? {
        let hash = row.get_ref(1).doing(PLAN)?.as_blob().unwrap_or_default();
        if own.contains_key(hash) {
            states.insert(row.get::<_, i64>(0).doing(PLAN)?, hash.to_vec());
        }
    }
    let mut shared = BTreeSet::new();
    let mut note = |state: Option<i64>, other: i64| {
        let hash = state.and_then(|state| states.get(&state));
        shared.extend(hash.map(|hash| (hash.clone(), other)));
    };
    let mut select = connection.prepare_cached(SELECT_CHANGES).doing(PLAN)?;
    let mut rows = select.query([subject]).doing(PLAN)?;
    while let Some(row) = rows.next().doing(PLAN)? {
        let other = row.get(0).doing(PLAN)?;
        note(row.get(2).doing(PLAN)?, other);
        note(row.get(3).doing(PLAN)?, other);
    }
    let mut select = connection.prepare_cached(SELECT_FACTS).doing(PLAN)?;
    let mut rows = select.query([subject]).doing(PLAN)?;
    while let Some(row) = rows.next().doing(PLAN)? {
        note(row.get(1).doing(PLAN)?, row.get(0).doing(PLAN)?);
    }
    Ok(shared)
}

fn names(connection: &Connection, ids: &BTreeSet<i64>) -> Result<Vec<Subject>, Error> {
    let mut select = connection.prepare_cached(SELECT_KEY).doing(PLAN)?;
    let name = |id: &i64| {
        let (kind, key): (String, Vec<u8>) = select
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
            .doing(PLAN)?;
        subjects::from_columns(&kind, key).map_err(|what| Error::Row {
            table: "subjects",
            row: *id,
            what,
        })
    };
    ids.iter().map(name).collect()
}

/// Overwrites the bytes, and notes which change records that.
pub(super) fn overwrite(connection: &Connection, purge: &Purge, seq: u64) -> rusqlite::Result<()> {
    let mut overwrite = connection.prepare_cached(OVERWRITE)?;
    let mut insert = connection.prepare_cached(INSERT)?;
    for row in &purge.rows {
        overwrite.execute([row])?;
        insert.execute((row, seq.cast_signed()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use change::{Change, Op};

    use super::*;
    use crate::store::example::{Example, alice, create, delete, edit, file, rename, text_fact};
    use crate::store::{Batch, Content};

    /// Whether the bytes are anywhere in the files of the store.
    fn is_on_disk(example: &Example, text: &str) -> bool {
        let folder = example.path().parent().unwrap().to_owned();
        fs::read_dir(folder).unwrap().any(|file| {
            let bytes = fs::read(file.unwrap().path()).unwrap();
            let wanted = text.as_bytes();
            bytes.windows(wanted.len()).any(|window| window == wanted)
        })
    }

    fn forget(example: &mut Example, path: &str, with_shared: bool) -> (Purge, Change) {
        let purge = example.reader().purge(&file(path), with_shared).unwrap();
        let change = Change {
            op: Op::Forget,
            ..delete(path, "", 99, Some(alice(41)))
        };
        let stored = example.writer().forget(&purge, change).unwrap();
        (purge, stored)
    }

    fn kept(example: &Example, text: &str) -> Kept {
        let hash = blake3::hash(text.as_bytes());
        example.reader().content(hash.as_bytes()).unwrap()
    }

    /// Text that hardly packs, so that it is found on the disk where it is not purged.
    fn noise(seed: u64, length: usize) -> String {
        let mut text = String::new();
        for number in 0u64.. {
            if text.len() >= length {
                break;
            }
            text += blake3::hash(&(seed, number).0.wrapping_add(number << 20).to_le_bytes())
                .to_hex()
                .as_str();
        }
        text.truncate(length);
        text
    }

    #[test]
    fn the_bytes_are_gone_from_the_raw_files_and_the_chain_is_intact() {
        let mut example = Example::new();
        // Of all lengths: within a page, over several, and packed.
        let lengths = [
            20, 60, 100, 127, 128, 500, 3000, 4050, 5000, 20_000, 300_000,
        ];
        let mut seconds = 0;
        let mut secrets = Vec::new();
        for (seed, length) in (1..).zip(lengths) {
            for path in ["/etc/secret", "/etc/other"] {
                seconds += 1;
                let text = noise(seed * 1000 + seconds, length);
                example.keep(&[&text]);
                example.log(vec![create(path, &text, seconds.cast_signed(), None)]);
                secrets.extend((path == "/etc/secret").then_some(text));
            }
        }
        let short = |text: &String| text[..20].to_owned();
        assert!(is_on_disk(&example, &short(&secrets[0])));
        let (purge, change) = forget(&mut example, "/etc/secret", false);
        assert_eq!((purge.count(), purge.is_current), (lengths.len(), true));
        assert_eq!(change.seq, 2 * lengths.len() as u64 + 1);
        for text in &secrets {
            assert_eq!(kept(&example, text), Kept::Forgotten);
            // Packed bytes do not show the text; the packed form is looked for below.
            assert!(!is_on_disk(&example, &short(text)), "{} bytes", text.len());
        }
        let packed: i64 = example
            .connection()
            .query_row(
                "SELECT count(*) FROM contents WHERE id IN (SELECT content FROM forgotten)
                AND bytes <> zeroblob(length(bytes))",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(packed, 0);
        let body = example.reader().verify(None).unwrap();
        assert!(body.intact, "{body:?}");
        assert_eq!(body.forgotten, lengths.len() as u64);
        assert!(matches!(kept(&example, &noise(1002, 20)), Kept::Bytes(_)));
    }

    #[test]
    fn no_raw_packed_byte_is_left_either() {
        let mut example = Example::new();
        for number in 0..200i64 {
            let text = noise(number.cast_unsigned() + 1, 700);
            example.keep(&[&text]);
            let path = if number == 100 {
                "/etc/secret"
            } else {
                "/etc/other"
            };
            example.log(vec![create(path, &text, number, None)]);
        }
        let text = noise(101, 700);
        let row = "SELECT bytes FROM contents WHERE hash = ?1";
        let hash = blake3::hash(text.as_bytes());
        let packed: Vec<u8> = example
            .connection()
            .query_row(row, [hash.as_bytes().as_slice()], |row| row.get(0))
            .unwrap();
        assert!(packed.len() < text.len());
        let is_there = |example: &Example| {
            let folder = example.path().parent().unwrap().to_owned();
            fs::read_dir(folder).unwrap().any(|file| {
                let bytes = fs::read(file.unwrap().path()).unwrap();
                packed
                    .chunks_exact(64)
                    .any(|piece| bytes.windows(piece.len()).any(|window| window == piece))
            })
        };
        example.writer().checkpoint().unwrap();
        assert!(is_there(&example));
        forget(&mut example, "/etc/secret", false);
        assert!(!is_there(&example));
    }

    #[test]
    fn what_others_have_is_kept_unless_it_is_asked_for() {
        let mut example = Example::new();
        example.keep(&["mine\n", "shared\n"]);
        example.log(vec![
            create("/etc/a", "mine\n", 1, None),
            edit("/etc/a", ["mine\n", "shared\n"], 2, None),
            create("/etc/b", "shared\n", 3, None),
        ]);
        let (purge, _) = forget(&mut example, "/etc/a", false);
        assert_eq!((purge.count(), purge.bytes), (1, 5));
        assert_eq!(purge.shared_with, [file("/etc/b")]);
        assert!(!purge.is_current);
        assert_eq!(kept(&example, "mine\n"), Kept::Forgotten);
        assert_eq!(
            kept(&example, "shared\n"),
            Kept::Bytes(b"shared\n".to_vec())
        );
        let (purge, _) = forget(&mut example, "/etc/a", true);
        assert_eq!((purge.count(), purge.is_current), (1, true));
        assert_eq!(kept(&example, "shared\n"), Kept::Forgotten);
    }

    #[test]
    fn what_is_forgotten_is_not_kept_again_and_a_second_time_has_nothing_to_do() {
        let mut example = Example::new();
        example.keep(&["secret\n"]);
        example.commit(Batch {
            facts: vec![text_fact("/etc/a", "secret\n", 1)],
            ..Batch::default()
        });
        assert!(forget(&mut example, "/etc/a", false).0.is_current);
        example.commit(Batch {
            contents: vec![Content {
                hash: *blake3::hash(b"secret\n").as_bytes(),
                bytes: b"secret\n".to_vec(),
            }],
            ..Batch::default()
        });
        assert_eq!(kept(&example, "secret\n"), Kept::Forgotten);
        assert_eq!(
            example
                .reader()
                .purge(&file("/etc/a"), true)
                .unwrap()
                .count(),
            0
        );
        assert_eq!(
            example.reader().purge(&file("/etc/never"), true).unwrap(),
            Purge::default()
        );
        assert!(!is_on_disk(&example, "secret\n"));
    }

    #[test]
    fn a_rename_leaves_the_content_to_both_names() {
        let mut example = Example::new();
        example.keep(&["x\n"]);
        example.log(vec![
            create("/etc/a", "x\n", 1, None),
            rename(["/etc/a", "/etc/b"], "x\n", 2),
        ]);
        let purge = example.reader().purge(&file("/etc/a"), false).unwrap();
        assert_eq!(
            (purge.count(), purge.shared_with),
            (0, vec![file("/etc/b")])
        );
        let purge = example.reader().purge(&file("/etc/b"), true).unwrap();
        assert_eq!(purge.count(), 1);
    }
}
