//! What a subject was at a moment, and diffs between moments and across one change.

use change::wire::{ChangeWithDiff, DiffBody};
use change::{Change, ChangeQuery, ContentState, FactValue, FileState, Kind, Subject, Timestamp};

use super::ContentAt;
use super::past::{Fold, Past};
use crate::diff::{self, Side};
use crate::store::{self, Error, Kept, Reader};

/// How many changes of one file a difference names at most.
const LISTED: u32 = 10_000;

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
        if watched_since(reader, subject)?.is_none_or(|since| at < since) {
            return Ok(Self::Unknown);
        }
        Self::told(reader, subject, at)
    }

    /// The same, whether or not the subject was watched then: what the first of its changes found.
    fn told(reader: &Reader, subject: &Subject, at: Timestamp) -> Result<Self, Error> {
        Ok(match Fold::new(reader)?.at(subject, at)? {
            Past::Value(value, _) => Self::Value(value),
            Past::Absent => Self::Absent,
            Past::Untold => Self::Unknown,
        })
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
        FactValue::Attributes(attributes) => {
            let lines = attributes
                .iter()
                .map(|(name, value)| format!("{name}: {value}\n"));
            return Ok(ContentAt::Bytes(lines.collect::<String>().into()));
        }
        FactValue::File(state) => state,
    };
    if !state.content.is_kept() {
        return Ok(ContentAt::NotKept(state.content));
    }
    let hash = state.hash.as_deref().and_then(store::parse_content_name);
    let kept = hash.map_or(Ok(Kept::Nothing), |hash| reader.content(&hash))?;
    Ok(match kept {
        Kept::Bytes(bytes) => ContentAt::Bytes(bytes),
        Kept::Forgotten => ContentAt::NotKept(ContentState::Forgotten),
        Kept::Nothing if state.size == 0 && state.file_type.is_regular() => {
            ContentAt::Bytes(Vec::new())
        }
        Kept::Nothing => ContentAt::NotKept(ContentState::None),
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
pub(super) fn with_diff(reader: &Reader, mut change: Change) -> Result<ChangeWithDiff, Error> {
    say_forgotten(reader, std::slice::from_mut(&mut change))?;
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

/// Says so where the content of a state was purged: the log itself stays as it was written.
pub(super) fn say_forgotten(reader: &Reader, changes: &mut [Change]) -> Result<(), Error> {
    if changes.is_empty() || !reader.has_forgotten()? {
        return Ok(());
    }
    let values = changes
        .iter_mut()
        .flat_map(|change| [&mut change.before, &mut change.after])
        .flatten();
    for value in values {
        let FactValue::File(state) = value else {
            continue;
        };
        let hash = state.hash.as_deref().and_then(store::parse_content_name);
        if let Some(hash) = hash.filter(|_| state.content.is_kept())
            && reader.is_forgotten(&hash)?
        {
            state.content = ContentState::Forgotten;
        }
    }
    Ok(())
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
        Moment::told(reader, subject, Timestamp::from_nanos(i64::MIN))?
    };
    let new = Moment::of(reader, subject, until.plus_nanos(-1))?;
    let changes = reader.changes(&ChangeQuery {
        subject: Some(subject.clone()),
        since: Some(since),
        until: Some(until),
        limit: Some(LISTED),
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
        ContentAt::NotKept(ContentState::Forgotten) => {
            "the content was forgotten: `tracer forget` has purged it"
        }
        ContentAt::NotKept(_) => "there is no content in the store",
        ContentAt::Unknown => "it is not known what was there then",
        ContentAt::Bytes(_) | ContentAt::Absent => "",
    }
}

#[cfg(test)]
mod tests {
    use change::Op;

    use super::*;
    use crate::answers::example::{answers, bob, four_versions};
    use crate::store::Batch;
    use crate::store::example::{Example, create, delete, edit, file, rename, text_fact, time};

    #[test]
    fn watching_began_with_the_first_file_of_the_folder() {
        let mut example = Example::new();
        example.commit(Batch {
            facts: vec![
                text_fact("/etc/ssh/config", "x", 5),
                text_fact("/var/a", "x", 1),
            ],
            ..Batch::default()
        });
        let since = |path| answers(&example).who(&file(path), 1).unwrap().watched_since;
        assert_eq!(since("/etc/ssh/config"), Some(time(5)));
        assert_eq!(since("/etc/ssh/new"), Some(time(5)));
        assert_eq!(since("/etc/new"), Some(time(5)));
        assert_eq!(since("/srv/new"), None);
        assert_eq!(since("/new"), None);
    }

    #[test]
    fn the_content_of_every_moment_is_known_since_watching_began() {
        let mut example = Example::new();
        example.keep(&["a\n", "b\n"]);
        example.commit(Batch {
            facts: vec![text_fact("/etc/x", "", 10)],
            ..Batch::default()
        });
        example.log(vec![
            create("/etc/a", "a\n", 20, Some(bob())),
            edit("/etc/a", ["a\n", "b\n"], 30, Some(bob())),
            rename(["/etc/a", "/etc/b"], "b\n", 40),
            delete("/etc/b", "b\n", 50, Some(bob())),
        ]);
        let at = |path: &str, seconds| {
            let at = answers(&example).content_at(&file(path), time(seconds));
            at.unwrap()
        };
        let bytes = |text: &str| ContentAt::Bytes(text.as_bytes().to_vec());
        assert_eq!(at("/etc/a", 9), ContentAt::Unknown);
        assert_eq!(at("/etc/a", 10), ContentAt::Absent);
        assert_eq!(at("/etc/a", 20), bytes("a\n"));
        assert_eq!(at("/etc/a", 39), bytes("b\n"));
        assert_eq!(at("/etc/a", 40), ContentAt::Absent);
        assert_eq!(at("/etc/b", 39), ContentAt::Absent);
        assert_eq!(at("/etc/b", 40), bytes("b\n"));
        assert_eq!(at("/etc/b", 50), ContentAt::Absent);
        assert_eq!(at("/etc/x", 10), bytes(""));
        assert_eq!(at("/etc/never", 20), ContentAt::Unknown);
    }

    #[test]
    fn the_content_before_the_first_change_is_the_one_it_replaced() {
        let mut example = Example::new();
        example.keep(&["a\n", "b\n"]);
        example.commit(Batch {
            facts: vec![text_fact("/etc/a", "a\n", 10)],
            ..Batch::default()
        });
        example.log(vec![edit("/etc/a", ["a\n", "b\n"], 20, Some(bob()))]);
        let at = answers(&example).content_at(&file("/etc/a"), time(15));
        assert_eq!(at.unwrap(), ContentAt::Bytes(b"a\n".to_vec()));
    }

    #[test]
    fn a_secret_is_not_shown_and_the_reason_is_said() {
        let mut example = Example::new();
        let mut change = edit("/etc/shadow", ["", "x"], 2, Some(bob()));
        for value in [&mut change.before, &mut change.after] {
            if let Some(FactValue::File(state)) = value {
                let keyed = state.hash.take().map(|hash| hash.replace("b3:", "k3:"));
                (state.hash, state.content) = (keyed, ContentState::Secret);
            }
        }
        example.log(vec![change]);
        let answers = answers(&example);
        let shadow = file("/etc/shadow");
        assert_eq!(
            answers.content_at(&shadow, time(2)).unwrap(),
            ContentAt::NotKept(ContentState::Secret)
        );
        let body = answers.diff(&shadow, time(2), time(9)).unwrap();
        assert!(body.why_not.unwrap().contains("secret"));
        assert_eq!(answers.change(1).unwrap().unwrap().diff, None);
        assert_eq!(answers.blame(&shadow).unwrap(), None);
    }

    #[test]
    fn the_diff_between_two_moments_names_the_changes_in_between() {
        let example = four_versions();
        let body = answers(&example)
            .diff(&file("/etc/a"), time(2), time(4))
            .unwrap();
        assert_eq!(body.changes, [2, 3]);
        assert_eq!(
            body.diff.as_deref(),
            Some("--- a/etc/a\n+++ b/etc/a\n@@ -1 +1,3 @@\n+zero\n one\n+two\n")
        );
        assert_eq!(body.why_not, None);
    }

    #[test]
    fn a_diff_from_before_watching_begins_where_watching_began() {
        let mut example = Example::new();
        example.keep(&["a\n", "b\n"]);
        example.commit(Batch {
            facts: vec![text_fact("/etc/a", "a\n", 10)],
            ..Batch::default()
        });
        let ever = Timestamp::from_nanos(i64::MIN);
        let same = answers(&example).diff(&file("/etc/a"), ever, time(99));
        let same = same.unwrap();
        assert_eq!(same.why_not.as_deref(), Some("the contents are the same"));
        example.log(vec![edit("/etc/a", ["a\n", "b\n"], 20, Some(bob()))]);
        let body = answers(&example).diff(&file("/etc/a"), ever, time(99));
        let body = body.unwrap();
        assert_eq!(body.since, time(10));
        assert!(body.diff.unwrap().ends_with("-a\n+b\n"));
        let never = answers(&example).diff(&file("/srv/a"), ever, time(99));
        assert!(never.unwrap().why_not.unwrap().contains("not known"));
    }

    #[test]
    fn the_value_of_a_setting_has_a_diff_too() {
        let mut example = Example::new();
        let setting = |value: &str| FactValue::Setting {
            value: value.to_owned(),
        };
        let subject = Subject::parse(b"sysctl:vm.swappiness").unwrap();
        example.commit(Batch {
            changes: vec![Change {
                subject: subject.clone(),
                op: Op::Set,
                before: Some(setting("60")),
                after: Some(setting("10")),
                ..edit("/x", ["", ""], 5, Some(bob()))
            }],
            ..Batch::default()
        });
        let body = answers(&example).diff(&subject, time(5), time(6)).unwrap();
        assert_eq!(
            body.diff.as_deref(),
            Some("--- a/sysctl:vm.swappiness\n+++ b/sysctl:vm.swappiness\n@@ -1 +1 @@\n-60\n+10\n")
        );
        let change = answers(&example).change(1).unwrap().unwrap();
        assert_eq!(change.diff, None);
        assert_eq!(change.change.after, Some(setting("10")));
    }
}
