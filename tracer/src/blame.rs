//! Blame: which change brought each line of a file. Pure; `answers` feeds it the versions.
//!
//! It walks from the newest version to older ones, and looks for each line in the next older version
//! whose content is known. A line that is not there came in between:
//! - where one change lies between the two versions, that change brought it;
//! - where several do, because contents between them were not kept (moved on, secret, too large), it
//!   goes to the earliest of them: that one or a later one brought it;
//! - where something lies between that nobody recorded, or where no older version is known, it goes
//!   to no change.

use std::time::{Duration, Instant};

use change::wire::BlameLine;
use change::{Change, Timestamp, User};

use crate::diff;

/// How long to go on; lines that are not found by then go to no change.
const DEADLINE: Duration = Duration::from_secs(10);

/// Traces the lines of a file back.
#[derive(Debug)]
pub struct Blame {
    lines: Vec<BlameLine>,
    /// Lines that are not traced yet: which they are, and which they are in `version`.
    open: Vec<(usize, usize)>,
    version: Vec<u8>,
    between: Between,
    deadline: Instant,
}

/// What lies between the last version that was shown and the next one.
#[derive(Debug, Default)]
struct Between {
    earliest: Option<Bringer>,
    unrecorded: bool,
}

#[derive(Clone, Debug)]
struct Bringer {
    seq: u64,
    time: Timestamp,
    user: Option<User>,
}

impl Blame {
    /// Begins with the newest version.
    pub fn new(newest: Vec<u8>) -> Self {
        let texts = diff::lines(&newest);
        let lines: Vec<_> = (1..)
            .zip(&texts)
            .map(|(line, text)| BlameLine {
                line,
                text: String::from_utf8_lossy(text.strip_suffix(b"\n").unwrap_or(text))
                    .into_owned(),
                seq: None,
                time: None,
                user: None,
            })
            .collect();
        Self {
            open: (0..lines.len()).map(|index| (index, index)).collect(),
            lines,
            version: newest,
            between: Between::default(),
            deadline: Instant::now() + DEADLINE,
        }
    }

    /// Says that this change lies between the last version and the next older one.
    pub fn step_over(&mut self, change: &Change) {
        let person = |actor: &change::Actor| actor.person().clone();
        self.between.earliest = Some(Bringer {
            seq: change.seq,
            time: change.time,
            user: change.actor.as_deref().map(person),
        });
    }

    /// Says that something which nobody recorded lies there.
    pub fn step_over_unrecorded(&mut self) {
        self.between.unrecorded = true;
    }

    /// Shows the next older version; nothing where the file did not exist.
    pub fn show(&mut self, older: Vec<u8>) {
        let Between {
            earliest,
            unrecorded,
        } = std::mem::take(&mut self.between);
        let kept = diff::kept_lines(&older, &self.version);
        let bringer = earliest.filter(|_| !unrecorded);
        self.open = std::mem::take(&mut self.open)
            .into_iter()
            .filter_map(|(line, index)| {
                let found = kept.get(index).copied().flatten();
                if let (None, Some(bringer)) = (found, &bringer) {
                    self.lines[line].seq = Some(bringer.seq);
                    self.lines[line].time = Some(bringer.time);
                    self.lines[line].user.clone_from(&bringer.user);
                }
                found.map(|found| (line, found))
            })
            .collect();
        self.version = older;
    }

    /// Shows the last version again: whatever lies between brought nothing that is left.
    pub fn show_again(&mut self) {
        self.between = Between::default();
    }

    /// Whether older versions have nothing more to say.
    pub fn is_done(&self) -> bool {
        self.open.is_empty() || Instant::now() > self.deadline
    }

    /// The lines with what was found.
    pub fn into_lines(self) -> Vec<BlameLine> {
        self.lines
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::store::example::{alice, edit};

    fn change(seq: u64) -> Change {
        let seconds = seq.cast_signed();
        let mut change = edit("/etc/a", ["", ""], seconds, Some(alice(1)));
        change.seq = seq;
        change
    }

    fn seqs(blame: Blame) -> Vec<Option<u64>> {
        let lines = blame.into_lines().into_iter();
        lines.map(|line| line.seq).collect()
    }

    #[test]
    fn a_line_goes_to_the_change_between_the_versions() {
        let mut blame = Blame::new(b"a\nb\nc\n".to_vec());
        blame.step_over(&change(2));
        blame.show(b"a\nc\n".to_vec());
        blame.step_over(&change(1));
        blame.show(b"c\n".to_vec());
        assert!(!blame.is_done());
        assert_eq!(seqs(blame), [Some(1), Some(2), None]);
    }

    #[test]
    fn of_several_changes_with_nothing_known_between_the_earliest_gets_the_line() {
        let mut blame = Blame::new(b"a\nb\n".to_vec());
        blame.step_over(&change(3));
        blame.step_over(&change(2));
        blame.show(b"a\n".to_vec());
        assert_eq!(seqs(blame), [None, Some(2)]);
    }

    #[test]
    fn what_may_have_come_unrecorded_goes_to_nobody() {
        let mut blame = Blame::new(b"a\nb\n".to_vec());
        blame.step_over(&change(3));
        blame.step_over_unrecorded();
        blame.show(b"a\n".to_vec());
        assert!(!blame.is_done());
        blame.step_over(&change(1));
        blame.show(Vec::new());
        assert!(blame.is_done());
        assert_eq!(seqs(blame), [Some(1), None]);
    }

    proptest! {
        #[test]
        fn the_lines_are_the_newest_content_and_go_to_changes_that_hold_them(
            versions in vec(vec(prop::sample::select(vec!["a", "b", "c", "d", ""]), 0..9), 1..7)
        ) {
            let text = |words: &[&str]| words.iter().flat_map(|word| [word, "\n"]).collect::<String>();
            let texts: Vec<String> = versions.iter().map(|words| text(words)).collect();
            let newest = texts.last().unwrap();
            let mut blame = Blame::new(newest.clone().into_bytes());
            for (seq, older) in (1..texts.len()).rev().map(|index| (index, &texts[index - 1])) {
                blame.step_over(&change(seq as u64));
                blame.show(older.clone().into_bytes());
            }
            let lines = blame.into_lines();
            let joined: String = lines.iter().flat_map(|line| [&line.text, "\n"]).collect();
            prop_assert_eq!(&joined, newest);
            for (number, line) in (1..).zip(&lines) {
                prop_assert_eq!(line.line, number);
                // The change that brought a line left it in all versions since.
                let since = usize::try_from(line.seq.unwrap_or(0)).unwrap();
                for version in &versions[since..] {
                    prop_assert!(version.contains(&line.text.as_str()));
                }
            }
        }
    }
}
