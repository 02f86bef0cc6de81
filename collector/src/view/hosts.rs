//! `/v1/hosts`: the hosts, and how they stand.

use std::collections::HashMap;

use change::wire::Page;

use super::Error;
use super::params::{GROUP, PAST, STALE_BEFORE};
use super::question::{Asked, Question, json};
use crate::output::ListedHost;

pub(super) const HOSTS: Question = Question {
    name: "hosts",
    summary: "Hosts with their labels, how far behind they are and how far their clocks are off",
    about: "A host is `fresh`, `behind` while older changes are still under way, `stale` when it has stopped \
            reporting, `replaced` when a later installation has its name or machine id, or `cloned` when two \
            machines report under one machine id.",
    params: &[&GROUP, &PAST, &STALE_BEFORE],
    schema: "HostPage",
    ask,
};

fn ask(asked: &Asked) -> Result<Vec<u8>, Error> {
    let Asked { params, roster, .. } = asked;
    let group = params.text(&GROUP)?;
    let hosts = match (params.flag(&PAST)?, group) {
        (true, Some(_)) => {
            return Err(Error::Contradiction(
                "`past` is of all hosts, without `group`",
            ));
        }
        (true, None) => roster.all().iter().collect(),
        (false, group) => roster.group(group.unwrap_or("all"))?,
    };
    let enrolled = asked.fleet.enrolled()?.into_iter();
    let enrolled: HashMap<_, _> = enrolled.map(|host| (host.name.clone(), host)).collect();
    let listed = hosts
        .into_iter()
        .map(|host| ListedHost::new(host, roster.standing(host), enrolled.get(&host.id.0)));
    json(&Page {
        items: listed.collect(),
        next: None,
    })
}
