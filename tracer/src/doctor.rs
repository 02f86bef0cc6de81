//! Looks at what this host allows without a daemon; a running one knows better, from its self-test.

use std::fs;
use std::path::Path;

use change::wire::{CheckBody, CheckState};

use crate::probes::btf::Btf;
use crate::probes::{missing_fields, plan};

/// Looks at what this host allows.
pub fn offline() -> Vec<CheckBody> {
    let mut checks = vec![root(), kernel()];
    match Btf::of_running_kernel() {
        Ok(types) => {
            checks.push(ok(
                "type information",
                "/sys/kernel/btf/vmlinux can be read",
            ));
            checks.extend(missing_fields(&types).into_iter().map(|error| {
                bad(
                    "kernel field",
                    CheckState::Missing,
                    &format!("{error}; nothing can be traced"),
                )
            }));
            checks.extend(plan::plan(&types, &|_| false).into_iter().map(|planned| {
                let name = format!("probe {}", planned.name);
                match planned.attachments {
                    Ok(_) => ok(&name, "this kernel has what it needs"),
                    Err(why) => {
                        let detail = format!("not seen: {}; {why}", planned.lost_without);
                        bad(&name, CheckState::Degraded, &detail)
                    }
                }
            }));
        }
        Err(error) => checks.push(bad(
            "type information",
            CheckState::Missing,
            &error.to_string(),
        )),
    }
    checks.push(lockdown());
    checks
}

fn root() -> CheckBody {
    if rustix::process::geteuid().is_root() {
        return ok("rights", "running as root");
    }
    bad(
        "rights",
        CheckState::Degraded,
        "the daemon needs root: `sudo tracer run`",
    )
}

fn kernel() -> CheckBody {
    let uname = rustix::system::uname();
    ok("kernel", &uname.release().to_string_lossy())
}

fn lockdown() -> CheckBody {
    let path = Path::new("/sys/kernel/security/lockdown");
    let text = fs::read_to_string(path).unwrap_or_default();
    if text.contains("[confidentiality]") {
        let detail = "the kernel is locked down for confidentiality: programs may not read its \
                      memory; file changes can only be seen by fanotify";
        return bad("lockdown", CheckState::Degraded, detail);
    }
    ok("lockdown", "not in the way")
}

fn ok(name: &str, detail: &str) -> CheckBody {
    bad(name, CheckState::Ok, detail)
}

fn bad(name: &str, state: CheckState, detail: &str) -> CheckBody {
    CheckBody {
        name: name.to_owned(),
        state,
        detail: detail.to_owned(),
    }
}
