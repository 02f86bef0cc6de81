//! The hosts: who has stopped reporting, who shares a machine id, who cannot connect any more, whose log was rewritten.

use change::Timestamp;
use change::wire::{CheckBody, CheckState};

use super::{check, first_of};
use crate::questions::{Roster, Standing};
use crate::store::EnrolledHost;

pub(super) fn standing(roster: &Roster) -> CheckBody {
    let name = "hosts";
    let of = |standing| {
        let hosts = roster.all().iter();
        hosts.filter(move |host| roster.standing(host) == standing)
    };
    let names = |standing| first_of(of(standing).map(|host| host.hostname.as_str()));
    let (cloned, stale) = (of(Standing::Cloned).count(), of(Standing::Stale).count());
    let current = of(Standing::Fresh).count() + of(Standing::Behind).count();
    let mut wrong = Vec::new();
    if cloned > 0 {
        let names = names(Standing::Cloned);
        wrong.push(format!(
            "cloned {cloned} ({names}): machines share an id, so give each its own and enrol it"
        ));
    }
    if stale > 0 {
        let names = names(Standing::Stale);
        wrong.push(format!(
            "stale {stale} ({names}): they have stopped reporting, so look at `tracer status` there, or revoke them"
        ));
    }
    if wrong.is_empty() {
        return check(name, CheckState::Ok, format!("reporting {current}"));
    }
    let detail = format!("reporting {current}; {}", wrong.join("; "));
    check(name, CheckState::Degraded, detail)
}

pub(super) fn certificates(enrolled: &[EnrolledHost], now: Timestamp) -> CheckBody {
    let name = "certificates";
    let may_send = enrolled.iter().filter(|host| host.revoked.is_none());
    let is_over = |host: &&EnrolledHost| host.expires.is_none_or(|expires| expires <= now);
    let over: Vec<_> = may_send.clone().filter(is_over).collect();
    if over.is_empty() {
        let detail = format!("all hold, of {} enrolled", may_send.count());
        return check(name, CheckState::Ok, detail);
    }
    let names = first_of(over.iter().map(|host| host.hostname.as_str()));
    let detail = format!(
        "ended on {} ({names}): no host can send without, so enrol it again, or revoke it",
        over.len()
    );
    check(name, CheckState::Degraded, detail)
}

pub(super) fn rewritten(enrolled: &[EnrolledHost]) -> CheckBody {
    let name = "chains";
    let found: Vec<_> = enrolled
        .iter()
        .filter(|host| host.rewritten.is_some() && host.revoked.is_none())
        .collect();
    if found.is_empty() {
        return check(
            name,
            CheckState::Ok,
            "each log goes on from what was sent before",
        );
    }
    let names = first_of(found.iter().map(|host| host.hostname.as_str()));
    let detail = format!(
        "rewritten on {} ({names}): the log is another one than was sent before; find out who changed the store there, \
         then enrol the host again; see `tracer-collector enrolled`",
        found.len()
    );
    check(name, CheckState::Missing, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Finding, Labels};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_nanos(second * 1_000_000_000)
    }

    fn host(hostname: &str, expires: i64) -> EnrolledHost {
        EnrolledHost {
            name: hostname.to_owned(),
            hostname: hostname.to_owned(),
            labels: Labels::new(),
            enrolled: at(1),
            expires: Some(at(expires)),
            revoked: None,
            rewritten: None,
        }
    }

    #[test]
    fn a_certificate_that_ended_counts_unless_its_host_was_revoked() {
        let revoked = EnrolledHost {
            revoked: Some(at(5)),
            ..host("gone", 9)
        };
        let fine = [host("a", 100), revoked.clone()];
        let told = certificates(&fine, at(10));
        assert_eq!(
            (told.state, told.detail),
            (CheckState::Ok, "all hold, of 1 enrolled".to_owned())
        );
        let told = certificates(&[host("a", 10), host("b", 11), revoked], at(10));
        assert_eq!(told.state, CheckState::Degraded);
        assert!(told.detail.starts_with("ended on 1 (a): "), "{told:?}");
    }

    #[test]
    fn a_log_that_was_rewritten_is_for_somebody_to_see_to_now() {
        assert_eq!(rewritten(&[host("a", 9)]).state, CheckState::Ok);
        let found = EnrolledHost {
            rewritten: Some(Finding {
                time: at(3),
                what: "another log".to_owned(),
            }),
            ..host("b", 9)
        };
        let many: Vec<_> = (0..7).map(|_| found.clone()).collect();
        let told = rewritten(&many);
        assert_eq!(told.state, CheckState::Missing);
        assert!(told.detail.contains("b, b, b, b, b and 2 more"), "{told:?}");
    }
}
