//! The roster: hosts by the names that people use, groups by label, and which hosts can be trusted to be up to
//! date.

use change::Timestamp;
use serde::Serialize;

use super::Error;
use crate::fleet::{Fleet, Host, HostKey, HostSet};
use crate::selector::Selector;

/// Says whether a host's facts are those of now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It reports, and all that it has told of is here.
    Fresh,
    /// It reports, and older changes of it are still under way.
    Behind,
    /// It has stopped reporting: its facts are those of when it reported last.
    Stale,
    /// A later installation has its machine id or its name: it is past.
    Replaced,
    /// Another machine reports under the same machine id.
    Cloned,
}

impl Standing {
    /// Every standing with the word for it.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Fresh, "fresh"),
        (Self::Behind, "behind"),
        (Self::Stale, "stale"),
        (Self::Replaced, "replaced"),
        (Self::Cloned, "cloned"),
    ];
}

/// Names a host in an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostBody {
    /// The machine id.
    pub host: String,
    /// The host's name.
    pub hostname: String,
    /// Whether its facts are those of now.
    pub standing: Standing,
    /// When it reported last.
    pub reported: Timestamp,
}

/// The hosts that some names and labels stand for.
#[derive(Clone, Debug, Default)]
pub struct Chosen<'a> {
    /// The hosts, each once.
    pub hosts: Vec<&'a Host>,
    /// Hosts of a label that are not among them, as their facts are not those of now.
    pub set_aside: Vec<&'a Host>,
}

impl<'a> Chosen<'a> {
    /// These without the hosts of another choice.
    #[must_use]
    pub fn without(mut self, other: &Self) -> Self {
        let is_other = |host: &&'a Host| other.hosts.iter().any(|other| other.key == host.key);
        self.hosts.retain(|host| !is_other(host));
        self
    }
}

/// Holds the hosts of a fleet at a moment.
pub struct Roster {
    /// In the order of their keys.
    hosts: Vec<Host>,
    /// Who reported last before this moment is stale.
    stale_before: Timestamp,
}

impl Roster {
    /// Reads the hosts. Those that have not reported since `stale_before` are stale.
    pub fn read(fleet: &dyn Fleet, stale_before: Timestamp) -> Result<Self, Error> {
        Ok(Self {
            hosts: fleet.hosts()?,
            stale_before,
        })
    }

    /// All hosts, also those that are past.
    pub fn all(&self) -> &[Host] {
        &self.hosts
    }

    /// The host that goes by a name: its own, its machine id, or its name by certificate. Of several with one
    /// name it is the one that has not been replaced.
    pub fn find(&self, name: &str) -> Result<&Host, Error> {
        let goes_by = |host: &&Host| {
            let names = [&host.hostname, &host.machine, &host.id.0];
            names.into_iter().any(|own| own == name)
        };
        let (past, present): (Vec<_>, Vec<_>) = self
            .hosts
            .iter()
            .filter(goes_by)
            .partition(|host| host.replaced_by.is_some());
        match present.as_slice() {
            [host] => Ok(host),
            [] => past
                .last()
                .copied()
                .ok_or_else(|| Error::UnknownHost(name.to_owned())),
            several => {
                let ids = several.iter().map(|host| host.id.0.as_str());
                Err(Error::Ambiguous {
                    name: name.to_owned(),
                    count: several.len(),
                    ids: ids.collect::<Vec<_>>().join(", "),
                })
            }
        }
    }

    /// The hosts of a group, as `role=db,env=prod` or `all`, without those that were replaced. Only `all` may have
    /// none.
    pub fn group(&self, group: &str) -> Result<Vec<&Host>, Error> {
        let selector: Selector = group.parse()?;
        let present = self.hosts.iter().filter(|host| host.replaced_by.is_none());
        let hosts: Vec<_> = present
            .filter(|host| selector.selects(&host.labels))
            .collect();
        if hosts.is_empty() && group != "all" {
            return Err(Error::EmptyGroup(selector));
        }
        Ok(hosts)
    }

    /// Which hosts are asked for: one, however it stands, or those of a group; none where it is all of them, also
    /// those that are past. Of both it is the one host that counts.
    pub fn scope(&self, host: Option<&str>, group: Option<&str>) -> Result<Option<HostSet>, Error> {
        let hosts = match (host, group) {
            (Some(host), _) => vec![self.find(host)?],
            (None, Some(group)) => self.group(group)?,
            (None, None) => return Ok(None),
        };
        Ok(Some(hosts.into_iter().map(|host| host.key).collect()))
    }

    /// The hosts of names and of labels. One that is named is among them however it stands.
    pub fn choose(&self, names: &[String]) -> Result<Chosen<'_>, Error> {
        let mut chosen = Chosen::default();
        for name in names {
            if !Selector::is_one(name) {
                chosen.hosts.push(self.find(name)?);
                continue;
            }
            let hosts = self.group(name)?.into_iter();
            let (current, aside): (Vec<_>, Vec<_>) = hosts.partition(|host| self.is_current(host));
            chosen.hosts.extend(current);
            chosen.set_aside.extend(aside);
        }
        for hosts in [&mut chosen.hosts, &mut chosen.set_aside] {
            hosts.sort_by_key(|host| host.key);
            hosts.dedup_by_key(|host| host.key);
        }
        Ok(chosen)
    }

    /// Whether a host's facts are those of now.
    pub fn standing(&self, host: &Host) -> Standing {
        if host.replaced_by.is_some() {
            Standing::Replaced
        } else if host.cloned.is_some() {
            Standing::Cloned
        } else if host.reported < self.stale_before {
            Standing::Stale
        } else if host.durable_seq < host.newest_seq {
            Standing::Behind
        } else {
            Standing::Fresh
        }
    }

    /// Whether a host's facts may stand for those of now beside others'.
    pub fn is_current(&self, host: &Host) -> bool {
        matches!(self.standing(host), Standing::Fresh | Standing::Behind)
    }

    /// The host as an answer names it.
    pub fn body(&self, host: &Host) -> HostBody {
        HostBody {
            host: host.machine.clone(),
            hostname: host.hostname.clone(),
            standing: self.standing(host),
            reported: host.reported,
        }
    }

    /// The host of a key.
    pub fn host(&self, key: HostKey) -> Option<&Host> {
        let place = self.hosts.binary_search_by_key(&key, |host| host.key);
        self.hosts.get(place.ok()?)
    }

    /// The host of a key, as an answer names it.
    pub(super) fn named(&self, key: HostKey) -> Option<HostBody> {
        self.host(key).map(|host| self.body(host))
    }
}
