//! `tracer-collector check-rules`: whether a file of rules can be put in force.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::{Context, Error, Exit};
use crate::follow::read_text;
use crate::output::{self, complain};
use crate::rules::{Demand, Rules};

/// Check a file of rules, and tell all that is wrong with it by its line
///
/// No store is needed: whether hosts and snapshots that it names exist is not checked.
#[derive(Debug, Args)]
pub(super) struct CheckRulesArgs {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// What a file of rules holds.
#[derive(Debug, Serialize)]
struct CheckedRules {
    file: String,
    expectations: usize,
    baselines: usize,
    exceptions: usize,
    /// Exceptions that have ended.
    expired: usize,
}

impl CheckRulesArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let text = read_text(&self.file)?;
        let file = self.file.display().to_string();
        let rules = match Rules::read(&text) {
            Ok(rules) => rules,
            Err(faults) => {
                for fault in faults {
                    complain(&format!("read rules `{file}`: {fault}"));
                }
                return Ok(Exit::Usage);
            }
        };
        let is_expectation = |demand: &Demand| matches!(demand, Demand::Expect(_));
        let expectations = rules
            .rules
            .iter()
            .filter(|rule| is_expectation(&rule.demand))
            .count();
        let now = context.now();
        let checked = CheckedRules {
            file,
            expectations,
            baselines: rules.rules.len() - expectations,
            exceptions: rules.exceptions.len(),
            expired: rules
                .exceptions
                .iter()
                .filter(|one| one.until <= now)
                .count(),
        };
        let in_words = |checked: &CheckedRules, _: &output::View| {
            let CheckedRules {
                file,
                expectations,
                baselines,
                exceptions,
                expired,
            } = checked;
            let expired = if *expired == 0 {
                String::new()
            } else {
                format!(", {expired} of them expired")
            };
            format!(
                "{file}: {expectations} expectations, {baselines} baselines, {exceptions} exceptions{expired}"
            )
        };
        context.output.answer(&checked, in_words)?;
        Ok(Exit::Found)
    }
}
