//! Writes to sysctls and to the settings of sysfs, from records.

use tracer_ebpf::{Header, NamespacesRecord, RecordKind, SysctlRecord, SysrqRecord, WrittenRecord};

use super::paths::join;
use super::{Error, split, take};
use crate::observed::{Event, Namespaces, SysctlWrite};

/// A write that is about to be decided on.
pub(super) fn sysctl(record: &[u8]) -> Result<Event, Error> {
    let kind = RecordKind::SYSCTL;
    let (
        SysctlRecord {
            header,
            name_len,
            before_len,
            after_len,
            reserved: _,
            namespaces,
        },
        rest,
    ) = take(record, kind)?;
    let (name, rest) = split(rest, name_len, kind)?;
    let (before, rest) = split(rest, before_len, kind)?;
    let (after, _) = split(rest, after_len, kind)?;
    // What is longer than a record holds, or cannot be read, is told without a byte.
    let value = |bytes: &[u8]| {
        (!bytes.is_empty()).then(|| {
            String::from_utf8_lossy(bytes)
                .trim_end_matches(['\n', '\0'])
                .to_owned()
        })
    };
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(Event::Sysctl(SysctlWrite {
        path: name.into(),
        before: value(before),
        asked: value(after),
        namespaces: namespaces_of(&header, namespaces),
        ended_ns: None,
    }))
}

/// A write that was decided on; nothing where the kernel refused it.
pub(super) fn sysctl_done(record: &[u8]) -> Result<(Header, Option<SysctlWrite>), Error> {
    let kind = RecordKind::SYSCTL_DONE;
    let (
        WrittenRecord {
            header,
            path,
            namespaces,
            result,
        },
        rest,
    ) = take(record, kind)?;
    let (names, _) = split(rest, path.names_len, kind)?;
    let path = join(&"".into(), names);
    let path = path.as_bytes().strip_prefix(b"/sys/");
    let write = path.filter(|_| result >= 0).map(|path| SysctlWrite {
        path: path.into(),
        before: None,
        asked: None,
        namespaces: namespaces_of(&header, namespaces),
        ended_ns: Some(header.time_ns),
    });
    Ok((header, write))
}

/// A write to a file of sysfs that succeeded.
pub(super) fn setting(record: &[u8]) -> Result<Event, Error> {
    let kind = RecordKind::SETTING;
    let (WrittenRecord { path, .. }, rest) = take(record, kind)?;
    let (names, _) = split(rest, path.names_len, kind)?;
    Ok(Event::Setting {
        path: join(&"/sys".into(), names),
    })
}

/// A function of the magic system request key.
pub(super) fn sysrq(record: &[u8]) -> Result<Event, Error> {
    let (SysrqRecord { key, .. }, _) = take(record, RecordKind::SYSRQ)?;
    let key = char::from_u32(key).unwrap_or(char::REPLACEMENT_CHARACTER);
    Ok(Event::Sysrq { key })
}

fn namespaces_of(header: &Header, record: NamespacesRecord) -> Namespaces {
    let NamespacesRecord {
        net,
        ipc,
        uts,
        user,
    } = record;
    Namespaces {
        net,
        ipc,
        uts,
        user,
        pid: header.pid_ns,
    }
}

#[cfg(test)]
mod tests {
    use tracer_ebpf::PathRecord;
    use zerocopy::{FromZeros as _, IntoBytes as _};

    use super::super::{Decoder, tests::Etc};
    use super::*;
    use crate::observed::Observation;

    fn announced(tid: u32, path: &[u8], before: &[u8], asked: &[u8]) -> Vec<u8> {
        let mut record = SysctlRecord::new_zeroed();
        record.header.kind = RecordKind::SYSCTL;
        (record.header.tid, record.header.time_ns) = (tid, 5);
        (record.header.pid_ns, record.namespaces.net) = (4, 7);
        record.name_len = u32::try_from(path.len()).unwrap();
        record.before_len = u32::try_from(before.len()).unwrap();
        record.after_len = u32::try_from(asked.len()).unwrap();
        [record.as_bytes(), path, before, asked].concat()
    }

    fn written(kind: RecordKind, tid: u32, names: &[u8], result: i64) -> Vec<u8> {
        let mut record = WrittenRecord::new_zeroed();
        record.header.kind = kind;
        (record.header.tid, record.header.time_ns) = (tid, 6);
        record.path = PathRecord {
            names_len: u32::try_from(names.len()).unwrap(),
            ..PathRecord::new_zeroed()
        };
        record.result = result;
        [record.as_bytes(), names].concat()
    }

    fn write_in(observation: Option<Observation>) -> Option<SysctlWrite> {
        match observation?.event {
            Event::Sysctl(write) => Some(write),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_write_that_the_kernel_refused_is_nothing() {
        let mut decoder = Decoder::new(true);
        let mut decode = |record: &[u8]| write_in(decoder.decode(record, &Etc).unwrap());
        let begun = announced(8, b"vm/swappiness\0", b"60\n", b"999\n");
        assert_eq!(decode(&begun), None);
        let names = b"\x0aswappiness\x02vm\x03sys";
        assert_eq!(
            decode(&written(RecordKind::SYSCTL_DONE, 8, names, -22)),
            None
        );
        assert_eq!(decode(&begun), None);
        let taken = decode(&written(RecordKind::SYSCTL_DONE, 8, names, 3)).unwrap();
        assert_eq!(taken.path, "vm/swappiness".into());
        assert_eq!(taken.before.as_deref(), Some("60"));
        assert_eq!(taken.asked.as_deref(), Some("999"));
        assert_eq!((taken.namespaces.net, taken.namespaces.pid), (7, 4));
        assert_eq!(taken.ended_ns, Some(6));
        // Of one that was not announced there is what it was about.
        let alone = decode(&written(RecordKind::SYSCTL_DONE, 8, names, 3)).unwrap();
        assert_eq!((alone.path, alone.asked), ("vm/swappiness".into(), None));
    }

    #[test]
    fn a_write_whose_outcome_is_not_told_is_told_at_once() {
        let mut decoder = Decoder::default();
        let begun = announced(8, b"kernel/modprobe\0", b"\n", b"");
        let write = write_in(decoder.decode(&begun, &Etc).unwrap()).unwrap();
        assert_eq!(write.before.as_deref(), Some(""));
        assert_eq!((write.asked, write.ended_ns), (None, None));
    }

    #[test]
    fn a_setting_is_named_by_its_path() {
        let names = b"\x07enabled\x14transparent_hugepage\x02mm\x06kernel";
        let record = written(RecordKind::SETTING, 8, names, 6);
        let event = Decoder::default().decode(&record, &Etc).unwrap().unwrap();
        let path = "/sys/kernel/mm/transparent_hugepage/enabled".into();
        assert_eq!(event.event, Event::Setting { path });
    }
}
