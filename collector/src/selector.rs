//! Selectors: which hosts a group has, and which a rule is for, by their labels.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Selects hosts: `role=db`, `role=db,env!=test` for those of which both hold, or `all`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// All of these; none for every host.
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    label: String,
    value: String,
    is: bool,
}

/// Says that a text is no selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no group; write a label like `role=db`, several like `role=db,env!=test`, or `all`"
)]
pub struct ParseSelectorError(String);

impl Selector {
    /// Whether a text names a group and not a host.
    pub fn is_one(text: &str) -> bool {
        text == "all" || text.contains('=')
    }

    /// Whether a host with these labels is selected. One without a label has another value than any.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        let mut terms = self.terms.iter();
        terms.all(|term| (labels.get(&term.label) == Some(&term.value)) == term.is)
    }

    /// Whether it is of several labels.
    pub fn is_of_several(&self) -> bool {
        self.terms.len() > 1
    }

    /// Takes a list apart: hosts stand for themselves, and labels next to each other are one group.
    /// `n1,n2,role=db,env=prod` is two hosts and the hosts that have both labels.
    pub fn split(list: &str) -> Vec<String> {
        let mut parts: Vec<String> = Vec::new();
        let mut is_label = false;
        for word in list.split(',') {
            match parts.last_mut() {
                Some(group) if is_label && word.contains('=') => {
                    group.push(',');
                    group.push_str(word);
                }
                _ => parts.push(word.to_owned()),
            }
            is_label = word.contains('=');
        }
        parts
    }
}

impl Term {
    fn parse(text: &str) -> Option<Self> {
        let (label, value) = text.split_once('=')?;
        let (label, is) = match label.strip_suffix('!') {
            Some(label) => (label, false),
            None => (label, true),
        };
        let (label, value) = (label.trim(), value.trim());
        // Whoever writes `role==db` does not mean a value that begins with a sign.
        let is_whole = !label.is_empty() && !value.is_empty() && !value.starts_with('=');
        is_whole.then(|| Self {
            label: label.to_owned(),
            value: value.to_owned(),
            is,
        })
    }
}

impl FromStr for Selector {
    type Err = ParseSelectorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "all" {
            return Ok(Self::default());
        }
        let terms: Option<Vec<_>> = text.split(',').map(Term::parse).collect();
        let terms = terms.ok_or_else(|| ParseSelectorError(text.to_owned()))?;
        Ok(Self { terms })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.terms.is_empty() {
            return f.write_str("all");
        }
        for (place, Term { label, value, is }) in self.terms.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            let sign = if *is { "=" } else { "!=" };
            write!(f, "{comma}{label}{sign}{value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_selected_by_all_labels_and_not_by_some() {
        let labels = |pairs: &[(&str, &str)]| {
            let owned = pairs.iter().map(|&(a, b)| (a.to_owned(), b.to_owned()));
            owned.collect::<BTreeMap<_, _>>()
        };
        let both: Selector = "role=db,env=prod".parse().unwrap();
        assert!(both.selects(&labels(&[("env", "prod"), ("role", "db"), ("x", "y")])));
        assert!(!both.selects(&labels(&[("role", "db"), ("env", "test")])));
        assert!(!both.selects(&labels(&[("role", "db")])));
        let but: Selector = "role=db,env!=test".parse().unwrap();
        assert!(but.selects(&labels(&[("role", "db"), ("env", "prod")])));
        assert!(but.selects(&labels(&[("role", "db")])));
        assert!(!but.selects(&labels(&[("role", "db"), ("env", "test")])));
        let all: Selector = "all".parse().unwrap();
        assert!(all.selects(&labels(&[])));
        // What a value holds behind the first sign is its own.
        let odd: Selector = "a=b=c".parse().unwrap();
        assert!(odd.selects(&labels(&[("a", "b=c")])));
    }

    #[test]
    fn a_selector_reads_back_as_it_is_written_and_what_is_none_is_refused() {
        for text in ["all", "role=db", "role=db,env=prod", "role=db,env!=test"] {
            let read: Selector = text.parse().unwrap();
            assert_eq!(read.to_string(), text);
        }
        for text in [
            "",
            "db",
            "role=",
            "=db",
            "role=db,",
            "role==db",
            "!=db",
            "role=db,prod",
            "all,role=db",
        ] {
            let said = text.parse::<Selector>().unwrap_err().to_string();
            assert!(said.contains("is no group"), "{text}: {said}");
        }
    }

    #[test]
    fn in_a_list_labels_next_to_each_other_are_one_group() {
        let split = |list| Selector::split(list).join(" | ");
        assert_eq!(split("n1,n2"), "n1 | n2");
        assert_eq!(
            split("n1,role=db,env=prod,n2,a=b"),
            "n1 | role=db,env=prod | n2 | a=b"
        );
        assert_eq!(split("role=db,env!=test,n1"), "role=db,env!=test | n1");
        assert_eq!(split("all,role=db"), "all | role=db");
        assert_eq!(split(""), "");
    }
}
