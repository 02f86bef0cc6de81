//! Walks the versions of a file, newest first, for blame.

use change::wire::BlameBody;
use change::{Change, FactValue, Op, Subject, Timestamp};

use super::ContentAt;
use super::moment::{Moment, content_of};
use crate::blame::Blame;
use crate::store::{Error, Reader};

/// What tells versions apart.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Version {
    Absent,
    Hash(String),
    /// Nothing is known of it, so that it may be the same as any other.
    Unknown,
}

impl Version {
    fn of(value: Option<&FactValue>) -> Self {
        match value {
            None => Self::Absent,
            Some(value) => value
                .as_file()
                .and_then(|state| state.hash.clone())
                .map_or(Self::Unknown, Self::Hash),
        }
    }

    /// Whether the two cannot be the same.
    fn differs(&self, other: &Self) -> bool {
        *self != Self::Unknown && *other != Self::Unknown && self != other
    }
}

/// Which change brought each line.
pub(super) fn blame(reader: &Reader, subject: &Subject) -> Result<Option<BlameBody>, Error> {
    let newest = match reader.fact(subject)?.and_then(|fact| fact.value) {
        Some(value) => Moment::Value(value),
        None => Moment::of(reader, subject, Timestamp::from_nanos(i64::MAX))?,
    };
    let Moment::Value(newest @ FactValue::File(_)) = newest else {
        return Ok(None);
    };
    let ContentAt::Bytes(bytes) = content_of(reader, &newest)? else {
        return Ok(None);
    };
    let mut walk = Walk {
        reader,
        blame: Blame::new(bytes),
        shown: Version::of(Some(&newest)),
        version: Version::of(Some(&newest)),
    };
    let mut result = Ok(());
    reader.lineage(subject, &mut |change| {
        result = walk.step(&change);
        result.is_ok() && !walk.blame.is_done()
    })?;
    result?;
    Ok(Some(BlameBody {
        subject: subject.clone(),
        lines: walk.blame.into_lines(),
    }))
}

struct Walk<'r> {
    reader: &'r Reader,
    blame: Blame,
    /// The version that was shown last.
    shown: Version,
    /// What was there after the change that comes next.
    version: Version,
}

impl Walk<'_> {
    fn step(&mut self, change: &Change) -> Result<(), Error> {
        let [before, after] =
            [&change.before, &change.after].map(|value| Version::of(value.as_ref()));
        if self.version.differs(&after) {
            self.blame.step_over_unrecorded();
        }
        self.show(change.after.as_ref())?;
        let is_blind = before == Version::Unknown || after == Version::Unknown;
        let touches_content = !matches!(
            change.op,
            Op::Mode | Op::Owner | Op::Xattr | Op::Rename | Op::Link
        );
        if before.differs(&after) || (is_blind && touches_content) {
            self.blame.step_over(change);
        }
        self.show(change.before.as_ref())?;
        self.version = before;
        Ok(())
    }

    fn show(&mut self, value: Option<&FactValue>) -> Result<(), Error> {
        let version = Version::of(value);
        if version == self.shown && version != Version::Unknown {
            self.blame.show_again();
            return Ok(());
        }
        let content = match value {
            Some(value) => content_of(self.reader, value)?,
            None => ContentAt::Absent,
        };
        match content {
            ContentAt::Bytes(bytes) => self.blame.show(bytes),
            ContentAt::Absent => self.blame.show(Vec::new()),
            ContentAt::NotKept(_) | ContentAt::Unknown => return Ok(()),
        }
        self.shown = version;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use change::ContentState;

    use super::*;
    use crate::answers::example::{answers, bob, four_versions};
    use crate::store::Batch;
    use crate::store::example::{Example, alice, create, edit, file, rename, text_fact};

    fn blamed(example: &Example, path: &str) -> Vec<(String, Option<u64>, Option<String>)> {
        let body = answers(example).blame(&file(path)).unwrap().unwrap();
        let lines = body.lines.into_iter();
        lines
            .map(|line| (line.text, line.seq, line.user.and_then(|user| user.name)))
            .collect()
    }

    fn line(
        text: &str,
        seq: Option<u64>,
        user: Option<&str>,
    ) -> (String, Option<u64>, Option<String>) {
        (text.to_owned(), seq, user.map(str::to_owned))
    }

    #[test]
    fn every_line_goes_to_the_person_who_brought_it() {
        assert_eq!(
            blamed(&four_versions(), "/etc/a"),
            [
                line("zero", Some(3), None),
                line("one", Some(1), Some("alice")),
                line("2", Some(4), Some("alice")),
            ]
        );
    }

    #[test]
    fn blame_follows_a_rename_to_the_older_name_only() {
        let mut example = Example::new();
        example.keep(&["old\n", "a\n", "a\nb\n", "a\nb\nc\n"]);
        example.log(vec![
            create("/etc/b", "old\n", 1, Some(bob())),
            edit("/etc/a", ["a\n", "a\nb\n"], 2, Some(bob())),
            rename(["/etc/a", "/etc/b"], "a\nb\n", 3),
            edit("/etc/b", ["a\nb\n", "a\nb\nc\n"], 4, Some(alice(41))),
        ]);
        assert_eq!(
            blamed(&example, "/etc/b"),
            [
                line("a", None, None),
                line("b", Some(2), Some("bob")),
                line("c", Some(4), Some("alice")),
            ]
        );
        assert_eq!(answers(&example).blame(&file("/etc/a")).unwrap(), None);
    }

    #[test]
    fn blame_is_honest_about_versions_that_were_not_kept() {
        let mut example = Example::new();
        example.keep(&["a\n", "a\nb\nc\n"]);
        let mut moved_on = edit("/etc/a", ["a\n", "?"], 2, Some(bob()));
        if let Some(FactValue::File(state)) = &mut moved_on.after {
            (state.hash, state.content) = (None, ContentState::MovedOn);
        }
        let mut next = edit("/etc/a", ["", "a\nb\nc\n"], 3, Some(alice(41)));
        next.before = moved_on.after.clone();
        example.log(vec![
            create("/etc/a", "a\n", 1, Some(alice(41))),
            moved_on,
            next,
        ]);
        assert_eq!(
            blamed(&example, "/etc/a"),
            [
                line("a", Some(1), Some("alice")),
                line("b", Some(2), Some("bob")),
                line("c", Some(2), Some("bob")),
            ]
        );
    }

    #[test]
    fn lines_that_came_while_nobody_watched_are_nobodys() {
        let mut example = Example::new();
        example.keep(&["a\n", "a\nb\n", "a\nb\nc\n"]);
        example.log(vec![
            create("/etc/a", "a\n", 1, Some(alice(41))),
            edit("/etc/a", ["a\nb\n", "a\nb\nc\n"], 2, Some(bob())),
        ]);
        assert_eq!(
            blamed(&example, "/etc/a"),
            [
                line("a", Some(1), Some("alice")),
                line("b", None, None),
                line("c", Some(2), Some("bob")),
            ]
        );
    }

    #[test]
    fn a_file_that_only_was_there_has_lines_of_nobody() {
        let mut example = Example::new();
        example.keep(&["a\nb"]);
        example.commit(Batch {
            facts: vec![text_fact("/etc/a", "a\nb", 1)],
            ..Batch::default()
        });
        assert_eq!(
            blamed(&example, "/etc/a"),
            [line("a", None, None), line("b", None, None)]
        );
        assert_eq!(answers(&example).blame(&file("/etc/never")).unwrap(), None);
    }
}
