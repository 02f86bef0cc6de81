//! What was done to what runs by itself at its time, in words.

use change::{Change, Kind, Op};

use super::escape::{argument, escape_text};
use super::sentence::{attribute, values};

/// What was done, in the past tense; none where the subject is no job.
pub(super) fn deed(change: &Change) -> Option<String> {
    if change.subject.kind != Kind::Job {
        return None;
    }
    let key = change.subject.key.to_string();
    let (sort, name) = key.split_once('/')?;
    let side = |name| {
        let [before, after] = attribute(change, name);
        after.or(before).map(escape_text).unwrap_or_default()
    };
    if sort == "timer" {
        return Some(timer(change, name, &side("Unit")));
    }
    let what = match attribute(change, "command") {
        [_, Some(command)] | [Some(command), None] => argument(command),
        // A script has no command but its place.
        [None, None] => format!("/etc/{name}"),
    };
    let when = [side("schedule"), side("period")].concat();
    let user = side("user");
    let whom = if user.is_empty() {
        String::new()
    } else {
        format!(" as {user}")
    };
    Some(match change.op {
        Op::Create => format!("made {what} run{whom}: {when}"),
        Op::Delete => format!("made {what} no longer run{whom}: {when}"),
        _ => format!("changed when {what} runs{whom}{}", values(change)),
    })
}

fn timer(change: &Change, name: &str, unit: &str) -> String {
    match change.op {
        Op::Create if unit.is_empty() => format!("made timer {name}"),
        Op::Create => format!("made timer {name} for {unit}"),
        Op::Delete => format!("removed timer {name}"),
        Op::Start => format!("started timer {name}"),
        Op::Stop => match attribute(change, "active") {
            [_, Some("failed")] => format!("stopped timer {name}, and it failed"),
            _ => format!("stopped timer {name}"),
        },
        Op::Disable if attribute(change, "masked")[1].is_some() => format!("masked timer {name}"),
        Op::Enable if attribute(change, "masked")[0].is_some() => format!("unmasked timer {name}"),
        _ => match attribute(change, "enabled") {
            [Some("no"), Some("yes")] => format!("enabled timer {name}"),
            [Some("yes"), Some("no")] => format!("disabled timer {name}"),
            _ => format!("changed timer {name}{}", values(change)),
        },
    }
}

#[cfg(test)]
mod tests {
    use change::{FactValue, Subject};

    use super::super::fixture::edit;
    use super::*;

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    fn said(key: &str, before: Option<Pairs<'_>>, after: Option<Pairs<'_>>) -> String {
        let value = |pairs: Option<Pairs<'_>>| {
            let pairs = pairs?.iter();
            let pairs = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            Some(FactValue::Attributes(pairs.collect()))
        };
        let op = match (before, after) {
            (None, _) => Op::Create,
            (_, None) => Op::Delete,
            _ => Op::Set,
        };
        let change = Change {
            subject: Subject::parse(format!("job:{key}").as_bytes()).unwrap(),
            op,
            before: value(before),
            after: value(after),
            ..edit()
        };
        deed(&change).unwrap()
    }

    #[test]
    fn what_was_done_to_a_job_is_said_as_a_person_would() {
        let three: Pairs<'_> = &[
            ("schedule", "0 3 * * *"),
            ("user", "alice"),
            ("command", "backup --all"),
        ];
        let four: Pairs<'_> = &[
            ("schedule", "0 4 * * *"),
            ("user", "alice"),
            ("command", "backup --all"),
        ];
        let daily: Pairs<'_> = &[("schedule", "daily"), ("runs", "yes")];
        let not: Pairs<'_> = &[("schedule", "daily"), ("runs", "no")];
        let anacron: Pairs<'_> = &[("period", "7"), ("delay", "5"), ("command", "run-parts /x")];
        let off: Pairs<'_> = &[
            ("OnCalendar", "daily"),
            ("Unit", "b.service"),
            ("enabled", "no"),
        ];
        let on: Pairs<'_> = &[
            ("OnCalendar", "daily"),
            ("Unit", "b.service"),
            ("enabled", "yes"),
        ];
        let hourly: Pairs<'_> = &[
            ("OnCalendar", "hourly"),
            ("Unit", "b.service"),
            ("enabled", "yes"),
        ];
        let deeds = [
            said("crontab/alice/backup --all", None, Some(three)),
            said("crontab/alice/backup --all", Some(three), Some(four)),
            said("crontab/alice/backup --all", Some(four), None),
            said("cron/cron.daily/logrotate", None, Some(daily)),
            said("cron/cron.daily/logrotate", Some(daily), Some(not)),
            said("anacron/cron.weekly", Some(anacron), None),
            said("timer/b.timer", None, Some(off)),
            said("timer/b.timer", Some(off), Some(on)),
            said("timer/b.timer", Some(on), Some(hourly)),
            said("timer/b.timer", Some(hourly), Some(&[("masked", "yes")])),
            said("timer/b.timer", Some(on), None),
        ];
        insta::assert_snapshot!(deeds.join("\n"), @"
        made 'backup --all' run as alice: 0 3 * * *
        changed when 'backup --all' runs as alice: schedule '0 3 * * *' → '0 4 * * *'
        made 'backup --all' no longer run as alice: 0 4 * * *
        made /etc/cron.daily/logrotate run: daily
        changed when /etc/cron.daily/logrotate runs: runs yes → no
        made 'run-parts /x' no longer run: 7
        made timer b.timer for b.service
        enabled timer b.timer
        changed timer b.timer: OnCalendar daily → hourly
        changed timer b.timer: OnCalendar removed, Unit removed, enabled removed, masked yes
        removed timer b.timer
        ");
    }
}
