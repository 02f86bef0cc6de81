//! The rules' file: TOML, read as a whole, so that all that is wrong with it is told at once and by its line.

use std::collections::BTreeSet;
use std::ops::Range;

use change::Timestamp;
use globset::{GlobBuilder, GlobMatcher};
use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;

use super::{Baseline, Demand, Exception, Expectation, Like, Rule, Rules, duration};
use crate::selector::{ParseSelectorError, Selector};

/// A longer file is none of rules.
pub(crate) const LONGEST_BYTES: usize = 1 << 20;
/// So many rules, and so many exceptions.
const MOST: usize = 1000;

/// Says what is wrong with a rules' file, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileBody {
    #[serde(default)]
    expect: Vec<Spanned<ExpectBody>>,
    #[serde(default)]
    baseline: Vec<Spanned<BaselineBody>>,
    #[serde(default)]
    except: Vec<Spanned<ExceptBody>>,
    #[serde(default)]
    undone: UndoneBody,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct UndoneBody {
    within: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectBody {
    that: Spanned<String>,
    name: Option<String>,
    lasting: Option<Spanned<String>>,
    owner: Option<String>,
    why: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BaselineBody {
    on: Spanned<String>,
    each: Option<String>,
    like: Spanned<String>,
    #[serde(default)]
    only: Vec<Spanned<String>>,
    #[serde(default)]
    noise: Vec<Spanned<String>>,
    name: Option<String>,
    lasting: Option<Spanned<String>>,
    owner: Option<String>,
    why: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExceptBody {
    subject: Spanned<String>,
    rule: Option<Spanned<String>>,
    on: Option<Spanned<String>>,
    #[serde(default)]
    hosts: Vec<String>,
    reason: Spanned<String>,
    owner: Spanned<String>,
    until: Spanned<Datetime>,
}

impl Rules {
    /// Reads the text of a rules' file.
    pub fn read(text: &str) -> Result<Self, Vec<Fault>> {
        let mut reading = Reading {
            text,
            faults: Vec::new(),
        };
        if text.len() > LONGEST_BYTES {
            reading.fault(
                0..0,
                format!("a rules' file has at most {LONGEST_BYTES} bytes"),
            );
            return Err(reading.faults);
        }
        let rules = match toml::from_str::<FileBody>(text) {
            Ok(body) => reading.file(body),
            Err(error) => {
                let what = error.message().to_owned();
                reading.fault(error.span().unwrap_or_default(), what);
                Self::default()
            }
        };
        if reading.faults.is_empty() {
            return Ok(rules);
        }
        reading.faults.sort_by_key(|fault| fault.line);
        Err(reading.faults)
    }
}

/// Reads one file, and goes on behind what is wrong.
struct Reading<'t> {
    text: &'t str,
    faults: Vec<Fault>,
}

impl Reading<'_> {
    fn fault(&mut self, span: Range<usize>, what: String) {
        let before = self.text.get(..span.start).unwrap_or_default();
        let line = 1 + before.matches('\n').count();
        self.faults.push(Fault { line, what });
    }

    /// What was read of a word, or a fault in its place.
    fn word<T>(
        &mut self,
        word: &Spanned<String>,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match read(word.get_ref()) {
            Ok(read) => Some(read),
            Err(what) => {
                self.fault(word.span(), what);
                None
            }
        }
    }

    fn file(&mut self, body: FileBody) -> Rules {
        let FileBody {
            expect,
            baseline,
            except,
            undone,
        } = body;
        let most = (expect.len() + baseline.len()).max(except.len());
        if most > MOST {
            self.fault(
                0..0,
                format!("there are more than {MOST} rules or exceptions"),
            );
            return Rules::default();
        }
        let mut rules = Rules::default();
        let mut names = BTreeSet::new();
        for body in expect {
            let span = body.span();
            let rule = self.expect(body.into_inner());
            rules.rules.extend(self.named(rule, span, &mut names));
        }
        for body in baseline {
            let span = body.span();
            let rule = self.baseline(body.into_inner());
            rules.rules.extend(self.named(rule, span, &mut names));
        }
        for body in except {
            let exception = self.except(body.into_inner(), &names);
            rules.exceptions.extend(exception);
        }
        if let Some(within) = self.length(undone.within.as_ref()) {
            rules.undone_within_ns = within;
        }
        rules
    }

    /// Names tell a rule from others, in events for a long time.
    fn named(
        &mut self,
        rule: Option<Rule>,
        span: Range<usize>,
        names: &mut BTreeSet<String>,
    ) -> Option<Rule> {
        let rule = rule?;
        if !names.insert(rule.name.clone()) {
            let what = format!(
                "`{}` is the name of another rule; give it another `name`",
                rule.name
            );
            self.fault(span, what);
        }
        Some(rule)
    }

    fn expect(&mut self, body: ExpectBody) -> Option<Rule> {
        let ExpectBody {
            that,
            name,
            lasting,
            owner,
            why,
        } = body;
        let lasting_ns = self.length(lasting.as_ref()).unwrap_or_default();
        let (expectation, on) = self.word(&that, Expectation::parse)?;
        Some(Rule {
            name: name.unwrap_or_else(|| that.into_inner()),
            on,
            each: None,
            lasting_ns,
            owner,
            why,
            demand: Demand::Expect(expectation),
        })
    }

    fn baseline(&mut self, body: BaselineBody) -> Option<Rule> {
        let BaselineBody {
            on,
            each,
            like,
            only,
            noise,
            name,
            lasting,
            owner,
            why,
        } = body;
        let only: Vec<_> = only.iter().map(|only| self.word(only, glob)).collect();
        for noise in &noise {
            self.word(noise, glob);
        }
        let lasting_ns = self.length(lasting.as_ref()).unwrap_or_default();
        let (on, like) = (self.word(&on, selector), self.word(&like, read_like));
        let (on, like) = (on?, like?);
        let subgroups = each
            .as_ref()
            .map_or_else(String::new, |each| format!(" each {each}"));
        Some(Rule {
            name: name.unwrap_or_else(|| format!("{like} of {on}{subgroups}")),
            on,
            each,
            lasting_ns,
            owner,
            why,
            demand: Demand::Like(Baseline {
                like,
                only: only.into_iter().flatten().collect(),
                noise: noise.into_iter().map(Spanned::into_inner).collect(),
            }),
        })
    }

    fn except(&mut self, body: ExceptBody, names: &BTreeSet<String>) -> Option<Exception> {
        let ExceptBody {
            subject,
            rule,
            on,
            hosts,
            reason,
            owner,
            until,
        } = body;
        for (what, text) in [("reason", &reason), ("owner", &owner)] {
            if text.get_ref().trim().is_empty() {
                self.fault(text.span(), format!("the exception has an empty `{what}`"));
            }
        }
        if let Some(rule) = rule.as_ref().filter(|rule| !names.contains(rule.get_ref())) {
            let what = format!("`{}` is the name of no rule in this file", rule.get_ref());
            self.fault(rule.span(), what);
        }
        let end = end(until.get_ref());
        if let Err(what) = &end {
            self.fault(until.span(), what.clone());
        }
        let on = on.as_ref().map(|on| self.word(on, selector));
        Some(Exception {
            subject: self.word(&subject, glob)?,
            rule: rule.map(Spanned::into_inner),
            on: on.unwrap_or_else(|| Some(Selector::default()))?,
            hosts,
            reason: reason.into_inner(),
            owner: owner.into_inner(),
            until: end.ok()?,
        })
    }

    fn length(&mut self, length: Option<&Spanned<String>>) -> Option<i64> {
        let read = self.word(length?, duration)?;
        Some(i64::try_from(read.as_nanos()).unwrap_or(i64::MAX))
    }
}

/// Which hosts something is for.
fn selector(text: &str) -> Result<Selector, String> {
    text.parse()
        .map_err(|error: ParseSelectorError| error.to_string())
}

/// A glob over subjects, written like one: a path means a file, `*` stays within a folder.
fn glob(text: &str) -> Result<GlobMatcher, String> {
    let subject = if text.starts_with('/') {
        format!("file:{text}")
    } else {
        text.to_owned()
    };
    if subject != "*" && !subject.contains(':') {
        return Err(format!(
            "`{text}` matches no subject; write it as `sysctl:vm.*` or `/etc/**`"
        ));
    }
    let is_path = subject.starts_with("file:");
    let glob = GlobBuilder::new(&subject)
        .literal_separator(is_path)
        .build();
    Ok(glob.map_err(|error| error.to_string())?.compile_matcher())
}

/// Reads what hosts are to be like: `majority`, `host:db-1`, `snapshot:golden` or `yesterday`.
pub(crate) fn read_like(text: &str) -> Result<Like, String> {
    match text.split_once(':') {
        None if text == "majority" => Ok(Like::Majority),
        None if text == "yesterday" => Ok(Like::Yesterday),
        Some(("host", name)) if !name.trim().is_empty() => Ok(Like::Host(name.trim().to_owned())),
        Some(("snapshot", name)) if !name.trim().is_empty() => {
            Ok(Like::Snapshot(name.trim().to_owned()))
        }
        _ => Err(format!(
            "`{text}` is no baseline; there are `majority`, `host:NAME`, `snapshot:NAME` and `yesterday`"
        )),
    }
}

/// When an exception ends: a day counts as a whole, in UTC.
fn end(until: &Datetime) -> Result<Timestamp, String> {
    let text = until.to_string();
    let wrong =
        || format!("`{text}` is no end; write a day, as `2026-12-31`, or a time with its offset");
    let end = match (until.date, until.time, until.offset) {
        (Some(_), None, None) => {
            let day: Option<jiff::civil::Date> = text.parse().ok();
            let next = day.and_then(|day| day.tomorrow().ok());
            next.and_then(|next| next.to_zoned(jiff::tz::TimeZone::UTC).ok())
                .map(|end| end.timestamp())
        }
        (Some(_), Some(_), Some(_)) => text.parse().ok(),
        _ => None,
    };
    let nanos = end.map(|end: jiff::Timestamp| end.as_nanosecond());
    let nanos = nanos.and_then(|nanos| i64::try_from(nanos).ok());
    nanos.map(Timestamp::from_nanos).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = r#"
[[expect]]
that = "package:libc6 == 2.36-9 on role=db"
lasting = "10m"

[[baseline]]
on = "role=db"
each = "pool"
like = "majority"
only = ["sysctl:*", "/etc/**"]

[[except]]
subject = "sysctl:vm.*"
rule = "majority of role=db each pool"
hosts = ["db-3"]
reason = "experiment 12"
owner = "alice"
until = 2026-12-31

[undone]
within = "2d"
"#;

    #[test]
    fn a_file_is_read_with_names_made_where_none_are_given() {
        let read = Rules::read(EXAMPLE).unwrap();
        let names: Vec<_> = read.rules.iter().map(|rule| rule.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "package:libc6 == 2.36-9 on role=db",
                "majority of role=db each pool"
            ]
        );
        assert_eq!(read.rules[0].lasting_ns, 600_000_000_000);
        assert_eq!(
            read.exceptions[0].until.to_string(),
            "2027-01-01T00:00:00.000000000Z"
        );
        assert_eq!(read.undone_within_ns, 2 * 86_400_000_000_000);
        let Demand::Like(baseline) = &read.rules[1].demand else {
            panic!("{:?}", read.rules[1]);
        };
        let covered = ["sysctl:vm.swappiness", "file:/etc/a/b", "package:a"];
        assert_eq!(
            covered.map(|subject| baseline.covers(subject)),
            [true, true, false]
        );
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once_by_its_line() {
        let text = r#"[[expect]]
that = "package:libc6 = 1"
[[expect]]
that = "package:a == 1"
lasting = "soon"
[[expect]]
that = "package:a == 1"
[[baseline]]
on = "db"
like = "minority"
only = ["sysctl"]
[[except]]
subject = "package:a"
rule = "b"
reason = ""
owner = "alice"
until = 2026-12-31T10:00:00
"#;
        let faults = Rules::read(text).unwrap_err();
        let lines: Vec<_> = faults.iter().map(|fault| fault.line).collect();
        assert_eq!(lines, [2, 5, 6, 9, 10, 11, 14, 15, 17], "{faults:#?}");
        let said = |line| {
            faults
                .iter()
                .find(|fault| fault.line == line)
                .unwrap()
                .to_string()
        };
        assert!(
            said(2).starts_with("line 2: `=` (character 15) is no test"),
            "{}",
            said(2)
        );
        assert!(said(10).contains("`majority`, `host:NAME`"), "{}", said(10));
        assert!(said(14).contains("the name of no rule"), "{}", said(14));
    }

    #[test]
    fn what_is_no_such_file_is_told_by_its_line_too() {
        for (text, line, said) in [
            ("[[expect]\n", 1, "]"),
            ("\n[[expect]]\nthat = 5\n", 3, "string"),
            (
                "[[expect]]\nthat = \"package:a present\"\nowns = \"x\"\n",
                3,
                "unknown field `owns`",
            ),
            (
                "[[except]]\nsubject = \"*\"\nreason = \"x\"\nuntil = 2026-12-31\n",
                1,
                "owner",
            ),
            ("[[expects]]\n", 1, "unknown field `expects`"),
        ] {
            let faults = Rules::read(text).unwrap_err();
            assert_eq!(
                (faults.len(), faults[0].line),
                (1, line),
                "{text}: {faults:?}"
            );
            assert!(faults[0].what.contains(said), "{text}: {faults:?}");
        }
        assert_eq!(
            Rules::read(&"#".repeat(LONGEST_BYTES + 1)).unwrap_err()[0].line,
            1
        );
        assert!(Rules::read("").unwrap().rules.is_empty());
    }
}
