//! The command line: the list of commands, what they share, and their exit codes.
//! One file a command; its doc comments are the manual.

mod backup;
mod check_rules;
mod compare;
mod doctor;
mod drift;
mod enrol;
mod enrolled;
mod error;
mod explain;
mod filter;
mod hosts;
mod log;
mod markers;
mod outliers;
mod restore;
mod revoke;
mod runs;
mod serve;
mod session;
mod sessions;
mod snapshot;
mod suspects;
mod tidy;
mod timeline;
mod token;
mod who;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use change::Timestamp;
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
pub use error::{Error, Exit};
use jiff::Zoned;

use crate::output::{Output, View, complain};
use crate::questions::Roster;
use crate::rules::duration;
use crate::store::{Location, Reader};

/// Take the changes of every tracer, and say what is different: on which hosts, since when and because of whom
///
/// The questions read the collector's store directly, also while the collector writes it.
#[derive(Debug, Parser)]
#[command(name = "tracer-collector", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  tracer-collector compare db-1 db-2
  tracer-collector compare db-1 --since yesterday
  tracer-collector outliers --group role=db
  tracer-collector explain --bad db-1,db-2 --good db-3,db-4,db-5
  tracer-collector suspects --at 14:03 --group role=db
  tracer-collector drift --group role=db
  tracer-collector log --path '/etc/nginx/**' --since yesterday
  tracer-collector timeline --since '2h ago' --group role=db,env=prod
  tracer-collector mark 'deploy 4711' --group role=web

Hosts go by their name or their machine id; groups by labels that each of their hosts has. Times are
`2h ago`, `yesterday 15:00`, `friday`, `14:00`, `2026-11-20 10:00`, `2026-11-20T10:00:00Z` or
`marker:NAME`; what is ambiguous lies in the past.

Exit codes: 0 found or ok, 1 nothing found, 2 usage, 4 other failure.";

#[derive(Debug, Args)]
struct GlobalArgs {
    /// Keep the authority and the store in this directory
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "/var/lib/tracer-collector"
    )]
    state_dir: PathBuf,
    /// Keep the store on a PostgreSQL server, which several collectors may share: `postgres://USER@HOST/DATABASE`
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "TRACER_COLLECTOR_STORE",
        hide_env_values = true
    )]
    store: Option<String>,
    /// Take hosts that have not reported for this long as stale
    #[arg(long, global = true, value_name = "TIME", default_value = "15 min ago")]
    stale_before: String,
    /// Print JSON: an object a line for lists, one object otherwise
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    Enrol(enrol::EnrolArgs),
    Enrolled(enrolled::EnrolledArgs),
    Revoke(revoke::RevokeArgs),
    Token(token::TokenArgs),
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
    Doctor(doctor::DoctorArgs),
    Hosts(hosts::HostsArgs),
    Compare(compare::CompareArgs),
    Outliers(outliers::OutliersArgs),
    Explain(explain::ExplainArgs),
    Suspects(suspects::SuspectsArgs),
    Drift(drift::DriftArgs),
    CheckRules(check_rules::CheckRulesArgs),
    Snapshot(snapshot::SnapshotArgs),
    Snapshots(snapshot::SnapshotsArgs),
    Who(who::WhoArgs),
    Log(log::LogArgs),
    Timeline(timeline::TimelineArgs),
    Runs(runs::RunsArgs),
    Sessions(sessions::SessionsArgs),
    Session(session::SessionArgs),
    Mark(markers::MarkArgs),
    Unmark(markers::UnmarkArgs),
    Markers(markers::MarkersArgs),
    Tidy(tidy::TidyArgs),
}

impl Cli {
    /// Reads the command line. Help is printed here; an error is told, on one line.
    pub fn from_command_line() -> Result<Self, Exit> {
        Self::try_parse().map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => printed(&error, Exit::Found),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => printed(&error, Exit::Usage),
            _ => {
                let text = error.to_string();
                let text = text.strip_prefix("error: ").unwrap_or(&text);
                let (message, _usage) = text.split_once("\n\n").unwrap_or((text, ""));
                complain(&format!("{message}; see `--help`"));
                Exit::Usage
            }
        })
    }
}

impl Cli {
    /// Whether this process is to be the server.
    pub fn is_server(&self) -> bool {
        matches!(self.command, Command::Serve(_))
    }
}

/// A reader that has gone, as `head` does, is no failure.
fn printed(help: &clap::Error, exit: Exit) -> Exit {
    help.print().map_or(Exit::Found, |()| exit)
}

/// Does what the command line says, and tells what went wrong.
pub fn run(cli: Cli) -> Exit {
    let Cli { global, command } = cli;
    let output = Output {
        json: global.json,
        view: View { now: Zoned::now() },
    };
    let context = Context { global, output };
    let done = match command {
        Command::Serve(args) => args.run(&context),
        Command::Enrol(args) => args.run(&context),
        Command::Enrolled(args) => args.run(&context),
        Command::Revoke(args) => args.run(&context),
        Command::Token(args) => args.run(&context),
        Command::Backup(args) => args.run(&context),
        Command::Restore(args) => args.run(&context),
        Command::Doctor(args) => args.run(&context),
        Command::Hosts(args) => args.run(&context),
        Command::Compare(args) => args.run(&context),
        Command::Outliers(args) => args.run(&context),
        Command::Explain(args) => args.run(&context),
        Command::Suspects(args) => args.run(&context),
        Command::Drift(args) => args.run(&context),
        Command::CheckRules(args) => args.run(&context),
        Command::Snapshot(args) => args.run(&context),
        Command::Snapshots(args) => args.run(&context),
        Command::Who(args) => args.run(&context),
        Command::Log(args) => args.run(&context),
        Command::Timeline(args) => args.run(&context),
        Command::Runs(args) => args.run(&context),
        Command::Sessions(args) => args.run(&context),
        Command::Session(args) => args.run(&context),
        Command::Mark(args) => args.run(&context),
        Command::Unmark(args) => args.run(&context),
        Command::Markers(args) => args.run(&context),
        Command::Tidy(args) => args.run(&context),
    };
    done.unwrap_or_else(|error| {
        if !error.is_quiet() {
            complain(&error.to_string());
        }
        error.exit()
    })
}

/// What every command works with.
struct Context {
    global: GlobalArgs,
    output: Output,
}

impl Context {
    /// The state directory, which is made where there is none.
    fn state_dir(&self) -> Result<&Path, Error> {
        let path = self.global.state_dir.as_path();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|source| Error::StateDir {
            path: path.to_owned(),
            source,
        })?;
        Ok(path)
    }

    /// Where the store is: on a server, or in the state directory, which is made where there is none.
    fn location(&self) -> Result<Location, Error> {
        if self.global.store.is_none() {
            self.state_dir()?;
        }
        self.existing_location()
    }

    /// The same, where nothing is to be made.
    fn existing_location(&self) -> Result<Location, Error> {
        match &self.global.store {
            Some(url) => Ok(url.parse()?),
            None => Ok(Location::within(&self.global.state_dir)),
        }
    }

    /// The fleet as it is in the store now, and its hosts.
    fn fleet(&self) -> Result<(Reader, Roster), Error> {
        let fleet = self.reader()?;
        let stale_before = self.time("--stale-before", &self.global.stale_before)?;
        let roster = Roster::read(&fleet, stale_before)?;
        Ok((fleet, roster))
    }

    /// The store as it is now.
    fn reader(&self) -> Result<Reader, Error> {
        Ok(Reader::open(&self.existing_location()?)?)
    }

    /// The moment that what people type is held against.
    fn now(&self) -> Timestamp {
        let nanos = self.output.view.now.timestamp().as_nanosecond();
        i64::try_from(nanos).map_or(Timestamp::MAX, Timestamp::from_nanos)
    }

    /// A moment as people write it, or the one of a marker.
    fn time(&self, flag: &str, text: &str) -> Result<Timestamp, Error> {
        if let Some(name) = text.trim().strip_prefix("marker:") {
            return self.marked(name.trim());
        }
        let read = when::parse(text, &self.output.view.now);
        read.map_err(|error| Error::Usage(format!("read `{flag}`: {error}")))
    }

    fn optional_time(&self, flag: &str, text: Option<&str>) -> Result<Option<Timestamp>, Error> {
        text.map(|text| self.time(flag, text)).transpose()
    }

    /// Whether anything was found.
    fn found(is_any: bool) -> Exit {
        if is_any { Exit::Found } else { Exit::Nothing }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
