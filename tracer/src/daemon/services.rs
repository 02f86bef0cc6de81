//! Services that start and end, and what a boot is to start. The service manager does all of it in its own process, at
//! somebody's request: who that was is told where it is known (`enrich/clients`), and nobody is named where it is not.

mod set_up;
mod watch;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use anyhow::Context as _;
use change::{FactValue, Op, Text, Timestamp};

use self::watch::BOOTING;
pub(super) use self::watch::{Happened, Look, watch};
use super::mounts::age;
use super::now;
use super::pipeline::Pipeline;
use crate::conclude::{Cause, Done};
use crate::enrich::{By, Deed};
use crate::inventory::{Active, Facts, Services, Source, service_key};
use crate::observed::Who;

/// By how much the end of a process can be told later than that of its service, which is noticed later.
const ENDING_NS: i64 = 20_000_000;

/// So long at most the end of a service waits for the beginning that a command at work has asked for, too.
const RESTARTING_NS: i64 = 5_000_000_000;

/// What the pipeline knows of services.
#[derive(Default)]
pub(super) struct ServicesSeen {
    /// When they were looked at last; none yet.
    until: Option<Timestamp>,
    services: Arc<Services>,
    found: Facts,
    /// Services that have ended, and are about to be started again.
    held: Vec<(String, Timestamp, Happened)>,
    /// When the service that is being told of was killed, and by whom.
    killed: Vec<(Timestamp, By)>,
    /// Who wrote a unit file or link, newest last.
    touches: VecDeque<(String, Timestamp, Who)>,
}

impl ServicesSeen {
    /// Whether something waits to be told of.
    pub(super) fn is_waiting(&self) -> bool {
        !self.held.is_empty()
    }

    /// What goes by the clock.
    pub(super) fn times(&mut self) -> impl Iterator<Item = &mut Timestamp> {
        let held = self.held.iter_mut().map(|(_, time, _)| time);
        let touches = self.touches.iter_mut().map(|(_, time, _)| time);
        self.until.iter_mut().chain(held).chain(touches)
    }
}

/// One step of a service from what it did to what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    time: Timestamp,
    deed: Deed,
    now: Active,
}

impl Pipeline {
    /// Whether a boot may be about to start what it starts.
    pub(super) fn is_booting(&self, at: Timestamp) -> bool {
        age(self.clocks.wall(0), at) < nanos(BOOTING)
    }

    /// Takes in what a look at the services found.
    pub(super) fn look_at_services(&mut self, look: Look) {
        let taken = self.try_look_at_services(look);
        if let Err(error) = taken.context("look at the services") {
            self.note_loss(&format!("{error:#}"));
        }
    }

    fn try_look_at_services(&mut self, look: Look) -> anyhow::Result<()> {
        let Look {
            services,
            found,
            happened,
            files,
            at,
        } = look;
        self.services.services = services;
        self.services.found = found;
        let since = self.services.until.replace(at);
        if since.is_some() {
            self.tell_happened(happened, false)?;
        }
        let complete_until = since.or(self.comparing.complete_until);
        let cause = Cause::Compared {
            now: at,
            complete_until,
            at_latest: at,
        };
        if !self.conclude.has_read(Source::Services)? {
            let found = self.services.found.clone();
            return self.take_in(Source::Services, found, None, &cause);
        }
        let mut found = self.services.found.clone();
        let is_booting = self.is_booting(at);
        let believed = self.conclude.believe(Source::Services)?;
        let held = self.services.held.iter();
        let held: Vec<Text> = held
            .filter_map(|(unit, ..)| Some(service_key(unit)?.into()))
            .collect();
        for (key, value) in believed {
            let Some(now) = found.get_mut(key) else {
                continue;
            };
            *now = kept(value, now, is_booting || held.contains(key)).within(now);
        }
        if since.is_some() && !files.is_empty() {
            self.tell_set_up(&found, &files)?;
        }
        self.take_in(Source::Services, found, None, &cause)
    }

    /// Tells of services that have ended, where nothing is about to start them again.
    pub(super) fn finish_services(&mut self) {
        if !self.services.is_waiting() {
            return;
        }
        let told = self.tell_happened(Vec::new(), false);
        if let Err(error) = told.context("tell of services that have ended") {
            self.note_loss(&format!("{error:#}"));
        }
    }

    /// Tells of services that have ended, as the daemon ends.
    pub(super) fn settle_services(&mut self) {
        let told = self.tell_happened(Vec::new(), true);
        if let Err(error) = told.context("tell of services that have ended") {
            self.note_loss(&format!("{error:#}"));
        }
    }

    /// Tells of what happened to services, but for an end that a beginning may follow.
    fn tell_happened(
        &mut self,
        more: Vec<(String, Timestamp, Happened)>,
        at_end: bool,
    ) -> anyhow::Result<()> {
        let held = std::mem::take(&mut self.services.held);
        let mut of_each: BTreeMap<String, Vec<(Timestamp, Happened)>> = BTreeMap::new();
        for (unit, time, happened) in held.into_iter().chain(more) {
            if service_key(&unit).is_some() {
                of_each.entry(unit).or_default().push((time, happened));
            }
        }
        for (unit, happened) in of_each {
            let is_ended = |(time, last): &(Timestamp, Happened)| {
                *last == Happened::Ended && age(*time, now()) < RESTARTING_NS
            };
            let asked = |(time, _): &(Timestamp, Happened)| {
                let mut names = self.services.services.other_names(&unit);
                names.push(&unit);
                self.enrich
                    .is_asked(Deed::Restarted, &unit, &names, [*time, now()])
            };
            let last = happened.last();
            if !at_end && last.is_some_and(is_ended) && last.is_some_and(asked) {
                let held = happened.into_iter();
                let held = held.map(|(time, happened)| (unit.clone(), time, happened));
                self.services.held.extend(held);
                continue;
            }
            self.tell_unit(&unit, &happened)?;
        }
        Ok(())
    }

    fn tell_unit(&mut self, unit: &str, happened: &[(Timestamp, Happened)]) -> anyhow::Result<()> {
        let Some(key) = service_key(unit).map(Text::from) else {
            return Ok(());
        };
        let services = Arc::clone(&self.services.services);
        let is_job = services.is_job(unit);
        let believed = self.conclude.believe(Source::Services)?.get(&key);
        let mut active = Active::of(believed);
        let mut steps: Vec<Step> = Vec::new();
        self.services.killed.clear();
        for (time, happened) in happened {
            let happened = match happened {
                Happened::Ended => self.end_of(unit, *time),
                other => *other,
            };
            let step = step(active, (*time, happened), is_job);
            active = step.map_or(active, |step| step.now);
            steps.extend(step);
        }
        let mut steps = steps.as_slice();
        while let [first, rest @ ..] = steps {
            steps = rest;
            if let [second, after @ ..] = rest
                && is_restart(*first, *second)
            {
                steps = after;
                self.tell_restart(unit, &key, [*first, *second])?;
                continue;
            }
            let by = self.who_asked(first.deed, unit, first.time);
            self.tell_step(&key, *first, by)?;
        }
        Ok(())
    }

    /// How a service ended that has ended by then.
    fn end_of(&mut self, unit: &str, time: Timestamp) -> Happened {
        let services = &self.services.services;
        let (orphans, until) = (services.is_forking(unit), time.plus_nanos(ENDING_NS));
        let killer = self.enrich.killer(unit, [time, until], orphans);
        self.services.killed.extend(killer.map(|by| (time, by)));
        let endings = self.enrich.take_endings(unit, until, orphans);
        if endings.iter().any(|end| services.is_failure(unit, end)) {
            Happened::Failed
        } else {
            Happened::Ended
        }
    }

    /// Tells of an end and the beginning after it: one restart, unless they were asked for one by one.
    fn tell_restart(&mut self, unit: &str, key: &Text, steps: [Step; 2]) -> anyhow::Result<()> {
        let [stop, start] = steps;
        let restart = Step {
            deed: Deed::Restarted,
            ..start
        };
        let by = self.who_asked(Deed::Restarted, unit, start.time);
        if by.is_some() {
            return self.tell_step(key, restart, by);
        }
        let [stopped, started] = steps.map(|step| self.who_asked(step.deed, unit, step.time));
        if stopped.is_none() && started.is_none() {
            return self.tell_step(key, restart, None);
        }
        self.tell_step(key, stop, stopped)?;
        self.tell_step(key, start, started)
    }

    fn tell_step(&mut self, key: &Text, step: Step, by: Option<By>) -> anyhow::Result<()> {
        let op = match step.deed {
            Deed::Started => Op::Start,
            Deed::Restarted => Op::Restart,
            Deed::Stopped | Deed::SetUp => Op::Stop,
        };
        let believed = self.conclude.believe(Source::Services)?.get(key);
        let found = self.services.found.get(key);
        let after = believed.or(found).map(|value| step.now.within(value));
        // What was made for this once is gone with its end.
        let is_gone = found.is_none() && step.now == Active::Inactive;
        let done = Done {
            source: Source::Services,
            key: key.clone(),
            op,
            after: after.filter(|_| !is_gone),
            time: step.time,
            by,
            notes: Vec::new(),
        };
        Ok(self.conclude.done(done)?)
    }

    fn who_asked(&mut self, deed: Deed, unit: &str, time: Timestamp) -> Option<By> {
        let services = Arc::clone(&self.services.services);
        let mut names = services.other_names(unit);
        names.push(unit);
        let asked = self.enrich.asked(deed, unit, &names, time);
        let mut killed = self.services.killed.iter();
        let is_it = |(at, _): &&(Timestamp, By)| deed == Deed::Stopped && *at == time;
        asked.or_else(|| killed.find(is_it).map(|(_, by)| by.clone()))
    }
}

/// What a service is believed to do, where looking cannot tell: one that has failed seems never to have been started,
/// and so does one that a boot is about to start (`may_begin`).
fn kept(before: &FactValue, now: &FactValue, may_begin: bool) -> Active {
    match (Active::of(Some(before)), Active::of(Some(now))) {
        (Active::Failed, Active::Inactive) => Active::Failed,
        (Active::Active, Active::Inactive) if may_begin => Active::Active,
        (_, now) => now,
    }
}

/// Where what happened leads; none where it is no change. `failed` is what one that ended is, and a job is no other
/// while it is at work.
fn step(active: Active, (time, happened): (Timestamp, Happened), is_job: bool) -> Option<Step> {
    let (deed, now) = match happened {
        Happened::Began if is_job => return None,
        Happened::Began => (Deed::Started, Active::Active),
        Happened::Ended => (Deed::Stopped, Active::Inactive),
        Happened::Failed => (Deed::Stopped, Active::Failed),
    };
    (now != active).then_some(Step { time, deed, now })
}

/// Whether a service was ended to be started again: one that failed was not.
fn is_restart(first: Step, second: Step) -> bool {
    first.deed == Deed::Stopped && first.now == Active::Inactive && second.deed == Deed::Started
}

fn nanos(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(from: Active, happened: &[Happened], is_job: bool) -> Vec<Active> {
        let mut active = from;
        let steps = happened.iter().filter_map(|happened| {
            let step = step(active, (Timestamp::default(), *happened), is_job)?;
            active = step.now;
            Some(step.now)
        });
        steps.collect()
    }

    #[test]
    fn what_happens_leads_from_state_to_state() {
        use Active::{Active as Runs, Failed, Inactive};
        use Happened::{Began, Ended, Failed as Crashed};
        assert_eq!(steps(Inactive, &[Began], false), [Runs]);
        assert_eq!(steps(Runs, &[Began], false), []);
        assert_eq!(steps(Runs, &[Ended, Began], false), [Inactive, Runs]);
        let crash = [Crashed, Began, Crashed];
        assert_eq!(steps(Runs, &crash, false), [Failed, Runs, Failed]);
        assert_eq!(steps(Inactive, &[Began, Ended], true), []);
        let bad_job = [Began, Crashed, Began, Crashed];
        assert_eq!(steps(Inactive, &bad_job, true), [Failed]);
        assert_eq!(steps(Failed, &[Began, Ended], true), [Inactive]);
    }

    #[test]
    fn one_that_failed_was_not_restarted() {
        let step = |deed, now| Step {
            time: Timestamp::default(),
            deed,
            now,
        };
        let began = step(Deed::Started, Active::Active);
        assert!(is_restart(step(Deed::Stopped, Active::Inactive), began));
        assert!(!is_restart(step(Deed::Stopped, Active::Failed), began));
    }
}
