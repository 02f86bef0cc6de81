//! The packages that dpkg knows, from its file `status` (deb-control(5), dpkg(1)).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use change::{FactValue, Text};

use super::lines::read_line;
use super::{ARCH, Facts, VERSION};

const HELD: &str = "held";

/// Reads all packages that are there, also those of which only a part is.
pub(super) fn read(database: &Path) -> io::Result<Option<Facts>> {
    let file = match File::open(database) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    parse(BufReader::new(file)).map(Some)
}

fn parse(mut status: impl io::BufRead) -> io::Result<Facts> {
    let mut packages = Vec::new();
    let mut package = Package::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = read_line(&mut status, &mut line)?;
        if read == 0 || line.is_empty() {
            packages.extend(std::mem::take(&mut package).if_there());
            if read == 0 {
                break;
            }
            continue;
        }
        package.take(&line);
    }
    // dpkg itself is always of the host's own architecture.
    let native = packages.iter().find(|package| package.name == "dpkg");
    let native = native.map(|package| package.arch.clone());
    let facts = packages.into_iter().map(|package| {
        let is_foreign = |native: &String| package.arch != "all" && package.arch != *native;
        let key = if native.as_ref().is_some_and(is_foreign) {
            format!("{}:{}", package.name, package.arch)
        } else {
            package.name.clone()
        };
        (Text::from(key.as_str()), package.into_value())
    });
    Ok(facts.collect())
}

/// A stanza of the file, as far as it is of interest.
#[derive(Default)]
struct Package {
    name: String,
    version: String,
    arch: String,
    /// What is wanted, whether that is in order, and what is there.
    status: String,
}

impl Package {
    fn take(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            return;
        };
        let (name, value) = line.split_at(colon);
        let field = match name {
            b"Package" => &mut self.name,
            b"Version" => &mut self.version,
            b"Architecture" => &mut self.arch,
            b"Status" => &mut self.status,
            _ => return,
        };
        String::from_utf8_lossy(&value[1..])
            .trim()
            .clone_into(field);
    }

    /// The package, unless nothing of it is there but what its removal left.
    fn if_there(self) -> Option<Self> {
        let state = self.status.split(' ').nth(2).unwrap_or_default();
        let is_there = !["", "not-installed", "config-files"].contains(&state);
        (is_there && !self.name.is_empty() && !self.version.is_empty()).then_some(self)
    }

    fn into_value(self) -> FactValue {
        let mut attributes = BTreeMap::from([
            (VERSION.to_owned(), self.version),
            (ARCH.to_owned(), self.arch),
        ]);
        if self.status.starts_with("hold ") {
            attributes.insert(HELD.to_owned(), "yes".to_owned());
        }
        FactValue::Attributes(attributes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "\
Package: dpkg
Status: install ok installed
Architecture: amd64
Version: 1.21.22
Description: Debian package management system
 This package: provides
Version-Of-Nothing: 9

Package: libc6
Status: hold ok installed
Architecture: amd64
Version: 2.36-9+deb12u9

Package: libc6
Status: install ok installed
Architecture: i386
Version: 2.36-9+deb12u8

Package: adduser
Status: install ok installed
Architecture: all
Version: 3.134

Package: nano
Status: deinstall ok config-files
Architecture: amd64
Version: 7.2-1

Package: half
Status: install reinstreq half-installed
Architecture: amd64
Version: 1
";

    fn value(version: &str, arch: &str) -> FactValue {
        let pairs = [(VERSION, version), (ARCH, arch)];
        FactValue::Attributes(pairs.map(|(key, value)| (key.into(), value.into())).into())
    }

    #[test]
    fn packages_that_are_there_are_facts_and_foreign_ones_say_so() {
        let facts = parse(STATUS.as_bytes()).unwrap();
        let keys: Vec<String> = facts.keys().map(Text::to_string).collect();
        assert_eq!(keys, ["adduser", "dpkg", "half", "libc6", "libc6:i386"]);
        assert_eq!(facts[&Text::from("dpkg")], value("1.21.22", "amd64"));
        let held = &facts[&Text::from("libc6")];
        assert_eq!(held.attribute(HELD), Some("yes"));
        assert_eq!(held.attribute(VERSION), Some("2.36-9+deb12u9"));
    }

    #[test]
    fn hostile_databases_are_read_as_far_as_they_make_sense() {
        let long = format!("Package: {}\nVersion: 1\n", "x".repeat(1 << 20));
        for text in [
            "",
            "\n\n\n",
            "Package\n:\n\u{0}",
            "Status: a b installed",
            &long,
        ] {
            assert!(parse(text.as_bytes()).unwrap().is_empty(), "{text:.20}");
        }
        let odd = b"Package: \xff\nStatus: x y installed\nVersion: \xfe\n";
        assert_eq!(parse(odd.as_slice()).unwrap().len(), 1);
    }
}
