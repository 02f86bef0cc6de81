//! One run in full, and the recap of a session: what was run in it and what that changed.

use std::collections::{BTreeMap, HashMap};

use change::wire::{Count, RecapBody, RecapCommand, RunBody, SessionBody};
use change::{Change, Run, RunQuery, Timestamp};

use super::Error;
use crate::fleet::{Fleet, HostKey, HostSet, LogQuery, SessionQuery};

/// A run with what it and those within it did; none where it is not known.
pub fn run_in_full(fleet: &dyn Fleet, host: HostKey, id: u64) -> Result<Option<RunBody>, Error> {
    let Some(run) = fleet.run(host, id)? else {
        return Ok(None);
    };
    Ok(Some(RunBody {
        run,
        within: fleet.runs_within(host, id)?,
        summary: summary(fleet, host, id)?,
    }))
}

/// How many changes a run and those within it made, by kind of subject and op, the most frequent first.
fn summary(fleet: &dyn Fleet, host: HostKey, id: u64) -> Result<Vec<Count>, Error> {
    let query = LogQuery {
        run: Some((host, id)),
        limit: usize::MAX,
        ..LogQuery::default()
    };
    let mut counts = Counts::default();
    fleet.each_logged(&query, &mut |logged| {
        counts.add(logged.kind, logged.op);
        true
    })?;
    Ok(counts.into_list())
}

/// Counts changes by kind of subject and op.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts(BTreeMap<(&'static str, &'static str), Count>);

impl Counts {
    pub(super) fn add(&mut self, kind: change::Kind, op: change::Op) {
        let count = self.0.entry((kind.as_str(), op.as_str()));
        count.or_insert(Count { kind, op, count: 0 }).count += 1;
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        for (key, Count { kind, op, count }) in &other.0 {
            let (kind, op) = (*kind, *op);
            self.0
                .entry(*key)
                .or_insert(Count { kind, op, count: 0 })
                .count += count;
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.0.values().map(|count| count.count).sum()
    }

    /// The most frequent first.
    pub(super) fn into_list(self) -> Vec<Count> {
        let mut counts: Vec<_> = self.0.into_values().collect();
        counts.sort_by_key(|count| std::cmp::Reverse(count.count));
        counts
    }
}

/// What was run in the newest session of a number, and what that changed; none where it is not known.
pub fn recap(fleet: &dyn Fleet, host: HostKey, id: u32) -> Result<Option<RecapBody>, Error> {
    let hosts: HostSet = [host].into_iter().collect();
    let asked = SessionQuery {
        id: Some(id),
        limit: 1,
        ..SessionQuery::default()
    };
    let Some((_, session)) = fleet.sessions(Some(&hosts), &asked)?.pop() else {
        return Ok(None);
    };
    let [since, until] = fleet.session_bounds(host, (id, session.start))?;
    let runs = RunQuery {
        since,
        until,
        session: Some(id),
        ..RunQuery::default()
    };
    let mut runs: Vec<Run> = fleet
        .runs(Some(&hosts), &runs)?
        .into_iter()
        .map(|(_, run)| run)
        .collect();
    runs.sort_by_key(|run| run.id);
    let commands = commands(&runs, &changes_of(fleet, hosts, &session, [since, until])?);
    Ok(Some(RecapBody { session, commands }))
}

/// The changes of a session, oldest first.
fn changes_of(
    fleet: &dyn Fleet,
    hosts: HostSet,
    session: &SessionBody,
    [since, until]: [Option<Timestamp>; 2],
) -> Result<Vec<Change>, Error> {
    let query = LogQuery {
        since,
        until,
        hosts: Some(hosts),
        session: Some(session.session.id),
        limit: usize::MAX,
        ..LogQuery::default()
    };
    let mut changes = fleet.log(&query)?;
    changes.reverse();
    Ok(changes)
}

/// The commands of a session, oldest first: its runs with the changes that they own, and the processes that changed
/// something outside of any.
fn commands(runs: &[Run], changes: &[Change]) -> Vec<RecapCommand> {
    let mut commands: Vec<RecapCommand> = runs.iter().map(|run| of_run(run, runs)).collect();
    let of_runs: HashMap<u64, usize> = (0..)
        .zip(runs)
        .map(|(place, run)| (run.id, place))
        .collect();
    let mut of_processes: HashMap<(u32, Timestamp), usize> = HashMap::new();
    for change in changes {
        let Some(actor) = &change.actor else {
            continue;
        };
        let process = &actor.process;
        let known = change.run.and_then(|run| of_runs.get(&run).copied());
        let place = known.unwrap_or_else(|| {
            *of_processes
                .entry((process.pid, process.start))
                .or_insert_with(|| {
                    commands.push(of_change(change, process.argv.clone()));
                    commands.len() - 1
                })
        });
        commands[place].changes.push(change.seq);
        commands[place].subjects.push(change.subject.clone());
    }
    commands.sort_by_key(|command| command.time);
    commands
}

fn of_run(run: &Run, runs: &[Run]) -> RecapCommand {
    let above = |run: &Run| {
        // A run is within one of a lower number: so this comes to an end whatever a host says.
        let parent = run.parent.filter(|parent| *parent < run.id)?;
        let place = runs.binary_search_by_key(&parent, |run| run.id).ok()?;
        runs.get(place)
    };
    let depth = std::iter::successors(above(run), |run| above(run)).count();
    let process = &run.actor.process;
    RecapCommand {
        time: run.start,
        run: Some(run.id),
        end: run.end,
        exit_code: run.exit_code,
        signal: run.signal,
        more: run.more,
        cwd: process.cwd.clone(),
        depth: u32::try_from(depth).unwrap_or(u32::MAX),
        argv: process.argv.clone(),
        changes: Vec::new(),
        subjects: Vec::new(),
    }
}

fn of_change(change: &Change, argv: Vec<String>) -> RecapCommand {
    RecapCommand {
        time: change.time,
        run: None,
        end: None,
        exit_code: None,
        signal: None,
        more: 0,
        cwd: None,
        depth: 0,
        argv,
        changes: Vec::new(),
        subjects: Vec::new(),
    }
}
