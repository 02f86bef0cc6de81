//! What the machine is and how it is set up: kernel, hardware, firmware, and the host's own name and place.
//!
//! Read from `/proc`, `/sys` and `/etc` alone. What identifies this very machine (serial numbers, UUIDs,
//! hardware addresses) is left out, so that two machines that are alike have the same facts.

mod device;
mod disks;
mod firmware;
mod hardware;
mod host;
mod kernel;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use change::{FactValue, Text};

pub(super) use self::host::key_of;
use super::Facts;
use super::value::value_of;

/// The firmware's own part of the facts, which only a boot changes.
pub(super) use self::firmware::BIOS;

/// Knows where a machine is to be read: `/`, or a sample of one.
#[derive(Clone, Debug)]
pub(super) struct Machine(PathBuf);

impl Machine {
    /// The machine below a root.
    pub(super) fn below(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    pub(super) fn kernel(&self) -> Facts {
        kernel::read(self)
    }

    pub(super) fn hardware(&self) -> Facts {
        hardware::read(self)
    }

    pub(super) fn firmware(&self) -> Facts {
        firmware::read(self)
    }

    pub(super) fn host(&self) -> Facts {
        host::read(self)
    }

    /// A path from the root on.
    fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    /// What a small file says; none where there is none, or nothing in it.
    fn value(&self, path: &str) -> Option<String> {
        word(&self.path(path))
    }

    /// The values of files by the names that they are to have.
    fn attributes(&self, files: &[(&str, &str)]) -> Attributes {
        let values = files
            .iter()
            .filter_map(|(name, path)| Some((*name, self.value(path)?)));
        Attributes::of(values)
    }
}

/// What a file of one line says; none where there is none, or nothing in it.
fn word(file: &Path) -> Option<String> {
    let value = value_of(file)?;
    let value = value.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

/// The entries of a folder with their names, in the order of these.
fn entries(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<_> = entries
        .map(|entry| {
            (
                entry.file_name().to_string_lossy().into_owned(),
                entry.path(),
            )
        })
        .collect();
    all.sort();
    all
}

/// The last name of what a link points to, such as a device's driver.
fn link_name(link: &Path) -> Option<String> {
    let target = std::fs::read_link(link).ok()?;
    Some(target.file_name()?.to_string_lossy().into_owned())
}

/// Collects what is known of one subject.
#[derive(Debug, Default)]
struct Attributes(BTreeMap<String, String>);

impl Attributes {
    fn of<'n>(values: impl IntoIterator<Item = (&'n str, String)>) -> Self {
        let values = values.into_iter();
        Self(
            values
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }

    fn add(&mut self, name: &str, value: Option<String>) {
        self.0.extend(value.map(|value| (name.to_owned(), value)));
    }

    /// Makes it the fact of a subject, unless nothing is known.
    fn put(self, facts: &mut Facts, key: impl Into<Text>) {
        if !self.0.is_empty() {
            facts.insert(key.into(), FactValue::Attributes(self.0));
        }
    }
}

/// The fact that has one value.
fn put_value(facts: &mut Facts, key: impl Into<Text>, value: Option<String>) {
    facts.extend(value.map(|value| (key.into(), FactValue::Setting { value })));
}

#[cfg(test)]
mod tests;
