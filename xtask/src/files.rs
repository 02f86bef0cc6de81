//! The rules for files that no linter knows: their length, their first line, their names and
//! places.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::build::root;
use crate::process::read;

/// Lines that a file may have, without the tests at its end.
const LONGEST_FILE: usize = 400;

/// Names that say nothing about what lives there.
const EMPTY_NAMES: [&str; 9] = [
    "util", "utils", "helper", "helpers", "common", "misc", "manager", "info", "data",
];

/// What `ls` shows at the top.
const TOP_FOLDERS: [&str; 6] = [
    "collector",
    "docs",
    "tests",
    "tracer",
    "tracer-ebpf",
    "xtask",
];

/// Checks every file that git knows or would take.
pub(crate) fn check() -> Result<()> {
    let mut list = Command::new("git");
    list.args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root());
    let listed = read(&mut list)?;
    let checkout = root().to_string_lossy().into_owned();
    let mut broken = Vec::new();
    for name in listed.lines() {
        // Deleted but not yet committed files are listed, too.
        let Ok(bytes) = fs::read(root().join(name)) else {
            continue;
        };
        let text = String::from_utf8_lossy(&bytes);
        let problems = place(name)
            .into_iter()
            .chain(content(name, &text, &checkout));
        broken.extend(problems.map(|problem| format!("{name}: {problem}")));
    }
    if broken.is_empty() {
        return Ok(());
    }
    bail!("{}", broken.join("\n"))
}

/// Checks where a file is and what it is called.
fn place(name: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let top = name.split_once('/').map(|(top, _)| top);
    if let Some(top) = top.filter(|top| !top.starts_with('.') && !TOP_FOLDERS.contains(top)) {
        problems.push(format!(
            "`{top}` is not one of the agreed folders: {}",
            TOP_FOLDERS.join(" ")
        ));
    }
    let stem = Path::new(name)
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default();
    if is_rust(name) && EMPTY_NAMES.contains(&stem.as_str()) {
        problems.push(format!("`{stem}` says nothing about what lives there"));
    }
    if is_rust(name) && stem == "mod" {
        problems.push("a module `foo` is `foo.rs` beside `foo/`".to_owned());
    }
    problems
}

/// Checks what a file says.
fn content(name: &str, text: &str, checkout: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if text.contains(checkout) {
        problems.push("names the folder of this checkout, which nobody else has".to_owned());
    }
    if !is_rust(name) {
        return problems;
    }
    if !text.starts_with("//!") {
        problems.push("the first line must say with `//!` what lives here".to_owned());
    }
    let lines = text
        .lines()
        .take_while(|line| *line != "#[cfg(test)]")
        .count();
    let is_tests = name.ends_with("/tests.rs") || name.split('/').any(|folder| folder == "tests");
    if lines > LONGEST_FILE && !is_tests {
        problems.push(format!(
            "{lines} lines without its tests, of {LONGEST_FILE}: find the second concept in it"
        ));
    }
    problems
}

fn is_rust(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_finds_its_offender() {
        assert_eq!(place("scripts/x.sh").len(), 1);
        assert_eq!(place("tracer/src/util.rs").len(), 1);
        assert_eq!(place("tracer/src/store/mod.rs").len(), 1);
        assert_eq!(
            content("a.rs", "fn main() {}\n", "/checkout"),
            ["the first line must say with `//!` what lives here"]
        );
        assert_eq!(content("a.md", "see /checkout/a\n", "/checkout").len(), 1);
        assert_eq!(
            content("a.rs", &"//! x\n".repeat(401), "/checkout").len(),
            1
        );
    }

    #[test]
    fn tests_at_the_end_do_not_count() {
        let text = format!("//! x\n#[cfg(test)]\n{}", "// test\n".repeat(500));
        assert!(content("a.rs", &text, "/checkout").is_empty());
        assert!(place(".ci/run").is_empty() && place("tracer/src/lib.rs").is_empty());
    }
}
