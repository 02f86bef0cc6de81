//! `docs/coverage.md`: which ways to change a file are seen where, made of what the tests proved.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::build::root;
use crate::kernels::{self, MATRIX};
use crate::output::line;

const PAGE: &str = "docs/coverage.md";
/// The column of the daemon on this host, which watches by fanotify.
pub(crate) const HOST: &str = "host";
/// What a test prints of a way begins with it.
const MARK: &str = "@@way | ";
/// Stands for what was never tried.
const UNTRIED: &str = "–";
/// An outcome whose reason is the kernel's, and not told.
const MISSING: &str = "no such call";

const INTRODUCTION: &str = "# Coverage

Every way to change a watched file that the tests try, and what came of it on each kernel of the matrix (by
trampolines) and on the host that runs the tests (by fanotify). Made by `cargo xtask test`, which fails where
this page is not what was proven; with `--write-coverage` it writes it.

| outcome | means |
| --- | --- |
| exact | told at once: the changes that it must be and no other, each with its subject, its op, its content, and the process and user that did it |
| exact, another actor | the same, but another process is named: the limit says which |
| exact, content unknown | the same, but the content after it was not seen |
| told otherwise | told at once, by the right process, but as another op or only in part; comparing adds what is missing |
| nothing to tell | no change, and none is told |
| late | not seen as it happens; comparing finds it, as a late change with its interval and no actor |
| unseen | not seen as it happens, nor by comparing |
| no such call | this kernel, file system or host does not have it |
| – | not tried |
";

/// What was proven, and in which columns.
#[derive(Clone, Default)]
pub(crate) struct Coverage {
    tables: Tables,
    /// Columns of which every test ran.
    whole: BTreeSet<String>,
}

/// Headings with their rows.
type Tables = BTreeMap<String, BTreeMap<String, Row>>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Row {
    /// Outcomes by column.
    cells: BTreeMap<String, String>,
    /// Why an outcome is not an exact one, by outcome.
    limits: BTreeMap<String, String>,
}

impl Row {
    fn take(&mut self, cells: BTreeMap<String, String>) {
        for (column, outcome) in cells {
            // Hosts differ in what they have; what one of them lacks says nothing.
            let is_lack = column == HOST && outcome == MISSING;
            if !(is_lack && self.cells.contains_key(&column)) {
                self.cells.insert(column, outcome);
            }
        }
    }
}

/// The column that a kernel's outcomes stand in.
pub(crate) fn column(release: &str) -> Option<&'static str> {
    MATRIX
        .into_iter()
        .find(|line| kernels::is_of_line(release, line))
}

impl Coverage {
    /// Takes a line that a test printed, if it is about a way.
    pub(crate) fn take(&mut self, column: &str, text: &str) {
        let Some(fields) = text.strip_prefix(MARK) else {
            return;
        };
        let fields: Vec<&str> = fields.split('|').map(str::trim).collect();
        let &[heading, way, outcome, why] = fields.as_slice() else {
            return;
        };
        let rows = self.tables.entry(heading.to_owned()).or_default();
        let row = rows.entry(way.to_owned()).or_default();
        row.cells.insert(column.to_owned(), outcome.to_owned());
        if !why.is_empty() && outcome != MISSING {
            row.limits.insert(outcome.to_owned(), why.to_owned());
        }
    }

    /// Notes that all tests of a column ran, so that what it has not proven is not proven.
    pub(crate) fn complete(&mut self, column: &str) {
        self.whole.insert(column.to_owned());
    }

    /// Compares the page with what was proven, or writes it.
    pub(crate) fn finish(self, write: bool) -> Result<()> {
        if self.tables.is_empty() {
            return Ok(());
        }
        let path = root().join(PAGE);
        let committed = fs::read_to_string(&path).unwrap_or_default();
        let without_host = self.without(HOST);
        let is_only_host = render(&without_host.merged_into(parse(&committed))) == committed;
        let proven = render(&self.merged_into(parse(&committed)));
        if proven == committed {
            return Ok(());
        }
        if write {
            return fs::write(&path, proven).with_context(|| format!("write `{PAGE}`"));
        }
        let known: BTreeSet<&str> = committed.lines().collect();
        for row in proven.lines().filter(|row| !known.contains(row)) {
            line(format!("proven, and not in `{PAGE}`: {row}"));
        }
        if is_only_host {
            line("only the column of the host differs: hosts do, and the tests have passed");
            return Ok(());
        }
        bail!("`{PAGE}` is not what was proven; `--write-coverage` writes it")
    }

    /// What was proven in the other columns.
    fn without(&self, column: &str) -> Self {
        let mut rest = self.clone();
        rest.whole.remove(column);
        for row in rest.tables.values_mut().flat_map(BTreeMap::values_mut) {
            row.cells.remove(column);
            // A limit of that column's alone goes with it, where no other has the outcome.
            let Row { cells, limits } = row;
            limits.retain(|outcome, _| cells.values().any(|cell| cell == outcome));
        }
        for rows in rest.tables.values_mut() {
            rows.retain(|_, row| !row.cells.is_empty());
        }
        rest
    }

    /// Replaces the cells of the columns that ran.
    fn merged_into(self, mut tables: Tables) -> Tables {
        for (heading, rows) in &mut tables {
            for (way, row) in rows {
                let ran = self.tables.get(heading).and_then(|rows| rows.get(way));
                let is_proven =
                    |column: &String| ran.is_some_and(|row| row.cells.contains_key(column));
                row.cells
                    .retain(|column, _| !self.whole.contains(column) || is_proven(column));
            }
        }
        for (heading, rows) in self.tables {
            for (way, Row { cells, limits }) in rows {
                let known = tables.entry(heading.clone()).or_default();
                let row = known.entry(way).or_default();
                row.take(cells);
                row.limits.extend(limits);
            }
        }
        for rows in tables.values_mut() {
            rows.retain(|_, row| !row.cells.is_empty());
            for Row { cells, limits } in rows.values_mut() {
                limits.retain(|outcome, _| cells.values().any(|cell| cell == outcome));
            }
        }
        tables
    }
}

fn columns() -> impl Iterator<Item = &'static str> {
    MATRIX.into_iter().chain([HOST])
}

fn parse(page: &str) -> Tables {
    let mut tables = Tables::new();
    let mut heading = None;
    for text in page.lines() {
        if let Some(name) = text.strip_prefix("## ") {
            heading = Some(name.to_owned());
        }
        let fields: Vec<&str> = text.split('|').map(str::trim).collect();
        let (Some(heading), ["", way, cells @ .., limits, ""]) = (&heading, fields.as_slice())
        else {
            continue;
        };
        if ["way", "---"].contains(way) {
            continue;
        }
        let tried = columns()
            .zip(cells)
            .filter(|(_, outcome)| **outcome != UNTRIED);
        let limits = limits.split("; ").filter_map(|why| why.split_once(": "));
        let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let row = Row {
            cells: tried
                .map(|(column, outcome)| own((column, outcome)))
                .collect(),
            limits: limits.map(own).collect(),
        };
        let rows = tables.entry(heading.clone()).or_default();
        rows.insert((*way).to_owned(), row);
    }
    tables
}

fn render(tables: &Tables) -> String {
    let names: Vec<&str> = columns().collect();
    let rule = "| --- ".repeat(names.len() + 2) + "|";
    let head = format!("| way | {} | limit |\n{rule}\n", names.join(" | "));
    let tables = tables.iter().map(|(heading, rows)| {
        let rows: String = rows.iter().map(|(way, row)| render_row(way, row)).collect();
        format!("\n## {heading}\n\n{head}{rows}")
    });
    INTRODUCTION.to_owned() + &tables.collect::<String>()
}

fn render_row(way: &str, row: &Row) -> String {
    let Row { cells, limits } = row;
    let cell = |column| cells.get(column).map_or(UNTRIED, String::as_str);
    let cells: Vec<&str> = columns().map(cell).collect();
    let limits = limits.iter();
    let limits: Vec<String> = limits
        .map(|(outcome, why)| format!("{outcome}: {why}"))
        .collect();
    format!(
        "| {way} | {} | {} |\n",
        cells.join(" | "),
        limits.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proven(column: &str, lines: &[&str]) -> Coverage {
        let mut coverage = Coverage::default();
        for text in lines {
            coverage.take(column, text);
        }
        coverage
    }

    #[test]
    fn what_was_proven_is_rendered_and_read_again() {
        let coverage = proven(
            "5.10",
            &[
                "@@way | Names | link | exact | ",
                "@@way | Names | whiteout | late | a reason: with a colon",
                "@@way | Names | new call | no such call | os error 38",
                "something else",
            ],
        );
        let tables = coverage.merged_into(Tables::new());
        let page = render(&tables);
        assert!(page.contains("| link | exact | – |"), "{page}");
        assert!(page.contains("| late: a reason: with a colon |"), "{page}");
        assert!(!page.contains("os error"), "{page}");
        assert_eq!(parse(&page), tables);
    }

    #[test]
    fn a_column_that_ran_as_a_whole_forgets_what_it_did_not_prove() {
        let before = proven(
            "6.1",
            &[
                "@@way | Names | gone | exact | ",
                "@@way | Names | kept | late | why",
            ],
        );
        let before = before.merged_into(Tables::new());
        let mut coverage = proven("6.1", &["@@way | Names | kept | exact | "]);
        let part = proven("6.1", &["@@way | Names | kept | exact | "]).merged_into(before.clone());
        assert_eq!(part["Names"].len(), 2);
        coverage.complete("6.1");
        let whole = coverage.merged_into(before);
        assert_eq!(whole["Names"].len(), 1);
        assert!(whole["Names"]["kept"].limits.is_empty());
    }

    #[test]
    fn what_a_host_lacks_takes_nothing_away() {
        let before = proven(HOST, &["@@way | Names | link | exact | "]);
        let before = before.merged_into(Tables::new());
        let mut coverage = proven(HOST, &["@@way | Names | link | no such call | why"]);
        coverage.complete(HOST);
        assert_eq!(coverage.merged_into(before.clone()), before);
    }
}
