//! Facts in words.

use change::FactValue;
use change::wire::FactBody;

use super::View;
use super::amount::{counted, size};
use crate::when;

/// What says most of a subject stands first.
const LEADING: [&str; 9] = [
    "source", "type", "vendor", "product", "model", "name", "id", "version", "size",
];

/// A fact for a listing.
pub fn fact_line(fact: &FactBody, view: &View) -> String {
    let subject = super::argument(&fact.subject.to_string());
    let since = when::local(fact.since, &view.now);
    format!("{since}  {subject}  {}", value(&fact.value, view))
}

/// A value on one line.
pub(super) fn value(fact: &FactValue, view: &View) -> String {
    match fact {
        FactValue::File(file) => {
            let owner = view.names.owner(file.uid, file.gid);
            let hash = file.hash.as_deref().unwrap_or("no hash");
            format!(
                "{} {owner} {} {}",
                file.mode,
                counted(file.size, "byte"),
                super::escape_text(hash)
            )
        }
        FactValue::Setting { value } => super::argument(value),
        FactValue::Attributes(attributes) => {
            let first = LEADING
                .iter()
                .filter_map(|name| attributes.get_key_value(*name));
            let others = attributes.iter();
            let others = others.filter(|(name, _)| !LEADING.contains(&name.as_str()));
            let each = first.chain(others);
            let words = each.map(|(name, value)| format!("{name} {}", amount(name, value)));
            words.collect::<Vec<_>>().join(", ")
        }
    }
}

/// A value of an attribute: a size by its unit, anything else as it is.
fn amount(name: &str, value: &str) -> String {
    let bytes = (name == "size").then(|| value.parse().ok()).flatten();
    bytes.map_or_else(|| super::argument(value), size)
}
