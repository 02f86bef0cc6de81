//! `tracer-collector revoke`: a host that may not send any more.

use clap::Args;
use serde::Serialize;

use super::{Context, Error, Exit};
use crate::clock::now;
use crate::store::{EnrolledHost, Enrolment};

/// Take the right to send away from a host, at once
///
/// What it has sent stays. A new token lets it enrol again.
#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// Its machine id, or its name where only one host has that
    host: String,
}

#[derive(Serialize)]
struct Revoked<'a> {
    host: &'a str,
}

impl RevokeArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self { host } = self;
        let mut enrolment = Enrolment::open(&context.location()?)?;
        let hosts = enrolment.hosts()?;
        let host = find(&hosts, &host)?;
        if !enrolment.revoke(host, now())? {
            return Err(Error::Usage(format!(
                "revoke `{host}`: it was revoked already"
            )));
        }
        let words = |revoked: &Revoked<'_>| format!("{} may not send any more", revoked.host);
        context
            .output
            .answer(&Revoked { host }, |revoked, _| words(revoked))?;
        Ok(Exit::Found)
    }
}

/// The host of that machine id, or the only one of that name.
fn find<'a>(hosts: &'a [EnrolledHost], wanted: &str) -> Result<&'a str, Error> {
    let by_id = hosts.iter().find(|host| host.name == wanted);
    let named = hosts.iter().filter(|host| host.hostname == wanted);
    let named: Vec<_> = named.collect();
    match (by_id, named.as_slice()) {
        (Some(host), _) | (None, &[host]) => Ok(&host.name),
        (None, []) => Err(Error::Usage(format!(
            "find `{wanted}`: no such host is enrolled; see `tracer-collector enrolled`"
        ))),
        (None, several) => {
            let ids: Vec<_> = several.iter().map(|host| host.name.as_str()).collect();
            Err(Error::Usage(format!(
                "find `{wanted}`: several hosts have this name; say which by its machine id: {}",
                ids.join(", ")
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use change::Timestamp;

    use super::*;
    use crate::store::Labels;

    #[test]
    fn a_host_is_named_by_its_machine_id_or_by_a_name_that_is_its_own() {
        let host = |name: &str, hostname: &str| EnrolledHost {
            name: name.to_owned(),
            hostname: hostname.to_owned(),
            labels: Labels::new(),
            enrolled: Timestamp::from_nanos(0),
            expires: None,
            revoked: None,
            rewritten: None,
        };
        let hosts = [host("1", "web"), host("2", "db"), host("3", "db")];
        assert_eq!(find(&hosts, "web").ok(), Some("1"));
        assert_eq!(find(&hosts, "3").ok(), Some("3"));
        let said = |wanted| find(&hosts, wanted).unwrap_err().to_string();
        assert!(said("db").contains("2, 3"), "{}", said("db"));
        assert!(said("x").contains("no such host"), "{}", said("x"));
    }
}
