//! The value of a service's fact, and what leads from one to another.

use std::collections::BTreeMap;

use change::{FactValue, Op};

use super::environment::Environment;

/// The names of values.
pub(super) const ACTIVE: &str = "active";
pub(super) const ENABLED: &str = "enabled";
pub(super) const MASKED: &str = "masked";

/// Says what a service is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Active {
    /// It was started, and has not ended.
    Active,
    /// It was not started, or has ended well.
    Inactive,
    /// It has ended, and not well.
    Failed,
}

impl Active {
    /// The word that systemd has for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Failed => "failed",
        }
    }

    /// What a value says; a service that is no fact does nothing.
    pub fn of(value: Option<&FactValue>) -> Self {
        match value.and_then(|value| value.attribute(ACTIVE)) {
            Some("active") => Self::Active,
            Some("failed") => Self::Failed,
            _ => Self::Inactive,
        }
    }

    /// A value that says this, and the same as another besides.
    pub fn within(self, value: &FactValue) -> FactValue {
        let mut attributes = match value {
            FactValue::Attributes(attributes) => attributes.clone(),
            _ => BTreeMap::new(),
        };
        attributes.insert(ACTIVE.to_owned(), self.as_str().to_owned());
        FactValue::Attributes(attributes)
    }
}

/// Whether both values say the same but for what the service is doing.
pub fn is_same_set_up(one: &FactValue, other: &FactValue) -> bool {
    Active::Active.within(one) == Active::Active.within(other)
}

pub(super) fn value_of(
    active: Active,
    enabled: &str,
    environment: Option<&Environment>,
) -> FactValue {
    let mut attributes = BTreeMap::from([
        (ACTIVE.to_owned(), active.as_str().to_owned()),
        (ENABLED.to_owned(), enabled.to_owned()),
    ]);
    attributes.extend(environment.into_iter().flat_map(Environment::attributes));
    FactValue::Attributes(attributes)
}

/// What leads from one value to another.
pub(in crate::inventory) fn op(before: Option<&FactValue>, after: Option<&FactValue>) -> Op {
    match (Active::of(before), Active::of(after)) {
        (Active::Active, Active::Inactive | Active::Failed)
        | (Active::Inactive, Active::Failed) => {
            return Op::Stop;
        }
        (Active::Inactive | Active::Failed, Active::Active) => return Op::Start,
        _ => {}
    }
    let (before, after) = match (before, after) {
        (Some(before), Some(after)) => (before, after),
        (None, _) => return Op::Install,
        (_, None) => return Op::Remove,
    };
    let word = |value: &FactValue| {
        let word = value.attribute(ENABLED).unwrap_or_default();
        word.strip_suffix("-runtime").unwrap_or(word).to_owned()
    };
    match (word(before).as_str(), word(after).as_str()) {
        (before, after) if before == after => Op::Set,
        (_, MASKED) | (ENABLED, _) => Op::Disable,
        (MASKED, _) | (_, ENABLED) => Op::Enable,
        _ => Op::Set,
    }
}
