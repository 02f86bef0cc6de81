//! How long to wait after a failure: longer each time, and never as long as the others do, so that a fleet does
//! not come back at once.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(5);

/// Counts failures in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// How long to wait after one more failure; `random` lies between 0 and 1. Who was told how long to wait
    /// waits at least that.
    pub(super) fn after_failure(&mut self, asked: Option<Duration>, random: f64) -> Duration {
        let doubled = FIRST.saturating_mul(2_u32.saturating_pow(self.failures.min(16)));
        self.failures = self.failures.saturating_add(1);
        let longest = doubled.min(LONGEST);
        match asked {
            Some(asked) => {
                let asked = asked.min(LONGEST);
                asked + longest.min(asked).mul_f64(random)
            }
            None => longest / 2 + (longest / 2).mul_f64(random),
        }
    }

    /// It worked.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_longer_each_time_up_to_a_limit() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..12)
            .map(|_| backoff.after_failure(None, 1.0).as_secs())
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        backoff.reset();
        assert_eq!(backoff.after_failure(None, 0.0), Duration::from_millis(500));
    }

    #[test]
    fn what_the_collector_asks_for_is_honoured() {
        let mut backoff = Backoff::default();
        let asked = Some(Duration::from_secs(30));
        assert_eq!(backoff.after_failure(asked, 0.0).as_secs(), 30);
        assert_eq!(backoff.after_failure(asked, 1.0).as_secs(), 32);
        let absurd = Some(Duration::from_hours(1000));
        assert!(backoff.after_failure(absurd, 1.0) <= LONGEST * 2);
    }
}
