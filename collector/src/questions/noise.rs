//! Noise: what differs between any two hosts and says nothing: names, machine ids, keys of their own. What is a host's
//! own within texts is in `own`.

mod own;

use change::{FactValue, FileState, Subject};
use globset::{GlobBuilder, GlobMatcher};

pub(super) use self::own::Own;
use super::Error;
use crate::fleet::{Fleet, SubjectKey};

/// What differs by its nature, and why. Written like subjects, with globs.
const USUAL: [(&str, &str); 7] = [
    ("host:name", "the host's own name"),
    ("file:/etc/hostname", "the host's own name"),
    ("file:/etc/mailname", "the host's own name"),
    ("file:/etc/machine-id", "the host's machine id"),
    ("file:/etc/ssh/ssh_host_*_key*", "the host's own keys"),
    ("sysctl:kernel.random.*", "made anew by each host"),
    ("sysctl:kernel.hostname", "the host's own name"),
];

/// So many values are looked at to see whether each host has its own.
const LOOKED_AT: usize = 48;
/// So many hosts must have a value for that.
const LEAST_HOSTS: u32 = 12;

/// Tells which differences say nothing.
pub struct Noise {
    rules: Vec<(GlobMatcher, String)>,
}

impl Noise {
    /// The usual rules and others, each written like a subject, with globs: `file:/etc/motd.d/**`.
    pub fn new(given: &[String]) -> Result<Self, Error> {
        let usual = USUAL.map(|(rule, why)| (rule.to_owned(), why.to_owned()));
        let given = given.iter().map(|rule| {
            let subject = if rule.starts_with('/') {
                format!("file:{rule}")
            } else {
                rule.clone()
            };
            (subject, format!("`--noise {rule}`"))
        });
        let rules = usual.into_iter().chain(given).map(|(rule, why)| {
            let glob = GlobBuilder::new(&rule).literal_separator(true).build();
            let glob = glob.map_err(|source| Error::Glob { rule, source })?;
            Ok((glob.compile_matcher(), why))
        });
        let rules = rules.collect::<Result<_, Error>>()?;
        Ok(Self { rules })
    }

    /// Why a subject says nothing by its nature, where it does not.
    pub(super) fn by_rule(&self, subject: &Subject) -> Option<String> {
        let written = format!("{}:{}", subject.kind, subject.key.to_lossy());
        let mut rules = self.rules.iter();
        let found = rules.find(|(glob, _)| glob.is_match(&written));
        found.map(|(_, why)| why.clone())
    }

    /// Why a difference says nothing, where it does not.
    pub(super) fn why(
        &self,
        fleet: &dyn Fleet,
        (key, subject): (SubjectKey, &Subject),
        hosts: &[Own<'_>; 2],
        values: [Option<&FactValue>; 2],
    ) -> Result<Option<String>, Error> {
        if let Some(why) = self.by_rule(subject) {
            return Ok(Some(why));
        }
        let [Some(one), Some(other)] = values else {
            return Ok(None);
        };
        // A host at two moments has one name: what differs then has changed.
        if hosts[0].is_same(&hosts[1]) {
            return Ok(None);
        }
        if same_but_for_names(fleet, hosts, [one, other])? {
            return Ok(Some(
                "the same but for the hosts' own names and addresses".to_owned(),
            ));
        }
        let own = has_each_its_own(fleet, key)?;
        Ok(own.then(|| "nearly each host has its own".to_owned()))
    }
}

/// Whether two values are the same once each host's name and machine id are taken out.
fn same_but_for_names(
    fleet: &dyn Fleet,
    hosts: &[Own<'_>; 2],
    values: [&FactValue; 2],
) -> Result<bool, Error> {
    let named = |index: usize, text: &str| hosts[index].taken_out_of(text);
    Ok(match values {
        [
            FactValue::Setting { value: one },
            FactValue::Setting { value: other },
        ] => named(0, one) == named(1, other),
        [FactValue::Attributes(one), FactValue::Attributes(other)] => {
            let mut pairs = one.iter().zip(other);
            one.len() == other.len()
                && pairs.all(|((a, one), (b, other))| a == b && named(0, one) == named(1, other))
        }
        [FactValue::File(one), FactValue::File(other)] => {
            let rest = |state: &FileState| FileState {
                hash: None,
                size: 0,
                ..state.clone()
            };
            let [Some(a), Some(b)] = [text(fleet, one)?, text(fleet, other)?] else {
                return Ok(false);
            };
            rest(one) == rest(other) && named(0, &a) == named(1, &b)
        }
        _ => false,
    })
}

/// A file's content, where it is kept and is text.
pub(super) fn text(fleet: &dyn Fleet, state: &FileState) -> Result<Option<String>, Error> {
    let Some(hash) = state.hash.as_deref().and_then(parse_hash) else {
        return Ok(None);
    };
    let bytes = fleet.content(&hash)?;
    Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
}

/// The hash in `b3:` and hexadecimal digits.
fn parse_hash(name: &str) -> Option<[u8; 32]> {
    let hash = blake3::Hash::from_hex(name.strip_prefix("b3:")?).ok()?;
    Some(*hash.as_bytes())
}

/// Whether hardly two hosts have the same value of a subject.
fn has_each_its_own(fleet: &dyn Fleet, subject: SubjectKey) -> Result<bool, Error> {
    let holdings = fleet.holdings(subject, LOOKED_AT)?;
    let hosts: u32 = holdings.iter().map(|(_, hosts)| hosts.len()).sum();
    // Nine values for ten hosts, or more.
    Ok(hosts >= LEAST_HOSTS && holdings.len() * 10 >= hosts as usize * 9)
}
