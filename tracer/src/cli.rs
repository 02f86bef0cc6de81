//! The command line: the list of commands, what they share, and their exit codes.
//! One file a command; its doc comments are the manual.

mod backup;
mod blame;
mod cat;
mod config;
mod diff;
mod doctor;
mod enrol;
mod error;
mod facts;
mod folding;
mod forget;
mod gaps;
mod log;
mod reference;
mod run;
mod runs;
mod session;
mod sessions;
mod show;
mod status;
mod subject;
mod verify;
mod who;

use std::path::PathBuf;

use change::wire::StatusBody;
use change::{Gap, Timestamp};
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
pub use error::{Error, Exit};
use jiff::Zoned;
pub use reference::reference;

use crate::client::{Client, Request};
use crate::config::{Config, Loaded, Overrides, Sources};
use crate::output::{self, Color, Output, complain};

/// Watch changes on this host as they happen, and answer who changed what, when and how
///
/// The daemon, `tracer run`, watches; every other command asks it over its socket.
#[derive(Debug, Parser)]
#[command(name = "tracer", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  tracer who /etc/nginx/nginx.conf
  tracer log --since '2h ago' --by human
  tracer diff /etc/hosts --since yesterday
  tracer status

Times are `2h ago`, `-90min`, `yesterday 15:00`, `friday`, `14:00`, `2026-11-20 10:00`,
`2026-11-20T10:00:00Z`, `@1395716396`, `boot`, `recent` (10 minutes) or `this-week`; what is
ambiguous lies in the past.

Exit codes: 0 found or ok, 1 nothing found, 2 usage, 3 daemon not reachable, 4 other failure.";

#[derive(Debug, Args)]
struct GlobalArgs {
    /// Read this configuration file instead of `/etc/tracer`
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keep the store in this directory
    #[arg(long, global = true, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Talk to the daemon on this socket
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Print JSON: an object a line for lists, one object otherwise
    #[arg(long, global = true)]
    json: bool,
    /// Use colour
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    color: Color,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    Doctor(doctor::DoctorArgs),
    Status(status::StatusArgs),
    Who(who::WhoArgs),
    Log(log::LogArgs),
    Show(show::ShowArgs),
    Diff(diff::DiffArgs),
    Blame(blame::BlameArgs),
    Cat(cat::CatArgs),
    Sessions(sessions::SessionsArgs),
    Session(session::SessionArgs),
    Runs(runs::RunsArgs),
    Facts(facts::FactsArgs),
    Gaps(gaps::GapsArgs),
    Verify(verify::VerifyArgs),
    Backup(backup::BackupArgs),
    Forget(forget::ForgetArgs),
    Enrol(enrol::EnrolArgs),
    Config(config::ConfigArgs),
}

impl Cli {
    /// Reads the command line. Help is printed here; an error is told, on one line.
    pub fn from_command_line() -> Result<Self, Exit> {
        Self::try_parse().map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => printed(&error, Exit::Found),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => printed(&error, Exit::Usage),
            _ => {
                complain(&on_one_line(&error.to_string()));
                Exit::Usage
            }
        })
    }

    /// Whether this process is to be the daemon.
    pub fn is_daemon(&self) -> bool {
        matches!(self.command, Command::Run(_))
    }
}

/// A reader that has gone, as `head` does, is no failure.
fn printed(help: &clap::Error, exit: Exit) -> Exit {
    help.print().map_or(Exit::Found, |()| exit)
}

/// The message of the argument parser without its layout.
fn on_one_line(message: &str) -> String {
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let (message, _usage) = message.split_once("\n\nUsage:").unwrap_or((message, ""));
    let (message, _more) = message.split_once("\n\nFor more").unwrap_or((message, ""));
    let words = |sentence: &str| sentence.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentences: Vec<_> = message.split("\n\n").map(words).collect();
    format!("{}; see `--help`", sentences.join("; "))
}

/// Does what the command line says, and tells what went wrong.
pub fn run(cli: Cli) -> Exit {
    let Cli { global, command } = cli;
    let output = Output::new(global.json, global.color, Zoned::now());
    let context = Context { global, output };
    let done = match command {
        Command::Run(args) => args.run(&context),
        Command::Doctor(args) => args.run(&context),
        Command::Status(args) => args.run(&context),
        Command::Who(args) => args.run(&context),
        Command::Log(args) => args.run(&context),
        Command::Show(args) => args.run(&context),
        Command::Diff(args) => args.run(&context),
        Command::Blame(args) => args.run(&context),
        Command::Cat(args) => args.run(&context),
        Command::Sessions(args) => args.run(&context),
        Command::Session(args) => args.run(&context),
        Command::Runs(args) => args.run(&context),
        Command::Facts(args) => args.run(&context),
        Command::Gaps(args) => args.run(&context),
        Command::Verify(args) => args.run(&context),
        Command::Backup(args) => args.run(&context),
        Command::Forget(args) => args.run(&context),
        Command::Enrol(args) => args.run(&context),
        Command::Config(args) => args.run(&context),
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
    fn config(&self) -> Result<Loaded, Error> {
        let GlobalArgs {
            config,
            state_dir,
            socket,
            json: _,
            color: _,
        } = &self.global;
        let overrides = Overrides {
            state_dir: state_dir.clone(),
            socket: socket.clone(),
        };
        Ok(Config::load(&Sources::new(config.as_deref()), &overrides)?)
    }

    /// The daemon to ask. A socket named on the command line needs no configuration.
    fn client(&self) -> Result<Client, Error> {
        match &self.global.socket {
            Some(socket) => Ok(Client::new(socket)?),
            None => Ok(Client::new(&self.config()?.config.socket)?),
        }
    }

    fn time(&self, flag: &str, text: &str) -> Result<Timestamp, Error> {
        let read = when::parse(text, &self.output.view.now);
        read.map_err(|error| Error::Usage(format!("read `{flag}`: {error}")))
    }

    fn optional_time(&self, flag: &str, text: Option<&str>) -> Result<Option<Timestamp>, Error> {
        text.map(|text| self.time(flag, text)).transpose()
    }

    fn now(&self) -> Result<Timestamp, Error> {
        self.time("now", "now")
    }

    /// Says something beside the answer. Who reads JSON does without.
    fn note(&self, text: &str) {
        if !self.output.json {
            self.output.note(text);
        }
    }

    /// Says for which time the answer is not complete.
    fn warn_of_gaps(&self, gaps: &[Gap]) {
        for gap in gaps {
            self.note(&output::gap_warning(gap, &self.output.view));
        }
    }

    /// Says so where more may be found in a moment, as it does right after a start. Who reads JSON asks for the
    /// status, which has it.
    fn warn_while_comparing(&self, client: &Client) -> Result<(), Error> {
        if self.output.json {
            return Ok(());
        }
        let status: StatusBody = client.get(&Request::new("/v1/status"))?;
        if status.comparing {
            self.note(
                "the host is still being compared with the record: there may be more to tell soon",
            );
        }
        Ok(())
    }

    /// Says in words that there is nothing. Who reads JSON reads it from the exit code.
    fn nothing(&self, text: &str) -> Result<Exit, Error> {
        if !self.output.json {
            self.output.text(text)?;
        }
        Ok(Exit::Nothing)
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

    #[test]
    fn a_usage_error_is_one_line_that_says_what_is_allowed() {
        let error = |line: &str| {
            let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
            on_one_line(&error.to_string())
        };
        insta::assert_snapshot!(error("tracer log --by robot"), @"invalid value 'robot' for '--by <AUTHOR>' [possible values: human, automation, package-manager]; see `--help`");
        insta::assert_snapshot!(error("tracer whom /etc/hosts"), @"unrecognized subcommand 'whom'; tip: a similar subcommand exists: 'who'; see `--help`");
        insta::assert_snapshot!(error("tracer cat /etc/hosts"), @"the following required arguments were not provided: --at <TIME>; see `--help`");
        insta::assert_snapshot!(error("tracer show x"), @"invalid value 'x' for '<SEQ>': invalid digit found in string; see `--help`");
        insta::assert_snapshot!(error("tracer who x -n 0"), @"invalid value '0' for '--number <N>': 0 is not in 1..=1000; see `--help`");
    }

    #[test]
    fn help_is_imperative_and_without_full_stops() {
        for command in Cli::command().get_subcommands() {
            let about = command
                .get_about()
                .expect("each command says what it does")
                .to_string();
            assert!(!about.ends_with('.') && !about.contains('\n'), "{about}");
            for argument in command.get_arguments() {
                let help = argument
                    .get_help()
                    .expect("each argument says what it does")
                    .to_string();
                assert!(!help.ends_with('.'), "{help}");
            }
        }
    }
}
