//! `tracer-collector enrol`: a token for one host.

use std::time::Duration;

use change::Timestamp;
use change::wire::Token;
use clap::Args;
use rustix::rand::GetRandomFlags;
use serde::Serialize;

use super::{Context, Error, Exit};
use crate::authority::Authority;
use crate::clock::now;
use crate::store::{Enrolment, Permit, agree_on_authority};
use crate::token_hash;

/// Make a token with which one host can enrol, once
///
/// Prints the token and nothing else. It names this collector's authority, so that the host knows whom it talks to;
/// hand it over as a secret. The store keeps only a hash of it.
#[derive(Debug, Args)]
pub(super) struct EnrolArgs {
    /// Let only the host of this name use it
    host: Option<String>,
    /// Say what the host is; counts more than what it says itself
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Let it be used for so long
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = super::duration)]
    expires: Duration,
    /// Let a host enrol whose machine id is enrolled already; its certificates of before end
    #[arg(long)]
    replace: bool,
}

#[derive(Serialize)]
struct TokenLine {
    token: String,
    expires: Timestamp,
}

fn label(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').unwrap_or_default();
    let is_good =
        |text: &str| !text.is_empty() && text.len() <= 255 && !text.chars().any(char::is_control);
    if is_good(name) && is_good(value) {
        return Ok((name.to_owned(), value.to_owned()));
    }
    Err("it must be a name, `=` and a value, such as `role=db`")
}

impl EnrolArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self {
            host,
            labels,
            expires,
            replace,
        } = self;
        let state_dir = context.state_dir()?;
        let authority = Authority::open(state_dir, now())?;
        let location = context.location()?;
        agree_on_authority(&location, &authority.fingerprint())?;
        let mut secret = [0; 20];
        rustix::rand::getrandom(&mut secret, GetRandomFlags::empty()).map_err(|error| {
            Error::System {
                doing: "make a secret".to_owned(),
                source: error.into(),
            }
        })?;
        let token = Token {
            secret,
            authority: authority.fingerprint(),
        };
        let lifetime = i64::try_from(expires.as_nanos()).unwrap_or(i64::MAX);
        let permit = Permit {
            hostname: host,
            labels: labels.into_iter().collect(),
            replaces: replace,
            expires: Timestamp::from_nanos(now().as_nanos().saturating_add(lifetime)),
        };
        Enrolment::open(&location)?.permit(&token_hash(&token), &permit, now())?;
        let line = TokenLine {
            token: token.to_string(),
            expires: permit.expires,
        };
        context.output.answer(&line, |line, _| line.token.clone())?;
        Ok(Exit::Found)
    }
}
