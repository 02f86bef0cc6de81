//! What following and telling drift costs.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use change::Kind;
use simulation::inventory::subject;
use simulation::truths;
use tracer_collector::follow::Follower;
use tracer_collector::questions::{DriftQuery, Roster, drift};
use tracer_collector::rules::Rules;
use tracer_collector::store::Reader;

use super::{now, timed};

/// Asks what deviates from an expectation and from a majority.
pub(super) fn ask(reader: &Reader, roster: &Roster) -> Result<()> {
    let rules = rules();
    let read = |rules: &str| Rules::read(rules).ok().context("the rules are no rules");
    let (all, one) = (read(&rules)?, rules.split("[[baseline]]").next());
    let one = read(one.unwrap_or_default())?;
    for (what, rules) in [("one expectation", &one), ("it and a majority", &all)] {
        let query = DriftQuery {
            rules,
            hosts: None,
            now: now(),
            all: false,
            most: 20,
        };
        let what = format!("drift from {what}");
        let found = timed(&what, || drift(reader, roster, &query))?;
        let libc = subject(Kind::Package, "libc6");
        let is_first = found
            .drifts
            .first()
            .is_some_and(|first| first.subject == libc);
        ensure!(is_first, "drift does not tell of libc6 first");
    }
    Ok(())
}

/// Follows drift until nothing is left, and prints what that took.
pub(super) fn follow(follower: &mut Follower, what: &str) -> Result<()> {
    let begin = Instant::now();
    let mut passes = 1;
    while follower.pass(now())? {
        passes += 1;
    }
    let spent = begin.elapsed().as_secs_f64() * 1e3;
    println!("| {what}, {passes} passes | {spent:.0} ms |");
    Ok(())
}

/// The planted truth as a rule, and a majority.
pub(super) fn rules() -> String {
    format!(
        "[[expect]]\nthat = \"package:libc6 == {}\"\n[[baseline]]\non = \"role=db\"\nlike = \"majority\"\n",
        truths::GOOD_LIBC
    )
}
