//! Following: goes through what hosts have logged, and writes when drift began and ended, and what undid what.
//!
//! It runs beside the taking of batches and not within it: a pass reads one moment of the store, and what
//! it found is written as a whole or, where another pass came first, not at all.

mod open;
mod plan;
mod reversals;
mod rules_file;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use change::Timestamp;

use self::plan::Plan;
use self::rules_file::RulesFile;
pub(crate) use self::rules_file::{read_rules, read_text};
use crate::clock::now;
use crate::questions::{self, Members, Roster};
use crate::rules::{Demand, Fault, Rules};
use crate::store::{self, DriftStore, Location, Reader};

/// So long after a pass comes the next one, where all was gone through.
const PAUSE: Duration = Duration::from_secs(1);
/// And so long after one that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(10);
/// Hosts that have not reported for so long are stale.
const STALE_NS: i64 = 900_000_000_000;
/// All is looked through no more often than this because hosts came, went, or told of facts without changes.
const LOOK_NS: i64 = 60_000_000_000;

/// Says why drift cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The rules' file cannot be read.
    #[error("read rules `{path}`: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The rules' file is wrong.
    #[error(
        "read rules `{path}`: {fault}{more}; `tracer-collector check-rules` tells all",
        path = path.display(),
        more = if *.more == 0 { String::new() } else { format!(", and {} more", .more) }
    )]
    Rules {
        /// The file.
        path: PathBuf,
        /// The first thing that is wrong with it.
        fault: Fault,
        /// How many more there are.
        more: usize,
    },
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// What is there cannot be judged.
    #[error(transparent)]
    Question(#[from] questions::Error),
}

/// Goes through what hosts have logged.
pub struct Follower {
    location: Location,
    store: DriftStore,
    file: Option<RulesFile>,
    rules: Rules,
    /// The hosts of each rule when all was looked through; none where that is still to be done.
    looked_at: Option<Vec<Members>>,
    /// When it was last seen whether that is due again.
    looked: Timestamp,
    /// Whether something happened that only a look through all can tell of.
    wants_look: bool,
}

impl Follower {
    /// Opens a store, and puts the rules of a file in force, or none.
    pub fn open(location: &Location, rules: Option<&Path>, now: Timestamp) -> Result<Self, Error> {
        let mut follower = Self {
            location: location.clone(),
            store: DriftStore::open(location)?,
            file: None,
            rules: Rules::default(),
            looked_at: None,
            looked: now,
            wants_look: false,
        };
        match rules {
            Some(path) => {
                let (file, text, rules) = RulesFile::open(path)?;
                follower.file = Some(file);
                follower.put_in_force(&text, rules, now)?;
            }
            None => follower.put_in_force("", Rules::default(), now)?,
        }
        Ok(follower)
    }

    fn put_in_force(&mut self, text: &str, rules: Rules, now: Timestamp) -> Result<(), Error> {
        let in_force = Reader::open(&self.location)?.rules_in_force()?;
        if in_force.text != text {
            let subjects = rules.rules.iter().filter_map(|rule| match &rule.demand {
                Demand::Expect(expectation) => Some(&expectation.subject),
                Demand::Like(_) => None,
            });
            let subjects: Vec<_> = subjects.collect();
            self.store.put_in_force(text, &subjects, now)?;
        }
        self.rules = rules;
        self.looked_at = None;
        Ok(())
    }

    /// Passes again and again until it is told to stop, or whoever could tell is gone.
    pub fn run(mut self, stop: &Receiver<()>) {
        loop {
            let pause = match self.pass(now()) {
                Ok(true) => Duration::ZERO,
                Ok(false) => PAUSE,
                Err(error) => {
                    tracing::error!("follow drift: {error}");
                    AFTER_FAILURE
                }
            };
            if stop.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    /// Goes through what is new, or a part of it: whether there is more.
    pub fn pass(&mut self, now: Timestamp) -> Result<bool, Error> {
        if let Some((text, rules)) = self.file.as_mut().and_then(RulesFile::changed) {
            self.put_in_force(&text, rules, now)?;
        }
        let reader = Reader::open(&self.location)?;
        let unseen = reader.unseen()?;
        let is_due = now.as_nanos().saturating_sub(self.looked.as_nanos()) >= LOOK_NS;
        if unseen.is_empty() && self.looked_at.is_some() && !is_due {
            return Ok(false);
        }
        let roster = Roster::read(&reader, now.plus_nanos(-STALE_NS))?;
        let mut plan = Plan::new((&reader, &roster), &self.rules, now)?;
        let has_more = plan.follow(&unseen)?;
        self.wants_look |= plan.wants_look();
        // A look tells of now: what is still to be gone through comes before it.
        let is_looking = !has_more && (is_due || self.looked_at.is_none());
        let members = is_looking.then(|| plan.members());
        let has_facts = unseen.iter().any(|host| host.facts > host.seen_facts);
        let known = self.looked_at.as_ref();
        let known = known.filter(|_| !has_facts && !self.wants_look);
        for (rule, members) in members.iter().flatten().enumerate() {
            if known.is_none_or(|known| known[rule] != *members) {
                plan.look(rule)?;
            }
        }
        let passed = plan.passed(&unseen, is_looking);
        let is_news = passed.after == 0 || !passed.is_empty();
        if is_news && !self.store.write(&passed)? {
            // Another collector has followed meanwhile: all is planned anew from what is there then.
            return Ok(true);
        }
        if members.is_some() {
            self.looked_at = members;
            self.looked = now;
            self.wants_look = false;
        }
        Ok(has_more)
    }
}
