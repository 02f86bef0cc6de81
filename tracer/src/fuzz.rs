//! What is fed with any bytes: decoders of what the kernel tells, of what the store holds, and of
//! other programs' databases.
//!
//! The targets in `tracer/fuzz` call these, and so does a bounded run in the tests, from real records.

use change::Text;

use crate::decode::{Decoder, Places};
use crate::{bus, fanotify, inventory, secret, store};

/// Decodes a row of records, each behind its length of two bytes, as one kernel would send them.
pub fn kernel_records(bytes: &[u8]) {
    let mut decoder = Decoder::default();
    let mut rest = bytes;
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes(*length)).min(after.len());
        let (record, after) = after.split_at(length);
        if let Ok(Some(observation)) = decoder.decode(record, &Everywhere) {
            // Whatever was understood can be shown.
            drop(format!("{observation:?}"));
        }
        rest = after;
    }
    fanotify::fuzz(bytes);
}

/// Reads what the store keeps packed or as text, and looks for secrets in what is to be kept.
pub fn store_blobs(bytes: &[u8]) {
    store::fuzz(bytes);
    secret::is_in(bytes);
}

/// Reads the header of a package as rpm's database has it.
pub fn rpm_header(bytes: &[u8]) {
    inventory::fuzz_rpm_header(bytes);
}

/// Reads a message of the system bus.
pub fn bus_message(bytes: &[u8]) {
    bus::fuzz(bytes);
}

/// Knows a place for every number.
struct Everywhere;

impl Places for Everywhere {
    fn root(&self, id: u32) -> Option<Text> {
        (id != 0).then(|| "/etc".into())
    }

    fn mount(&self, id: u32) -> Option<Text> {
        id.is_multiple_of(2).then(|| "/".into())
    }

    fn device(&self, dev: u64) -> Option<Text> {
        dev.is_multiple_of(2).then(|| "/srv".into())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tracer_ebpf::{
        CgroupRecord, DoneRecord, ExecRecord, ExitRecord, FileRecord, ForkRecord, Header,
        ModuleDoneRecord, ModuleFileRecord, ModuleRecord, MountRecord, RecordKind, RenameRecord,
        SignalRecord, SysctlRecord, SysrqRecord, WrittenRecord,
    };
    use zerocopy::{FromBytes as _, FromZeros, Immutable, IntoBytes};

    use super::*;
    use crate::decode::Error;

    /// Each run is the same one; so many take a second or two.
    const ROUNDS: u32 = 60_000;

    /// Splitmix64: enough to choose places and bytes.
    struct Chance(u64);

    impl Chance {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        }

        fn below(&mut self, end: usize) -> usize {
            usize::try_from(self.next() % end.max(1) as u64).unwrap()
        }

        fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
            items[self.below(items.len())]
        }
    }

    fn record<T: FromZeros + IntoBytes + Immutable>(
        kind: RecordKind,
        fill: impl FnOnce(&mut T) -> &mut Header,
        extra: &[u8],
    ) -> Vec<u8> {
        let mut record = T::new_zeroed();
        let header = fill(&mut record);
        header.kind = kind;
        (header.pid, header.tid, header.time_ns) = (7, 8, 1_000_000_000);
        [record.as_bytes(), extra].concat()
    }

    fn file(kind: u32) -> Vec<u8> {
        let names = b"\x05hosts\x03new";
        record::<FileRecord>(
            RecordKind(kind),
            |record| {
                (record.path.root, record.path.names_len) = (1, 10);
                record.extra_len = 6;
                (record.inode.number, record.inode.ctime_sec) = (4711, 1_700_000_000);
                &mut record.header
            },
            &[names.as_slice(), b"\x05value"].concat(),
        )
    }

    /// One record of each kind, as the programs send them.
    fn records() -> Vec<Vec<u8>> {
        let mut records: Vec<Vec<u8>> = (4..=15)
            .filter(|kind| ![12, 13].contains(kind))
            .map(file)
            .collect();
        records.push(record::<ForkRecord>(
            RecordKind::FORK,
            |record| {
                record.child = 9;
                &mut record.header
            },
            b"",
        ));
        records.push(record::<ExitRecord>(
            RecordKind::EXIT,
            |record| &mut record.header,
            b"",
        ));
        records.push(record::<DoneRecord>(
            RecordKind::DONE,
            |record| &mut record.header,
            b"",
        ));
        records.push(record::<ExecRecord>(
            RecordKind::EXEC,
            |record| {
                (record.exe.names_len, record.cwd.names_len) = (4, 5);
                (record.argv_len, record.argv_bytes) = (7, 7);
                &mut record.header
            },
            b"\x03vim\x04rootvim\0/a\0",
        ));
        records.push(record::<RenameRecord>(
            RecordKind::RENAMING,
            |record| {
                (record.from.names_len, record.to.names_len) = (2, 2);
                record.to.root = 1;
                &mut record.header
            },
            b"\x01a\x01b",
        ));
        for kind in [
            RecordKind::MODULE_LOADED,
            RecordKind::MODULE_FREED,
            RecordKind::MODULE_REQUESTED,
        ] {
            records.push(record::<ModuleRecord>(
                kind,
                |record| {
                    record.name_len = 5;
                    &mut record.header
                },
                b"dummy",
            ));
        }
        for kind in [
            RecordKind::MOUNTED,
            RecordKind::MOVING_MOUNT,
            RecordKind::UNMOUNTED,
            RecordKind::REMOUNTED,
            RecordKind::SWAPPED,
        ] {
            records.push(record::<MountRecord>(
                kind,
                |record| {
                    record.path.names_len = 4;
                    record.given_len = 5;
                    &mut record.header
                },
                b"\x03srv/swap",
            ));
        }
        records.extend(of_settings());
        records
    }

    /// Those of sysctls and settings.
    fn of_settings() -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        records.push(record::<SysctlRecord>(
            RecordKind::SYSCTL,
            |record| {
                (record.name_len, record.before_len, record.after_len) = (13, 3, 3);
                &mut record.header
            },
            b"vm/swappiness60\n10\n",
        ));
        for kind in [RecordKind::SYSCTL_DONE, RecordKind::SETTING] {
            records.push(record::<WrittenRecord>(
                kind,
                |record| {
                    record.path.names_len = 18;
                    &mut record.header
                },
                b"\x0aswappiness\x02vm\x03sys",
            ));
        }
        records.push(record::<CgroupRecord>(
            RecordKind::CGROUP,
            |record| {
                (record.id, record.path_len) = (7, 6);
                &mut record.header
            },
            b"/a.b/c",
        ));
        records.push(record::<ModuleFileRecord>(
            RecordKind::MODULE_FILE,
            |record| {
                (record.path.names_len, record.path.place) = (5, 2);
                &mut record.header
            },
            b"\x04a.ko",
        ));
        records.push(record::<ModuleDoneRecord>(
            RecordKind::MODULE_DONE,
            |record| {
                record.result = -8;
                &mut record.header
            },
            b"",
        ));
        records.push(record::<SignalRecord>(
            RecordKind::SIGNAL,
            |record| {
                (record.target, record.signal) = (9, 15);
                &mut record.header
            },
            b"",
        ));
        records.push(record::<SysrqRecord>(
            RecordKind::SYSRQ,
            |record| {
                record.key = u32::from(b'h');
                &mut record.header
            },
            b"",
        ));
        records
    }

    /// What the store has in its rows, behind the byte that says which sort it is.
    fn blobs() -> Vec<Vec<u8>> {
        let packed = zstd::bulk::compress(&b"worker_connections 768;\n".repeat(20), 1).unwrap();
        let size = 480i64.to_le_bytes();
        vec![
            [b"\0".as_slice(), &size, &packed].concat(),
            br#"1{"target":"../x","xattrs":{"user.a":"b"},"mode":"4755"}"#.to_vec(),
            br#"2["vim","/etc/a"]"#.to_vec(),
            [b"3b3:", "ab".repeat(32).as_bytes()].concat(),
            [b"47:", "ab".repeat(32).as_bytes()].concat(),
            b"5replaced moved-on".to_vec(),
        ]
    }

    /// A header of rpm: name, version, release and architecture as texts, and the epoch.
    fn header() -> Vec<u8> {
        let data = b"\0\0\0\x02bash\x005.2\x001.fc39\0x86_64\0";
        let entries = [
            [1000, 6, 4, 1],
            [1001, 6, 9, 1],
            [1002, 6, 13, 1],
            [1003, 4, 0, 1],
            [1022, 6, 20, 1],
        ];
        let counts = [5, u32::try_from(data.len()).unwrap()];
        let words = counts.into_iter().chain(entries.into_iter().flatten());
        let words = words.flat_map(u32::to_be_bytes);
        words.chain(data.iter().copied()).collect()
    }

    /// A call as a monitor of the bus gets it.
    const CALL: &[u8] =
        b"l\x01\0\x01 \0\0\0\t\0\0\0=\0\0\0\x03\x01s\0\x0b\0\0\0RestartUnit\0\0\0\0\0\
        \x08\x01g\0\x02ss\0\x07\x01s\0\x04\0\0\0:1.3\0\0\0\0\x05\x01u\0\t\0\0\0\0\0\0\0\
        \x0c\0\0\0demo.service\0\0\0\0\x07\0\0\0replace\0";

    fn mutate(bytes: &mut Vec<u8>, chance: &mut Chance) {
        for _ in 0..=chance.below(4) {
            mutate_once(bytes, chance);
        }
    }

    fn mutate_once(bytes: &mut Vec<u8>, chance: &mut Chance) {
        let at = chance.below(bytes.len());
        match chance.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, chance.next().to_le_bytes()[0]),
            // A length, a size or a time at one of its ends.
            2 => {
                let number: u32 = chance.one_of(&[0, 1, u32::MAX, u32::MAX >> 1, 1 << 31, 255]);
                overwrite(bytes, at & !3, &number.to_le_bytes());
            }
            3 => {
                let number: i64 = chance.one_of(&[i64::MAX, i64::MIN, -1]);
                overwrite(bytes, at & !7, &number.to_le_bytes());
            }
            4 => bytes.extend_from_within(at..),
            _ => {
                let flipped = bytes.get(at).map(|byte| byte ^ 1 << chance.below(8));
                overwrite(bytes, at, flipped.as_slice());
            }
        }
    }

    fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
        let places = bytes.iter_mut().skip(at);
        places.zip(with).for_each(|(place, byte)| *place = *byte);
    }

    #[test]
    fn the_records_that_are_changed_are_understood_as_they_are() {
        let mut decoder = Decoder::default();
        for record in records() {
            let understood = decoder.decode(&record, &Everywhere);
            assert!(understood.is_ok(), "{understood:?}");
        }
    }

    #[test]
    fn each_kind_that_is_understood_is_among_those_that_are_changed() {
        let kind_of = |record: &Vec<u8>| Header::read_from_prefix(record).unwrap().0.kind.0;
        let changed: BTreeSet<u32> = records().iter().map(kind_of).collect();
        let is_known = |kind: &u32| {
            let mut header = Header::new_zeroed();
            header.kind = RecordKind(*kind);
            let decoded = Decoder::default().decode(header.as_bytes(), &Everywhere);
            decoded != Err(Error::UnknownKind(*kind))
        };
        assert_eq!(changed, (0..1000).filter(is_known).collect());
    }

    #[test]
    fn no_record_makes_it_panic_however_it_is_changed() {
        let (records, mut chance) = (records(), Chance(1));
        for _ in 0..ROUNDS {
            let mut row = Vec::new();
            for _ in 0..=chance.below(2) {
                let mut record = records[chance.below(records.len())].clone();
                mutate(&mut record, &mut chance);
                row.extend(
                    u16::try_from(record.len())
                        .unwrap_or(u16::MAX)
                        .to_le_bytes(),
                );
                row.extend(record);
            }
            kernel_records(&row);
        }
    }

    #[test]
    fn no_blob_makes_it_panic_however_it_is_changed() {
        let (blobs, mut chance) = (blobs(), Chance(2));
        for _ in 0..ROUNDS {
            let mut blob = blobs[chance.below(blobs.len())].clone();
            mutate(&mut blob, &mut chance);
            store_blobs(&blob);
        }
    }

    #[test]
    fn no_message_makes_it_panic_however_it_is_changed() {
        let mut chance = Chance(4);
        for _ in 0..ROUNDS {
            let mut message = CALL.to_vec();
            mutate(&mut message, &mut chance);
            bus_message(&message);
        }
    }

    #[test]
    fn no_header_makes_it_panic_however_it_is_changed() {
        let mut chance = Chance(3);
        for _ in 0..ROUNDS {
            let mut header = header();
            mutate(&mut header, &mut chance);
            rpm_header(&header);
        }
    }
}
