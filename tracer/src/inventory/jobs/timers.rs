//! Timers of systemd, as systemd.timer(5) and systemd.unit(5) have them: units of the system with their drop-ins.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use change::{FactValue, Op, Text};

use super::super::Facts;
use super::super::part::{Lines, attributes, key, put};
use super::entries;

/// Where units of the system are; what a folder has counts before the same name in one behind it.
const FOLDERS: [&str; 4] = [
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
];

const TIMER: &str = ".timer";
const DROP_INS: &str = ".timer.d";
const DROP_IN: &str = ".conf";
const WANTED: [&str; 2] = [".wants", ".requires"];
const SECTION: &str = "[Timer]";
const UNIT: &str = "Unit";
const ENABLED: &str = "enabled";
const MASKED: &str = "masked";

/// Whether it is started, as the service manager says; there only where that is known.
const ACTIVE: &str = "active";
const NOT_STARTED: &str = "inactive";

/// What the timers do that the service manager knows, by their names.
pub(in crate::inventory) type States = BTreeMap<String, String>;

/// The key of a timer's fact.
pub(in crate::inventory) fn key_of(unit: &str) -> Text {
    key(&[b"timer", unit.as_bytes()])
}

/// The unit that a fact of a job is about; none where it is no timer.
pub(in crate::inventory) fn unit_of(key: &Text) -> Option<&str> {
    key.as_utf8()?.strip_prefix("timer/")
}

/// A value with what a timer does now.
pub(in crate::inventory) fn with_state(
    value: &FactValue,
    unit: &str,
    states: &States,
) -> FactValue {
    let state = states.get(unit).map_or(NOT_STARTED, String::as_str);
    with(value, ACTIVE, state)
}

/// A value with what another one says of what the timer does, where it does not say so itself.
pub(in crate::inventory) fn with_state_of(value: &FactValue, other: &FactValue) -> FactValue {
    match (value.attribute(ACTIVE), other.attribute(ACTIVE)) {
        (None, Some(state)) => with(value, ACTIVE, state),
        _ => value.clone(),
    }
}

fn with(value: &FactValue, name: &str, text: &str) -> FactValue {
    let mut attributes = match value {
        FactValue::Attributes(attributes) => attributes.clone(),
        _ => BTreeMap::new(),
    };
    attributes.insert(name.to_owned(), text.to_owned());
    FactValue::Attributes(attributes)
}

/// What leads from one value of a job to another; none where all that is new is that its state is known, or is not.
pub(in crate::inventory) fn op(before: &FactValue, after: &FactValue) -> Option<Op> {
    const STARTED: Option<&str> = Some("active");
    let state = |value| FactValue::attribute(value, ACTIVE);
    match (state(before), state(after)) {
        (before, after) if before == after => {}
        (None, Some(state)) if with(before, ACTIVE, state) == *after => return None,
        (Some(state), None) if with(after, ACTIVE, state) == *before => return None,
        (Some(_), STARTED) => return Some(Op::Start),
        (STARTED, Some(_)) | (Some(_), Some("failed")) => return Some(Op::Stop),
        _ => {}
    }
    let word = |value: &FactValue| match (value.attribute(MASKED), value.attribute(ENABLED)) {
        (Some(_), _) => MASKED,
        (None, Some("yes")) => ENABLED,
        _ => "",
    };
    Some(match (word(before), word(after)) {
        (before, after) if before == after => Op::Set,
        (_, MASKED) | (ENABLED, _) => Op::Disable,
        _ => Op::Enable,
    })
}

/// So much is kept of what is said for one name, in bytes.
const LONGEST_VALUE: usize = 4096;

/// Whether a file says something of a timer.
pub(super) fn is_about(path: &[u8]) -> bool {
    let inner = FOLDERS.iter().find_map(|folder| {
        let inner = path.strip_prefix(folder.as_bytes())?;
        inner.strip_prefix(b"/")
    });
    let inner = inner.and_then(|inner| str::from_utf8(inner).ok());
    let Some(inner) = inner else { return false };
    match inner.split_once('/') {
        None => [TIMER, DROP_INS].iter().any(|end| inner.ends_with(end)),
        Some((folder, file)) => {
            let is_wanted = WANTED.iter().any(|end| folder.ends_with(end));
            let is_drop_in = folder.ends_with(DROP_INS) && file.ends_with(DROP_IN);
            is_drop_in || (is_wanted && file.ends_with(TIMER))
        }
    }
}

/// What was found of a timer in the folders.
#[derive(Default)]
struct Timer {
    /// The unit itself, of the first folder that has it.
    file: Option<PathBuf>,
    /// Drop-ins by their names, likewise.
    drop_ins: BTreeMap<String, PathBuf>,
    is_wanted: bool,
}

pub(super) fn read(root: &Path, states: Option<&States>) -> Facts {
    let mut facts = Facts::new();
    for (name, timer) in all(root) {
        let Some(file) = timer.file else { continue };
        let is_masked = std::fs::read_link(&file).is_ok_and(|to| to == Path::new("/dev/null"));
        let mut said: BTreeMap<String, String> = BTreeMap::new();
        for file in std::iter::once(&file).chain(timer.drop_ins.values()) {
            take(&Lines::of(file).joined(), &mut said);
        }
        let service = format!("{}.service", name.strip_suffix(TIMER).unwrap_or(&name));
        said.entry(UNIT.to_owned()).or_insert(service);
        if is_masked {
            said.clear();
        }
        let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
        let state = if is_masked {
            (MASKED, yes(true))
        } else {
            (ENABLED, yes(timer.is_wanted))
        };
        let said = said
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()));
        let value = attributes(said.chain([state]));
        let value = match states {
            Some(states) => with_state(&value, &name, states),
            None => value,
        };
        put(&mut facts, key_of(&name), value);
    }
    facts
}

/// The files that say something of timers, with the folders that they are in.
pub(super) fn files(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for timer in all(root).into_values() {
        files.extend(timer.drop_ins.into_values().chain(timer.file));
    }
    for folder in FOLDERS {
        let inner = entries(&root.join(folder)).into_iter();
        let inner = inner.filter(|(name, _)| is_folder_of_timers(name));
        files.extend(inner.map(|(_, path)| path));
    }
    files
}

fn is_folder_of_timers(name: &str) -> bool {
    name.ends_with(DROP_INS) || WANTED.iter().any(|end| name.ends_with(end))
}

/// All timers by their names.
fn all(root: &Path) -> BTreeMap<String, Timer> {
    let mut timers = BTreeMap::new();
    for folder in FOLDERS {
        for (name, path) in entries(&root.join(folder)) {
            note(&mut timers, name, path);
        }
    }
    timers
}

/// Notes what an entry of a folder of units is to timers, if anything.
fn note(timers: &mut BTreeMap<String, Timer>, name: String, path: PathBuf) {
    if name.ends_with(TIMER) {
        timers.entry(name).or_default().file.get_or_insert(path);
        return;
    }
    if !is_folder_of_timers(&name) {
        return;
    }
    let inner = entries(&path).into_iter();
    if name.ends_with(DROP_INS) {
        let timer = name.strip_suffix(".d").unwrap_or(&name).to_owned();
        let drop_ins = &mut timers.entry(timer).or_default().drop_ins;
        for (name, path) in inner.filter(|(name, _)| name.ends_with(DROP_IN)) {
            drop_ins.entry(name).or_insert(path);
        }
        return;
    }
    for (name, _) in inner.filter(|(name, _)| name.ends_with(TIMER)) {
        timers.entry(name).or_default().is_wanted = true;
    }
}

/// Takes in what the lines of a unit say of the timer. Each time that is said counts, until one is said that is
/// empty: that takes back all before.
fn take(lines: &[String], said: &mut BTreeMap<String, String>) {
    let mut is_timer = false;
    for line in lines.iter().map(|line| line.trim()) {
        if line.starts_with('[') {
            is_timer = line == SECTION;
            continue;
        }
        let Some((name, value)) = line.split_once('=').filter(|_| is_timer) else {
            continue;
        };
        let (name, value) = (name.trim(), value.trim());
        if name.starts_with(['#', ';']) || name.is_empty() || name.len() > 64 {
            continue;
        }
        let is_time = name.starts_with("On");
        if is_time && value.is_empty() {
            said.retain(|name, _| !name.starts_with("On"));
        }
        let all = said.entry(name.to_owned()).or_default();
        // Times add up; of the rest the last one counts.
        if !is_time {
            all.clear();
        }
        if all.len() + value.len() < LONGEST_VALUE {
            let between = if all.is_empty() || value.is_empty() {
                ""
            } else {
                "; "
            };
            all.push_str(between);
            all.push_str(value);
        }
    }
    said.retain(|_, value| !value.is_empty());
}
