//! Every way to change a watched file, as tables: what is done, and what must be told of it.
//!
//! A table is proven by [`prove`], which prints a line for each way. `cargo xtask test` compares these
//! lines with `docs/coverage.md`.

mod attributes;
mod btrfs;
mod content;
mod foreign;
mod kernel;
mod mounts;
mod names;
mod odd;
mod proof;
mod reach;
mod tasks;
mod uring;
mod witness;

use std::path::Path;

pub use self::proof::{prove, tell};
pub use self::witness::Witness;

/// The tables with the headings of `docs/coverage.md`.
pub const GROUPS: [(&str, &[Way]); 11] = [
    ("Content", content::WAYS),
    ("Names", names::WAYS),
    ("Attributes", attributes::WAYS),
    ("io_uring", uring::WAYS),
    ("Other paths to the file", reach::WAYS),
    ("Mounts and devices", mounts::WAYS),
    ("Processes", tasks::WAYS),
    ("On Btrfs", btrfs::WAYS),
    ("Memory of another process", foreign::WAYS),
    ("Odd places", odd::WAYS),
    ("Written by the kernel", kernel::WAYS),
];

/// The table with that heading.
pub fn group(heading: &str) -> &'static [Way] {
    let found = GROUPS.iter().find(|(known, _)| *known == heading);
    found.expect("the heading is one of those above").1
}

/// One way to change a file.
pub struct Way {
    name: &'static str,
    prepare: fn(&Path),
    act: Act,
    told: &'static [&'static str],
    limits: &'static [Limit],
    /// Undoes what outlives the acting process.
    tidy: fn(&Path),
}

/// What the acting process does in the folder that is prepared for it.
enum Act {
    /// Everything by itself.
    Itself(fn(&Path)),
    /// It tells who acted, or what it lacks.
    Telling(fn(&Path) -> Acting),
}

/// Says how acting went.
pub enum Acting {
    /// The acting process did it itself.
    Done,
    /// Another process did it, or another user, as the host sees them.
    By {
        /// The process.
        pid: u32,
        /// Its effective user.
        uid: u32,
    },
    /// This kernel has no such call, or this host has not what it takes.
    Missing(String),
}

/// A place where a way is not told exactly, and why.
struct Limit {
    /// Lines of kernels, or the host; an empty one means everywhere.
    on: &'static [&'static str],
    instead: Outcome,
    why: &'static str,
}

/// What must come of a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Told at once: `op name`, sorted, each with the right actor; or nothing at all where there is
    /// nothing to tell.
    Exact(&'static [&'static str]),
    /// Told at once like that, and the actor is another one.
    Misattributed(&'static [&'static str]),
    /// Told at once like that, but the content is not known, or not the last.
    Contentless(&'static [&'static str]),
    /// Told at once, but as something else or only in part.
    Otherwise(&'static [&'static str]),
    /// Not told, until comparing finds it.
    Late(&'static [&'static str]),
    /// Not told, and comparing does not find it either.
    Unseen,
}

/// What is another outcome where fanotify is all that there is.
const fn by_fanotify(instead: Outcome, why: &'static str) -> Limit {
    Limit {
        on: &["host"],
        instead,
        why,
    }
}

impl Way {
    /// A way that takes one process, and what is told of it: `op name`, sorted.
    const fn new(
        name: &'static str,
        prepare: fn(&Path),
        act: fn(&Path),
        told: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            prepare,
            act: Act::Itself(act),
            told,
            limits: &[],
            tidy: |_| {},
        }
    }

    /// A way of which the acting process has more to tell.
    const fn telling(
        name: &'static str,
        prepare: fn(&Path),
        act: fn(&Path) -> Acting,
        told: &'static [&'static str],
    ) -> Self {
        Self {
            act: Act::Telling(act),
            ..Self::new(name, prepare, |_| {}, told)
        }
    }

    const fn limited(self, limits: &'static [Limit]) -> Self {
        Self { limits, ..self }
    }

    const fn tidied(self, tidy: fn(&Path)) -> Self {
        Self { tidy, ..self }
    }

    /// What must come of it in a column, and why where it is a limit.
    fn expected(&self, column: &str) -> (Outcome, Option<&'static str>) {
        let applies = |limit: &&Limit| limit.on.iter().any(|line| is_of_line(column, line));
        match self.limits.iter().find(applies) {
            Some(limit) => (limit.instead, Some(limit.why)),
            None => (Outcome::Exact(self.told), None),
        }
    }
}

/// Whether a column is of a line of kernels: 6.12.3 is of the line 6.12, and not of the line 6.1.
fn is_of_line(column: &str, line: &str) -> bool {
    let rest = column.strip_prefix(line);
    line.is_empty() || rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// What most ways begin with: a file of two lines.
fn file(folder: &Path) {
    std::fs::write(folder.join("file"), content::BEFORE).unwrap();
}

fn nothing(_folder: &Path) {}

/// A name of its own outside of the watched tree, on the same file system.
fn outside(folder: &Path) -> std::path::PathBuf {
    let name = folder.file_name().unwrap();
    folder
        .parent()
        .unwrap()
        .with_file_name("outside")
        .join(name)
}
