//! Stands in until the real answers are merged: answers from what a test laid down.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use change::wire::{BlameBody, ChangeWithDiff, DiffBody, Page, RecapBody, SessionBody, WhoBody};
use change::{Change, ChangeQuery, ContentState, Gap, Subject, Timestamp};

use crate::store::Error;

/// Answers from what a test laid down.
#[derive(Clone, Default)]
pub struct Answers(pub Arc<Mutex<Fixture>>);

/// What a test laid down.
#[derive(Default)]
#[expect(missing_docs, reason = "a stand-in")]
pub struct Fixture {
    pub changes: Vec<ChangeWithDiff>,
    pub contents: BTreeMap<String, Vec<u8>>,
    pub sessions: Vec<RecapBody>,
    pub gaps: Vec<Gap>,
    pub diff: Option<String>,
    pub blame: Option<BlameBody>,
    pub complete_since: Option<Timestamp>,
    pub broken: bool,
}

/// What a file held at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentAt {
    /// These bytes.
    Bytes(Vec<u8>),
    /// There was no such file.
    Absent,
    /// It is not kept, and why.
    NotKept(ContentState),
    /// That moment is not known.
    Unknown,
}

#[expect(missing_docs, reason = "a stand-in")]
impl Answers {
    fn read<T>(&self, read: impl FnOnce(&Fixture) -> T) -> Result<T, Error> {
        let fixture = self
            .0
            .lock()
            .map_err(|error| Error::Stub(error.to_string()))?;
        if fixture.broken {
            return Err(Error::Stub("disk on fire".to_owned()));
        }
        Ok(read(&fixture))
    }

    pub fn changes(&self, query: &ChangeQuery) -> Result<Page<Change>, Error> {
        self.read(|fixture| {
            let limit = query.limit.map_or(usize::MAX, |limit| limit as usize);
            let all = fixture.changes.iter().rev().map(|change| &change.change);
            let mut items: Vec<Change> = all
                .filter(|change| query.before_seq.is_none_or(|before| change.seq < before))
                .filter(|change| query.op.is_none_or(|op| change.op == op))
                .filter(|change| {
                    query
                        .subject
                        .as_ref()
                        .is_none_or(|subject| change.subject == *subject)
                })
                .cloned()
                .collect();
            let next = (items.len() > limit).then(|| items[limit - 1].seq.to_string());
            items.truncate(limit);
            Page { items, next }
        })
    }

    pub fn change(&self, seq: u64) -> Result<Option<ChangeWithDiff>, Error> {
        self.read(|fixture| {
            fixture
                .changes
                .iter()
                .find(|change| change.change.seq == seq)
                .cloned()
        })
    }

    pub fn who(&self, subject: &Subject, limit: u32) -> Result<WhoBody, Error> {
        self.read(|fixture| {
            let all = fixture.changes.iter().rev();
            WhoBody {
                subject: subject.clone(),
                changes: all
                    .filter(|c| c.change.subject == *subject)
                    .take(limit as usize)
                    .cloned()
                    .collect(),
                gaps: fixture.gaps.clone(),
                watched_since: subject
                    .key
                    .as_bytes()
                    .starts_with(b"/etc")
                    .then(Timestamp::default),
            }
        })
    }

    pub fn diff(
        &self,
        subject: &Subject,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<DiffBody, Error> {
        self.read(|fixture| DiffBody {
            subject: subject.clone(),
            since,
            until,
            diff: fixture.diff.clone(),
            why_not: None,
            changes: Vec::new(),
        })
    }

    pub fn blame(&self, subject: &Subject) -> Result<Option<BlameBody>, Error> {
        self.read(|fixture| {
            fixture
                .blame
                .clone()
                .filter(|blame| blame.subject == *subject)
        })
    }

    pub fn content(&self, hash: &str) -> Result<Option<Vec<u8>>, Error> {
        self.read(|fixture| fixture.contents.get(hash).cloned())
    }

    pub fn content_at(&self, subject: &Subject, _at: Timestamp) -> Result<ContentAt, Error> {
        self.read(|fixture| match fixture.contents.get(&subject.to_string()) {
            Some(bytes) => ContentAt::Bytes(bytes.clone()),
            None => ContentAt::Absent,
        })
    }

    pub fn sessions(&self, limit: u32) -> Result<Page<SessionBody>, Error> {
        self.read(|fixture| {
            let all = fixture.sessions.iter().map(|recap| recap.session.clone());
            Page {
                items: all.take(limit as usize).collect(),
                next: None,
            }
        })
    }

    pub fn recap(&self, id: u32) -> Result<Option<RecapBody>, Error> {
        self.read(|fixture| {
            fixture
                .sessions
                .iter()
                .find(|recap| recap.session.session.id == id)
                .cloned()
        })
    }

    pub fn gaps(&self, limit: u32) -> Result<Page<Gap>, Error> {
        self.read(|fixture| Page {
            items: fixture.gaps.iter().take(limit as usize).cloned().collect(),
            next: None,
        })
    }

    pub fn last_seq(&self) -> Result<u64, Error> {
        self.read(|fixture| fixture.changes.last().map_or(0, |change| change.change.seq))
    }

    pub fn complete_since(&self) -> Result<Option<Timestamp>, Error> {
        self.read(|fixture| fixture.complete_since)
    }
}
