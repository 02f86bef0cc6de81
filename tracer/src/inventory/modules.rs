//! The modules that the kernel has loaded, from `/proc/modules` and `/sys/module` (`proc_modules(5)`,
//! `sysfs(5)`).

mod file;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::{fs, io};

use change::{FactValue, Text};

use self::file::HASH;
pub(super) use self::file::add as add_files;
pub use self::file::name_of;
use super::Facts;
use super::value::value_of;

/// Reads all modules that are at work; not one that is only coming or going.
pub(super) fn read(list: &Path, details: &Path) -> io::Result<Option<Facts>> {
    let list = match fs::read_to_string(list) {
        Ok(list) => list,
        // A kernel that loads none.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let at_work = list.lines().filter_map(|line| {
        let (name, state) = name_and_state(line)?;
        (state == "Live").then_some(name)
    });
    let facts = at_work.map(|name| (Text::from(name), describe(&details.join(name))));
    Ok(Some(facts.collect()))
}

/// Whether something differs but the parameters, and what was not known before.
pub(super) fn is_another(before: &FactValue, after: &FactValue) -> bool {
    let hashes = before.attribute(HASH).zip(after.attribute(HASH));
    !is_same_build(before, after) || hashes.is_some_and(|(before, after)| before != after)
}

/// Whether the kernel says the same of both but for the parameters.
fn is_same_build(before: &FactValue, after: &FactValue) -> bool {
    ["version", "srcversion", "taint"]
        .iter()
        .all(|name| before.attribute(name) == after.attribute(name))
}

/// Whether a module is only coming or going.
pub(super) fn is_changing(list: &Path, name: &Text) -> bool {
    let list = fs::read_to_string(list).unwrap_or_default();
    let mut states = list.lines().filter_map(name_and_state);
    states.any(|(other, state)| other.as_bytes() == name.as_bytes() && state != "Live")
}

/// `name size uses users state address`, and the taint behind it.
fn name_and_state(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split(' ');
    Some((words.next()?, words.nth(3)?))
}

fn describe(folder: &Path) -> FactValue {
    let mut attributes = BTreeMap::new();
    for (name, file) in [
        ("version", "version"),
        ("srcversion", "srcversion"),
        ("taint", "taint"),
    ] {
        let value = value_of(&folder.join(file)).filter(|value| !value.is_empty());
        attributes.extend(value.map(|value| (name.to_owned(), value)));
    }
    let parameters = parameters(&folder.join("parameters"));
    if !parameters.is_empty() {
        attributes.insert("params".to_owned(), parameters);
    }
    FactValue::Attributes(attributes)
}

/// `name=value`, in the order of the names; without those that only root may read, which can be secrets.
fn parameters(folder: &Path) -> String {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<String> = entries
        .filter_map(|entry| {
            let mode = entry.metadata().ok()?.mode();
            let value = value_of(&entry.path()).filter(|_| mode & 0o004 != 0)?;
            Some(format!("{}={value}", entry.file_name().display()))
        })
        .collect();
    all.sort();
    all.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_at_work_are_facts_with_what_is_known_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("modules");
        fs::write(
            &list,
            "dummy 16384 0 - Live 0x0\nveth 4096 1 dummy, Loading 0x0\nodd 1\n\nzfs 1 0 - Live 0x0 (POE)\n",
        )
        .unwrap();
        let details = folder.path().join("details");
        let parameters = details.join("dummy/parameters");
        fs::create_dir_all(&parameters).unwrap();
        fs::write(parameters.join("numdummies"), "2\n").unwrap();
        fs::write(details.join("dummy/srcversion"), "ABC123\n").unwrap();
        fs::write(details.join("dummy/taint"), "\n").unwrap();
        let facts = read(&list, &details).unwrap().unwrap();
        let keys: Vec<String> = facts.keys().map(Text::to_string).collect();
        assert_eq!(keys, ["dummy", "zfs"]);
        let dummy = &facts[&Text::from("dummy")];
        assert_eq!(dummy.attribute("params"), Some("numdummies=2"));
        assert_eq!(dummy.attribute("srcversion"), Some("ABC123"));
        assert_eq!(dummy.attribute("taint"), None);
        assert!(is_changing(&list, &"veth".into()));
        assert!(!is_changing(&list, &"dummy".into()));
        assert_eq!(read(&folder.path().join("none"), &details).unwrap(), None);
    }
}
