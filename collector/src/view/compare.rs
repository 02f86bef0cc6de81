//! `/v1/compare`: what is different between two hosts, or two moments of one.

use serde::Serialize;

use super::Error;
use super::params::{ALL, AT, FORMERLY, NOISE, ONE, OTHER, STALE_BEFORE};
use super::question::{Asked, Question, json};
use crate::questions::{Comparison, Noise, Side, compare};
use crate::store::Scope;

pub(super) const COMPARE: Question = Question {
    name: "compare",
    summary: "What is different between two hosts, or has changed on one",
    about: "What differs between any two hosts and says nothing is set aside. Diffs show what is in files, and are \
            told to tokens with the scope `content` only: `contents_withheld` says where they are not.",
    params: &[&ONE, &OTHER, &AT, &FORMERLY, &NOISE, &ALL, &STALE_BEFORE],
    schema: "Comparison",
    ask,
};

/// What `compare --json` prints, and whether diffs were left out.
#[derive(Serialize)]
struct ComparisonBody {
    #[serde(flatten)]
    comparison: Comparison,
    contents_withheld: bool,
}

fn ask(asked: &Asked) -> Result<Vec<u8>, Error> {
    let Asked {
        params,
        fleet,
        roster,
        scopes,
    } = asked;
    let (at, since) = (params.time(&AT)?, params.time(&FORMERLY)?);
    let one = roster.find(params.required_text(&ONE)?)?;
    let sides = match (params.text(&OTHER)?, since) {
        (Some(other), None) => [(one, at), (roster.find(other)?, at)],
        (None, Some(since)) => [(one, Some(since)), (one, at)],
        (Some(_), Some(_)) => {
            let why = "either two hosts are compared, or one with itself at `since`";
            return Err(Error::Contradiction(why));
        }
        (None, None) => {
            let why = "give `other` to compare two hosts, or `since` to compare one with itself";
            return Err(Error::Contradiction(why));
        }
    };
    let noise = Noise::new(&params.texts(&NOISE)?)?;
    let sides = sides.map(|(host, at)| Side { host, at });
    let mut comparison = compare(fleet, roster, sides, &noise)?;
    if !params.flag(&ALL)? {
        comparison.differences.retain(|one| one.noise.is_none());
    }
    let contents_withheld = !scopes.contains(&Scope::Content);
    if contents_withheld {
        for difference in &mut comparison.differences {
            difference.diff = None;
        }
    }
    json(&ComparisonBody {
        comparison,
        contents_withheld,
    })
}
