//! Reads a request's parameters: percent-encoded bytes, so that a path that is not UTF-8 survives.
//! What is not known here is refused by name.

use std::ops::RangeInclusive;
use std::str::FromStr;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use change::{Author, ChangeQuery, Kind, Op, RunKind, RunQuery, Subject, Text, Timestamp};
use percent_encoding::percent_decode;

use super::Error;
use crate::answers::subject_of_cursor;
use crate::config::glob;
use crate::store::{KnownHead, SubjectPage};

/// What a time is to look like.
const A_TIME: &str = "a time like 2026-11-21T14:02:11Z";

/// How many subjects are listed at once unless asked otherwise.
const SUBJECTS: u32 = 100;

/// The parameters behind the `?`, each taken out once by the handler.
pub(super) struct Params {
    given: Vec<(String, Vec<u8>)>,
    known: Vec<&'static str>,
}

/// The file that a query is about, if it is about one.
pub(super) fn about(query: &str) -> Option<Text> {
    let Params { given, known: _ } = Params::parse(query);
    let names_it = |name: &str| name == "subject" || name == "path";
    let (_, value) = given.into_iter().find(|(name, _)| names_it(name))?;
    let subject = Subject::parse(&value).ok()?;
    (subject.kind == Kind::File).then_some(subject.key)
}

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

impl Params {
    fn parse(query: &str) -> Self {
        let decode =
            |text: &str| percent_decode(text.replace('+', " ").as_bytes()).collect::<Vec<u8>>();
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let given = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (Text::from(decode(name)).to_string(), decode(value))
        });
        Self {
            given: given.collect(),
            known: Vec::new(),
        }
    }

    /// Reads what the handler takes, and refuses whatever is left over.
    pub(super) fn read<T>(
        mut self,
        take: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let taken = take(&mut self)?;
        if self.given.is_empty() {
            return Ok(taken);
        }
        let names: Vec<_> = self
            .given
            .iter()
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        Err(Error::UnknownParameter {
            given: names.join(", "),
            known: if self.known.is_empty() {
                "none".to_owned()
            } else {
                self.known.join(", ")
            },
        })
    }

    /// All filters of a listing.
    pub(super) fn filters(&mut self) -> Result<ChangeQuery, Error> {
        let [since, until] = self.between()?;
        Ok(ChangeQuery {
            since,
            until,
            kind: self.kind()?,
            op: self.word("op", &Op::ALL)?,
            user: self.text("user")?,
            session: self.number("session", 0..=u32::MAX)?,
            path: self.glob("path")?,
            by: self.word("by", &Author::ALL)?,
            run: None,
            subject: self.optional_subject()?,
            before_seq: None,
            limit: None,
        })
    }

    /// The run that owns what is asked for: `run`.
    pub(super) fn run(&mut self) -> Result<Option<u64>, Error> {
        self.optional("run", |value| {
            parsed(value).ok_or_else(|| "it must be the number of a run".to_owned())
        })
    }

    /// All filters of a listing of runs.
    pub(super) fn run_filters(&mut self) -> Result<RunQuery, Error> {
        let [since, until] = self.between()?;
        Ok(RunQuery {
            since,
            until,
            kind: self.word("kind", &RunKind::ALL)?,
            session: self.number("session", 0..=u32::MAX)?,
            user: self.text("user")?,
            changed: self.flag("changed")?,
            before: None,
            limit: None,
        })
    }

    /// How many items to return: `n`.
    pub(super) fn limit(&mut self, default: u32) -> Result<u32, Error> {
        Ok(self.number("n", 1..=1000)?.unwrap_or(default))
    }

    /// Where the page before ended: `cursor`.
    pub(super) fn cursor(&mut self) -> Result<Option<u64>, Error> {
        self.optional("cursor", |value| {
            parsed(value).ok_or_else(|| "pass what `next` of the page before says".to_owned())
        })
    }

    /// Whether something is wanted: `true` or `false`.
    pub(super) fn flag(&mut self, name: &'static str) -> Result<bool, Error> {
        let words = [(true, "true"), (false, "false")];
        Ok(self.word(name, &words)?.unwrap_or(false))
    }

    /// The kind of subjects: `kind`.
    fn kind(&mut self) -> Result<Option<Kind>, Error> {
        self.word("kind", &Kind::ALL)
    }

    /// Behind which subject the page before ended: `cursor`.
    fn subject_cursor(&mut self) -> Result<Option<Subject>, Error> {
        self.optional("cursor", |value| {
            let cursor = str::from_utf8(value).ok().and_then(subject_of_cursor);
            cursor.ok_or_else(|| "pass what `next` of the page before says".to_owned())
        })
    }

    pub(super) fn subject(&mut self) -> Result<Subject, Error> {
        let subject = self.optional_subject()?;
        required("subject", "an absolute path, or `kind:key`", subject)
    }

    pub(super) fn optional_subject(&mut self) -> Result<Option<Subject>, Error> {
        self.optional("subject", |value| {
            Subject::parse(value).map_err(|error| error.to_string())
        })
    }

    /// A page of a listing of subjects: `kind`, `cursor` and `n`.
    pub(super) fn subject_page(&mut self) -> Result<SubjectPage, Error> {
        Ok(SubjectPage {
            kind: self.kind()?,
            after: self.subject_cursor()?,
            limit: self.limit(SUBJECTS)?,
        })
    }

    /// The file at `path`; `subject` may name it as well.
    pub(super) fn file(&mut self) -> Result<Subject, Error> {
        let absolute = |value: &[u8]| match value {
            [b'/', ..] => Ok(Subject::file(value)),
            _ => Err("it must be an absolute path".to_owned()),
        };
        let path = self.optional("path", absolute)?;
        let subject = self.optional("subject", |value| {
            let subject = Subject::parse(value).map_err(|error| error.to_string())?;
            let file = subject.kind == Kind::File;
            file.then_some(subject)
                .ok_or_else(|| "it must be a file".to_owned())
        })?;
        required("path", "an absolute path", path.or(subject))
    }

    /// Where the log ended when it was verified before: `head`.
    pub(super) fn head(&mut self) -> Result<Option<KnownHead>, Error> {
        self.optional("head", |value| {
            let head = str::from_utf8(value).ok().and_then(KnownHead::parse);
            head.ok_or_else(|| "it must be `SEQ:HASH`, as `head` of a verification".to_owned())
        })
    }

    /// Whether to include what other files have too: `shared`.
    pub(super) fn shared(&mut self) -> Result<bool, Error> {
        self.flag("shared")
    }

    /// The time that is asked about: `since` and `until`, which must not be the earlier one of both.
    pub(super) fn between(&mut self) -> Result<[Option<Timestamp>; 2], Error> {
        let (since, until) = (self.time("since")?, self.time("until")?);
        match (since, until) {
            (Some(since), Some(until)) if until < since => Err(Error::BadParameter {
                name: "until",
                value: until.to_string(),
                allowed: format!("it must not be before `since`, which is `{since}`"),
            }),
            _ => Ok([since, until]),
        }
    }

    fn time(&mut self, name: &'static str) -> Result<Option<Timestamp>, Error> {
        self.optional(name, |value| {
            let time = parsed::<jiff::Timestamp>(value).map(jiff::Timestamp::as_nanosecond);
            time.and_then(|nanos| i64::try_from(nanos).ok())
                .map(Timestamp::from_nanos)
                .ok_or_else(|| format!("it must be {A_TIME}"))
        })
    }

    /// A moment of which something can be known: not one that is still to come.
    pub(super) fn past_time(&mut self, name: &'static str) -> Result<Option<Timestamp>, Error> {
        let now = i64::try_from(jiff::Timestamp::now().as_nanosecond());
        let now = now.map_or(Timestamp::MAX, Timestamp::from_nanos);
        match self.time(name)? {
            Some(time) if time > now => Err(Error::BadParameter {
                name,
                value: time.to_string(),
                allowed: format!("it lies in the future, and the state is known up to now, {now}"),
            }),
            time => Ok(time),
        }
    }

    pub(super) fn required_time(&mut self, name: &'static str) -> Result<Timestamp, Error> {
        let time = self.time(name)?;
        required(name, A_TIME, time)
    }

    /// The time that is asked about, where it has to be said.
    pub(super) fn required_between(&mut self) -> Result<[Timestamp; 2], Error> {
        let [since, until] = self.between()?;
        Ok([
            required("since", A_TIME, since)?,
            required("until", A_TIME, until)?,
        ])
    }

    fn number(
        &mut self,
        name: &'static str,
        range: RangeInclusive<u32>,
    ) -> Result<Option<u32>, Error> {
        self.optional(name, |value| {
            parsed(value)
                .filter(|number| range.contains(number))
                .ok_or_else(|| {
                    format!(
                        "it must be a number from {} to {}",
                        range.start(),
                        range.end()
                    )
                })
        })
    }

    fn word<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(T, &'static str)],
    ) -> Result<Option<T>, Error> {
        self.optional(name, |value| {
            let found = words.iter().find(|(_, word)| word.as_bytes() == value);
            let all = || {
                words
                    .iter()
                    .map(|(_, word)| *word)
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            found
                .map(|(item, _)| *item)
                .ok_or_else(|| format!("it must be one of {}", all()))
        })
    }

    fn text(&mut self, name: &'static str) -> Result<Option<String>, Error> {
        self.optional(name, |value| {
            let text = str::from_utf8(value).ok().filter(|text| !text.is_empty());
            text.map(str::to_owned)
                .ok_or_else(|| "it must be UTF-8 and not empty".to_owned())
        })
    }

    fn glob(&mut self, name: &'static str) -> Result<Option<String>, Error> {
        self.optional(name, |value| {
            let pattern =
                str::from_utf8(value).map_err(|_invalid| "it must be UTF-8".to_owned())?;
            glob(pattern).map_err(|error| format!("it must be a glob: {}", error.kind()))?;
            Ok(pattern.to_owned())
        })
    }

    fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Result<Option<T>, Error> {
        self.known.push(name);
        let Some(place) = self.given.iter().position(|(given, _)| given == name) else {
            return Ok(None);
        };
        let (_, value) = self.given.remove(place);
        let refused = |allowed| Error::BadParameter {
            name,
            value: Text::from(value.as_slice()).to_string(),
            allowed,
        };
        if self.given.iter().any(|(given, _)| given == name) {
            return Err(refused("it must be given once".to_owned()));
        }
        read(&value).map(Some).map_err(refused)
    }
}

fn required<T>(name: &'static str, allowed: &str, value: Option<T>) -> Result<T, Error> {
    value.ok_or_else(|| Error::MissingParameter {
        name,
        allowed: allowed.to_owned(),
    })
}

fn parsed<T: FromStr>(value: &[u8]) -> Option<T> {
    str::from_utf8(value).ok()?.parse().ok()
}

/// The one variable part of a route's path.
pub(super) struct Segment(String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let segment: Result<_, PathRejection> = Path::from_request_parts(parts, state).await;
        match segment {
            Ok(Path(segment)) => Ok(Self(segment)),
            Err(_not_utf8) => Err(Error::UnknownRoute(parts.uri.path().to_owned())),
        }
    }
}

impl Segment {
    pub(super) fn number<T: FromStr>(&self, name: &'static str) -> Result<T, Error> {
        self.0
            .parse()
            .map_err(|_not_a_number| self.refused(name, "it must be a number"))
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }

    pub(super) fn refused(&self, name: &'static str, allowed: &str) -> Error {
        Error::BadParameter {
            name,
            value: Text::from(self.0.as_str()).to_string(),
            allowed: allowed.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_utf8_survive() {
        let subject = Params::parse("subject=%2Fetc%2F%ff+a%2Bb%26")
            .read(Params::subject)
            .ok();
        assert_eq!(subject, Some(Subject::file(b"/etc/\xff a+b&".as_slice())));
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_allowed() {
        let error = |query: &str| {
            Params::parse(query)
                .read(Params::filters)
                .map(drop)
                .unwrap_err()
                .to_string()
        };
        insta::assert_snapshot!(error("op=edit"), @"parameter `op` is `edit`: it must be one of create, modify, delete, rename, link, symlink, mode, owner, xattr, install, upgrade, downgrade, remove, set, load, unload, fail, start, stop, restart, enable, disable, mount, unmount, forget");
        insta::assert_snapshot!(error("since=yesterday"), @"parameter `since` is `yesterday`: it must be a time like 2026-11-21T14:02:11Z");
        insta::assert_snapshot!(error("since=2026-11-21T14:02:11Z&until=2026-11-21T14:02:10Z"), @"parameter `until` is `2026-11-21T14:02:10.000000000Z`: it must not be before `since`, which is `2026-11-21T14:02:11.000000000Z`");
        insta::assert_snapshot!(error("session=-1"), @"parameter `session` is `-1`: it must be a number from 0 to 4294967295");
        insta::assert_snapshot!(error("kind=file&kind=file"), @"parameter `kind` is `file`: it must be given once");
        insta::assert_snapshot!(error("subject=hosts%1b"), @r"parameter `subject` is `hosts\u{1b}`: `hosts\u{1b}` is neither an absolute path nor `kind:key`");
        insta::assert_snapshot!(error("path=%5B"), @"parameter `path` is `[`: it must be a glob: unclosed character class; missing ']'");
        insta::assert_snapshot!(error("usr=alice&x"), @"there is no parameter `usr`, `x` here; there are: since, until, kind, op, user, session, path, by, subject");
        insta::assert_snapshot!(Params::parse("").read(Params::subject).unwrap_err(), @"parameter `subject` is missing: an absolute path, or `kind:key`");
        insta::assert_snapshot!(Params::parse("n=0").read(|p| p.limit(1)).unwrap_err(), @"parameter `n` is `0`: it must be a number from 1 to 1000");
    }
}
