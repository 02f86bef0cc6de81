//! What the collector counts while it serves, and how it is told: text that Prometheus reads.
//!
//! What the store knows by itself (hosts, sizes) is not counted here but read when it is asked for: [`FleetNow`].

use std::fmt;
use std::time::Duration;

use change::Timestamp;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::questions::Standing;

/// What all names begin with.
const PREFIX: &str = "tracer_collector";

/// What the text is, as Prometheus asks for it.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper ends of what an answer to a host may take, in seconds: a commit to a disk, up to a host's patience.
const ACKNOWLEDGED_WITHIN: [f64; 10] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];
/// Upper ends of what an answer to a viewer may take, in seconds.
const ANSWERED_WITHIN: [f64; 8] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// One label: its name and its value, which are few and the program's own.
type Label = [(&'static str, &'static str); 1];

/// Counts what the server does; shared by all that does it.
pub struct Metrics {
    registry: Registry,
    batches: Counter,
    changes: Counter,
    frame_bytes: Counter,
    refused_batches: Family<Label, Counter>,
    acknowledged: Histogram,
    answered: Family<Label, Histogram, fn() -> Histogram>,
    refused_questions: Family<Label, Counter>,
}

impl Metrics {
    /// Begins to count.
    pub fn new(started: Timestamp) -> Self {
        let answered = || Histogram::new(ANSWERED_WITHIN);
        let mut metrics = Self {
            registry: Registry::with_prefix(PREFIX),
            batches: Counter::default(),
            changes: Counter::default(),
            frame_bytes: Counter::default(),
            refused_batches: Family::default(),
            acknowledged: Histogram::new(ACKNOWLEDGED_WITHIN),
            answered: Family::new_with_constructor(answered),
            refused_questions: Family::default(),
        };
        metrics.register(started);
        metrics
    }

    fn register(&mut self, started: Timestamp) {
        let Self {
            registry,
            batches,
            changes,
            frame_bytes,
            refused_batches,
            acknowledged,
            answered,
            refused_questions,
        } = self;
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The program", version);
        let start = Gauge::<i64>::default();
        start.set(started.as_nanos() / 1_000_000_000);
        let what = "When the collector started, since 1970";
        registry.register_with_unit("start_time", what, Unit::Seconds, start);
        let what = "Batches taken, also those that came again";
        registry.register("batches", what, batches.clone());
        let what = "Changes taken, each once";
        registry.register("changes", what, changes.clone());
        let what = "Bytes of the batches taken, as they travelled";
        registry.register_with_unit("frames", what, Unit::Bytes, frame_bytes.clone());
        let what = "Batches refused, by the type of the problem that the host was told";
        registry.register("batches_refused", what, refused_batches.clone());
        let what = "From a batch's last byte until it is on the disk";
        registry.register_with_unit("acknowledge", what, Unit::Seconds, acknowledged.clone());
        let what = "From a viewer's turn until its answer is made";
        registry.register_with_unit("question", what, Unit::Seconds, answered.clone());
        let what = "Requests of viewers refused, by the type of the problem that they were told";
        registry.register("questions_refused", what, refused_questions.clone());
    }

    /// A batch was taken, with so many changes that were new.
    pub fn took_batch(&self, frame_bytes: usize, new_changes: u64, spent: Duration) {
        self.batches.inc();
        self.changes.inc_by(new_changes);
        self.frame_bytes.inc_by(frame_bytes as u64);
        self.acknowledged.observe(spent.as_secs_f64());
    }

    /// A batch was refused.
    pub fn refused_batch(&self, reason: &'static str) {
        let label = [("reason", reason)];
        self.refused_batches.get_or_create(&label).inc();
    }

    /// A question of a viewer was answered, or given up.
    pub fn asked(&self, question: &'static str, spent: Duration) {
        let answered = self.answered.get_or_create(&[("question", question)]);
        answered.observe(spent.as_secs_f64());
    }

    /// A request of a viewer was refused.
    pub fn refused_question(&self, reason: &'static str) {
        let label = [("reason", reason)];
        self.refused_questions.get_or_create(&label).inc();
    }

    /// All of it with what is known of the fleet.
    pub fn text(&self, fleet: &FleetNow) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &fleet.registry())?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

/// What the store knows at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FleetNow {
    /// How each host stands.
    pub standings: Vec<Standing>,
    /// How many hosts are enrolled and not revoked.
    pub enrolled: usize,
    /// How many were revoked.
    pub revoked: usize,
    /// Of how many the log is another one than was sent before.
    pub rewritten: usize,
    /// Of how many that are not revoked no certificate holds any more.
    pub expired: usize,
    /// How large the store is on the disk, with what is not checkpointed yet.
    pub store_bytes: u64,
}

impl FleetNow {
    fn registry(&self) -> Registry {
        let Self {
            standings,
            enrolled,
            revoked,
            rewritten,
            expired,
            store_bytes,
        } = self;
        let mut registry = Registry::with_prefix(PREFIX);
        let hosts = Family::<Label, Gauge>::default();
        for (standing, word) in Standing::ALL {
            let count = standings.iter().filter(|one| **one == standing).count();
            let gauge = hosts.get_or_create(&[("standing", word)]);
            gauge.set(count.cast_signed() as i64);
        }
        let what = "Hosts by how they stand, replaced ones too";
        registry.register("hosts", what, hosts);
        let counts = [
            ("enrolled_hosts", "Hosts that may send", *enrolled),
            (
                "revoked_hosts",
                "Hosts that may not send any more",
                *revoked,
            ),
            (
                "rewritten_hosts",
                "Hosts whose log is another one than they had sent before",
                *rewritten,
            ),
            (
                "expired_hosts",
                "Hosts that may send and have no certificate that holds",
                *expired,
            ),
        ];
        for (name, what, count) in counts {
            let gauge = Gauge::<i64>::default();
            gauge.set(count.cast_signed() as i64);
            registry.register(name, what, gauge);
        }
        let size = Gauge::<i64>::default();
        size.set(i64::try_from(*store_bytes).unwrap_or(i64::MAX));
        let what = "The store on the disk, with its log";
        registry.register_with_unit("store", what, Unit::Bytes, size);
        registry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_told_by_the_names_that_prometheus_expects() {
        let metrics = Metrics::new(Timestamp::from_parts(1_795_000_000, 7));
        metrics.took_batch(1000, 9, Duration::from_millis(3));
        metrics.took_batch(500, 0, Duration::from_millis(30));
        metrics.refused_batch("rewritten");
        metrics.asked("log", Duration::from_mins(1));
        metrics.refused_question("busy");
        let fleet = FleetNow {
            standings: vec![Standing::Fresh, Standing::Stale, Standing::Fresh],
            enrolled: 3,
            store_bytes: 4096,
            ..FleetNow::default()
        };
        let text = metrics.text(&fleet).unwrap();
        for line in [
            "tracer_collector_start_time_seconds 1795000000",
            "tracer_collector_batches_total 2",
            "tracer_collector_changes_total 9",
            "tracer_collector_frames_bytes_total 1500",
            "tracer_collector_batches_refused_total{reason=\"rewritten\"} 1",
            "tracer_collector_acknowledge_seconds_bucket{le=\"0.005\"} 1",
            "tracer_collector_acknowledge_seconds_count 2",
            "tracer_collector_question_seconds_bucket{le=\"10.0\",question=\"log\"} 0",
            "tracer_collector_question_seconds_count{question=\"log\"} 1",
            "tracer_collector_questions_refused_total{reason=\"busy\"} 1",
            "tracer_collector_hosts{standing=\"fresh\"} 2",
            "tracer_collector_hosts{standing=\"cloned\"} 0",
            "tracer_collector_enrolled_hosts 3",
            "tracer_collector_store_bytes 4096",
            "# TYPE tracer_collector_store_bytes gauge",
        ] {
            assert!(text.lines().any(|told| told == line), "{line}:\n{text}");
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
        assert_eq!(text.matches("# EOF").count(), 1);
    }
}
