//! Selectors: which hosts a group has, by labels that each of them must have.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Selects hosts: `role=db`, `role=db,env=prod` for those with both labels, or `all`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// All of these; none for every host.
    labels: Vec<(String, String)>,
}

/// Says that a text is no selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no group; write a label like `role=db`, several like `role=db,env=prod`, or `all`"
)]
pub struct ParseSelectorError(String);

impl Selector {
    /// Whether a text names a group and not a host.
    pub fn is_one(text: &str) -> bool {
        text == "all" || text.contains('=')
    }

    /// Whether a host with these labels is selected.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        let mut wanted = self.labels.iter();
        wanted.all(|(name, value)| labels.get(name) == Some(value))
    }

    /// Whether it is of several labels.
    pub fn is_of_several(&self) -> bool {
        self.labels.len() > 1
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

impl FromStr for Selector {
    type Err = ParseSelectorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "all" {
            return Ok(Self { labels: Vec::new() });
        }
        let labels = text.split(',').map(|label| {
            let (name, value) = label.split_once('=')?;
            (!name.is_empty() && !value.is_empty()).then(|| (name.to_owned(), value.to_owned()))
        });
        let labels: Option<Vec<_>> = labels.collect();
        let labels = labels.ok_or_else(|| ParseSelectorError(text.to_owned()))?;
        Ok(Self { labels })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.labels.is_empty() {
            return f.write_str("all");
        }
        for (place, (name, value)) in self.labels.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{name}={value}")?;
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
        let all: Selector = "all".parse().unwrap();
        assert!(all.selects(&labels(&[])));
        // What a value holds behind the first sign is its own.
        let odd: Selector = "a=b=c".parse().unwrap();
        assert!(odd.selects(&labels(&[("a", "b=c")])));
    }

    #[test]
    fn a_selector_reads_back_as_it_is_written_and_what_is_none_is_refused() {
        for text in ["all", "role=db", "role=db,env=prod"] {
            let read: Selector = text.parse().unwrap();
            assert_eq!(read.to_string(), text);
        }
        for text in [
            "",
            "db",
            "role=",
            "=db",
            "role=db,",
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
        assert_eq!(split("all,role=db"), "all | role=db");
        assert_eq!(split(""), "");
    }
}
