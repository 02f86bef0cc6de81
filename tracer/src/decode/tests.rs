//! Records as the programs make them, and records that nobody should make.

use proptest::prelude::*;
use zerocopy::{FromZeros as _, IntoBytes as _};

use super::*;

pub(super) struct Etc;

impl Places for Etc {
    fn root(&self, id: u32) -> Option<Text> {
        (id == 1).then(|| "/etc".into())
    }

    fn mount(&self, _id: u32) -> Option<Text> {
        Some("/".into())
    }

    fn device(&self, _dev: u64) -> Option<Text> {
        Some("/".into())
    }
}

fn file_record(kind: RecordKind, attempt: u64) -> Vec<u8> {
    let names = b"\x05hosts";
    let mut record = FileRecord::new_zeroed();
    record.header.kind = kind;
    (record.header.pid, record.header.tid) = (7, 8);
    record.header.login_uid = u32::MAX;
    record.header.tty[..4].copy_from_slice(b"pts0");
    record.path.root = 1;
    record.path.names_len = u32::try_from(names.len()).unwrap();
    record.detail = attempt;
    let mut bytes = record.as_bytes().to_vec();
    bytes.extend_from_slice(names);
    bytes
}

fn done_record(attempt: u64, result: i32) -> Vec<u8> {
    let mut record = DoneRecord::new_zeroed();
    record.header.kind = RecordKind::DONE;
    record.header.tid = 8;
    (record.attempt, record.result) = (attempt, result);
    record.as_bytes().to_vec()
}

fn decode(decoder: &mut Decoder, record: &[u8]) -> Option<Observation> {
    decoder.decode(record, &Etc).unwrap()
}

#[test]
fn a_record_names_the_task_and_the_path() {
    let record = file_record(RecordKind::CLOSED, 1);
    let observation = decode(&mut Decoder::default(), &record).unwrap();
    let Who::Task(task) = &observation.who else {
        panic!("no task")
    };
    assert_eq!((task.process.pid, task.login_uid), (7, None));
    assert_eq!(task.tty.as_deref(), Some("pts0"));
    let Event::File(event) = observation.event else {
        panic!("no file")
    };
    assert_eq!(event.path, "/etc/hosts".into());
    assert_eq!(event.action, Action::Closed { created: true });
}

#[test]
fn only_a_removal_that_succeeded_is_told() {
    let mut decoder = Decoder::default();
    assert_eq!(
        decode(&mut decoder, &file_record(RecordKind::REMOVING, 5)),
        None
    );
    assert_eq!(decode(&mut decoder, &done_record(5, -13)), None);
    assert_eq!(
        decode(&mut decoder, &file_record(RecordKind::REMOVING, 6)),
        None
    );
    assert!(decode(&mut decoder, &done_record(6, 0)).is_some());
    assert_eq!(
        decode(&mut decoder, &done_record(6, 0)),
        None,
        "an outcome is told once"
    );
}

/// A rename within a directory, from one name to another, of the inodes with these numbers.
fn rename_record(inode: u64, replaced: u64, flags: u32) -> Vec<u8> {
    let mut record = RenameRecord::new_zeroed();
    record.header.kind = RecordKind::RENAMING;
    record.header.tid = 8;
    (record.inode.number, record.replaced.number) = (inode, replaced);
    (record.from.root, record.from.names_len) = (1, 2);
    (record.to.root, record.to.names_len) = (1, 2);
    (record.attempt, record.flags) = (9, flags);
    let mut bytes = record.as_bytes().to_vec();
    bytes.extend_from_slice(b"\x01a\x01b");
    bytes
}

#[test]
fn a_rename_onto_a_name_of_the_same_file_is_nothing() {
    let mut decoder = Decoder::default();
    decode(&mut decoder, &rename_record(5, 5, 0));
    assert_eq!(decode(&mut decoder, &done_record(9, 0)), None);
    assert_eq!(decoder.abandoned(), 0);
}

#[test]
fn a_rename_tells_what_it_left_under_the_old_name() {
    for (flags, expected) in [(0, Left::Nothing), (2, Left::Other), (4, Left::Whiteout)] {
        let mut decoder = Decoder::default();
        decode(&mut decoder, &rename_record(5, 6, flags));
        let observation = decode(&mut decoder, &done_record(9, 0)).unwrap();
        let Event::File(event) = observation.event else {
            panic!("no event of a file")
        };
        let Action::Renamed { left, .. } = event.action else {
            panic!("no rename")
        };
        assert_eq!(left, expected);
    }
}

#[test]
fn a_kind_that_does_not_exist_is_an_error() {
    let mut header = Header::new_zeroed();
    header.kind = RecordKind(99);
    let error = Decoder::default().decode(header.as_bytes(), &Etc);
    assert_eq!(error, Err(Error::UnknownKind(99)));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(kind in 0u32..30, rest in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut bytes = rest;
        if let Some(place) = bytes.get_mut(24..28) {
            place.copy_from_slice(&kind.to_ne_bytes());
        }
        let mut decoder = Decoder::default();
        drop(decoder.decode(&bytes, &Etc));
    }
}
