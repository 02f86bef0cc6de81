//! `tracer-collector drift`: what is not as the rules want it, and when it began and ended.

use std::path::PathBuf;

use clap::Args;

use super::{Context, Error, Exit};
use crate::fleet::{Fleet as _, HostSet};
use crate::follow::read_rules;
use crate::output;
use crate::questions::{self, DriftQuery, HappenedQuery, Roster, drift, happened, rules_in_force};
use crate::rules::{Like, Rules, read_like};
use crate::store::Reader;

/// Tell what is not as the rules want it, since when and because of whom
///
/// The rules are those that `serve --rules FILE` has put in force. `--rules FILE` tries others, and `--against`
/// needs none. Hosts that have stopped reporting and facts that nobody tells of are listed as not known, never taken
/// for fine: the exit code is 0 where anything drifts or is not known, and 1 where all is as it should be.
#[derive(Debug, Args)]
pub(super) struct DriftArgs {
    /// Only on this host
    #[arg(long, value_name = "HOST", conflicts_with = "group")]
    host: Option<String>,
    /// Only on hosts with these labels, as `role=db,env=prod`
    #[arg(long, value_name = "LABELS")]
    group: Option<String>,
    /// Judge by the rules in this file, and put nothing in force
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Hold the hosts against `majority`, `host:NAME`, `snapshot:NAME`, `yesterday` or a time, and no rules
    #[arg(
        long,
        value_name = "BASELINE",
        conflicts_with = "rules",
        allow_hyphen_values = true
    )]
    against: Option<String>,
    /// Show what is excepted, or has not lasted as long as its rule says, too
    #[arg(long)]
    all: bool,
    /// List when drift began and ended, and what undid what, newest first
    #[arg(long, conflicts_with_all = ["rules", "against"])]
    events: bool,
    /// List events since this time; what goes on is always listed
    #[arg(
        long,
        value_name = "TIME",
        requires = "events",
        default_value = "7 days ago",
        allow_hyphen_values = true
    )]
    since: String,
    /// List at most this many
    #[arg(short, long = "number", value_name = "N", default_value_t = 20)]
    number: usize,
}

impl DriftArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let (fleet, roster) = context.fleet()?;
        let hosts = roster.scope(self.host.as_deref(), self.group.as_deref())?;
        if self.events {
            return self.list_events(context, (&fleet, &roster), hosts);
        }
        let rules = self.rules(context, (&fleet, &roster))?;
        let query = DriftQuery {
            rules: &rules,
            hosts,
            now: context.now(),
            all: self.all,
            most: self.number,
        };
        let found = drift(&fleet, &roster, &query)?;
        context.output.answer(&found, output::drift)?;
        Ok(Context::found(
            found.drifting > 0 || !found.unknown.is_empty(),
        ))
    }

    fn list_events(
        &self,
        context: &Context,
        (fleet, roster): (&Reader, &Roster),
        hosts: Option<HostSet>,
    ) -> Result<Exit, Error> {
        let rules = rules_in_force(&fleet.rules_in_force()?.text)?;
        let query = HappenedQuery {
            since: context.time("--since", &self.since)?,
            hosts,
            rules: &rules,
            now: context.now(),
            all: self.all,
            most: self.number,
        };
        let found = happened(fleet, roster, &query)?;
        for happened in &found {
            context.output.answer(happened, output::happened)?;
        }
        Ok(Context::found(!found.is_empty()))
    }

    /// The rules to judge by.
    fn rules(
        &self,
        context: &Context,
        (fleet, roster): (&Reader, &Roster),
    ) -> Result<Rules, Error> {
        if let Some(path) = &self.rules {
            return Ok(read_rules(path)?);
        }
        if let Some(against) = &self.against {
            let like = baseline(context, (fleet, roster), against)?;
            let on = self.group.as_deref().unwrap_or("all");
            let on = on.parse().map_err(questions::Error::from)?;
            return Ok(Rules::of_baseline(on, like));
        }
        let rules = rules_in_force(&fleet.rules_in_force()?.text)?;
        if rules.rules.is_empty() {
            return Err(questions::Error::NoRules.into());
        }
        Ok(rules)
    }
}

/// What `--against` names, which must be there.
fn baseline(
    context: &Context,
    (fleet, roster): (&Reader, &Roster),
    against: &str,
) -> Result<Like, Error> {
    let Ok(like) = read_like(against) else {
        let moment = context.time("--against", against);
        let wrong = |error| {
            let others = "`majority`, `host:NAME`, `snapshot:NAME` and `yesterday`";
            Error::Usage(format!("{error}; other baselines are {others}"))
        };
        return moment.map(Like::Moment).map_err(wrong);
    };
    match &like {
        Like::Host(name) => drop(roster.find(name)?),
        Like::Snapshot(name) if !fleet.snapshots()?.iter().any(|one| one.name == *name) => {
            return Err(questions::Error::UnknownSnapshot(name.clone()).into());
        }
        _ => {}
    }
    Ok(like)
}
