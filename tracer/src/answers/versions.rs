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
