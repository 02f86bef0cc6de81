//! Times as people type them (`2h ago`, `yesterday 15:00`, `friday`), read with a bias to the past.
//! The clock and the zone are passed in. How times are shown is in `show.rs`.

mod show;

use std::fs;

use change::Timestamp;
use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan as _, Zoned};
pub use show::{ago, at, interval, local, moment};

/// Says why a text is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing of it could be read.
    #[error(
        "`{0}` is no time; write one like `2h ago`, `yesterday 15:00`, `friday`, `14:00`, \
         `2026-11-20 10:00` or `2026-11-20T10:00:00Z`"
    )]
    Unknown(String),
    /// `1M` is a minute to some programs and a month to others.
    #[error("`{0}` could be minutes or months; write `{1} min` or `{1} months`")]
    MinuteOrMonth(String, String),
    /// A duration without a direction.
    #[error("`{0}` is a duration, not a time; write `{0} ago`")]
    Duration(String),
    /// A word for the future, of which nothing is known.
    #[error("`{0}` lies in the future, and changes lie in the past; write one like `2h ago`")]
    Future(String),
    /// It is outside the years that a timestamp reaches.
    #[error("`{0}` is out of range; times reach from 1678 to 2261")]
    OutOfRange(String),
    /// The host does not tell when it was booted.
    #[error("`boot` is not known: read the line `btime` of `/proc/stat`: {0}")]
    Boot(String),
}

/// Reads a time as people type it. What is ambiguous means the most recent moment in the past.
pub fn parse(text: &str, now: &Zoned) -> Result<Timestamp, Error> {
    let typed = text.trim();
    refuse(typed)?;
    let words = typed
        .to_ascii_lowercase()
        .replace(" pm", "pm")
        .replace(" am", "am");
    let found = match instant(&words, now)? {
        Some(found) => Some(found),
        None => match relative(&words, now)? {
            Some(found) => Some(found),
            None => calendar(&words, now),
        },
    };
    let found = found.ok_or_else(|| Error::Unknown(typed.to_owned()))?;
    i64::try_from(found.timestamp().as_nanosecond())
        .map(Timestamp::from_nanos)
        .map_err(|_too_far| Error::OutOfRange(typed.to_owned()))
}

/// Refuses what could be read, and would be misunderstood.
fn refuse(typed: &str) -> Result<(), Error> {
    let lower = typed.to_ascii_lowercase();
    if lower.starts_with('+') || lower.starts_with("in ") || lower.starts_with("tomorrow") {
        return Err(Error::Future(typed.to_owned()));
    }
    let amount = typed
        .trim_start_matches('-')
        .split_whitespace()
        .next()
        .unwrap_or_default();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(count) = amount.strip_suffix('M').filter(|count| digits(count)) {
        return Err(Error::MinuteOrMonth(typed.to_owned(), count.to_owned()));
    }
    let forward = |span: Span| span.is_positive() && !typed.contains(':');
    if typed.starts_with(|c: char| c.is_ascii_digit()) && lower.parse().is_ok_and(forward) {
        return Err(Error::Duration(typed.to_owned()));
    }
    Ok(())
}

/// Moments that need no calendar: words, seconds since the epoch, and times with an offset.
fn instant(words: &str, now: &Zoned) -> Result<Option<Zoned>, Error> {
    let seconds = |digits: &str| {
        let since_epoch = digits
            .parse::<f64>()
            .ok()
            .filter(|_| !digits.contains(['e', 'n', 'i']))?;
        let span = jiff::SignedDuration::try_from_secs_f64(since_epoch).ok()?;
        jiff::Timestamp::from_duration(span).ok()
    };
    let found = match words {
        "now" => Some(now.timestamp()),
        "recent" => Some(now.timestamp() - 10.minutes()),
        "boot" => Some(boot_time()?),
        "this-week" | "this week" => {
            return Ok(most_recent(now.date(), Weekday::Monday)
                .to_zoned(now.time_zone().clone())
                .ok());
        }
        _ => match words.strip_prefix('@') {
            Some(digits) => seconds(digits),
            None => words.parse().ok(),
        },
    };
    Ok(found.map(|instant| instant.to_zoned(now.time_zone().clone())))
}

fn boot_time() -> Result<jiff::Timestamp, Error> {
    let stat = fs::read_to_string("/proc/stat").map_err(|error| Error::Boot(error.to_string()))?;
    let seconds = stat
        .lines()
        .find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok());
    seconds
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .ok_or_else(|| Error::Boot("there is none".to_owned()))
}

/// `2h ago`, `-90min`, `an hour ago`.
fn relative(words: &str, now: &Zoned) -> Result<Option<Zoned>, Error> {
    let Some(length) = words
        .strip_suffix(" ago")
        .or_else(|| words.strip_prefix('-'))
    else {
        return Ok(None);
    };
    let length = length.trim();
    let one = length
        .strip_prefix("an ")
        .or_else(|| length.strip_prefix("a "));
    let counted = one.map_or_else(|| length.to_owned(), |unit| format!("1 {unit}"));
    // The library reads `1:00:00` and `ago` itself, which here would turn the direction round.
    if !counted.starts_with(|c: char| c.is_ascii_digit())
        || counted.contains(':')
        || counted.contains("ago")
    {
        return Ok(None);
    }
    let Ok(span) = counted.parse::<Span>() else {
        return Ok(None);
    };
    now.checked_sub(span)
        .map(Some)
        .map_err(|_too_far| Error::OutOfRange(words.to_owned()))
}

/// What a day was called.
#[derive(Clone, Copy)]
enum Day {
    Date(Date),
    /// The most recent one; with `true` not today.
    Weekday(Weekday, bool),
}

/// A day, a time of day, or both in either order.
fn calendar(words: &str, now: &Zoned) -> Option<Zoned> {
    let mut zone = now.time_zone().clone();
    let (mut day, mut time, mut last) = (None, None, false);
    if words.contains('t') && words.starts_with(|c: char| c.is_ascii_digit()) {
        let exact = words.parse::<DateTime>().ok();
        if let Some(exact) = exact {
            return exact.to_zoned(zone).ok();
        }
    }
    for word in words.split_whitespace() {
        if word == "last" && !last && day.is_none() {
            last = true;
        } else if word == "utc" && zone == *now.time_zone() {
            zone = TimeZone::UTC;
        } else if let (Some(found), None) = (time_of_day(word), time) {
            time = Some(found);
        } else if let (Some(found), None) = (named_day(word, last, now), &day) {
            day = Some(found);
        } else if word != "at" {
            return None;
        }
    }
    if last && !matches!(day, Some(Day::Weekday(..))) {
        return None;
    }
    resolve(day, time, &now.with_time_zone(zone))
}

fn resolve(day: Option<Day>, time: Option<Time>, now: &Zoned) -> Option<Zoned> {
    let at = |date: Date| {
        date.to_datetime(time.unwrap_or(Time::midnight()))
            .to_zoned(now.time_zone().clone())
            .ok()
    };
    // A moment that is still to come today means the one before it.
    let or_earlier = |date: Date, days: i32| {
        let found = at(date)?;
        if found > *now {
            at(date.checked_sub(days.days()).ok()?)
        } else {
            Some(found)
        }
    };
    match day {
        None => time.and_then(|_| or_earlier(now.date(), 1)),
        Some(Day::Date(date)) => at(date),
        Some(Day::Weekday(weekday, before_today)) => {
            let date = most_recent(now.date(), weekday);
            if before_today && date == now.date() {
                at(date.checked_sub(7.days()).ok()?)
            } else {
                or_earlier(date, 7)
            }
        }
    }
}

/// That weekday in the seven days that end today.
fn most_recent(today: Date, weekday: Weekday) -> Date {
    let back = weekday.until(today.weekday());
    today.checked_sub(i32::from(back).days()).unwrap_or(today)
}

fn named_day(word: &str, last: bool, now: &Zoned) -> Option<Day> {
    let weekday = match word {
        "today" => return Some(Day::Date(now.date())),
        "yesterday" => return now.date().yesterday().ok().map(Day::Date),
        "monday" | "mon" => Weekday::Monday,
        "tuesday" | "tue" => Weekday::Tuesday,
        "wednesday" | "wed" => Weekday::Wednesday,
        "thursday" | "thu" => Weekday::Thursday,
        "friday" | "fri" => Weekday::Friday,
        "saturday" | "sat" => Weekday::Saturday,
        "sunday" | "sun" => Weekday::Sunday,
        _ if word.len() == "2026-11-20".len() => return word.parse().ok().map(Day::Date),
        _ => return None,
    };
    Some(Day::Weekday(weekday, last))
}

/// `14:00`, `9:05:30`, `3pm`, `3:30pm`, `noon`, `midnight`.
fn time_of_day(word: &str) -> Option<Time> {
    match word {
        "noon" => return Time::new(12, 0, 0, 0).ok(),
        "midnight" => return Some(Time::midnight()),
        _ => {}
    }
    let half = word
        .strip_suffix("am")
        .map(|rest| (rest, 0))
        .or_else(|| Some((word.strip_suffix("pm")?, 12)));
    let (clock, after) = half.unwrap_or((word, 0));
    let (hour, rest) = clock.split_once(':').unwrap_or((clock, ""));
    if (rest.is_empty() && half.is_none()) || hour.is_empty() || hour.len() > 2 {
        return None;
    }
    let hour = hour.parse::<i8>().ok()?;
    let hour = match half {
        None => hour,
        Some(_) if (1..=12).contains(&hour) => hour % 12 + after,
        Some(_) => return None,
    };
    let rest = if rest.is_empty() { "00" } else { rest };
    format!("{hour:02}:{rest}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zoned(text: &str) -> Zoned {
        text.parse().unwrap()
    }

    /// A Saturday.
    fn now() -> Zoned {
        zoned("2026-11-21T14:30:00[Europe/Berlin]")
    }

    fn parsed(text: &str, now: &Zoned) -> String {
        let time = parse(text, now).unwrap_or_else(|error| panic!("{text}: {error}"));
        local(time, now)
    }

    #[test]
    fn what_people_type_is_read_with_a_bias_to_the_past() {
        let table = [
            ("now", "2026-11-21 14:30:00"),
            ("recent", "2026-11-21 14:20:00"),
            ("2h ago", "2026-11-21 12:30:00"),
            ("2 hours ago", "2026-11-21 12:30:00"),
            ("-2h", "2026-11-21 12:30:00"),
            ("-90min", "2026-11-21 13:00:00"),
            ("1h 30min ago", "2026-11-21 13:00:00"),
            ("an hour ago", "2026-11-21 13:30:00"),
            ("a week ago", "2026-11-14 14:30:00"),
            ("1 month ago", "2026-10-21 14:30:00"),
            ("1m ago", "2026-11-21 14:29:00"),
            ("today", "2026-11-21 00:00:00"),
            ("today 16:00", "2026-11-21 16:00:00"),
            ("yesterday", "2026-11-20 00:00:00"),
            ("14:00", "2026-11-21 14:00:00"),
            ("9:05", "2026-11-21 09:05:00"),
            ("15:00", "2026-11-20 15:00:00"),
            ("15:00:30", "2026-11-20 15:00:30"),
            ("3pm", "2026-11-20 15:00:00"),
            ("3 PM", "2026-11-20 15:00:00"),
            ("12am", "2026-11-21 00:00:00"),
            ("12:30pm", "2026-11-21 12:30:00"),
            ("noon", "2026-11-21 12:00:00"),
            ("yesterday 15:00", "2026-11-20 15:00:00"),
            ("15:00 yesterday", "2026-11-20 15:00:00"),
            ("yesterday 3pm", "2026-11-20 15:00:00"),
            ("3pm yesterday", "2026-11-20 15:00:00"),
            ("yesterday at noon", "2026-11-20 12:00:00"),
            ("friday", "2026-11-20 00:00:00"),
            ("last friday", "2026-11-20 00:00:00"),
            ("Friday 10:00", "2026-11-20 10:00:00"),
            ("saturday", "2026-11-21 00:00:00"),
            ("saturday 16:00", "2026-11-14 16:00:00"),
            ("last saturday", "2026-11-14 00:00:00"),
            ("sun", "2026-11-15 00:00:00"),
            ("this-week", "2026-11-16 00:00:00"),
            ("2026-11-20", "2026-11-20 00:00:00"),
            ("2026-11-20 10:00", "2026-11-20 10:00:00"),
            ("2026-11-20 10:00:05", "2026-11-20 10:00:05"),
            ("2026-11-20 10:00 UTC", "2026-11-20 11:00:00"),
            ("2026-11-20T10:00:00", "2026-11-20 10:00:00"),
            ("2026-11-20T10:00:00Z", "2026-11-20 11:00:00"),
            ("2026-11-20T10:00:00+02:00", "2026-11-20 09:00:00"),
            ("@1395716396", "2014-03-25 03:59:56"),
            ("  2h ago ", "2026-11-21 12:30:00"),
        ];
        for (text, expected) in table {
            assert_eq!(parsed(text, &now()), expected, "{text}");
        }
    }

    #[test]
    fn boot_is_before_now() {
        assert!(parse("boot", &Zoned::now()).unwrap() < parse("now", &Zoned::now()).unwrap());
    }

    #[test]
    fn what_could_be_misunderstood_is_refused_with_a_hint() {
        let error = |text: &str| parse(text, &now()).unwrap_err().to_string();
        insta::assert_snapshot!(error("1M ago"), @"`1M ago` could be minutes or months; write `1 min` or `1 months`");
        insta::assert_snapshot!(error("2h"), @"`2h` is a duration, not a time; write `2h ago`");
        insta::assert_snapshot!(error("tomorrow"), @"`tomorrow` lies in the future, and changes lie in the past; write one like `2h ago`");
        insta::assert_snapshot!(error("9999 years ago"), @"`9999 years ago` is out of range; times reach from 1678 to 2261");
    }

    #[test]
    fn garbage_is_an_error_and_never_now() {
        for text in [
            "",
            "garbage",
            "ago",
            " ago",
            "-",
            "@",
            "@x",
            "@1e3",
            "25:00",
            "13pm",
            "0am",
            "3",
            "2026",
            "2026-13-01",
            "2026-02-30",
            "last",
            "last today",
            "yesterday yesterday",
            "14:00 15:00",
            "yesterday foo",
            "P1D ago",
            "--2h",
            "é",
            "2026-11-20x10:00",
            "at",
            "utc",
            "noon noon",
            "١٤:٠٠",
        ] {
            assert!(
                parse(text, &now()).is_err(),
                "{text}: {:?}",
                parse(text, &now())
            );
        }
    }

    #[test]
    fn days_are_civil_and_hours_are_elapsed_when_the_clock_changes() {
        // At 03:00 on 25 October 2026 the clocks of Berlin go back to 02:00.
        let now = zoned("2026-10-25T12:00:00+01:00[Europe/Berlin]");
        assert_eq!(parsed("24h ago", &now), "2026-10-24 13:00:00");
        assert_eq!(parsed("1 day ago", &now), "2026-10-24 12:00:00");
        assert_eq!(parsed("yesterday 12:00", &now), "2026-10-24 12:00:00");
        assert_eq!(parsed("10h ago", &now), "2026-10-25 02:00:00");
        // At 02:00 on 29 March 2026 they go forward to 03:00, so there is no 02:30.
        let now = zoned("2026-03-29T12:00:00+02:00[Europe/Berlin]");
        assert_eq!(parsed("02:30", &now), "2026-03-29 03:30:00");
        assert_eq!(parsed("10h ago", &now), "2026-03-29 01:00:00");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,24}") {
            drop(parse(&text, &now()));
        }

        #[test]
        fn a_moment_reads_back_as_rfc_3339(nanos: i64) {
            let time = Timestamp::from_nanos(nanos);
            assert_eq!(parse(&time.to_string(), &now()), Ok(time));
        }
    }
}
