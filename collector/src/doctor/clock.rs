//! The collector's clock, held against those of the hosts: where most of them are off by the same, it is not they.

use change::Timestamp;
use change::wire::{CheckBody, CheckState};

use super::check as make;
use crate::questions::Roster;

/// A clock that is off by less is right: a batch is under way for as long.
const OFF_NS: i64 = 5_000_000_000;
/// With fewer hosts there is nothing to hold it against.
const LEAST_HOSTS: usize = 3;

pub(super) fn check(now: Timestamp, roster: &Roster, reported: Option<Timestamp>) -> CheckBody {
    let hosts = roster.all().iter().filter(|host| roster.is_current(host));
    judge(now, hosts.map(|host| host.skew_ns).collect(), reported)
}

fn judge(now: Timestamp, mut skews: Vec<i64>, reported: Option<Timestamp>) -> CheckBody {
    let name = "clock";
    if let Some(reported) = reported.filter(|reported| *reported > now.plus_nanos(OFF_NS)) {
        let detail = format!(
            "a host reported at {reported}, which is still to come: the clock was set back; set it right, as hosts are \
             stale or fresh by it"
        );
        return make(name, CheckState::Degraded, detail);
    }
    if skews.len() < LEAST_HOSTS {
        let detail = format!("{now}; too few hosts report to hold it against theirs");
        return make(name, CheckState::Ok, detail);
    }
    let middle = skews.len() / 2;
    let (_, median, _) = skews.select_nth_unstable(middle);
    let seconds = *median / 1_000_000_000;
    if median.abs() < OFF_NS {
        return make(name, CheckState::Ok, format!("{now}, as on most hosts"));
    }
    let way = if seconds > 0 { "behind" } else { "ahead" };
    let off = seconds.abs();
    let detail = format!("{off} s {way} of most hosts': see to its time synchronisation");
    make(name, CheckState::Degraded, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn the_clock_is_wrong_where_most_hosts_say_so() {
        let now = Timestamp::from_parts(1_795_000_000, 0);
        let told = |skews: &[i64]| {
            let skews = skews.iter().map(|skew| skew * SECOND).collect();
            let CheckBody { state, detail, .. } = judge(now, skews, Some(now));
            (state, detail)
        };
        assert_eq!(told(&[0, 1, -90, 90]).0, CheckState::Ok);
        assert_eq!(told(&[90, 90]).0, CheckState::Ok);
        let (state, detail) = told(&[60, 61, 62, 0]);
        assert_eq!(state, CheckState::Degraded);
        assert!(detail.starts_with("61 s behind of most hosts'"), "{detail}");
        assert!(told(&[-60, -61, -62]).1.contains("61 s ahead"));
        let ahead = judge(now, Vec::new(), Some(now.plus_nanos(60 * SECOND)));
        assert!(ahead.detail.contains("set back"), "{ahead:?}");
    }
}
