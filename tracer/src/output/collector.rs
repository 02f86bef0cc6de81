//! How this host stands with its collector.

use change::wire::{CollectorBody, EnrolmentBody};

use super::amount::counted;
use super::{View, escape_text};

/// A clock is told to be off from here on.
const SKEW_NS: i64 = 2_000_000_000;

/// What enrolling did.
pub fn enrolment(body: &EnrolmentBody, view: &View) -> String {
    let EnrolmentBody {
        host,
        url,
        authority,
        expires,
        sending,
    } = body;
    let next = if *sending {
        "the daemon sends its log from now on; see `tracer status`"
    } else {
        "no daemon answers: it begins to send when it is started"
    };
    [
        format!(
            "enrolled with {} as {}",
            escape_text(url),
            escape_text(host)
        ),
        format!("  authority   sha256 {}", escape_text(authority)),
        format!(
            "  certificate until {}, renewed before",
            when::moment(*expires, &view.now)
        ),
        format!("  {next}"),
    ]
    .join("\n")
}

/// How sending stands, for `tracer status`.
pub(super) fn sending(body: &CollectorBody, view: &View) -> String {
    let CollectorBody {
        url,
        sent_seq,
        waiting,
        reached: _,
        failing_since,
        problem,
        certificate_expires: _,
        clock_ahead_ns,
    } = body;
    let mut words = vec![
        escape_text(url),
        format!("{} sent", counted(*sent_seq, "change")),
    ];
    if *waiting > 0 {
        words.push(format!("{waiting} waiting"));
    }
    if let (Some(since), Some(problem)) = (failing_since, problem) {
        let since = when::moment(*since, &view.now);
        words.push(view.yellow(&format!(
            "not taken since {since}: {}",
            escape_text(problem)
        )));
    }
    if let Some(ahead) = clock_ahead_ns.filter(|ahead| ahead.abs() >= SKEW_NS) {
        let seconds = ahead / 1_000_000_000;
        words.push(view.yellow(&format!("own clock {seconds} s ahead")));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{at, view};
    use super::*;

    #[test]
    fn status_tells_what_waits_and_since_when() {
        let fine = CollectorBody {
            url: "https://collector:7443".to_owned(),
            sent_seq: 1234,
            waiting: 0,
            reached: Some(at("14:00")),
            failing_since: None,
            problem: None,
            certificate_expires: at("14:00"),
            clock_ahead_ns: Some(1),
        };
        insta::assert_snapshot!(sending(&fine, &view()), @"https://collector:7443, 1,234 changes sent");
        let away = CollectorBody {
            waiting: 20,
            failing_since: Some(at("yesterday 8:00")),
            problem: Some("connect to the collector at 10.0.0.1:7443: refused".to_owned()),
            clock_ahead_ns: Some(-3_500_000_000),
            ..fine
        };
        insta::assert_snapshot!(sending(&away, &view()), @"https://collector:7443, 1,234 changes sent, 20 waiting, not taken since yesterday 08:00: connect to the collector at 10.0.0.1:7443: refused, own clock -3 s ahead");
    }
}
