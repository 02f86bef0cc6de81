//! What a subject was at a moment, folded from the log: by its own changes, and by those of the directories
//! that a file lay in, which move all that is below them without a change for each.

use change::{Change, FactValue, Kind, Note, Op, Subject, Text, Timestamp};

use crate::store::{DirectoryMove, Error, Reader};

/// How many moves of directories are followed for one file: more have only programs that rename without
/// end.
const FOLLOWED: usize = 64;

/// What the log tells of a subject at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Past {
    /// It had this value, since then at the latest.
    Value(FactValue, Timestamp),
    /// It did not exist.
    Absent,
    /// Nothing tells.
    Untold,
}

/// Knows where directories went.
pub(super) struct Fold<'r> {
    reader: &'r Reader,
    moves: Vec<DirectoryMove>,
}

/// What happened last, or next, to a subject.
enum Event {
    Own(Box<Change>),
    /// A directory that it lies in came to its place; the file had this name before.
    Came(Subject, Timestamp),
    /// A directory that it lay in went away; the file has this name from then on.
    Went(Subject, Timestamp),
}

impl<'r> Fold<'r> {
    /// Reads what concerns more than one subject.
    pub(super) fn new(reader: &'r Reader) -> Result<Self, Error> {
        let moves = reader.directory_moves()?;
        Ok(Self { reader, moves })
    }

    /// What a subject was at a moment, with the changes of that moment.
    pub(super) fn at(&self, subject: &Subject, at: Timestamp) -> Result<Past, Error> {
        let (mut subject, mut at) = (subject.clone(), at);
        for _ in 0..FOLLOWED {
            match self.newest_until(&subject, at)? {
                None => return self.before(subject, at),
                Some(Event::Own(change)) => {
                    let is_here = change.subject == subject;
                    let value = change.after.filter(|_| is_here);
                    return Ok(known(value, change.time));
                }
                Some(Event::Went(..)) => return Ok(Past::Absent),
                Some(Event::Came(before, time)) => {
                    (subject, at) = (before, time.plus_nanos(-1));
                }
            }
        }
        Ok(Past::Untold)
    }

    /// The newest change up to a moment that made a subject what it was then, under whatever name.
    pub(super) fn last_change(
        &self,
        subject: &Subject,
        at: Timestamp,
    ) -> Result<Option<Change>, Error> {
        let own = self.reader.newest_until(subject, at)?;
        let moves = self.moves_of(subject).filter(|(one, _)| one.time <= at);
        let seq = moves.map(|(one, _)| one.seq).max();
        match (own, seq) {
            (Some(own), Some(seq)) if own.seq > seq => Ok(Some(own)),
            (own, None) => Ok(own),
            (_, Some(seq)) => self.reader.change(seq),
        }
    }

    /// What a subject was before whatever happened to it after a moment, up to which nothing did.
    fn before(&self, subject: Subject, at: Timestamp) -> Result<Past, Error> {
        let since = self.reader.since(&subject)?;
        let since = since.unwrap_or(Timestamp::from_nanos(i64::MIN));
        let (mut subject, mut at) = (subject, at);
        for _ in 0..FOLLOWED {
            match self.oldest_after(&subject, at)? {
                Some(Event::Own(change)) => return Ok(known(found_by(*change, &subject), since)),
                Some(Event::Came(..)) => return Ok(Past::Absent),
                Some(Event::Went(next, time)) => (subject, at) = (next, time),
                None => {
                    // Some facts come without a change: with a module, or as they were read first.
                    let fact = self.reader.fact(&subject)?;
                    let fact = fact.filter(|fact| fact.time <= at.max(since));
                    let value = fact.and_then(|fact| fact.value);
                    return Ok(value.map_or(Past::Untold, |value| Past::Value(value, since)));
                }
            }
        }
        Ok(Past::Untold)
    }

    fn newest_until(&self, subject: &Subject, at: Timestamp) -> Result<Option<Event>, Error> {
        let own = self.reader.newest_until(subject, at)?;
        let moves = self.moves_of(subject).filter(|(one, _)| one.time <= at);
        // What goes and comes at once is there.
        let newest = moves.max_by_key(|(one, event)| (one.time, is_coming(event), one.seq));
        Ok(match (own, newest) {
            (Some(own), Some((one, _))) if own.seq > one.seq => Some(Event::Own(Box::new(own))),
            (_, Some((_, event))) => Some(event),
            (own, None) => own.map(|own| Event::Own(Box::new(own))),
        })
    }

    fn oldest_after(&self, subject: &Subject, at: Timestamp) -> Result<Option<Event>, Error> {
        let own = self.reader.oldest_after(subject, at)?;
        let moves = self.moves_of(subject).filter(|(one, _)| one.time > at);
        let oldest = moves.min_by_key(|(one, event)| (one.time, is_coming(event), one.seq));
        Ok(match (own, oldest) {
            (Some(own), Some((one, _))) if own.seq < one.seq => Some(Event::Own(Box::new(own))),
            (_, Some((_, event))) => Some(event),
            (own, None) => own.map(|own| Event::Own(Box::new(own))),
        })
    }

    /// The moves that took a file along, from its place or to it.
    fn moves_of(&self, subject: &Subject) -> impl Iterator<Item = (&DirectoryMove, Event)> {
        let key = (subject.kind == Kind::File).then(|| subject.key.clone());
        key.into_iter().flat_map(|key| {
            let each = self.moves.iter();
            each.flat_map(move |one| {
                let came = moved(&key, &one.to, &one.from).map(|was| Event::Came(was, one.time));
                let went = moved(&key, &one.from, &one.to).filter(|_| !one.exchanged);
                let went = went.map(|is| Event::Went(is, one.time));
                came.into_iter().chain(went).map(move |event| (one, event))
            })
        })
    }
}

fn is_coming(event: &Event) -> bool {
    matches!(event, Event::Came(..))
}

/// The name below the one directory as it would be below the other.
fn moved(key: &Text, below: &Text, other: &Text) -> Option<Subject> {
    let rest = key.as_bytes().strip_prefix(below.as_bytes())?;
    rest.starts_with(b"/")
        .then(|| Subject::file([other.as_bytes(), rest].concat()))
}

/// What was under that name before a change of it.
fn found_by(change: Change, subject: &Subject) -> Option<FactValue> {
    let is_replaced = change.notes.contains(&Note::Replaced);
    match (change.op, change.subject == *subject) {
        // What is told as before is that of the file under its older name, unless that took the place
        // of another.
        (Op::Rename, true) => change.before.filter(|_| is_replaced),
        (Op::Rename, false) if is_replaced => change.after,
        _ => change.before,
    }
}

fn known(value: Option<FactValue>, since: Timestamp) -> Past {
    value.map_or(Past::Absent, |value| Past::Value(value, since))
}
