//! What was done to mounts and swap space, in records.

use change::Text;
use tracer_ebpf::{MountRecord, PathFlags, RecordKind};

use super::paths::{device, join};
use super::{Error, split, take};
use crate::observed::MountTouched;

pub(super) fn mount(record: &[u8], kind: RecordKind) -> Result<MountTouched, Error> {
    let (
        MountRecord {
            path, given_len, ..
        },
        rest,
    ) = take(record, kind)?;
    let (names, rest) = split(rest, path.names_len, kind)?;
    let (given, _) = split(rest, given_len, kind)?;
    if path.flags.0 & PathFlags::CUT != 0 {
        return Err(Error::PathTooLong("/".into()));
    }
    let given = Text::from(given);
    Ok(match kind {
        RecordKind::REMOUNTED => MountTouched::FileSystem {
            dev: device(path.place),
        },
        RecordKind::SWAPPED => MountTouched::Swap { path: given },
        _ if given.as_bytes().starts_with(b"/") => MountTouched::Path(given),
        _ => MountTouched::Place {
            mount: path.place,
            within: place(names, &given),
            gone: kind == RecordKind::UNMOUNTED,
        },
    })
}

/// The place that the names lead to, and from there what the caller gave.
fn place(names: &[u8], given: &Text) -> Text {
    let place = join(&"/".into(), names);
    if given.is_empty() {
        return place;
    }
    let mut whole = place.as_bytes().to_vec();
    if whole.last() != Some(&b'/') {
        whole.push(b'/');
    }
    whole.extend_from_slice(given.as_bytes());
    whole.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_caller_gave_goes_on_from_the_place() {
        assert_eq!(place(b"\x04data\x03srv", &"".into()), "/srv/data".into());
        assert_eq!(place(b"\x03srv", &"data".into()), "/srv/data".into());
        assert_eq!(place(b"", &"data".into()), "/data".into());
    }
}
