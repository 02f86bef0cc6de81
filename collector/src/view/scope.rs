//! What many questions share: when, and on which hosts.

use change::Timestamp;
use change::wire::Page;
use serde::Serialize;

use super::Error;
use super::params::{GROUP, HOST, Param, SINCE, UNTIL};
use super::question::{Asked, json};
use crate::fleet::HostSet;
use crate::questions::refuse_removed;

impl Asked {
    /// Which hosts; none where it is all of them, also those that are past.
    pub(super) fn hosts(&self) -> Result<Option<HostSet>, Error> {
        let (host, group) = (self.params.text(&HOST)?, self.params.text(&GROUP)?);
        if host.is_some() && group.is_some() {
            return Err(Error::Contradiction("give `host` or `group`, and not both"));
        }
        Ok(self.roster.scope(host, group)?)
    }

    /// Both ends of a time, where they are given. An end of which nothing is kept is refused.
    pub(super) fn times(&self) -> Result<[Option<Timestamp>; 2], Error> {
        let (since, until) = (self.params.time(&SINCE)?, self.params.time(&UNTIL)?);
        if let (Some(since), Some(until)) = (since, until)
            && until < since
        {
            return Err(Error::Contradiction("`until` is before `since`"));
        }
        if let Some(until) = until {
            refuse_removed(&self.fleet, until)?;
        }
        Ok([since, until])
    }

    /// Refuses a number of one host where no host is named.
    pub(super) fn needs_host(&self, param: &Param) -> Result<(), Error> {
        if self.params.has(param) && !self.params.has(&HOST) {
            return Err(Error::Contradiction(
                "each host has numbers of its own: give `host`, too",
            ));
        }
        Ok(())
    }
}

/// A listing that is told as a whole.
pub(super) fn whole<T: Serialize>(items: Vec<T>) -> Result<Vec<u8>, Error> {
    json(&Page { items, next: None })
}
