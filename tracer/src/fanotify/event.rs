//! Events as the kernel writes them: fanotify(7), `include/uapi/linux/fanotify.h`.

use nix::libc;
use nix::sys::fanotify::MaskFlags;

use super::handle::Handle;

/// Length of `struct fanotify_event_metadata`.
const METADATA: usize = 24;

/// Holds one event: often several things that one process did to one file, in no order.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) mask: MaskFlags,
    pub(super) pid: u32,
    /// The directory and the name in it; `.` is the directory itself.
    pub(super) entry: Option<Entry>,
    /// For a rename the name before.
    pub(super) from: Option<Entry>,
    /// For a rename the name after.
    pub(super) to: Option<Entry>,
    /// The file itself.
    pub(super) file: Option<Handle>,
}

/// Names a file by its directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) directory: Handle,
    pub(super) name: Vec<u8>,
}

/// Reads all events in a buffer that the kernel filled. What cannot be understood ends it.
pub(super) fn parse(mut buffer: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(length) = u32_at(buffer, 0) {
        let length = length as usize;
        let Some(event) = buffer.get(..length).and_then(parse_one) else {
            tracing::error!("read fanotify events: unknown layout of {length} bytes");
            break;
        };
        events.push(event);
        buffer = &buffer[length..];
    }
    events
}

/// ```text
/// u32 length, u8 version, u8 reserved, u16 length of this, u64 mask, i32 fd, i32 pid
/// ```
fn parse_one(bytes: &[u8]) -> Option<Event> {
    if bytes.get(4) != Some(&libc::FANOTIFY_METADATA_VERSION) || bytes.len() < METADATA {
        return None;
    }
    let mask = u64::from_ne_bytes(bytes.get(8..16)?.try_into().ok()?);
    let mut event = Event {
        mask: MaskFlags::from_bits_retain(mask),
        pid: u32_at(bytes, 20)?,
        entry: None,
        from: None,
        to: None,
        file: None,
    };
    let mut rest = bytes.get(usize::from(u16_at(bytes, 6)?)..)?;
    // Each record: u8 type, u8 padding, u16 length.
    while let Some(length) = u16_at(rest, 2) {
        let length = usize::from(length);
        let record = rest.get(..length).filter(|record| record.len() >= 4)?;
        add_record(&mut event, record)?;
        rest = &rest[length..];
    }
    Some(event)
}

fn add_record(event: &mut Event, record: &[u8]) -> Option<()> {
    match record[0] {
        libc::FAN_EVENT_INFO_TYPE_FID => event.file = Some(parse_handle(record)?.0),
        libc::FAN_EVENT_INFO_TYPE_DFID_NAME => event.entry = Some(parse_entry(record)?),
        libc::FAN_EVENT_INFO_TYPE_OLD_DFID_NAME => event.from = Some(parse_entry(record)?),
        libc::FAN_EVENT_INFO_TYPE_NEW_DFID_NAME => event.to = Some(parse_entry(record)?),
        // A later kernel may tell more than was asked for.
        _ => {}
    }
    Some(())
}

/// ```text
/// record header, i32 fsid[2], u32 handle bytes, i32 handle type, handle, name, NUL, padding
/// ```
fn parse_handle(record: &[u8]) -> Option<(Handle, &[u8])> {
    let fs_id = [u32_at(record, 4)?, u32_at(record, 8)?].map(u64::from);
    let length = u32_at(record, 12)? as usize;
    let rest = record.get(20..)?;
    let handle = Handle {
        fs_id: fs_id[0] | fs_id[1] << 32,
        kind: u32_at(record, 16)?.cast_signed(),
        bytes: rest.get(..length)?.to_vec(),
    };
    Some((handle, &rest[length..]))
}

fn parse_entry(record: &[u8]) -> Option<Entry> {
    let (directory, rest) = parse_handle(record)?;
    let end = rest.iter().position(|&byte| byte == 0)?;
    let name = rest[..end].to_vec();
    Some(Entry { directory, name })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, handle: &[u8], name: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind, 0, 0, 0];
        bytes.extend_from_slice(&0x1_0000_0002_u64.to_ne_bytes());
        bytes.extend_from_slice(&u32::try_from(handle.len()).unwrap().to_ne_bytes());
        bytes.extend_from_slice(&1_i32.to_ne_bytes());
        bytes.extend_from_slice(handle);
        bytes.extend_from_slice(name);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        let length = u16::try_from(bytes.len()).unwrap();
        bytes[2..4].copy_from_slice(&length.to_ne_bytes());
        bytes
    }

    fn event(mask: u64, records: &[Vec<u8>]) -> Vec<u8> {
        let records = records.concat();
        let length = u32::try_from(METADATA + records.len()).unwrap();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend_from_slice(&[libc::FANOTIFY_METADATA_VERSION, 0]);
        bytes.extend_from_slice(&24_u16.to_ne_bytes());
        bytes.extend_from_slice(&mask.to_ne_bytes());
        bytes.extend_from_slice(&(-1_i32).to_ne_bytes());
        bytes.extend_from_slice(&42_i32.to_ne_bytes());
        bytes.extend_from_slice(&records);
        bytes
    }

    #[test]
    fn events_are_read_with_all_their_records() {
        let mut bytes = event(
            libc::FAN_RENAME,
            &[
                record(10, b"old1", b"a\n\0"),
                record(12, b"new1", b"\xff\0"),
                record(1, b"file", b""),
                record(99, b"what", b""),
            ],
        );
        bytes.extend(event(libc::FAN_CREATE, &[record(2, b"dir1", b"b\0")]));
        let events = parse(&bytes);
        assert_eq!(events.len(), 2);
        let (from, to) = (
            events[0].from.as_ref().unwrap(),
            events[0].to.as_ref().unwrap(),
        );
        assert_eq!(
            (from.name.as_slice(), to.name.as_slice()),
            (b"a\n".as_slice(), b"\xff".as_slice())
        );
        assert_eq!(from.directory.bytes, b"old1");
        assert_eq!(from.directory.fs_id, 0x1_0000_0002);
        assert_eq!(events[0].file.as_ref().unwrap().bytes, b"file");
        assert_eq!(events[0].pid, 42);
        assert_eq!(events[1].entry.as_ref().unwrap().name, b"b");
    }

    #[test]
    fn a_torn_buffer_gives_what_is_whole() {
        let bytes = event(libc::FAN_CREATE, &[record(2, b"dir1", b"b\0")]);
        let mut two = bytes.clone();
        two.extend_from_slice(&bytes);
        for end in 0..two.len() {
            assert_eq!(parse(&two[..end]).len(), end / bytes.len(), "{end}");
        }
        let mut other_version = bytes;
        other_version[4] = 9;
        assert!(parse(&other_version).is_empty());
    }
}
