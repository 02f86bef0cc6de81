//! Tokens that are open: with which hosts can enrol, and viewers ask.

use change::Timestamp;
use change::wire::{CheckBody, CheckState};

use super::{DAY_NS, check, first_of};
use crate::store::{OpenToken, ViewToken};

/// A token that lets any host enrol for so long was forgotten.
const FORGOTTEN_NS: i64 = 7 * DAY_NS;
/// A token of a viewer that ends within this is to be replaced.
const ENDS_NS: i64 = 7 * DAY_NS;

pub(super) fn of_hosts(open: &[OpenToken], now: Timestamp) -> CheckBody {
    let name = "host tokens";
    let for_any = open.iter().filter(|token| token.hostname.is_none());
    let for_any: Vec<_> = for_any.collect();
    let count = open.len();
    let until = |token: &&&OpenToken| token.expires > now.plus_nanos(FORGOTTEN_NS);
    if let Some(longest) = for_any
        .iter()
        .filter(until)
        .max_by_key(|token| token.expires)
    {
        let detail = format!(
            "open {count}, and whoever has one of {} can enrol any host, until {}: name the host and say `--expires` when \
             making one",
            for_any.len(),
            longest.expires
        );
        return check(name, CheckState::Degraded, detail);
    }
    let detail = format!("open {count}, of which for any host {}", for_any.len());
    check(name, CheckState::Ok, detail)
}

pub(super) fn of_viewers(tokens: &[ViewToken], now: Timestamp) -> CheckBody {
    let name = "view tokens";
    let open: Vec<_> = tokens.iter().filter(|token| token.is_open(now)).collect();
    let soon = now.plus_nanos(ENDS_NS);
    let ending = open.iter().filter(|token| token.expires <= soon);
    if ending.clone().count() == 0 {
        let detail = format!("good {}", open.len());
        return check(name, CheckState::Ok, detail);
    }
    let names = first_of(ending.map(|token| token.name.as_str()));
    let detail = format!(
        "good {}, and within a week these end: {names}; make others, and hand them over",
        open.len()
    );
    check(name, CheckState::Degraded, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: i64) -> Timestamp {
        Timestamp::from_nanos(day * DAY_NS)
    }

    #[test]
    fn a_token_for_any_host_that_is_good_for_long_is_told() {
        let token = |hostname: Option<&str>, expires| OpenToken {
            hostname: hostname.map(str::to_owned),
            made: day(0),
            expires: day(expires),
        };
        let state = |open: &[OpenToken]| of_hosts(open, day(1)).state;
        assert_eq!(state(&[]), CheckState::Ok);
        assert_eq!(
            state(&[token(None, 2), token(Some("web-1"), 90)]),
            CheckState::Ok
        );
        assert_eq!(state(&[token(None, 90)]), CheckState::Degraded);
    }

    #[test]
    fn a_viewers_token_that_ends_soon_is_told_by_name() {
        let token = |name: &str, expires, revoked| ViewToken {
            name: name.to_owned(),
            scopes: [].into(),
            made: day(0),
            expires: day(expires),
            revoked,
        };
        let fine = [
            token("a", 90, None),
            token("b", 3, Some(day(1))),
            token("c", 1, None),
        ];
        let told = of_viewers(&fine, day(2));
        assert_eq!(
            (told.state, told.detail),
            (CheckState::Ok, "good 1".to_owned())
        );
        let told = of_viewers(&[token("grafana", 8, None)], day(2));
        assert!(
            told.state == CheckState::Degraded && told.detail.contains("end: grafana;"),
            "{told:?}"
        );
    }
}
