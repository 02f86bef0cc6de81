//! Parameters of a question: declared once, so that what is read and what is documented are the same. What is not
//! declared is refused by name.

use std::str::FromStr;

use change::{Author, Kind, Op, Subject, Text, Timestamp};
use percent_encoding::percent_decode;

use super::Error;
use crate::selector::Selector;

/// A value has no more characters than this.
pub(super) const LONGEST: usize = 2000;
/// What may be given several times may be so often.
pub(super) const MOST: usize = 32;
/// So many bytes of a value that is refused are told again.
const TOLD: usize = 100;
/// What a time is to look like.
const A_TIME: &str = "it must be a time like 2026-11-21T14:02:11Z";

/// Describes a parameter: what it is called, takes and means.
pub(super) struct Param {
    pub(super) name: &'static str,
    pub(super) takes: Takes,
    pub(super) is_required: bool,
    pub(super) about: &'static str,
    /// A value as it may be given.
    pub(super) example: Option<&'static str>,
}

impl Param {
    const fn like(mut self, example: &'static str) -> Self {
        self.example = Some(example);
        self
    }
}

/// Says what a parameter takes.
#[derive(Clone, Copy)]
pub(super) enum Takes {
    /// Text that is not empty.
    Text,
    /// Any number of texts, each as a parameter of its own.
    Texts,
    /// A moment, as RFC 3339 writes it.
    Time,
    /// A whole number from one to another; without it a usual one.
    Number { from: u32, to: u32, usual: u32 },
    /// A number of hours, parts too, up to some; without it some.
    Hours { to: f64, usual: f64 },
    /// One of some words.
    Word(fn() -> Vec<&'static str>),
    /// `true` or `false`; without it `false`.
    Flag,
}

const fn optional(name: &'static str, takes: Takes, about: &'static str) -> Param {
    Param {
        name,
        takes,
        is_required: false,
        about,
        example: None,
    }
}

const fn required(name: &'static str, takes: Takes, about: &'static str) -> Param {
    Param {
        is_required: true,
        ..optional(name, takes, about)
    }
}

const fn number(usual: u32) -> Param {
    let takes = Takes::Number {
        from: 1,
        to: 1000,
        usual,
    };
    optional("n", takes, "At most so many")
}

pub(super) const TEN: Param = number(10);
pub(super) const HUNDRED: Param = number(100);
pub(super) const HOST: Param = optional(
    "host",
    Takes::Text,
    "Only on this host: its name or machine id",
)
.like("n1");
pub(super) const ONE: Param =
    required("host", Takes::Text, "The one host: its name or machine id").like("n1");
pub(super) const OTHER: Param = optional(
    "other",
    Takes::Text,
    "The other host; without it the one is compared with itself at `since`",
)
.like("n2");
pub(super) const GROUP: Param = optional(
    "group",
    Takes::Text,
    "Only on hosts with this label, as `role=db`; `all` is every host",
)
.like("role=db");
pub(super) const OF_GROUP: Param = required(
    "group",
    Takes::Text,
    "The hosts with this label, as `role=db`, or `all`",
)
.like("role=db");
pub(super) const PAST: Param = optional("past", Takes::Flag, "Also hosts that were replaced");
pub(super) const STALE_BEFORE: Param = optional(
    "stale_before",
    Takes::Time,
    "Hosts that have not reported since are stale; without it those silent for 15 minutes",
)
.like("2026-11-01T00:00:00Z");
pub(super) const AT: Param = optional("at", Takes::Time, "The hosts as they were then");
pub(super) const BROKE: Param =
    required("at", Takes::Time, "When it broke").like("2026-11-21T14:03:00Z");
pub(super) const FORMERLY: Param = optional(
    "since",
    Takes::Time,
    "The one host with what it was then; not together with `other`",
)
.like("2026-11-20T00:00:00Z");
pub(super) const SINCE: Param =
    optional("since", Takes::Time, "Not before this time").like("2026-11-21T00:00:00Z");
pub(super) const UNTIL: Param = optional("until", Takes::Time, "Before this time");
pub(super) const NOISE: Param = optional(
    "noise",
    Takes::Texts,
    "Sets aside what matches this as well, written like a subject: `sysctl:net.*`, `/etc/motd.d/**`",
).like("/etc/motd.d/**");
pub(super) const ALL: Param = optional("all", Takes::Flag, "Also what was set aside as noise");
pub(super) const BAD: Param = required(
    "bad",
    Takes::Text,
    "The hosts that misbehave, with commas between, or a label as `pool=canary`",
)
.like("n1,n2");
pub(super) const GOOD: Param = required(
    "good",
    Takes::Text,
    "The hosts that do not, or a label; the bad ones of a label are taken out of it",
)
.like("role=db");
pub(super) const WINDOW: Param = optional(
    "window_hours",
    Takes::Hours {
        to: 8784.0,
        usual: 2.0,
    },
    "How many hours before that to look at",
);
pub(super) const SUBJECT: Param = required(
    "subject",
    Takes::Text,
    "What, as an absolute path or `kind:key`",
)
.like("package:libc6");
pub(super) const KIND: Param = optional("kind", Takes::Word(kinds), "Of this kind of subject");
pub(super) const OP: Param = optional("op", Takes::Word(ops), "With this op");
pub(super) const USER: Param = optional(
    "user",
    Takes::Text,
    "By this person, who logged in or else was acted as",
)
.like("alice");
pub(super) const BY: Param = optional("by", Takes::Word(authors), "By this sort of author");
pub(super) const PATH: Param = optional(
    "path",
    Takes::Text,
    "Of files whose path matches: `*` stays within a folder, `**` does not; not together with `kind`",
).like("/etc/**");
pub(super) const PACKAGE: Param = optional(
    "package",
    Takes::Text,
    "Of packages whose name matches, and of the files that belonged to one",
)
.like("nginx*");
pub(super) const CURSOR: Param = optional(
    "cursor",
    Takes::Text,
    "Goes on behind a page: what its `next` says",
)
.like("1795000000000000000.1.7");

fn kinds() -> Vec<&'static str> {
    Kind::ALL.map(|(_, word)| word).to_vec()
}

fn ops() -> Vec<&'static str> {
    Op::ALL.map(|(_, word)| word).to_vec()
}

fn authors() -> Vec<&'static str> {
    Author::ALL.map(|(_, word)| word).to_vec()
}

/// The parameters of a request, each of them known.
#[derive(Debug)]
pub(super) struct Params(Vec<(&'static str, Vec<u8>)>);

impl Params {
    /// Reads what stands behind the `?`; refuses what is not known, comes twice or is missing.
    pub(super) fn read(query: &str, known: &[&'static Param]) -> Result<Self, Error> {
        let mut given: Vec<(&'static str, Vec<u8>)> = Vec::new();
        let mut unknown = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name), decoded(value));
            let Some(param) = known.iter().find(|param| param.name.as_bytes() == name) else {
                unknown.push(format!("`{}`", Text::from(name)));
                continue;
            };
            let earlier = given.iter().filter(|(name, _)| *name == param.name).count();
            let most = if matches!(param.takes, Takes::Texts) {
                MOST
            } else {
                1
            };
            if earlier == most {
                let limit = format!("it must be given at most {most} times");
                return Err(refused(param, &value, &limit));
            }
            given.push((param.name, value));
        }
        if !unknown.is_empty() {
            let known: Vec<_> = known.iter().map(|param| param.name).collect();
            return Err(Error::UnknownParameter {
                given: unknown.join(", "),
                known: if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                },
            });
        }
        let is_given = |param: &&&Param| given.iter().any(|(name, _)| *name == param.name);
        let missing = known.iter().filter(|param| param.is_required);
        if let Some(param) = missing.into_iter().find(|param| !is_given(param)) {
            return Err(Error::MissingParameter {
                name: param.name,
                about: param.about,
            });
        }
        Ok(Self(given))
    }

    /// Whether something is given.
    pub(super) fn has(&self, param: &Param) -> bool {
        self.bytes(param).is_some()
    }

    pub(super) fn text(&self, param: &Param) -> Result<Option<&str>, Error> {
        self.bytes(param)
            .map(|value| text(param, value))
            .transpose()
    }

    /// The text of a parameter that must be given, or nothing where it may be missing and is.
    pub(super) fn required_text(&self, param: &Param) -> Result<&str, Error> {
        Ok(self.text(param)?.unwrap_or_default())
    }

    pub(super) fn texts(&self, param: &Param) -> Result<Vec<String>, Error> {
        let given = self.0.iter().filter(|(name, _)| *name == param.name);
        let read = |(_, value): &(_, Vec<u8>)| text(param, value).map(str::to_owned);
        given.map(read).collect()
    }

    /// Names with commas between.
    pub(super) fn names(&self, param: &Param) -> Result<Vec<String>, Error> {
        self.required_text(param).map(Selector::split)
    }

    pub(super) fn number(&self, param: &Param) -> Result<usize, Error> {
        let Takes::Number { from, to, usual } = param.takes else {
            return Ok(0);
        };
        let Some(value) = self.bytes(param) else {
            return Ok(usual as usize);
        };
        let number: Option<u32> = parsed(value).filter(|number| (from..=to).contains(number));
        let allowed = || format!("it must be a number from {from} to {to}");
        let number = number.ok_or_else(|| refused(param, value, &allowed()))?;
        Ok(number as usize)
    }

    /// A length of time in nanoseconds.
    pub(super) fn hours(&self, param: &Param) -> Result<i64, Error> {
        let Takes::Hours { to, usual } = param.takes else {
            return Ok(0);
        };
        let hours = match self.bytes(param) {
            None => usual,
            Some(value) => parsed(value)
                .filter(|hours: &f64| (0.0..=to).contains(hours))
                .ok_or_else(|| {
                    let allowed = format!("it must be a number of hours from 0 to {to}");
                    refused(param, value, &allowed)
                })?,
        };
        let length = std::time::Duration::from_secs_f64(hours * 3600.0);
        Ok(i64::try_from(length.as_nanos()).unwrap_or(i64::MAX))
    }

    /// A moment; one beyond what a [`Timestamp`] reaches is its first or last.
    pub(super) fn time(&self, param: &Param) -> Result<Option<Timestamp>, Error> {
        let Some(value) = self.bytes(param) else {
            return Ok(None);
        };
        let time: Option<jiff::Timestamp> = parsed(value);
        let nanos = time.map(jiff::Timestamp::as_nanosecond);
        let nanos = nanos.ok_or_else(|| refused(param, value, A_TIME))?;
        let within = nanos.clamp(i64::MIN.into(), i64::MAX.into());
        Ok(i64::try_from(within).ok().map(Timestamp::from_nanos))
    }

    pub(super) fn flag(&self, param: &Param) -> Result<bool, Error> {
        match self.bytes(param) {
            None | Some(b"false") => Ok(false),
            Some(b"true") => Ok(true),
            Some(value) => Err(refused(param, value, "it must be `true` or `false`")),
        }
    }

    /// The word of a parameter that takes some.
    pub(super) fn word(&self, param: &Param) -> Result<Option<&str>, Error> {
        let Takes::Word(words) = param.takes else {
            return Ok(None);
        };
        let Some(value) = self.bytes(param) else {
            return Ok(None);
        };
        let words = words();
        let is_one = words.iter().any(|word| word.as_bytes() == value);
        let known = str::from_utf8(value).ok().filter(|_| is_one);
        let allowed = || format!("it must be one of {}", words.join(", "));
        known
            .map(Some)
            .ok_or_else(|| refused(param, value, &allowed()))
    }

    pub(super) fn subject(&self, param: &Param) -> Result<Subject, Error> {
        let value = self.bytes(param).unwrap_or_default();
        // A path need not be UTF-8.
        if Text::from(value).to_lossy().chars().count() > LONGEST {
            let allowed = format!("it must have at most {LONGEST} characters");
            return Err(refused(param, value, &allowed));
        }
        let read = Subject::parse(value);
        read.map_err(|error| refused(param, value, &error.to_string()))
    }

    fn bytes(&self, param: &Param) -> Option<&[u8]> {
        let given = self.0.iter().find(|(name, _)| *name == param.name);
        given.map(|(_, value)| value.as_slice())
    }
}

/// Refuses the value of a parameter, of which enough is told to know it again.
pub(super) fn refused(param: &Param, value: &[u8], allowed: &str) -> Error {
    let value = &value[..value.len().min(TOLD)];
    Error::BadParameter {
        name: param.name,
        value: Text::from(value).to_string(),
        allowed: allowed.to_owned(),
    }
}

fn decoded(text: &str) -> Vec<u8> {
    percent_decode(text.replace('+', " ").as_bytes()).collect()
}

fn text<'a>(param: &Param, value: &'a [u8]) -> Result<&'a str, Error> {
    let text = str::from_utf8(value).ok();
    let text = text.filter(|text| (1..=LONGEST).contains(&text.chars().count()));
    let allowed = || format!("it must be UTF-8, of 1 to {LONGEST} characters");
    text.ok_or_else(|| refused(param, value, &allowed()))
}

fn parsed<T: FromStr>(value: &[u8]) -> Option<T> {
    str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&Param] = &[&BROKE, &TEN, &WINDOW, &NOISE, &KIND, &ALL, &USER];

    fn read(query: &str) -> Result<Params, String> {
        Params::read(query, KNOWN).map_err(|error| error.to_string())
    }

    fn said<T: std::fmt::Debug>(asked: Result<T, Error>) -> String {
        asked.unwrap_err().to_string()
    }

    #[test]
    fn what_is_given_is_read_and_what_is_not_is_the_usual() {
        let query = "at=2026-11-21T14:02:11%2B01:00&n=7&noise=a%20b&noise=c+d&kind=package&all=true&user=%C3%A4";
        let params = read(query).unwrap();
        let at = params.time(&BROKE).unwrap().unwrap();
        assert_eq!(at.to_string(), "2026-11-21T13:02:11.000000000Z");
        assert_eq!(params.number(&TEN).unwrap(), 7);
        assert_eq!(params.texts(&NOISE).unwrap(), ["a b", "c d"]);
        assert_eq!(params.word(&KIND).unwrap(), Some("package"));
        assert!(params.flag(&ALL).unwrap());
        assert_eq!(params.text(&USER).unwrap(), Some("ä"));
        assert_eq!(params.hours(&WINDOW).unwrap(), 7_200_000_000_000);
        let params = read("at=0001-01-01T00:00:00Z").unwrap();
        assert_eq!(
            params.time(&BROKE).unwrap(),
            Some(Timestamp::from_nanos(i64::MIN))
        );
        assert_eq!(params.number(&TEN).unwrap(), 10);
    }

    #[test]
    fn what_is_not_known_missing_or_given_twice_is_refused_by_name() {
        assert_eq!(
            read("at=x&limit=3&%0a=1").unwrap_err(),
            "there is no parameter `limit`, `\\n` here; there are: at, n, window_hours, noise, kind, all, user"
        );
        let said = read("n=3").unwrap_err();
        assert_eq!(said, "parameter `at` is missing: When it broke");
        let said = read("at=1&at=2").unwrap_err();
        assert_eq!(
            said,
            "parameter `at` is `2`: it must be given at most 1 times"
        );
        let many = "noise=x&".repeat(MOST);
        assert!(read(&format!("at=x&{many}")).is_ok());
        let said = read(&format!("at=x&{many}noise=y")).unwrap_err();
        assert!(said.contains("at most 32 times"), "{said}");
    }

    #[test]
    fn values_that_make_no_sense_are_refused_with_what_does() {
        let query = "at=yesterday&n=0&window_hours=NaN&kind=pizza&all=1&user=%FF";
        let params = read(query).unwrap();
        assert!(said(params.time(&BROKE)).contains("2026-11-21T14:02:11Z"));
        assert!(said(params.number(&TEN)).contains("from 1 to 1000"));
        assert!(said(params.hours(&WINDOW)).contains("from 0 to 8784"));
        assert!(said(params.word(&KIND)).contains("file, package"));
        assert!(said(params.flag(&ALL)).contains("`true` or `false`"));
        assert!(said(params.text(&USER)).contains("UTF-8"));
        let long = "ä".repeat(LONGEST);
        let params = read(&format!("at=x&user={long}")).unwrap();
        assert_eq!(params.text(&USER).unwrap(), Some(long.as_str()));
        let params = read(&format!("at=x&user={long}x")).unwrap();
        let told = said(params.text(&USER));
        assert!(
            told.contains("1 to 2000 characters") && told.len() < 1000,
            "{told}"
        );
        for wrong in ["inf", "-1", "8785", ""] {
            let params = read(&format!("at=x&window_hours={wrong}")).unwrap();
            assert!(params.hours(&WINDOW).is_err(), "{wrong}");
        }
    }
}
