//! Expectations: what one fact is to be, in a language of one line: `package:libc6 == 2.36-9 on role=db`.
//! How the line is read is in `expectation/line.rs`.

mod line;

use std::cmp::Ordering;
use std::fmt;

use change::{FactValue, Kind, Subject};
use debversion::Version;
use globset::GlobMatcher;

/// Longer texts are no versions.
const LONGEST_VERSION: usize = 256;

/// Says what a fact is to be.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// Of what.
    pub subject: Subject,
    /// Which part of the value; none is the part that stands for it, as a package's version does.
    attribute: Option<String>,
    test: Test,
    /// Whether what is not there is not asked.
    if_present: bool,
    /// The test as it was written.
    written: String,
}

#[derive(Clone, Debug)]
enum Test {
    Is(String),
    IsNot(String),
    Order(Order, Bound),
    Within([Bound; 2]),
    Matches(GlobMatcher),
    Present,
    Absent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Below,
    AtMost,
    AtLeast,
    Above,
}

/// What a value is held against where order counts.
#[derive(Clone, Debug, PartialEq)]
enum Bound {
    Number(i128),
    Version(Version),
}

/// Says whether a value is as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Holds,
    /// It is not.
    Deviates,
    /// The value does not say: why.
    Unknown(String),
}

impl Expectation {
    /// Holds a value against it; none is a subject that is known to be missing.
    pub fn judge(&self, value: Option<&FactValue>) -> Verdict {
        let part = match value.map(|value| part(value, self.attribute.as_deref())) {
            None => None,
            Some(Ok(part)) => part,
            Some(Err(why)) => return Verdict::Unknown(why),
        };
        let holds = match (&part, &self.test) {
            (None, Test::Absent | Test::IsNot(_)) => true,
            (None, _) => self.if_present,
            (Some(part), test) => test.holds(part),
        };
        if holds {
            Verdict::Holds
        } else {
            Verdict::Deviates
        }
    }

    /// Whether `text` may stand for the number or the version of this expectation's part.
    fn bound(&self, text: &str) -> Result<Bound, String> {
        if is_version(self.subject.kind, self.attribute.as_deref()) {
            let version = version(text).map(Bound::Version);
            return version.ok_or_else(|| format!("`{text}` is no version"));
        }
        let number = text.parse().map(Bound::Number);
        number.map_err(|_error| format!("`{text}` is no whole number"))
    }
}

impl fmt::Display for Expectation {
    /// Writes the test, without its subject and its hosts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl Test {
    fn holds(&self, part: &str) -> bool {
        match self {
            Self::Is(wanted) => is_same(part, wanted),
            Self::IsNot(unwanted) => !is_same(part, unwanted),
            Self::Order(order, bound) => {
                bound.compare(part).is_some_and(|found| order.allows(found))
            }
            Self::Within([least, most]) => {
                let at_least = least.compare(part).is_some_and(Ordering::is_ge);
                at_least && most.compare(part).is_some_and(Ordering::is_le)
            }
            Self::Matches(glob) => glob.is_match(part),
            Self::Present => true,
            Self::Absent => false,
        }
    }
}

impl Order {
    fn allows(self, found: Ordering) -> bool {
        match self {
            Self::Below => found.is_lt(),
            Self::AtMost => found.is_le(),
            Self::AtLeast => found.is_ge(),
            Self::Above => found.is_gt(),
        }
    }
}

impl Bound {
    /// How a value stands to it; none where the value is no number or version.
    fn compare(&self, part: &str) -> Option<Ordering> {
        match self {
            Self::Number(bound) => Some(part.trim().parse::<i128>().ok()?.cmp(bound)),
            Self::Version(bound) => Some(version(part)?.cmp(bound)),
        }
    }
}

/// Values of several words, as some sysctls are, have tabs between them.
fn is_same(part: &str, wanted: &str) -> bool {
    part == wanted || part.split_whitespace().eq(wanted.split_whitespace())
}

/// A version by Debian's rules. Whoever sends one may have made it up: what would be costly to compare is none.
fn version(text: &str) -> Option<Version> {
    let is_sane = text.len() <= LONGEST_VERSION;
    is_sane.then(|| text.parse().ok()).flatten()
}

fn is_version(kind: Kind, attribute: Option<&str>) -> bool {
    match attribute {
        None => matches!(kind, Kind::Package | Kind::Module),
        Some(name) => ["version", "release", "revision"].contains(&name),
    }
}

/// The part of a value that is held against a test: none where the value has no such part.
fn part(value: &FactValue, attribute: Option<&str>) -> Result<Option<String>, String> {
    match value {
        FactValue::Setting { value } => match attribute {
            None | Some("value") => Ok(Some(value.clone())),
            Some(_) => Ok(None),
        },
        FactValue::Attributes(attributes) => {
            let name = attribute.unwrap_or("version");
            let only = attributes.values().next().filter(|_| attributes.len() == 1);
            match (attributes.get(name), attribute, only) {
                (Some(part), ..) | (None, None, Some(part)) => Ok(Some(part.clone())),
                (None, Some(_), _) => Ok(None),
                (None, None, None) => {
                    let names: Vec<_> = attributes.keys().take(8).map(String::as_str).collect();
                    Err(format!(
                        "its value has the parts {}: say which in `[]`",
                        names.join(", ")
                    ))
                }
            }
        }
        FactValue::File(state) => Ok(match attribute.unwrap_or("hash") {
            "hash" => {
                let hash = state.hash.clone();
                return hash
                    .map(Some)
                    .ok_or_else(|| "its content was not read".to_owned());
            }
            "size" => Some(state.size.to_string()),
            "mode" => Some(state.mode.clone()),
            "uid" => Some(state.uid.to_string()),
            "gid" => Some(state.gid.to_string()),
            "type" => Some(state.file_type.as_str().to_owned()),
            "target" => state.target.clone(),
            _ => None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use change::FileState;

    use super::*;

    fn attributes(pairs: &[(&str, &str)]) -> FactValue {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        FactValue::Attributes(pairs.iter().map(owned).collect())
    }

    fn setting(value: &str) -> FactValue {
        let value = value.to_owned();
        FactValue::Setting { value }
    }

    fn judge(line: &str, value: Option<&FactValue>) -> Verdict {
        Expectation::parse(line).unwrap().0.judge(value)
    }

    #[test]
    fn versions_are_ordered_as_debian_orders_them_and_numbers_as_numbers() {
        let libc = attributes(&[("version", "2.36-9+deb12u10"), ("arch", "amd64")]);
        for (test, holds) in [
            ("== 2.36-9+deb12u10", true),
            ("== 2.36-9", false),
            (">= 2.36-9+deb12u9", true),
            ("< 2.36-9+deb12u9", false),
            ("< 1:0", true),
            ("in 2.36-9~..2.37", true),
            ("matches 2.36-*", true),
            ("!= 2.36-9", true),
            ("present", true),
            ("absent", false),
        ] {
            let verdict = judge(&format!("package:libc6 {test}"), Some(&libc));
            assert_eq!(verdict == Verdict::Holds, holds, "{test}");
        }
        for (value, holds) in [("9", true), ("10", true), ("11", false), ("1e1", false)] {
            let verdict = judge("sysctl:vm.swappiness in 1..10", Some(&setting(value)));
            assert_eq!(verdict == Verdict::Holds, holds, "{value}");
        }
        let range = setting("4096\t131072\t6291456");
        let words = "sysctl:net.ipv4.tcp_rmem == '4096 131072 6291456'";
        assert_eq!(judge(words, Some(&range)), Verdict::Holds);
    }

    #[test]
    fn what_is_missing_holds_only_where_that_is_what_is_meant() {
        for (test, holds) in [
            ("absent", true),
            ("!= 1", true),
            (">= 1 if present", true),
            (">= 1", false),
            ("== 1", false),
            ("present", false),
            ("matches *", false),
        ] {
            let verdict = judge(&format!("package:nginx {test}"), None);
            assert_eq!(verdict == Verdict::Holds, holds, "{test}");
        }
    }

    #[test]
    fn a_value_that_does_not_say_is_unknown_and_not_fine() {
        let service = attributes(&[("active", "active"), ("enabled", "enabled")]);
        assert_eq!(
            judge("service:ssh[active] == active", Some(&service)),
            Verdict::Holds
        );
        let unread = FactValue::File(FileState::default());
        let hash = judge("/etc/shadow == b3:00", Some(&unread));
        assert_eq!(
            hash,
            Verdict::Unknown("its content was not read".to_owned())
        );
        let mode = judge("/etc/shadow[mode] == 0640", Some(&unread));
        assert_eq!(mode, Verdict::Deviates);
        let memory = attributes(&[("size", "1"), ("speed", "2")]);
        let said = judge("hardware:memory[size] > 0", Some(&memory));
        assert_eq!(said, Verdict::Holds);
    }

    #[test]
    fn versions_that_a_host_made_up_are_no_versions_and_do_no_harm() {
        let long = "9".repeat(1 << 20);
        for made_up in [&long, "99999999999999999999:1", "", "x y", "\u{0}"] {
            let value = attributes(&[("version", made_up)]);
            assert_eq!(
                judge("package:a < 5", Some(&value)),
                Verdict::Deviates,
                "{made_up:.20}"
            );
        }
        let digits = attributes(&[("version", &"9".repeat(200))]);
        assert_eq!(judge("package:a > 5", Some(&digits)), Verdict::Holds);
    }
}
