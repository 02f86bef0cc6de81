//! What the guest measured, as tables: each round with the tracer against the mean of the rounds
//! without it before and after.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use serde_json::Value;

/// The workloads by their letters, in the order in which the table shows them.
const WORKLOADS: [(&str, &str); 7] = [
    ("a", "write a file outside the trees"),
    ("b", "write(2) to an open file outside"),
    ("c", "read a file in /etc"),
    ("d", "write a file in /etc"),
    ("e", "rename-over in /etc"),
    ("f", "fork+exec"),
    ("t", "untar 3,000 files outside"),
];

/// What was measured in one guest.
#[derive(Default)]
pub(crate) struct Table {
    /// Instructions per operation, by workload and round, alone and with the tracer.
    alone: BTreeMap<(String, u64), f64>,
    traced: BTreeMap<(String, u64), f64>,
    loads: Vec<Value>,
}

impl Table {
    /// Takes a line of the guest, if it is one of the measurements.
    pub(crate) fn take(&mut self, text: &str) {
        let Ok(measured) = serde_json::from_str::<Value>(text) else {
            return;
        };
        match measured["what"].as_str() {
            Some("time") => {
                let workload = measured["workload"].as_str().unwrap_or_default().to_owned();
                let round = measured["round"].as_u64().unwrap_or_default();
                let cost = number(&measured, "cpu_ns") / number(&measured, "operations");
                let costs = if measured["with"] == "tracer" {
                    &mut self.traced
                } else {
                    &mut self.alone
                };
                costs.insert((workload, round), cost);
            }
            Some("load" | "memory") => self.loads.push(measured),
            _ => {}
        }
    }

    /// The ratios of a workload, sorted.
    fn ratios(&self, workload: &str) -> Vec<f64> {
        let traced = self.traced.iter().filter(|((name, _), _)| name == workload);
        let ratios = traced.filter_map(|((name, round), cost)| {
            let before = self.alone.get(&(name.clone(), *round))?;
            let after = self.alone.get(&(name.clone(), round + 1))?;
            Some(2.0 * cost / (before + after))
        });
        sorted(ratios.collect())
    }

    fn fmt_workload(&self, f: &mut Formatter<'_>, letter: &str, name: &str) -> fmt::Result {
        let of_it = self.alone.iter().filter(|((name, _), _)| name == letter);
        let alone = sorted(of_it.map(|(_, cost)| *cost).collect());
        let ratios = self.ratios(letter);
        let (Some(least), Some(most)) = (ratios.first(), ratios.last()) else {
            return Ok(());
        };
        let (ratio, alone) = (median(&ratios), median(&alone));
        writeln!(
            f,
            "| {letter} {name} | {alone:.0} | {ratio:.3} | {least:.3}–{most:.3} |"
        )
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| workload | instructions alone | with the tracer | least–most |"
        )?;
        writeln!(f, "|---|---|---|---|")?;
        for (letter, name) in WORKLOADS {
            self.fmt_workload(f, letter, name)?;
        }
        for measured in &self.loads {
            let contents = measured["contents"].as_str().unwrap_or_default();
            if measured["what"] == "load" {
                writeln!(f, "contents {contents}: {}", load(measured))?;
            } else {
                writeln!(f, "contents {contents}: {}", memory(measured))?;
            }
        }
        Ok(())
    }
}

fn load(measured: &Value) -> String {
    let operations = number(measured, "operations");
    let daemon = number(measured, "daemon_ns");
    let mut text = format!(
        "{operations} {}: {:.0} instructions of the daemon each, {} records, {} changes, {} lost",
        measured["phase"].as_str().unwrap_or_default(),
        daemon / operations,
        number(measured, "records"),
        number(measured, "changes"),
        number(measured, "lost"),
    );
    if measured["alone_ns"].is_number() {
        let (alone, in_line) = (number(measured, "alone_ns"), number(measured, "cpu_ns"));
        let total = (in_line + daemon) / alone;
        let in_line = in_line / alone;
        text = format!("{text}, {in_line:.2} in-line, {total:.2} in total");
    }
    text
}

fn memory(measured: &Value) -> String {
    let after = measured["after"].as_str().unwrap_or_default();
    let kib = measured["memory"].as_object().into_iter().flatten();
    let mib = kib.map(|(name, kib)| format!("{name} {:.1}", kib.as_f64().unwrap_or(0.0) / 1024.0));
    let mib: Vec<String> = mib.collect();
    format!("MiB after {after}: {}", mib.join(", "))
}

fn number(measured: &Value, name: &str) -> f64 {
    measured[name].as_f64().unwrap_or(f64::NAN)
}

fn sorted(mut numbers: Vec<f64>) -> Vec<f64> {
    numbers.sort_by(f64::total_cmp);
    numbers
}

fn median(sorted: &[f64]) -> f64 {
    let (low, high) = (sorted.len().saturating_sub(1) / 2, sorted.len() / 2);
    match (sorted.get(low), sorted.get(high)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(round: u64, with: &str, cpu_ns: u64) -> String {
        format!(
            r#"{{"what":"time","round":{round},"with":"{with}","workload":"a","operations":10,"cpu_ns":{cpu_ns}}}"#
        )
    }

    #[test]
    fn a_round_is_held_against_its_neighbours() {
        let mut table = Table::default();
        for (round, alone, traced) in [(0, 90, 110), (1, 110, 120), (2, 130, 130)] {
            table.take(&time(round, "nothing", alone));
            table.take(&time(round, "tracer", traced));
        }
        // The last round has no neighbour after it.
        assert_eq!(table.ratios("a"), [1.0, 1.1]);
        assert!(table.to_string().contains("| 11 | 1.050 | 1.000–1.100 |"));
    }

    #[test]
    fn other_lines_are_not_taken() {
        let mut table = Table::default();
        let empty = table.to_string();
        table.take("Error: something");
        table.take("[1]");
        assert_eq!(table.to_string(), empty);
    }
}
