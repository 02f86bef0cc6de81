//! Kernel modules that come and go, from records.

use tracer_ebpf::{ModuleDoneRecord, ModuleFileRecord, ModuleRecord, PathFlags, RecordKind};

use super::paths::join;
use super::{Error, Places, split, take};
use crate::observed::ModuleStep;

pub(super) fn module(
    record: &[u8],
    kind: RecordKind,
    places: &dyn Places,
) -> Result<ModuleStep, Error> {
    match kind {
        RecordKind::MODULE_FILE => file(record, places),
        RecordKind::MODULE_DONE => {
            let (ModuleDoneRecord { result, .. }, _) = take(record, kind)?;
            let errno = result.checked_neg().unwrap_or(i32::MAX);
            Ok(ModuleStep::Done { errno })
        }
        _ => {
            let (ModuleRecord { name_len, .. }, rest) = take(record, kind)?;
            let (name, _) = split(rest, name_len, kind)?;
            let name = name.into();
            Ok(match kind {
                RecordKind::MODULE_LOADED => ModuleStep::Loaded { name },
                RecordKind::MODULE_FREED => ModuleStep::Freed { name },
                RecordKind::MODULE_REQUESTED => ModuleStep::Requested { name },
                RecordKind(unknown) => return Err(Error::UnknownKind(unknown)),
            })
        }
    }
}

fn file(record: &[u8], places: &dyn Places) -> Result<ModuleStep, Error> {
    let kind = RecordKind::MODULE_FILE;
    let (ModuleFileRecord { header: _, path }, rest) = take(record, kind)?;
    let (names, _) = split(rest, path.names_len, kind)?;
    let is_whole = path.flags.0 & PathFlags::CUT == 0;
    let top = places.mount(path.place).filter(|_| is_whole);
    let file = top.map(|top| join(&top, names));
    Ok(ModuleStep::Read { file })
}
