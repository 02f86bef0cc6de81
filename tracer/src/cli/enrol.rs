//! `tracer enrol`: a certificate from a collector.

use std::path::Path;

use change::wire::{EnrolmentBody, ParseTokenError, Token};
use clap::Args;

use super::{Context, Error, Exit};
use crate::client::Request;
use crate::push::{Applicant, Identity};
use crate::{daemon, output, push};

/// Enrol this host with a collector, to which the daemon then sends its log; for root only
///
/// Makes a key, and has the collector certify it by a token of `tracer-collector enrol`. The token names the
/// collector's authority, so nobody else is talked to, whatever answers at the URL. Key and certificate are kept in
/// the state directory, for the daemon and root alone; certificates are renewed in time.
///
/// A daemon that runs begins to send at once, with the whole of its log. Enrolling again begins a new log with the
/// collector.
#[derive(Debug, Args)]
pub(super) struct EnrolArgs {
    /// Where the collector is, such as `https://collector.example:7443`; else what `collector.url` says
    #[arg(long)]
    url: Option<String>,
    /// The token, or `-` to read it from standard input, so that no list of processes shows it
    #[arg(long)]
    token: String,
}

impl EnrolArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self { url, token } = self;
        let config = context.config()?.config;
        if !rustix::process::geteuid().is_root() {
            return Err(Error::Usage(
                "enrol this host: only root may; run it with `sudo`".to_owned(),
            ));
        }
        let url = url.unwrap_or(config.collector.url);
        if url.is_empty() {
            let missing = "say with `--url` where the collector is, or in the configuration with `collector.url`";
            return Err(Error::Usage(missing.to_owned()));
        }
        let token = read_token(&token)?;
        let identity = enrol(&url, &token, &config.state_dir)?;
        identity
            .save(&push::folder(&config.state_dir))
            .map_err(push::Error::from)?;
        let told: Result<(), _> = context.client()?.get(&Request::post("/v1/enrolled"));
        let body = EnrolmentBody {
            host: identity.given.host,
            url: identity.url,
            authority: change::wire::hex(&token.authority),
            expires: identity.given.expires,
            sending: told.is_ok(),
        };
        context.output.answer(&body, output::enrolment)?;
        Ok(Exit::Found)
    }
}

fn read_token(given: &str) -> Result<Token, Error> {
    let wrong = |error: ParseTokenError| Error::Usage(format!("read `--token`: {error}"));
    if given != "-" {
        return given.parse().map_err(wrong);
    }
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .map_err(|error| Error::Usage(format!("read the token from standard input: {error}")))?;
    line.parse().map_err(wrong)
}

fn enrol(url: &str, token: &Token, state_dir: &Path) -> Result<Identity, Error> {
    let machine = daemon::known_machine_id(&state_dir.join("tracer.db"))?;
    let machine = machine.ok_or_else(|| {
        Error::Usage(
            "enrol this host: it has no machine id; start the daemon once, which makes one"
                .to_owned(),
        )
    })?;
    let applicant = Applicant {
        machine,
        hostname: daemon::hostname(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(push::enrol(url, token, applicant))?)
}
