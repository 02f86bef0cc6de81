//! `tracer-collector token`: who may ask over HTTP.

use std::collections::BTreeSet;
use std::time::Duration;

use change::Timestamp;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use rustix::rand::GetRandomFlags;
use serde::Serialize;

use super::{Context, Error, Exit};
use crate::clock::now;
use crate::output;
use crate::store::{Scope, ViewToken, ViewTokenReader, ViewTokens};
use crate::view::Secret;

/// Make, list and revoke the tokens of viewers, who ask over HTTP
///
/// See `serve --view`. Hosts enrol with other tokens, which `enrol` makes.
#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    Make(MakeArgs),
    List(ListArgs),
    Revoke(RevokeArgs),
}

/// Make a token
///
/// Prints the token and nothing else. The store keeps only a hash of it, so it is shown this once.
#[derive(Debug, Args)]
struct MakeArgs {
    /// What to call it, after who or what will use it
    #[arg(value_parser = name)]
    name: String,
    /// What it is good for: `read` the questions, `content` also what is in files, `metrics`
    #[arg(
        long = "scope",
        value_name = "SCOPE",
        value_delimiter = ',',
        default_value = "read",
        value_parser = PossibleValuesParser::new(Scope::ALL.map(|(_, word)| word))
    )]
    scopes: Vec<String>,
    /// Let it be used for so long
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = super::duration)]
    expires: Duration,
}

/// List the tokens with what they are good for and until when
///
/// A token is listed for a month after its end.
#[derive(Debug, Args)]
struct ListArgs {}

/// End a token, at once
#[derive(Debug, Args)]
struct RevokeArgs {
    /// What it is called
    name: String,
}

#[derive(Serialize)]
struct TokenLine {
    token: String,
    name: String,
    scopes: BTreeSet<Scope>,
    expires: Timestamp,
}

#[derive(Serialize)]
struct Revoked<'a> {
    name: &'a str,
}

fn name(text: &str) -> Result<String, &'static str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    if !text.is_empty() && text.len() <= 64 && text.bytes().all(is_plain) {
        return Ok(text.to_owned());
    }
    Err("it must have 1 to 64 letters, digits, `-`, `_`, `.` and `@`")
}

impl TokenArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        match self.command {
            TokenCommand::Make(args) => args.run(context),
            TokenCommand::List(args) => args.run(context),
            TokenCommand::Revoke(args) => args.run(context),
        }
    }
}

impl MakeArgs {
    fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self {
            name,
            scopes,
            expires,
        } = self;
        let mut secret = Secret([0; 20]);
        rustix::rand::getrandom(&mut secret.0, GetRandomFlags::empty()).map_err(|error| {
            Error::System {
                doing: "make a secret".to_owned(),
                source: error.into(),
            }
        })?;
        let made = now();
        let lifetime = i64::try_from(expires.as_nanos()).unwrap_or(i64::MAX);
        let token = ViewToken {
            name,
            scopes: scopes
                .iter()
                .filter_map(|word| Scope::from_word(word))
                .collect(),
            made,
            expires: made.plus_nanos(lifetime),
            revoked: None,
        };
        let mut tokens = ViewTokens::open(&context.location()?)?;
        if !tokens.keep(&secret.hash(), &token)? {
            return Err(Error::Usage(format!(
                "make token `{name}`: there is one of that name; revoke it, or take another name",
                name = token.name
            )));
        }
        let line = TokenLine {
            token: secret.to_string(),
            name: token.name,
            scopes: token.scopes,
            expires: token.expires,
        };
        context.output.answer(&line, |line, _| line.token.clone())?;
        Ok(Exit::Found)
    }
}

impl ListArgs {
    fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self {} = self;
        let tokens = ViewTokenReader::open(&context.existing_location()?)?.all()?;
        for token in &tokens {
            context.output.answer(token, output::token_line)?;
        }
        Ok(Context::found(!tokens.is_empty()))
    }
}

impl RevokeArgs {
    fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self { name } = self;
        let mut tokens = ViewTokens::open(&context.location()?)?;
        if !tokens.revoke(&name, now())? {
            return Err(Error::Usage(format!(
                "revoke token `{name}`: no token of that name is good; see `tracer-collector token list`"
            )));
        }
        let words =
            |revoked: &Revoked<'_>| format!("{} is good for nothing any more", revoked.name);
        let revoked = Revoked { name: &name };
        context
            .output
            .answer(&revoked, |revoked, _| words(revoked))?;
        Ok(Exit::Found)
    }
}
