//! Looks at the collector as a whole: its files, its authority, its disk and clock, its hosts and tokens. Each check
//! says how it stands and what to do; none changes anything.

mod clock;
mod files;
mod hosts;
mod tokens;

use std::path::Path;

use change::Timestamp;
use change::wire::{CheckBody, CheckState};

use crate::authority::Authority;
use crate::questions::Roster;
use crate::store::{self, HealthReader, Location, Reader};

/// Says what to look at, and by which clock.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Where the authority is.
    pub state_dir: &'a Path,
    /// Where the store is.
    pub location: &'a Location,
    /// Now.
    pub now: Timestamp,
    /// Hosts that have not reported since are stale.
    pub stale_before: Timestamp,
    /// Whether to compare indexes with their tables, too.
    pub thorough: bool,
}

/// Makes a check.
fn check(name: &str, state: CheckState, detail: impl Into<String>) -> CheckBody {
    CheckBody {
        name: name.to_owned(),
        state,
        detail: detail.into(),
    }
}

/// Looks at everything. What cannot be looked at is told as missing, and the rest goes on.
pub fn examine(asked: &Asked<'_>) -> Vec<CheckBody> {
    let mut checks = vec![
        files::modes(asked.state_dir, asked.location),
        authority(asked),
        files::space(asked.state_dir, asked.location),
    ];
    match HealthReader::open(asked.location) {
        Err(error) => checks.push(check("store", CheckState::Missing, error.to_string())),
        Ok(store) => {
            let found = examine_store(asked, &store, &mut checks);
            if let Err(error) = found {
                checks.push(check("store", CheckState::Missing, error.to_string()));
            }
        }
    }
    checks
}

fn examine_store(
    asked: &Asked<'_>,
    store: &HealthReader,
    checks: &mut Vec<CheckBody>,
) -> Result<(), store::Error> {
    checks.push(whole(asked, store)?);
    let fleet = Reader::open(asked.location)?;
    let roster = match Roster::read(&fleet, asked.stale_before) {
        Ok(roster) => roster,
        Err(error) => {
            checks.push(check("hosts", CheckState::Missing, error.to_string()));
            return Ok(());
        }
    };
    checks.push(clock::check(asked.now, &roster, store.reported()?));
    checks.push(hosts::standing(&roster));
    let enrolled = store.enrolled()?;
    checks.push(hosts::certificates(&enrolled, asked.now));
    checks.push(hosts::rewritten(&enrolled));
    checks.push(tokens::of_hosts(&store.open_tokens(asked.now)?, asked.now));
    checks.push(tokens::of_viewers(&store.view_tokens()?, asked.now));
    Ok(())
}

fn whole(asked: &Asked<'_>, store: &HealthReader) -> Result<CheckBody, store::Error> {
    let damage = store.damage(asked.thorough)?;
    let server_bytes = store.server_bytes()?;
    if let Some(first) = damage.first() {
        if server_bytes.is_some() {
            let detail = format!(
                "the server has {first}, so that it may lose what hosts were told is kept: set it to `on`"
            );
            return Ok(check("store", CheckState::Missing, detail));
        }
        let detail = format!(
            "it is damaged: {first}; look at the disk, stop the collector, and `restore` a copy into an empty directory"
        );
        return Ok(check("store", CheckState::Missing, detail));
    }
    let (schema, known) = store.schema()?;
    let bytes = server_bytes.or(asked.location.file_bytes());
    let mib = bytes.unwrap_or_default().div_ceil(1 << 20);
    if schema < known {
        let detail = format!(
            "whole, {mib} MiB; it has schema {schema} of {known}, which the next `serve` brings up"
        );
        return Ok(check("store", CheckState::Ok, detail));
    }
    let restored = store.restored()?;
    let restored =
        restored.map_or_else(String::new, |at| format!(", put back from a copy at {at}"));
    let whole = match server_bytes {
        Some(_) => format!("`{}` answers", asked.location),
        None => "whole".to_owned(),
    };
    let detail = format!("{whole}, {mib} MiB, schema {schema}{restored}");
    Ok(check("store", CheckState::Ok, detail))
}

/// An authority that ends within this is to be thought of.
const AUTHORITY_ENDS_NS: i64 = 365 * DAY_NS;
const DAY_NS: i64 = 24 * 60 * 60 * 1_000_000_000;

fn authority(asked: &Asked<'_>) -> CheckBody {
    let name = "authority";
    let found = match Authority::find(asked.state_dir) {
        Err(error) => return check(name, CheckState::Missing, error.to_string()),
        Ok(None) => {
            let detail = "there is none: if there were hosts, put `authority.pem` back from a backup, as without it each \
                          has to be enrolled anew; the first `serve` or `enrol` makes one";
            return check(name, CheckState::Missing, detail);
        }
        Ok(Some(found)) => found,
    };
    let Some(expires) = found.expires() else {
        let detail = "its certificate says no time; put `authority.pem` back from a backup";
        return check(name, CheckState::Missing, detail);
    };
    let anew = "move it away then, and enrol every host anew";
    if expires <= asked.now {
        let detail = format!("it ended {expires}: no host can connect; {anew}");
        check(name, CheckState::Missing, detail)
    } else if expires <= asked.now.plus_nanos(AUTHORITY_ENDS_NS) {
        let detail = format!("it ends {expires}; {anew}");
        check(name, CheckState::Degraded, detail)
    } else {
        let detail = format!("its key is that of its certificate, which holds until {expires}");
        check(name, CheckState::Ok, detail)
    }
}

/// The first of some names, and how many more there are.
fn first_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    let first = names.iter().take(5).copied().collect::<Vec<_>>();
    match names.len().saturating_sub(5) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
