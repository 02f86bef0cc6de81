//! How the daemon is, and what `doctor` looked at.

use change::wire::{CheckBody, CheckState, Counters, StatusBody};

use super::amount::{counted, size, thousands};
use super::collector::sending;
use super::{View, escape_text};

/// The state in the first line, then the numbers.
pub fn status(body: &StatusBody, view: &View) -> String {
    let StatusBody {
        version,
        host,
        hostname,
        pid,
        started,
        mode,
        last_seq,
        complete_since,
        counters,
        ..
    } = body;
    let Counters {
        records,
        file_records,
        lost,
        changes,
    } = counters;
    let started = when::moment(*started, &view.now);
    let complete = match complete_since {
        Some(since) => format!("complete since {}", when::moment(*since, &view.now)),
        None => view.yellow("a gap is open"),
    };
    let head = format!(
        "{} since {started}, mode {}, {complete}, {}",
        view.green("running"),
        escape_text(mode),
        counted(*last_seq, "change")
    );
    let field =
        |name: &str, value: String| format!("  {} {value}", view.dim(&format!("{name:<11}")));
    let lost = counted(*lost, "record") + " lost";
    let lost = if counters.lost == 0 {
        lost
    } else {
        view.red(&lost)
    };
    let trees: Vec<_> = body.watched.iter().map(|tree| escape_text(tree)).collect();
    let mut lines = vec![
        head,
        field(
            "host",
            format!("{} ({})", escape_text(hostname), escape_text(host)),
        ),
        field(
            "daemon",
            format!("tracer {}, pid {pid}", escape_text(version)),
        ),
        field("memory", size(body.resident_bytes)),
        field("store", size(body.store_bytes)),
        field(
            "since start",
            format!(
                "{}, {} about watched files, {lost}, {}",
                counted(*records, "record"),
                thousands(*file_records),
                counted(*changes, "change")
            ),
        ),
        field("watched", trees.join(" ")),
    ];
    if body.comparing {
        let what = "the host with the record; what that finds is still to be told";
        lines.push(field("comparing", what.to_owned()));
    }
    if let Some(collector) = &body.collector {
        lines.push(field("collector", sending(collector, view)));
    }
    lines.join("\n")
}

/// What was looked at, how it stands, and what to do.
pub fn checks(checks: &[CheckBody], view: &View) -> String {
    let width = checks
        .iter()
        .map(|check| check.name.chars().count())
        .max()
        .unwrap_or(0);
    let line = |check: &CheckBody| {
        let CheckBody {
            name,
            state,
            detail,
        } = check;
        let state = match state {
            CheckState::Ok => view.green("ok      "),
            CheckState::Degraded => view.yellow("degraded"),
            CheckState::Missing => view.red("missing "),
        };
        let name = escape_text(name);
        format!("{name:<width$}  {state}  {}", escape_text(detail))
            .trim_end()
            .to_owned()
    };
    checks.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{at, view};
    use super::*;

    #[test]
    fn the_first_line_says_it_all() {
        let body = StatusBody {
            version: "0.1.0".to_owned(),
            host: "5f3c".to_owned(),
            hostname: "web-1".to_owned(),
            pid: 812,
            started: at("yesterday 8:00"),
            mode: "trampolines".to_owned(),
            last_seq: 1234,
            complete_since: Some(at("14:05")),
            comparing: false,
            counters: Counters {
                records: 56789,
                file_records: 2345,
                lost: 0,
                changes: 1200,
            },
            store_bytes: 12 * 1024 * 1024,
            resident_bytes: 21 * 1024 * 1024,
            watched: vec!["/etc".to_owned(), "/boot".to_owned()],
            collector: None,
            doctor: Vec::new(),
        };
        insta::assert_snapshot!(status(&body, &view()), @"
        running since yesterday 08:00, mode trampolines, complete since 14:05, 1,234 changes
          host        web-1 (5f3c)
          daemon      tracer 0.1.0, pid 812
          memory      21 MiB
          store       12 MiB
          since start 56,789 records, 2,345 about watched files, 0 records lost, 1,200 changes
          watched     /etc /boot
        ");
        let gap = StatusBody {
            complete_since: None,
            comparing: true,
            ..body
        };
        let shown = status(&gap, &view());
        insta::assert_snapshot!(shown.lines().next().unwrap(), @"running since yesterday 08:00, mode trampolines, a gap is open, 1,234 changes");
        insta::assert_snapshot!(shown.lines().last().unwrap(), @"  comparing   the host with the record; what that finds is still to be told");
    }

    #[test]
    fn checks_are_a_table() {
        let check = |name: &str, state, detail: &str| CheckBody {
            name: name.to_owned(),
            state,
            detail: detail.to_owned(),
        };
        let all = [
            check("kernel", CheckState::Ok, "6.18, BTF found"),
            check(
                "file probes",
                CheckState::Degraded,
                "fanotify only: links are not seen",
            ),
            check("sysctl", CheckState::Missing, ""),
        ];
        insta::assert_snapshot!(checks(&all, &view()), @"
        kernel       ok        6.18, BTF found
        file probes  degraded  fanotify only: links are not seen
        sysctl       missing
        ");
    }
}
