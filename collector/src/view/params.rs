//! Parameters of a question: declared once, so that what is read and what is documented are the same. What is not
//! declared is refused by name.

mod known;

use std::str::FromStr;

use change::{Subject, Text, Timestamp};
use percent_encoding::percent_decode;

pub(super) use self::known::*;
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
    /// A number that a host gave: of a run, of a session.
    Id,
    /// A number of hours, parts too, up to some; without it some.
    Hours { to: f64, usual: f64 },
    /// One of some words.
    Word(fn() -> Vec<&'static str>),
    /// `true` or `false`; without it `false`.
    Flag,
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

    /// The number of something on a host.
    pub(super) fn id<T: FromStr>(&self, param: &Param) -> Result<Option<T>, Error> {
        let Some(value) = self.bytes(param) else {
            return Ok(None);
        };
        let allowed = "it must be a number as a listing has it";
        let id = parsed(value).ok_or_else(|| refused(param, value, allowed))?;
        Ok(Some(id))
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
