//! The plan of one pass: what to write of drift, from what hosts have logged and what is so now.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use change::{Author, FileType, Note, Subject, Timestamp};

use super::Error;
use super::open::Open;
use super::reversals::{earlier, reversal};
use crate::fleet::{Cause, DriftEvent, Ending, Fleet as _, HostKey, HostSet, SubjectKey, ValueKey};
use crate::questions::{Found, Judge, Members, Roster};
use crate::rules::{Demand, Like, Rules, Verdict};
use crate::store::{Act, Logged, Passed, Reader, Unseen};

/// One pass goes through so many changes.
const MOST_CHANGES: usize = 5_000;
/// When a subject was changed on which hosts, and by which change: the newest of this pass.
type Touched = BTreeMap<HostKey, (Timestamp, u64)>;

/// What one pass has found so far.
pub(super) struct Plan<'a> {
    reader: &'a Reader,
    judge: Judge<'a>,
    rules: &'a Rules,
    now: Timestamp,
    passed: Passed,
    /// Up to which change of each host this pass went.
    seen: BTreeMap<HostKey, u64>,
    /// The rules that expect something of a subject.
    expectations: HashMap<SubjectKey, Vec<usize>>,
    /// The hosts of each rule, however they stand.
    members: Vec<HostSet>,
    open: Open<'a>,
    verdicts: HashMap<(usize, Option<ValueKey>), Verdict>,
    /// Where people have changed something lately, on the hosts that are gone through.
    people: BTreeSet<(HostKey, SubjectKey)>,
    wants_look: bool,
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        (reader, roster): (&'a Reader, &'a Roster),
        rules: &'a Rules,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let judge = Judge::new((reader, roster), rules, now)?;
        let members = (0..rules.rules.len()).map(|rule| judge.members(rule).all().collect());
        let mut expectations: HashMap<SubjectKey, Vec<usize>> = HashMap::new();
        for (index, rule) in rules.rules.iter().enumerate() {
            if let Demand::Expect(expectation) = &rule.demand
                && let Some(subject) = reader.key_of(&expectation.subject)?
            {
                expectations.entry(subject).or_default().push(index);
            }
        }
        let mut acts = Vec::new();
        let open = Open::new(rules, reader.open_drift()?, &mut acts, now);
        Ok(Self {
            reader,
            members: members.collect(),
            judge,
            rules,
            now,
            passed: Passed {
                after: reader.rules_in_force()?.pass,
                acts,
                forget_before: Some(now.plus_nanos(-rules.undone_within_ns)),
            },
            seen: BTreeMap::new(),
            expectations,
            open,
            verdicts: HashMap::new(),
            people: BTreeSet::new(),
            wants_look: false,
        })
    }

    /// Goes through what hosts have logged, in its order: whether there is more.
    pub(super) fn follow(&mut self, unseen: &[Unseen]) -> Result<bool, Error> {
        // What was logged before anybody followed is past: the first look tells what came of it.
        if self.passed.after == 0 {
            self.seen
                .extend(unseen.iter().map(|host| (host.host, host.durable)));
            return Ok(false);
        }
        let (changes, has_more) = self.read(unseen)?;
        let since = |change: &Logged| self.undone_since(change);
        let earlier = earlier(self.reader, (&changes, &self.people), since)?;
        let mut touched: BTreeMap<SubjectKey, Touched> = BTreeMap::new();
        for change in &changes {
            let earlier = earlier.get(&(change.host, change.seq));
            self.change(change, earlier.map(Vec::as_slice), &mut touched)?;
        }
        for (subject, hosts) in touched {
            self.baselines(subject, &hosts)?;
        }
        Ok(has_more)
    }

    /// What this pass goes through, and whether there is more.
    fn read(&mut self, unseen: &[Unseen]) -> Result<(Vec<Logged>, bool), Error> {
        let mut all = Vec::new();
        let mut has_more = false;
        for host in unseen.iter().filter(|host| host.durable > host.seq) {
            let room = MOST_CHANGES.saturating_sub(all.len());
            if room == 0 {
                has_more = true;
                break;
            }
            let changes = self.reader.logged(host.host, host.seq, room)?;
            let last = changes.last().map_or(host.durable, |last| last.seq);
            has_more |= last < host.durable;
            self.seen.insert(host.host, last);
            all.extend(changes);
            let by_people = self.reader.changed_by_people(host.host)?;
            let by_people = by_people.into_iter().map(|subject| (host.host, subject));
            self.people.extend(by_people);
        }
        Ok((all, has_more))
    }

    /// The moment before which nothing is taken back by a change. The clock of a host may be ahead.
    fn undone_since(&self, change: &Logged) -> Timestamp {
        let time = change.time.min(self.now);
        time.plus_nanos(-self.rules.undone_within_ns)
    }

    /// What came before is given where the change may take something back.
    fn change(
        &mut self,
        change: &Logged,
        earlier: Option<&[Logged]>,
        touched: &mut BTreeMap<SubjectKey, Touched>,
    ) -> Result<(), Error> {
        let Logged {
            host,
            seq,
            subject,
            after,
            ..
        } = *change;
        // The clock of a host may be ahead.
        let time = change.time.min(self.now);
        let is_human = change.author == Some(Author::Human);
        let may_reverse = is_human || self.people.contains(&(host, subject));
        if let Some(earlier) = earlier.filter(|_| may_reverse)
            && let Some(reversal) = reversal(self.reader, change, earlier)?
        {
            self.passed.acts.push(Act::Reverse(reversal));
        }
        if is_human {
            self.people.insert((host, subject));
            self.passed.acts.push(Act::Human {
                host,
                subject,
                seq,
                time,
            });
        }
        self.step((host, subject), after, (time, seq))?;
        touched
            .entry(subject)
            .or_default()
            .insert(host, (time, seq));
        if change.is_rename
            && let Some(old) = self.renamed(change)?
        {
            self.step((host, old), None, (time, seq))?;
            touched.entry(old).or_default().insert(host, (time, seq));
        }
        Ok(())
    }

    /// The name that ended with a rename. What lies below a directory goes with it, and no change tells of it.
    fn renamed(&mut self, change: &Logged) -> Result<Option<SubjectKey>, Error> {
        let Some(known) = self.reader.change(change.host, change.seq)? else {
            return Ok(None);
        };
        let state = known.after.as_ref().or(known.before.as_ref());
        let state = state.and_then(|value| value.as_file());
        self.wants_look |= state.is_some_and(|state| state.file_type == FileType::Directory);
        let Some(from) = known
            .from
            .filter(|_| !known.notes.contains(&Note::Exchanged))
        else {
            return Ok(None);
        };
        let old = Subject {
            kind: known.subject.kind,
            key: from.0,
        };
        Ok(self.reader.key_of(&old)?)
    }

    /// Holds a value that a subject got against what is expected of it. Each change counts: what was made good again
    /// before anybody looked did happen.
    fn step(
        &mut self,
        (host, subject): (HostKey, SubjectKey),
        value: Option<ValueKey>,
        (time, seq): (Timestamp, u64),
    ) -> Result<(), Error> {
        for rule in self.expectations.get(&subject).cloned().unwrap_or_default() {
            if !self.members[rule].contains(host) {
                continue;
            }
            match self.verdict(rule, value)? {
                Verdict::Unknown(_) => {}
                Verdict::Holds => {
                    let ending = Ending {
                        at: time,
                        seq: Some(seq),
                        by: Cause::Change,
                    };
                    let acts = &mut self.passed.acts;
                    self.open.end((rule, subject, host), ending, acts);
                }
                Verdict::Deviates => {
                    let event = DriftEvent {
                        rule: String::new(),
                        host,
                        subject,
                        expected: None,
                        value,
                        cause: Cause::Change,
                        began: time,
                        since: Some(time),
                        seq: Some(seq),
                        ending: None,
                    };
                    let acts = &mut self.passed.acts;
                    self.open.begin((rule, subject, host), event, acts);
                }
            }
        }
        Ok(())
    }

    fn verdict(&mut self, rule: usize, value: Option<ValueKey>) -> Result<Verdict, Error> {
        if let Some(known) = self.verdicts.get(&(rule, value)) {
            return Ok(known.clone());
        }
        let Demand::Expect(expectation) = &self.rules.rules[rule].demand else {
            return Ok(Verdict::Holds);
        };
        let fact = value.map(|value| self.reader.value(value)).transpose()?;
        let verdict = expectation.judge(fact.as_ref());
        self.verdicts.insert((rule, value), verdict.clone());
        Ok(verdict)
    }

    /// Holds a subject that was changed against the baselines that are for those hosts.
    fn baselines(&mut self, subject: SubjectKey, touched: &Touched) -> Result<(), Error> {
        let hosts: Vec<HostKey> = touched.keys().copied().collect();
        for rule in 0..self.rules.rules.len() {
            let is_baseline = matches!(self.judge.rule(rule).demand, Demand::Like(_));
            let concerns = |host: &HostKey| {
                self.members[rule].contains(*host) || self.judge.reference(rule) == Some(*host)
            };
            if !is_baseline || !self.is_followed(rule) || !hosts.iter().any(concerns) {
                continue;
            }
            let found = self.judge.subject(rule, subject, &hosts)?;
            let mut open = self.open.of_subject(rule, subject);
            if !self.judge.is_shared(rule) {
                open.retain(|(_, host)| touched.contains_key(host));
            }
            self.sync(rule, &found, &open, Some(touched))?;
        }
        Ok(())
    }

    /// Looks through all facts of all hosts of a rule.
    pub(super) fn look(&mut self, rule: usize) -> Result<(), Error> {
        if !self.is_followed(rule) {
            return Ok(());
        }
        let found = self.judge.all(rule)?;
        let open = self.open.of_rule(rule);
        self.sync(rule, &found, &open, None)
    }

    /// A baseline that moves with the clock makes each change drift for a day: the log tells them.
    fn is_followed(&self, rule: usize) -> bool {
        !matches!(
            &self.rules.rules[rule].demand,
            Demand::Like(baseline) if matches!(baseline.like, Like::Yesterday | Like::Moment(_))
        )
    }

    /// Begins what deviates and does not drift yet, and ends what drifts and does not deviate any more. Of what is
    /// not known nothing begins or ends.
    fn sync(
        &mut self,
        rule: usize,
        found: &Found,
        open: &[(SubjectKey, HostKey)],
        touched: Option<&Touched>,
    ) -> Result<(), Error> {
        let deviating = found.deviations.iter();
        let deviating: BTreeSet<_> = deviating
            .filter_map(|one| Some((one.subject?, one.host)))
            .collect();
        for key in open {
            if deviating.contains(key) || found.is_unknown(*key) {
                continue;
            }
            let (subject, host) = *key;
            let (at, seq, by) = match touched.map(|touched| touched.get(&host)) {
                _ if !self.members[rule].contains(host) => (self.now, None, Cause::Left),
                Some(Some((time, seq))) => (*time, Some(*seq), Cause::Change),
                Some(None) => (self.now, None, Cause::Baseline),
                None => (self.now, None, Cause::Look),
            };
            let acts = &mut self.passed.acts;
            let ending = Ending { at, seq, by };
            self.open.end((rule, subject, host), ending, acts);
        }
        for deviation in &found.deviations {
            let Some(subject) = deviation.subject else {
                continue;
            };
            let key = (rule, subject, deviation.host);
            if self.open.contains(key) {
                continue;
            }
            let (since, seq) = self.brought(deviation.host, subject)?;
            let (began, cause) = match touched.map(|touched| touched.get(&deviation.host)) {
                Some(Some((time, _))) => (since.unwrap_or(*time).min(self.now), Cause::Change),
                Some(None) => (self.now, Cause::Baseline),
                None => (self.now, Cause::Look),
            };
            let event = DriftEvent {
                rule: String::new(),
                host: deviation.host,
                subject,
                expected: deviation.expected,
                value: deviation.value,
                cause,
                began,
                since,
                seq,
                ending: None,
            };
            self.open.begin(key, event, &mut self.passed.acts);
        }
        Ok(())
    }

    /// Since when a host has what it has of a subject, and which change brought it.
    fn brought(
        &self,
        host: HostKey,
        subject: SubjectKey,
    ) -> Result<(Option<Timestamp>, Option<u64>), Error> {
        if let Some(fact) = self.reader.fact(host, subject)? {
            return Ok((fact.since, fact.seq));
        }
        let newest = self.reader.newest_change(host, subject)?;
        Ok(newest.map_or((None, None), |change| (Some(change.time), Some(change.seq))))
    }

    /// Whether something was met that only a look through all can tell of.
    pub(super) fn wants_look(&self) -> bool {
        self.wants_look
    }

    /// The hosts of each rule.
    pub(super) fn members(&self) -> Vec<Members> {
        (0..self.rules.rules.len())
            .map(|rule| self.judge.members(rule).clone())
            .collect()
    }

    /// What is to be written, with how far each host was gone through.
    pub(super) fn passed(mut self, unseen: &[Unseen], has_looked: bool) -> Passed {
        for host in unseen {
            let seq = self.seen.get(&host.host).copied().unwrap_or(host.seq);
            let facts = if has_looked {
                host.facts
            } else {
                host.seen_facts
            };
            if seq != host.seq || facts != host.seen_facts || self.passed.after == 0 {
                self.passed.acts.push(Act::Cursor {
                    host: host.host,
                    seq,
                    facts,
                });
            }
        }
        self.passed
    }
}
