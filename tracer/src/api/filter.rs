//! Says of one change whether a query asks for it: the store's filters, for changes as they come.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use change::{Author, Change, ChangeQuery, Kind, Op, Subject, Text, Timestamp};
use globset::GlobMatcher;

use crate::config::glob;

/// A query made ready to be held against many changes, one after the other.
pub(super) struct Filter {
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    kind: Option<Kind>,
    op: Option<Op>,
    user: Option<String>,
    session: Option<u32>,
    path: Option<GlobMatcher>,
    by: Option<Author>,
    /// The subject asked for, and every name that it was renamed to since.
    names: Vec<Subject>,
}

impl Filter {
    /// Makes a query ready. A query's page is not its filter's business.
    pub(super) fn new(query: ChangeQuery) -> Result<Self, globset::Error> {
        let ChangeQuery {
            since,
            until,
            kind,
            op,
            user,
            session,
            path,
            by,
            // What runs are within a run shows only later: the stream does not take it.
            run: _,
            subject,
            before_seq: _,
            limit: _,
        } = query;
        let path = path.map(|pattern| glob(&pattern)).transpose()?;
        Ok(Self {
            since,
            until,
            kind,
            op,
            user,
            session,
            path: path.map(|glob| glob.compile_matcher()),
            by,
            names: subject.into_iter().collect(),
        })
    }

    /// Whether the query asks for this change. Changes must come in their order, so that a subject
    /// is followed through its renames.
    pub(super) fn accepts(&mut self, change: &Change) -> bool {
        self.accepts_subject(change)
            && self.since.is_none_or(|since| change.time >= since)
            && self.until.is_none_or(|until| change.time < until)
            && self.kind.is_none_or(|kind| change.subject.kind == kind)
            && self.op.is_none_or(|op| change.op == op)
            && self.by.is_none_or(|by| change.author() == Some(by))
            && self.accepts_actor(change)
            && self.accepts_path(change)
    }

    fn accepts_subject(&mut self, change: &Change) -> bool {
        if self.names.is_empty() || self.names.contains(&change.subject) {
            return true;
        }
        let Some(from) = &change.from else {
            return false;
        };
        let before = Subject {
            kind: change.subject.kind,
            key: from.0.clone(),
        };
        let renamed = self.names.contains(&before);
        if renamed {
            self.names.push(change.subject.clone());
        }
        renamed
    }

    fn accepts_actor(&self, change: &Change) -> bool {
        let actor = change.actor.as_deref();
        let session = actor
            .and_then(|actor| actor.session.as_ref())
            .map(|session| session.id);
        let by_user = |user: &String| {
            actor.map(change::Actor::person).is_some_and(|person| {
                person.name.as_ref() == Some(user) || person.uid.to_string() == *user
            })
        };
        self.session.is_none_or(|id| session == Some(id)) && self.user.as_ref().is_none_or(by_user)
    }

    fn accepts_path(&self, change: &Change) -> bool {
        let Some(glob) = &self.path else {
            return true;
        };
        let matches = |name: &Text| glob.is_match(OsStr::from_bytes(name.as_bytes()));
        change.subject.kind == Kind::File
            && (matches(&change.subject.key)
                || change.from.as_ref().is_some_and(|from| matches(&from.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::change;
    use super::*;

    #[test]
    fn every_filter_that_is_set_must_hold() {
        let nginx = change(1, b"/etc/nginx/a.conf", Op::Modify);
        let accepts = |query: ChangeQuery| Filter::new(query).unwrap().accepts(&nginx);
        let query = ChangeQuery::default;
        let path = |glob: &str| {
            accepts(ChangeQuery {
                path: Some(glob.to_owned()),
                ..query()
            })
        };
        let user = |user: &str| {
            accepts(ChangeQuery {
                user: Some(user.to_owned()),
                ..query()
            })
        };
        assert!(accepts(query()));
        assert_eq!(
            [
                path("/etc/nginx/*"),
                path("/etc/*"),
                path("/etc/**"),
                path("**/*.conf")
            ],
            [true, false, true, true]
        );
        assert_eq!(
            [user("alice"), user("1000"), user("root"), user("0")],
            [true, true, false, false]
        );
        assert!(accepts(ChangeQuery {
            by: Some(Author::Human),
            session: Some(41),
            ..query()
        }));
        assert!(!accepts(ChangeQuery {
            by: Some(Author::Human),
            session: Some(42),
            ..query()
        }));
        assert!(accepts(ChangeQuery {
            since: Some(nginx.time),
            ..query()
        }));
        assert!(!accepts(ChangeQuery {
            until: Some(nginx.time),
            ..query()
        }));
        assert!(!accepts(ChangeQuery {
            kind: Some(Kind::Sysctl),
            ..query()
        }));
        assert!(!accepts(ChangeQuery {
            op: Some(Op::Create),
            ..query()
        }));
        let late = Change {
            actor: None,
            ..nginx.clone()
        };
        let by_anyone = ChangeQuery {
            by: Some(Author::Human),
            ..query()
        };
        assert!(!Filter::new(by_anyone).unwrap().accepts(&late));
    }
}
