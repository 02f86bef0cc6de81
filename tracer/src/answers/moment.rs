//! What a subject was at a moment, and diffs between moments and across one change.

use change::wire::{ChangeWithDiff, DiffBody};
use change::{
    Change, ChangeQuery, ContentState, FactValue, FileState, Kind, Op, Subject, Timestamp,
};

use super::{ContentAt, LONGEST_PAGE};
use crate::diff::{self, Side};
use crate::store::{self, Error, Reader};

/// What a subject was at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// It had this value.
    Value(FactValue),
    /// It did not exist.
    Absent,
    /// Nothing is known of that moment.
    Unknown,
}

impl Moment {
    /// What the subject of exactly this name was at a moment, changes of that moment included.
    pub(super) fn of(reader: &Reader, subject: &Subject, at: Timestamp) -> Result<Self, Error> {
        if let Some(change) = reader.newest_until(subject, at)? {
            let is_here = change.subject == *subject;
            return Ok(Self::from_value(change.after.filter(|_| is_here)));
        }
        if watched_since(reader, subject)?.is_none_or(|since| at < since) {
            return Ok(Self::Unknown);
        }
        Self::before_changes(reader, subject, at)
    }

    /// What the subject was before its changes after a moment, where it has none up to there.
    fn before_changes(reader: &Reader, subject: &Subject, at: Timestamp) -> Result<Self, Error> {
        if let Some(change) = reader.oldest_after(subject, at)? {
            // A rename's value before is that of the file under its older name.
            let arrived = change.op == Op::Rename && change.subject == *subject;
            return Ok(Self::from_value(change.before.filter(|_| !arrived)));
        }
        Ok(match reader.fact(subject)? {
            Some(fact) => Self::from_value(fact.value),
            None => Self::Unknown,
        })
    }

    fn from_value(value: Option<FactValue>) -> Self {
        value.map_or(Self::Absent, Self::Value)
    }

    /// The content.
    pub(super) fn into_content(self, reader: &Reader) -> Result<ContentAt, Error> {
        match self {
            Self::Value(value) => content_of(reader, &value),
            Self::Absent => Ok(ContentAt::Absent),
            Self::Unknown => Ok(ContentAt::Unknown),
        }
    }
}

/// The content that a value stands for.
pub(super) fn content_of(reader: &Reader, value: &FactValue) -> Result<ContentAt, Error> {
    let state = match value {
        FactValue::Setting { value } => return Ok(ContentAt::Bytes(format!("{value}\n").into())),
        FactValue::File(state) => state,
    };
    if !state.content.is_kept() {
        return Ok(ContentAt::NotKept(state.content));
    }
    let hash = state.hash.as_deref().and_then(store::parse_content_name);
    let kept = hash.map(|hash| reader.content(&hash)).transpose()?;
    Ok(match kept.flatten() {
        Some(bytes) => ContentAt::Bytes(bytes),
        None if state.size == 0 && state.file_type.is_regular() => ContentAt::Bytes(Vec::new()),
        None => ContentAt::NotKept(ContentState::None),
    })
}

/// Since when the subject is watched: since it or, for a file, anything in its folder was first
/// heard of.
pub(super) fn watched_since(
    reader: &Reader,
    subject: &Subject,
) -> Result<Option<Timestamp>, Error> {
    let own = reader.since(subject)?;
    let key = subject.key.as_bytes();
    let folder = match key.iter().rposition(|&byte| byte == b'/') {
        Some(slash) if slash > 0 && subject.kind == Kind::File => &key[..slash],
        _ => return Ok(own),
    };
    let near = reader.since_below(folder)?;
    Ok(own.into_iter().chain(near).min())
}

/// A change with the diff of what it did to the content.
pub(super) fn with_diff(reader: &Reader, change: Change) -> Result<ChangeWithDiff, Error> {
    let values = [&change.before, &change.after];
    let [old, new] = values.map(|value| value.as_ref().and_then(FactValue::as_file));
    let is_content = old.map(|state| &state.hash) != new.map(|state| &state.hash);
    let is_diff = change.subject.kind == Kind::File && is_content;
    let diff = if is_diff {
        diff_across(reader, &change)?
    } else {
        None
    };
    Ok(ChangeWithDiff { change, diff })
}

fn diff_across(reader: &Reader, change: &Change) -> Result<Option<String>, Error> {
    let side = |value: &Option<FactValue>| match value {
        Some(value) => content_of(reader, value),
        None => Ok(ContentAt::Absent),
    };
    let (old, new) = (side(&change.before)?, side(&change.after)?);
    let new_name = change.subject.key.to_string();
    let from = change.from.as_ref().map(|from| from.0.to_string());
    let names = [from.unwrap_or_else(|| new_name.clone()), new_name];
    Ok(unified(&names, [&old, &new]).unwrap_or_default())
}

/// The diff of two contents; what is not bytes, if one of them is neither bytes nor nothing.
fn unified<'a>(
    [old_name, new_name]: &'a [String; 2],
    [old, new]: [&'a ContentAt; 2],
) -> Result<Option<String>, &'a ContentAt> {
    Ok(diff::unified(side(old_name, old)?, side(new_name, new)?))
}

fn side<'a>(name: &'a str, content: &'a ContentAt) -> Result<Side<'a>, &'a ContentAt> {
    let (name, bytes) = match content {
        ContentAt::Bytes(bytes) => (Some(name), bytes.as_slice()),
        ContentAt::Absent => (None, [].as_slice()),
        ContentAt::NotKept(_) | ContentAt::Unknown => return Err(content),
    };
    Ok(Side { name, bytes })
}

/// The difference of a subject between two moments, each without the changes of that very moment.
pub(super) fn diff(
    reader: &Reader,
    subject: &Subject,
    [since, until]: [Timestamp; 2],
) -> Result<DiffBody, Error> {
    let watched = watched_since(reader, subject)?;
    let old = if watched.is_some_and(|watched| since > watched) {
        Moment::of(reader, subject, since.plus_nanos(-1))?
    } else {
        Moment::before_changes(reader, subject, Timestamp::from_nanos(i64::MIN))?
    };
    let new = Moment::of(reader, subject, until.plus_nanos(-1))?;
    let changes = reader.changes(&ChangeQuery {
        subject: Some(subject.clone()),
        since: Some(since),
        until: Some(until),
        limit: Some(LONGEST_PAGE),
        ..ChangeQuery::default()
    })?;
    let (diff, why_not) = diff_of_moments(reader, subject, [old, new])?;
    Ok(DiffBody {
        subject: subject.clone(),
        since: watched.map_or(since, |watched| since.max(watched)),
        until,
        diff,
        why_not,
        changes: changes.iter().rev().map(|change| change.seq).collect(),
    })
}

/// The diff, or why there is none.
fn diff_of_moments(
    reader: &Reader,
    subject: &Subject,
    [old, new]: [Moment; 2],
) -> Result<(Option<String>, Option<String>), Error> {
    let same = match (&old, &new) {
        (Moment::Absent, Moment::Absent) => Some("it existed at neither moment"),
        (Moment::Value(FactValue::File(old)), Moment::Value(FactValue::File(new))) => {
            same_file(old, new)
        }
        _ => None,
    };
    if let Some(same) = same {
        return Ok((None, Some(same.to_owned())));
    }
    let name = match subject.kind {
        Kind::File => subject.key.to_string(),
        _ => subject.to_string(),
    };
    let (old, new) = (old.into_content(reader)?, new.into_content(reader)?);
    Ok(match unified(&[name.clone(), name], [&old, &new]) {
        Ok(Some(diff)) => (Some(diff), None),
        Ok(None) => (None, Some("the contents are the same".to_owned())),
        Err(content) => (None, Some(why_not(content).to_owned())),
    })
}

fn same_file(old: &FileState, new: &FileState) -> Option<&'static str> {
    (old.hash.is_some() && old.hash == new.hash).then_some("the contents are the same")
}

fn why_not(content: &ContentAt) -> &'static str {
    match content {
        ContentAt::NotKept(ContentState::Secret) => {
            "the content is a secret, of which only a keyed hash is kept"
        }
        ContentAt::NotKept(ContentState::TooLarge) => {
            "the content is larger than what is kept, so there is only its hash"
        }
        ContentAt::NotKept(ContentState::MovedOn) => {
            "the content had moved on before it could be read"
        }
        ContentAt::NotKept(_) => "there is no content in the store",
        ContentAt::Unknown => "it is not known what was there then",
        ContentAt::Bytes(_) | ContentAt::Absent => "",
    }
}
