//! Lengths of time, as people write them.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

/// Reads a length of time as people write it: `90d`, `12h`, `1h 30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let read = || -> Result<Duration, jiff::Error> {
        let span: Span = text.parse()?;
        Duration::try_from(span.to_duration(SpanRelativeTo::days_are_24_hours())?)
    };
    match read() {
        Ok(duration) if duration >= Duration::from_secs(1) => Ok(duration),
        _ => Err("it must be a length of time, such as `90d`, `12h` or `30m`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_as_people_write_them() {
        let seconds = |text| duration(text).map(|duration| duration.as_secs());
        assert_eq!(seconds("90d"), Ok(90 * 24 * 60 * 60));
        assert_eq!(seconds("1h 30m"), Ok(90 * 60));
        for wrong in ["", "90", "-1h", "0s", "1 fortnight"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
