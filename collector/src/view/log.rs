//! `/v1/log` and `/v1/who`: changes of all hosts, newest first, a page at a time.

use change::wire::Page;
use change::{Author, Kind, Op, Timestamp};

use super::Error;
use super::params::{
    BY, CURSOR, GROUP, HOST, HUNDRED, KIND, OP, PACKAGE, PATH, Param, Params, SINCE, STALE_BEFORE,
    SUBJECT, TEN, UNTIL, USER, refused,
};
use super::question::{Asked, Question, json};
use crate::fleet::{HostKey, LogQuery};
use crate::store::LogPlace;

pub(super) const LOG: Question = Question {
    name: "log",
    summary: "Changes of all hosts, newest first",
    about: "Every filter that is given must hold. Where not all is kept, the log ends at what `begins` of the hosts says.",
    params: &[
        &SINCE,
        &UNTIL,
        &HOST,
        &GROUP,
        &KIND,
        &OP,
        &USER,
        &BY,
        &PATH,
        &PACKAGE,
        &HUNDRED,
        &CURSOR,
        &STALE_BEFORE,
    ],
    schema: "ChangePage",
    ask: ask_log,
};

pub(super) const WHO: Question = Question {
    name: "who",
    summary: "Who changed a subject, on any host, newest first",
    about: "",
    params: &[&SUBJECT, &HOST, &GROUP, &TEN, &CURSOR, &STALE_BEFORE],
    schema: "ChangePage",
    ask: ask_who,
};

fn ask_log(asked: &Asked) -> Result<Vec<u8>, Error> {
    page(asked, &filtered(asked)?)
}

/// The changes that the filters of a log let through, and no more than are asked for.
pub(super) fn filtered(asked: &Asked) -> Result<LogQuery, Error> {
    let params = &asked.params;
    if params.has(&PATH) && params.has(&KIND) {
        return Err(Error::Contradiction("`path` is of files, without `kind`"));
    }
    let [since, until] = asked.times()?;
    let kind: Option<Kind> = params.word(&KIND)?.and_then(|word| word.parse().ok());
    Ok(LogQuery {
        since,
        until,
        kind,
        op: params.word(&OP)?.and_then(Op::from_word),
        user: params.text(&USER)?.map(str::to_owned),
        by: params.word(&BY)?.and_then(Author::from_word),
        path: params.text(&PATH)?.map(str::to_owned),
        package: params.text(&PACKAGE)?.map(str::to_owned),
        hosts: asked.hosts()?,
        limit: params.number(&HUNDRED)?,
        ..LogQuery::default()
    })
}

fn ask_who(asked: &Asked) -> Result<Vec<u8>, Error> {
    let query = LogQuery {
        subject: Some(asked.params.subject(&SUBJECT)?),
        hosts: asked.hosts()?,
        limit: asked.params.number(&TEN)?,
        ..LogQuery::default()
    };
    page(asked, &query)
}

fn page(asked: &Asked, query: &LogQuery) -> Result<Vec<u8>, Error> {
    let place = place(&asked.params, &CURSOR)?;
    let (items, next) = asked.fleet.log_page(query, place)?;
    let next = next.map(cursor);
    json(&Page { items, next })
}

fn cursor(LogPlace { time, host, seq }: LogPlace) -> String {
    format!("{}.{}.{seq}", time.as_nanos(), host.0)
}

fn place(params: &Params, param: &Param) -> Result<Option<LogPlace>, Error> {
    let Some(text) = params.text(param)? else {
        return Ok(None);
    };
    let place = parse(text);
    let allowed = "pass what `next` of the page before says";
    let place = place.ok_or_else(|| refused(param, text.as_bytes(), allowed))?;
    Ok(Some(place))
}

fn parse(cursor: &str) -> Option<LogPlace> {
    let mut parts = cursor.splitn(3, '.');
    Some(LogPlace {
        time: Timestamp::from_nanos(parts.next()?.parse().ok()?),
        host: HostKey(parts.next()?.parse().ok()?),
        seq: parts.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let place = LogPlace {
            time: Timestamp::from_nanos(-5),
            host: HostKey(7),
            seq: u64::MAX,
        };
        assert_eq!(parse(&cursor(place)), Some(place));
        for wrong in ["", "1", "1.2", "1.2.x", "1.-2.3", "1.2.3.4"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
