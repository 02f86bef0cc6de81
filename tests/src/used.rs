//! What a process has used until now.

use std::fs;

/// Processor seconds of all its threads (`proc_pid_stat(5)`), in hundredths.
pub fn processor_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let behind_name = stat.rsplit(')').next().unwrap();
    let ticks = behind_name.split_ascii_whitespace().skip(11).take(2);
    let ticks: u32 = ticks.map(|ticks| ticks.parse::<u32>().unwrap()).sum();
    f64::from(ticks) / 100.0
}

/// The most resident memory that it has had, in MiB (`proc_pid_status(5)`).
pub fn peak_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let amount = line.and_then(|line| line.split_ascii_whitespace().nth(1));
    let kib: u64 = amount.and_then(|amount| amount.parse().ok()).unwrap();
    kib / 1024
}
