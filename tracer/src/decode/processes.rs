//! Processes that begin, and the programs that they run, from records.

use change::Text;
use tracer_ebpf::{ExecRecord, ForkRecord, PathFlags, PathRecord, RecordKind, SignalRecord};

use super::paths::join;
use super::{Error, Places, split, take};
use crate::observed::{Event, ProcessId, Program, Sent};

pub(super) fn fork(record: &[u8]) -> Result<Event, Error> {
    let (
        ForkRecord {
            child_start_ns,
            child,
            ..
        },
        _,
    ) = take(record, RecordKind::FORK)?;
    Ok(Event::Fork {
        child: ProcessId {
            pid: child,
            start_ns: child_start_ns,
        },
    })
}

pub(super) fn signal(record: &[u8]) -> Result<Event, Error> {
    let (
        SignalRecord {
            header: _,
            target_start_ns,
            target,
            signal,
        },
        _,
    ) = take(record, RecordKind::SIGNAL)?;
    let to = ProcessId {
        pid: target,
        start_ns: target_start_ns,
    };
    Ok(Event::Signal(Sent { to, signal }))
}

pub(super) fn exec(record: &[u8], places: &dyn Places) -> Result<Event, Error> {
    let kind = RecordKind::EXEC;
    let (
        ExecRecord {
            exe,
            cwd,
            argv_len,
            argv_bytes,
            process_group,
            ..
        },
        rest,
    ) = take(record, kind)?;
    let (exe_names, rest) = split(rest, exe.names_len, kind)?;
    let (cwd_names, rest) = split(rest, cwd.names_len, kind)?;
    let (argv, _) = split(rest, argv_len, kind)?;
    let path = |names: &[u8], record: PathRecord| {
        let top = places.mount(record.place)?;
        (record.flags.0 & PathFlags::CUT == 0).then(|| join(&top, names))
    };
    let truncated = argv_len < argv_bytes;
    let argv = if truncated {
        argv
    } else {
        argv.strip_suffix(b"\0").unwrap_or(argv)
    };
    let argv = argv.split(|byte| *byte == 0).map(Text::from);
    Ok(Event::Exec(Program {
        exe: path(exe_names, exe),
        argv: if argv_bytes == 0 {
            Vec::new()
        } else {
            argv.collect()
        },
        argv_truncated: truncated,
        cwd: path(cwd_names, cwd),
        process_group,
    }))
}
