//! What is a host's own within a text: its machine id, its name, and its addresses as far as they are known.

use std::net::IpAddr;

use change::{FactValue, Subject};

use super::text;
use crate::fleet::{Fleet, Host};
use crate::questions::Error;

/// Shorter names may be part of any word.
const SHORTEST_NAME: usize = 3;
/// Files that give a host its addresses.
const HOSTS: &str = "/etc/hosts";
const INTERFACES: &str = "/etc/network/interfaces";

/// A host with what is its own.
pub(in crate::questions) struct Own<'a> {
    host: &'a Host,
    addresses: Vec<String>,
}

impl<'a> Own<'a> {
    /// Reads what is a host's own now. Its addresses are those that its own files give it, where their contents are
    /// here: its name's in `/etc/hosts`, and those of its interfaces.
    pub(in crate::questions) fn of(fleet: &dyn Fleet, host: &'a Host) -> Result<Self, Error> {
        let mut addresses = Vec::new();
        if let Some(hosts) = content(fleet, host, HOSTS)? {
            addresses.extend(named_in(&hosts, &host.hostname));
        }
        if let Some(interfaces) = content(fleet, host, INTERFACES)? {
            addresses.extend(set_in(&interfaces));
        }
        Ok(Self { host, addresses })
    }

    /// Whether both are one host.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.host.key == other.host.key
    }

    /// A text without what is the host's own.
    pub(super) fn taken_out_of(&self, text: &str) -> String {
        let Self { host, addresses } = self;
        let mut text = text.replace(&host.machine, "<machine>");
        for address in addresses {
            text = without_address(&text, address);
        }
        if host.hostname.len() < SHORTEST_NAME {
            return text;
        }
        text.replace(&host.hostname, "<host>")
    }
}

/// What a file of a host holds now, where that is here.
fn content(fleet: &dyn Fleet, host: &Host, path: &str) -> Result<Option<String>, Error> {
    let Some(key) = fleet.key_of(&Subject::file(path))? else {
        return Ok(None);
    };
    let Some(fact) = fleet.fact(host.key, key)? else {
        return Ok(None);
    };
    match fleet.value(fact.value)? {
        FactValue::File(state) => text(fleet, &state),
        FactValue::Setting { .. } | FactValue::Attributes(_) => Ok(None),
    }
}

/// The addresses that `hosts(5)` gives a name, by itself or with its domain.
fn named_in(hosts: &str, name: &str) -> Vec<String> {
    let lines = hosts
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    let of_name = lines.filter_map(|line| {
        let (address, names) = line.trim().split_once(char::is_whitespace)?;
        let is_name = |word: &str| word.split('.').next() == Some(name) || word == name;
        names
            .split_whitespace()
            .any(is_name)
            .then(|| own(address))
            .flatten()
    });
    of_name.collect()
}

/// The addresses that `interfaces(5)` gives interfaces.
fn set_in(interfaces: &str) -> Vec<String> {
    let lines = interfaces.lines().map(str::trim);
    let set = lines.filter_map(|line| own(line.strip_prefix("address")?.trim()));
    set.collect()
}

/// An address that no other host has, however it is written; without the length of its network.
fn own(text: &str) -> Option<String> {
    let text = text.split('/').next()?;
    let address: IpAddr = text.parse().ok()?;
    let is_shared = address.is_loopback() || address.is_unspecified() || address.is_multicast();
    (!is_shared).then(|| text.to_owned())
}

/// Takes an address out where it stands by itself, and not within a longer one.
fn without_address(text: &str, address: &str) -> String {
    // What goes on behind a full stop is a longer address; a sentence or a port may end or follow it.
    let is_part = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let goes_on = |rest: &[u8]| match rest {
        [b'.', after, ..] => is_part(Some(after)),
        [b':', ..] => address.contains(':'),
        rest => is_part(rest.first()),
    };
    let came_before = |before: &[u8]| match before {
        [.., b'.' | b':'] => !before.ends_with(b"::") && is_joined(before),
        before => is_part(before.last()),
    };
    let mut left = String::with_capacity(text.len());
    let mut done = 0;
    for (place, found) in text.match_indices(address) {
        let (before, rest) = (
            &text.as_bytes()[..place],
            &text.as_bytes()[place + found.len()..],
        );
        if place < done || came_before(before) || goes_on(rest) {
            continue;
        }
        left.push_str(&text[done..place]);
        left.push_str("<address>");
        done = place + found.len();
    }
    left.push_str(&text[done..]);
    left
}

/// Whether a full stop or colon at the end joins what is before it to an address.
fn is_joined(before: &[u8]) -> bool {
    before
        .iter()
        .rev()
        .nth(1)
        .is_some_and(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_out_where_it_stands_by_itself() {
        let without = |text| without_address(text, "10.0.0.1");
        assert_eq!(
            without("listen 10.0.0.1:80; allow 10.0.0.1/24"),
            "listen <address>:80; allow <address>/24"
        );
        assert_eq!(without("10.0.0.1"), "<address>");
        assert_eq!(without("It is 10.0.0.1."), "It is <address>.");
        for other in ["10.0.0.12", "110.0.0.1", "10.0.0.1.5", "4.10.0.0.1"] {
            assert_eq!(without(other), other);
        }
        let without = |text| without_address(text, "fd00::1");
        assert_eq!(
            without("[fd00::1]:80 fd00::12 fd00::1:2"),
            "[<address>]:80 fd00::12 fd00::1:2"
        );
    }

    #[test]
    fn addresses_are_those_of_the_name_and_of_interfaces_and_none_that_all_have() {
        let hosts =
            "127.0.0.1 localhost\n127.0.1.1 db-1\n10.1.2.3 db-1.example db-1 # me\n10.1.2.4 db-2\n";
        assert_eq!(named_in(hosts, "db-1"), ["10.1.2.3"]);
        let interfaces = "iface lo inet loopback\niface eth0 inet static\n  address 10.1.2.3/16\n  gateway 10.1.0.1\n";
        assert_eq!(set_in(interfaces), ["10.1.2.3"]);
        assert_eq!(set_in("address nowhere\naddress\n"), [""; 0]);
    }
}
