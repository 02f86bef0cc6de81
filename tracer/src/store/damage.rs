//! Overwriting each page of a store in turn: it is found, no answer is made up, and what is said names
//! the file.

use std::fs;

use change::ChangeQuery;

use super::example::{Example, alice, create, edit};
use super::{Error, Reader, Writer};

const PAGE: usize = 4096;

fn store() -> (Example, Vec<u8>) {
    let mut example = Example::new();
    for number in 0..150 {
        let text = blake3::hash(&[number])
            .to_hex()
            .repeat(usize::from(number % 100) + 1);
        let path = format!("/etc/{number}");
        example.keep(&[&text, ""]);
        example.log(vec![
            create(
                &path,
                &text,
                i64::from(number),
                Some(alice(u32::from(number))),
            ),
            edit(&path, [&text, ""], i64::from(number), None),
        ]);
    }
    example.writer().checkpoint().unwrap();
    let bytes = fs::read(example.path()).unwrap();
    (example, bytes)
}

#[test]
fn each_page_that_is_overwritten_is_found_and_the_file_is_named() {
    let (_example, whole) = store();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.db");
    let names_it = |error: Error| {
        let said = error.to_string();
        assert!(said.contains("damaged.db"), "{said}");
    };
    let pages = whole.len() / PAGE;
    assert!(pages > 40, "{pages}");
    for page in 0..pages {
        let mut bytes = whole.clone();
        bytes[page * PAGE..][..PAGE].fill(0xa5);
        fs::write(&path, &bytes).unwrap();
        match Reader::open_copy(&path) {
            Ok(reader) => match reader.verify(None) {
                Ok(body) => assert!(!body.intact, "page {page} of {pages}"),
                Err(error) => names_it(error.in_store(&path)),
            },
            Err(error) => names_it(error),
        }
        let asked = Reader::open_copy(&path).and_then(|reader| {
            let changes = reader.changes(&ChangeQuery::default())?;
            changes
                .iter()
                .try_for_each(|change| reader.fact(&change.subject).map(drop))
        });
        if let Err(error) = asked {
            assert!(!error.to_string().is_empty());
        }
        // To write is refused, or works on what is whole; a panic would be found here.
        if let Ok(mut writer) = Writer::open(&path) {
            let batch = super::Batch {
                changes: vec![create("/etc/new", "x", 1, None)],
                ..super::Batch::default()
            };
            if let Err(error) = writer.commit(batch) {
                assert!(
                    error.is_damage() || matches!(error, Error::Row { .. }),
                    "{error}"
                );
            }
        }
        for name in ["damaged.db-wal", "damaged.db-shm"] {
            drop(fs::remove_file(folder.path().join(name)));
        }
    }
}
