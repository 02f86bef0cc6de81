//! Selectors: which hosts a rule is for, by their labels: `role=db,pool!=canary`, or `all`.

use std::fmt;

use crate::fleet::Host;

/// Chooses hosts by their labels; every term must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    label: String,
    value: String,
    is: bool,
}

impl Selector {
    /// Reads `all`, or labels with a comma between them: `role=db,env!=test`.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::default());
        }
        let term = |text: &str| {
            let (label, value) = text.split_once('=')?;
            let (label, is) = match label.strip_suffix('!') {
                Some(label) => (label, false),
                None => (label, true),
            };
            let (label, value) = (label.trim(), value.trim());
            let is_whole = !label.is_empty() && !value.is_empty() && !value.starts_with('=');
            is_whole.then(|| Term {
                label: label.to_owned(),
                value: value.to_owned(),
                is,
            })
        };
        let terms: Option<Vec<_>> = text.split(',').map(term).collect();
        let terms = terms.ok_or_else(|| {
            format!("`{text}` selects no hosts; write labels like `role=db,env!=test`, or `all`")
        })?;
        Ok(Self { terms })
    }

    /// Whether a host is chosen. A label that it does not have is not what any term says.
    pub fn matches(&self, host: &Host) -> bool {
        self.terms.iter().all(|term| {
            let own = host.labels.get(&term.label);
            own.is_some_and(|own| *own == term.value) == term.is
        })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.terms.is_empty() {
            return f.write_str("all");
        }
        for (index, Term { label, value, is }) in self.terms.iter().enumerate() {
            let (comma, test) = (
                if index > 0 { "," } else { "" },
                if *is { "=" } else { "!=" },
            );
            write!(f, "{comma}{label}{test}{value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_and_written_and_nonsense_is_refused() {
        for right in ["all", "role=db", "role=db,env!=test"] {
            assert_eq!(Selector::parse(right).unwrap().to_string(), right);
        }
        for wrong in ["", "role", "role=", "=db", "role=db,", "role==db", "!=db"] {
            let said = Selector::parse(wrong).unwrap_err();
            assert!(said.contains("role=db,env!=test"), "{wrong}: {said}");
        }
    }
}
