//! Shows times to people, in their zone: `12 minutes ago`, `yesterday 14:02`.

use change::Timestamp;
use jiff::Zoned;

/// How long ago it was: `12 minutes ago`, and with the date where that says more.
pub fn ago(time: Timestamp, now: &Zoned) -> String {
    let then = zoned(time, now);
    let seconds = now.timestamp().as_second() - then.timestamp().as_second();
    let days = days_back(&then, now);
    match seconds {
        ..0 => at(time, now),
        0..5 => "just now".to_owned(),
        5..60 => format!("{seconds} seconds ago"),
        60..3600 => count(seconds / 60, "minute"),
        _ if days == 0 || seconds < 6 * 3600 => count(seconds / 3600, "hour"),
        _ => at(time, now),
    }
}

/// The moment within a sentence: `at 14:02`, `yesterday at 14:02`, `on 2026-11-20 at 14:02`.
pub fn at(time: Timestamp, now: &Zoned) -> String {
    let then = zoned(time, now);
    let format = match days_back(&then, now) {
        0 => "at %H:%M",
        1 => "yesterday at %H:%M",
        _ => "on %Y-%m-%d at %H:%M",
    };
    then.strftime(format).to_string()
}

/// The moment, as short as it can be named: `14:02`, `yesterday 14:02`, `2026-11-20 14:02`.
pub fn moment(time: Timestamp, now: &Zoned) -> String {
    let then = zoned(time, now);
    let format = match days_back(&then, now) {
        0 => "%H:%M",
        1 => "yesterday %H:%M",
        _ => "%Y-%m-%d %H:%M",
    };
    then.strftime(format).to_string()
}

/// Both ends of an interval, joined by `joint`; the day is named once where it is the same.
pub fn interval(ends: [Timestamp; 2], joint: &str, now: &Zoned) -> String {
    let [from, to] = ends.map(|end| zoned(end, now));
    // An interval within one minute would read as if it were empty.
    let same_minute = from.strftime("%F %H:%M").to_string() == to.strftime("%F %H:%M").to_string();
    let clock = if same_minute { "%H:%M:%S" } else { "%H:%M" };
    let day = match days_back(&from, now) {
        0 => String::new(),
        1 => "yesterday ".to_owned(),
        _ => from.strftime("%Y-%m-%d ").to_string(),
    };
    let end = if from.date() == to.date() {
        to.strftime(clock).to_string()
    } else {
        moment(ends[1], now)
    };
    format!("{day}{}{joint}{end}", from.strftime(clock))
}

/// The moment in full: `2026-11-21 14:02:11`.
pub fn local(time: Timestamp, now: &Zoned) -> String {
    zoned(time, now).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn zoned(time: Timestamp, now: &Zoned) -> Zoned {
    jiff::Timestamp::from_nanosecond(time.as_nanos().into())
        .expect("64-bit nanoseconds lie within jiff's range")
        .to_zoned(now.time_zone().clone())
}

fn days_back(then: &Zoned, now: &Zoned) -> i32 {
    then.date()
        .until(now.date())
        .map_or(i32::MAX, |span| span.get_days())
}

fn count(number: i64, unit: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {unit}{plural} ago")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    #[test]
    fn a_time_is_shown_as_people_say_it() {
        let now: Zoned = "2026-11-21T14:30:00[Europe/Berlin]".parse().unwrap();
        let table = [
            ("now", "just now", "14:30"),
            ("42s ago", "42 seconds ago", "14:29"),
            ("12 min ago", "12 minutes ago", "14:18"),
            ("1h ago", "1 hour ago", "13:30"),
            ("today", "14 hours ago", "00:00"),
            ("yesterday 14:02", "yesterday at 14:02", "yesterday 14:02"),
            (
                "2026-11-18 14:02",
                "on 2026-11-18 at 14:02",
                "2026-11-18 14:02",
            ),
            ("2020-01-01", "on 2020-01-01 at 00:00", "2020-01-01 00:00"),
            ("today 15:00", "at 15:00", "15:00"),
        ];
        for (text, expected_ago, expected_moment) in table {
            let time = parse(text, &now).unwrap();
            assert_eq!(
                (ago(time, &now).as_str(), moment(time, &now).as_str()),
                (expected_ago, expected_moment)
            );
        }
    }

    #[test]
    fn an_interval_names_its_day_once() {
        let now: Zoned = "2026-11-21T14:30:00[Europe/Berlin]".parse().unwrap();
        let between = |from: &str, to: &str| {
            interval(
                [parse(from, &now).unwrap(), parse(to, &now).unwrap()],
                "–",
                &now,
            )
        };
        assert_eq!(between("14:02", "14:07"), "14:02–14:07");
        assert_eq!(between("14:02:01", "14:02:07"), "14:02:01–14:02:07");
        assert_eq!(
            between("yesterday 14:02", "yesterday 14:07"),
            "yesterday 14:02–14:07"
        );
        assert_eq!(between("yesterday 22:00", "06:00"), "yesterday 22:00–06:00");
        assert_eq!(
            between("2026-11-18 22:00", "2026-11-19 06:00"),
            "2026-11-18 22:00–2026-11-19 06:00"
        );
    }
}
