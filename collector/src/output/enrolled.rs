//! An enrolled host for a listing.

use super::View;
use super::words::safe;
use crate::store::{EnrolledHost, Finding};

/// A host on one line: who it is, until when it may send, and what is wrong.
pub fn enrolled_line(host: &EnrolledHost, view: &View) -> String {
    let EnrolledHost {
        name,
        hostname,
        labels,
        enrolled: _,
        expires,
        revoked,
        rewritten,
    } = host;
    let labels = labels.iter();
    let labels = labels.map(|(name, value)| format!("{}={}", safe(name), safe(value)));
    let labels = labels.collect::<Vec<_>>().join(" ");
    let now = view.now.timestamp().as_nanosecond();
    let standing = match (revoked, expires) {
        (Some(time), _) => format!("revoked {}", when::moment(*time, &view.now)),
        (None, Some(expires)) if i128::from(expires.as_nanos()) > now => {
            format!("certificate until {}", when::moment(*expires, &view.now))
        }
        (None, _) => "certificate ended: enrol it again".to_owned(),
    };
    let finding = rewritten.as_ref().map_or_else(String::new, |finding| {
        let Finding { time, what } = finding;
        let time = when::moment(*time, &view.now);
        format!("  REWRITTEN, found {time}: {}", safe(what))
    });
    let line = format!(
        "{:<16}  {:.12}  {standing}{finding}  {labels}",
        safe(hostname),
        safe(name)
    );
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use change::Timestamp;
    use jiff::Zoned;

    use super::*;

    #[test]
    fn a_host_is_one_line_with_what_is_wrong() {
        let now: Zoned = "2026-11-21T14:00:00Z[UTC]".parse().unwrap();
        let view = View { now };
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let host = EnrolledHost {
            name: "5f3c5f3c5f3c5f3c".to_owned(),
            hostname: "web-1\x1b[31m".to_owned(),
            labels: [("role".to_owned(), "web".to_owned())].into(),
            enrolled: at("2026-11-01T14:00:00Z"),
            expires: Some(at("2026-11-22T14:00:00Z")),
            revoked: None,
            rewritten: None,
        };
        let fine = enrolled_line(&host, &view);
        assert!(!fine.contains('\x1b'), "{fine}");
        assert!(fine.contains("5f3c5f3c5f3c  certificate until "), "{fine}");
        assert!(fine.ends_with("role=web"), "{fine}");
        let marked = EnrolledHost {
            rewritten: Some(Finding {
                time: at("2026-11-21T13:00:00Z"),
                what: "another log".to_owned(),
            }),
            expires: Some(at("2026-11-20T14:00:00Z")),
            ..host
        };
        let line = enrolled_line(&marked, &view);
        assert!(line.contains("certificate ended"), "{line}");
        assert!(line.contains("REWRITTEN, found "), "{line}");
    }
}
