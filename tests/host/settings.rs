//! Facts of sysctls and kernel settings of this host, which is only read.

use std::fs;

use serde_json::Value;

use crate::start;

#[test]
fn every_sysctl_and_switch_is_a_fact_and_none_is_a_change() {
    let daemon = start();
    let sysctls = daemon.ask(&["facts", "--kind", "sysctl"]);
    assert!(sysctls.len() > 300, "{}", sysctls.len());
    let of = |key: &str| {
        let is_it = |fact: &&Value| fact["subject"]["key"] == key;
        let fact = sysctls.iter().find(is_it);
        fact.unwrap_or_else(|| panic!("{key} is a fact"))["value"]["value"].clone()
    };
    let panic = fs::read_to_string("/proc/sys/kernel/panic").unwrap();
    assert_eq!(of("kernel.panic"), panic.trim_end());
    // Only root may read it, which the daemon is no more.
    let random = fs::read_to_string("/proc/sys/vm/mmap_rnd_bits").unwrap();
    assert_eq!(of("vm.mmap_rnd_bits"), random.trim_end());
    let settings = daemon.ask(&["facts", "--kind", "kernel-setting"]);
    assert!(settings.len() > 20, "{}", settings.len());
    for kind in ["sysctl", "kernel-setting"] {
        let log = daemon.ask(&["log", "--kind", kind]);
        assert_eq!(log, Vec::<Value>::new());
    }
}
