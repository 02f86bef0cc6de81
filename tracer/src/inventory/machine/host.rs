//! How the host is set up, as far as it makes hosts differ in what their programs do: its name, time zone,
//! locale and resolver. Each is what some file means, whoever wrote it in which way.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use change::Text;

use super::{Attributes, Machine, put_value};
use crate::bounded;
use crate::inventory::Facts;

const NAME: &str = "name";
const TIME_ZONE: &str = "time-zone";
const LOCALE: &str = "locale";
const RESOLVER: &str = "resolver";

const LOCAL_TIME: &str = "etc/localtime";
const TIME_ZONE_NAME: &str = "etc/timezone";
const LOCALES: [&str; 2] = ["etc/locale.conf", "etc/default/locale"];
const RESOLVERS: &str = "etc/resolv.conf";

/// Files are read so far: what they mean stands in a few lines.
const LONGEST_FILE: u64 = 64 * 1024;

/// The fact that a file decides, by its absolute path.
pub(in crate::inventory) fn key_of(path: &Text) -> Option<&'static str> {
    let path = path.as_utf8()?.strip_prefix('/')?;
    match path {
        LOCAL_TIME | TIME_ZONE_NAME => Some(TIME_ZONE),
        RESOLVERS => Some(RESOLVER),
        path if LOCALES.contains(&path) => Some(LOCALE),
        _ => None,
    }
}

pub(super) fn read(machine: &Machine) -> Facts {
    let mut facts = Facts::new();
    put_value(&mut facts, NAME, machine.value("proc/sys/kernel/hostname"));
    put_value(&mut facts, TIME_ZONE, time_zone(machine));
    let locale = LOCALES.iter().find_map(|file| text(&machine.path(file)));
    Attributes(locale.as_deref().map(assignments).unwrap_or_default()).put(&mut facts, LOCALE);
    let resolver = text(&machine.path(RESOLVERS));
    let resolver = resolver.as_deref().map(resolver_options);
    Attributes(resolver.unwrap_or_default()).put(&mut facts, RESOLVER);
    facts
}

fn text(path: &Path) -> Option<String> {
    bounded::read_text(path, LONGEST_FILE)
}

/// What `/etc/localtime` points to (localtime(5)); the name in a file of its own where it is no link.
fn time_zone(machine: &Machine) -> Option<String> {
    let link = fs::read_link(machine.path(LOCAL_TIME)).ok();
    let target = link.as_ref().map(|target| target.to_string_lossy());
    let linked = target.and_then(|target| Some(target.split_once("zoneinfo/")?.1.to_owned()));
    linked.or_else(|| machine.value(TIME_ZONE_NAME))
}

/// `NAME=value` in each line, as locale.conf(5) has them.
fn assignments(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().map(str::trim);
    let pairs = lines.filter_map(|line| line.split_once('='));
    let pairs = pairs.filter(|(name, _)| !name.starts_with('#'));
    pairs
        .map(|(name, value)| (name.to_owned(), value.trim_matches(['"', '\'']).to_owned()))
        .collect()
}

/// The servers in their order, and what else resolv.conf(5) says; of what is said twice the last counts.
fn resolver_options(text: &str) -> BTreeMap<String, String> {
    let mut options = BTreeMap::new();
    let mut servers = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(name), rest) = (words.next(), words.collect::<Vec<_>>()) else {
            continue;
        };
        match name {
            "nameserver" => servers.extend(rest.first().map(ToString::to_string)),
            "search" | "domain" | "options" | "sortlist" => {
                options.insert(name.to_owned(), rest.join(" "));
            }
            _ => {}
        }
    }
    if !servers.is_empty() {
        options.insert("servers".to_owned(), servers.join(" "));
    }
    options
}
