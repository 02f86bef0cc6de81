//! `/v1/runs`, `/v1/run`, `/v1/sessions` and `/v1/session`: what was run, and who was logged in.

use change::{RunKind, RunQuery};

use super::Error;
use super::params::{
    CHANGED, GROUP, HOST, HUNDRED, OF_SESSION, ONE, RUN, RUN_KIND, SESSION, SINCE, STALE_BEFORE,
    UNTIL, USER,
};
use super::question::{Asked, Question, json};
use super::scope::whole;
use crate::fleet::{Fleet as _, HostKey, SessionQuery};
use crate::questions::{OnHost, Roster, recap, run_in_full};

pub(super) const RUNS: Question = Question {
    name: "runs",
    summary: "What was run on all hosts, newest first",
    about: "A run is one execution of a package manager, of configuration management, or of a command that was typed \
            in an interactive session. It owns the changes that it and its descendants made.",
    params: &[
        &SINCE,
        &UNTIL,
        &HOST,
        &GROUP,
        &RUN_KIND,
        &OF_SESSION,
        &USER,
        &CHANGED,
        &HUNDRED,
        &STALE_BEFORE,
    ],
    schema: "RunPage",
    ask: ask_runs,
};

pub(super) const RUN_IN_FULL: Question = Question {
    name: "run",
    summary: "One run of a host, with what it and those within it did",
    about: "",
    params: &[&ONE, &RUN, &STALE_BEFORE],
    schema: "RunInFull",
    ask: ask_run,
};

pub(super) const SESSIONS: Question = Question {
    name: "sessions",
    summary: "Who was logged in on all hosts, newest first, and how much each session changed",
    about: "With `since` also sessions that began before and had not ended then.",
    params: &[
        &SINCE,
        &UNTIL,
        &HOST,
        &GROUP,
        &USER,
        &HUNDRED,
        &STALE_BEFORE,
    ],
    schema: "SessionPage",
    ask: ask_sessions,
};

pub(super) const RECAP: Question = Question {
    name: "session",
    summary: "What was run in one session of a host, and what that changed",
    about: "",
    params: &[&ONE, &SESSION, &STALE_BEFORE],
    schema: "Recap",
    ask: ask_session,
};

fn ask_runs(asked: &Asked) -> Result<Vec<u8>, Error> {
    let params = &asked.params;
    asked.needs_host(&OF_SESSION)?;
    let [since, until] = asked.times()?;
    let query = RunQuery {
        since,
        until,
        kind: params.word(&RUN_KIND)?.and_then(RunKind::from_word),
        session: params.id(&OF_SESSION)?,
        user: params.text(&USER)?.map(str::to_owned),
        changed: params.flag(&CHANGED)?,
        before: None,
        limit: u32::try_from(params.number(&HUNDRED)?).ok(),
    };
    let runs = asked.fleet.runs(asked.hosts()?.as_ref(), &query)?;
    whole(on_hosts(&asked.roster, runs))
}

fn ask_sessions(asked: &Asked) -> Result<Vec<u8>, Error> {
    let params = &asked.params;
    let [since, until] = asked.times()?;
    let query = SessionQuery {
        since,
        until,
        id: None,
        user: params.text(&USER)?.map(str::to_owned),
        limit: params.number(&HUNDRED)?,
    };
    let sessions = asked.fleet.sessions(asked.hosts()?.as_ref(), &query)?;
    whole(on_hosts(&asked.roster, sessions))
}

fn ask_run(asked: &Asked) -> Result<Vec<u8>, Error> {
    let Asked {
        params,
        fleet,
        roster,
        ..
    } = asked;
    let host = roster.find(params.required_text(&ONE)?)?;
    let id = params.id(&RUN)?.unwrap_or_default();
    let body = run_in_full(fleet, host.key, id)?.ok_or(Error::Nothing("run"))?;
    json(&OnHost::new(host, body))
}

fn ask_session(asked: &Asked) -> Result<Vec<u8>, Error> {
    let Asked {
        params,
        fleet,
        roster,
        ..
    } = asked;
    let host = roster.find(params.required_text(&ONE)?)?;
    let id = params.id(&SESSION)?.unwrap_or_default();
    let body = recap(fleet, host.key, id)?.ok_or(Error::Nothing("session"))?;
    json(&OnHost::new(host, body))
}

fn on_hosts<T>(roster: &Roster, found: Vec<(HostKey, T)>) -> Vec<OnHost<T>> {
    let found = found.into_iter();
    found
        .filter_map(|(host, what)| Some(OnHost::new(roster.host(host)?, what)))
        .collect()
}
