//! Differences of contents by lines: as a unified diff to read, and as what was kept to trace lines.
//! Pure; which contents are compared is decided in `answers`.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use similar::{Algorithm, DiffOp, capture_diff_slices_deadline, group_diff_ops};

/// Lines of context around what is different.
const CONTEXT: usize = 3;
/// Lines of a diff that are shown.
const LINES: usize = 10_000;
/// How long to search for a small diff; then what was not compared yet counts as different.
const DEADLINE: Duration = Duration::from_millis(200);

/// One side of a comparison.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// The name for the header, like `/etc/hosts`; none where there is nothing on this side.
    pub name: Option<&'a str>,
    /// The content.
    pub bytes: &'a [u8],
}

/// Writes a unified diff; none where the contents are the same.
pub fn unified(old: Side<'_>, new: Side<'_>) -> Option<String> {
    if old.bytes == new.bytes {
        return None;
    }
    if !is_text(old.bytes) || !is_text(new.bytes) {
        let [old, new] = [old, new].map(|side| side.bytes.len());
        return Some(format!("binary files differ ({old} → {new} bytes)\n"));
    }
    let (old_lines, new_lines) = (lines(old.bytes), lines(new.bytes));
    let mut diff = Unified {
        text: String::new(),
        shown: 0,
        hidden: 0,
    };
    diff.header("---", 'a', old.name);
    diff.header("+++", 'b', new.name);
    for hunk in group_diff_ops(compare(&old_lines, &new_lines), CONTEXT) {
        diff.hunk(&hunk, &old_lines, &new_lines);
    }
    if diff.hidden > 0 {
        writeln!(diff.text, "… {} more lines are not shown", diff.hidden).ok()?;
    }
    Some(diff.text)
}

/// For each line of the new content the line of the old one that it was, where it was there.
pub(crate) fn kept_lines(old: &[u8], new: &[u8]) -> Vec<Option<usize>> {
    let (old, new) = (lines(old), lines(new));
    let mut kept = vec![None; new.len()];
    for op in compare(&old, &new) {
        if let DiffOp::Equal {
            old_index,
            new_index,
            len,
        } = op
        {
            let olds = (old_index..old_index + len).map(Some);
            kept.splice(new_index..new_index + len, olds);
        }
    }
    kept
}

/// The lines of a content, each with its end.
pub(crate) fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|&byte| byte == b'\n').collect()
}

fn compare(old: &[&[u8]], new: &[&[u8]]) -> Vec<DiffOp> {
    let deadline = Instant::now() + DEADLINE;
    capture_diff_slices_deadline(Algorithm::Myers, old, new, Some(deadline))
}

/// Whether bytes are to be read as lines: there is no NUL, and at most one byte in ten is neither
/// UTF-8 nor printable.
fn is_text(bytes: &[u8]) -> bool {
    let is_odd = |byte: &u8| byte.is_ascii_control() && !b"\t\n\r\x0c\x1b".contains(byte);
    let odd: usize = bytes
        .utf8_chunks()
        .map(|chunk| chunk.invalid().len() + chunk.valid().bytes().filter(is_odd).count())
        .sum();
    !bytes.contains(&0) && odd * 10 <= bytes.len()
}

struct Unified {
    text: String,
    shown: usize,
    hidden: usize,
}

impl Unified {
    fn header(&mut self, mark: &str, side: char, name: Option<&str>) {
        self.text.push_str(mark);
        self.text.push(' ');
        match name {
            Some(name) => {
                self.text.push(side);
                if !name.starts_with('/') {
                    self.text.push('/');
                }
                self.text.push_str(name);
            }
            None => self.text.push_str("/dev/null"),
        }
        self.text.push('\n');
    }

    fn hunk(&mut self, ops: &[DiffOp], old: &[&[u8]], new: &[&[u8]]) {
        let (Some(first), Some(last)) = (ops.first(), ops.last()) else {
            return;
        };
        let old_range = range(first.old_range().start, last.old_range().end);
        let new_range = range(first.new_range().start, last.new_range().end);
        if self.shown < LINES {
            for part in ["@@ -", &old_range, " +", &new_range, " @@\n"] {
                self.text.push_str(part);
            }
        }
        for op in ops {
            if let DiffOp::Equal { .. } = op {
                self.lines(' ', &old[op.old_range()]);
            } else {
                self.lines('-', &old[op.old_range()]);
                self.lines('+', &new[op.new_range()]);
            }
        }
    }

    fn lines(&mut self, mark: char, lines: &[&[u8]]) {
        let shown = lines.len().min(LINES - self.shown);
        self.shown += shown;
        self.hidden += lines.len() - shown;
        for line in &lines[..shown] {
            self.text.push(mark);
            self.text.push_str(&String::from_utf8_lossy(line));
            if !line.ends_with(b"\n") {
                self.text.push_str("\n\\ No newline at end of file\n");
            }
        }
    }
}

/// A range of lines as a hunk's header has it: the first line and how many, the latter unless one.
fn range(start: usize, end: usize) -> String {
    match end - start {
        0 => format!("{start},0"),
        1 => format!("{}", start + 1),
        count => format!("{},{count}", start + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(old: &[u8], new: &[u8]) -> Option<String> {
        let name = Some("/etc/a");
        unified(Side { name, bytes: old }, Side { name, bytes: new })
    }

    fn numbers(range: std::ops::Range<u32>) -> String {
        let lines: Vec<_> = range.map(|i| i.to_string()).collect();
        lines.join("\n") + "\n"
    }

    #[test]
    fn a_line_is_shown_with_three_lines_around_it() {
        let old = numbers(1..13);
        let new = old.replace("6\n", "six\n");
        assert_eq!(
            diff(old.as_bytes(), new.as_bytes()).unwrap(),
            "--- a/etc/a\n+++ b/etc/a\n@@ -3,7 +3,7 @@\n 3\n 4\n 5\n-6\n+six\n 7\n 8\n 9\n"
        );
    }

    #[test]
    fn distant_changes_are_two_hunks() {
        let old = numbers(0..40);
        let new = old.replacen("0\n", "", 1).replace("39\n", "39\n40\n");
        let text = diff(old.as_bytes(), new.as_bytes()).unwrap();
        assert_eq!(text.matches("@@ -").count(), 2, "{text}");
        assert!(text.contains("@@ -1,4 +1,3 @@\n-0\n"), "{text}");
        assert!(
            text.ends_with("@@ -38,3 +37,4 @@\n 37\n 38\n 39\n+40\n"),
            "{text}"
        );
    }

    #[test]
    fn a_missing_newline_at_the_end_is_marked() {
        assert_eq!(
            diff(b"a", b"a\n").unwrap(),
            "--- a/etc/a\n+++ b/etc/a\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n"
        );
    }

    #[test]
    fn what_did_not_exist_is_dev_null() {
        let name = Some("/etc/a");
        let bytes = b"x\ny\n".as_slice();
        let nothing = Side {
            name: None,
            bytes: b"",
        };
        assert_eq!(
            unified(nothing, Side { name, bytes }).unwrap(),
            "--- /dev/null\n+++ b/etc/a\n@@ -0,0 +1,2 @@\n+x\n+y\n"
        );
        assert_eq!(
            unified(Side { name, bytes }, nothing).unwrap(),
            "--- a/etc/a\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-x\n-y\n"
        );
    }

    #[test]
    fn binary_contents_say_so_with_their_sizes() {
        let binary = "binary files differ (4 → 2 bytes)\n";
        assert_eq!(diff(b"a\0b\n", b"a\n").unwrap(), binary);
        assert_eq!(diff(b"\xff\xfe\xfd\n", b"a\n").unwrap(), binary);
    }

    #[test]
    fn a_text_in_an_old_encoding_is_still_text() {
        let text = diff(b"caf\xe9 au lait, s'il vous plait\n", b"tea\n").unwrap();
        assert!(text.contains("-caf\u{fffd} au lait"), "{text}");
    }

    #[test]
    fn carriage_returns_do_not_tear_lines_apart() {
        let text = diff(b"a\rb\r\n", b"a\rc\r\n").unwrap();
        assert!(text.ends_with("@@ -1 +1 @@\n-a\rb\r\n+a\rc\r\n"), "{text}");
    }

    #[test]
    fn same_contents_have_no_diff() {
        assert_eq!(diff(b"", b""), None);
        assert_eq!(diff(b"\0", b"\0"), None);
    }

    #[test]
    fn a_huge_diff_is_cut_and_says_how_much_is_missing() {
        let text = diff(b"", numbers(0..10_005).as_bytes()).unwrap();
        assert_eq!(text.lines().count(), 10_004);
        assert!(text.ends_with("+9999\n… 5 more lines are not shown\n"));
    }

    #[test]
    fn hostile_contents_do_not_stall_it() {
        let lines = |step: u32| -> String {
            let next = |x: u32| x.wrapping_mul(1_664_525).wrapping_add(step);
            let random = std::iter::successors(Some(1), |x| Some(next(*x)));
            let words: Vec<_> = random.take(40_000).map(|x| (x >> 29).to_string()).collect();
            words.join("\n")
        };
        let (old, new) = (lines(1_013_904_223), lines(12_345));
        let begin = Instant::now();
        assert!(diff(old.as_bytes(), new.as_bytes()).is_some());
        assert!(begin.elapsed() < Duration::from_secs(20));
    }
}
