//! Copies of the store, and what `doctor` looked at.

use change::Timestamp;
use change::wire::{CheckBody, CheckState};

use super::View;
use super::words::safe;
use crate::store::Backup;

/// A copy that was made.
pub fn backup(file: &str, backup: &Backup) -> String {
    let Backup {
        bytes,
        hash,
        hosts,
        changes,
        authority,
    } = backup;
    let key = if *authority {
        "with the authority's key: keep it as a secret"
    } else {
        "WITHOUT the authority's key: keep `authority.pem` elsewhere"
    };
    let mib = bytes.div_ceil(1 << 20);
    let file = safe(file);
    format!("{file}: {hosts} logs with {changes} changes, {mib} MiB, {key}\n{hash}")
}

/// A store that was put back.
pub fn restored(taken: Timestamp, view: &View) -> String {
    let taken = when::moment(taken, &view.now);
    format!(
        "put back as of {taken}; start `serve`, and hosts send again what came since\n\
         revoke again what was revoked since then, hosts and tokens, and enrol again what was enrolled"
    )
}

/// One thing that was looked at, on one line.
pub fn check_line(check: &CheckBody, _view: &View) -> String {
    let CheckBody {
        name,
        state,
        detail,
    } = check;
    let state = match state {
        CheckState::Ok => "ok",
        CheckState::Degraded => "degraded",
        CheckState::Missing => "missing",
    };
    format!("{name:<16}  {state:<8}  {}", safe(detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_tells_whether_it_is_a_secret() {
        let copy = Backup {
            bytes: (3 << 20) + 1,
            hash: "b3:00".to_owned(),
            hosts: 2,
            changes: 100,
            authority: true,
        };
        let told = backup("/backup/one", &copy);
        assert_eq!(
            told,
            "/backup/one: 2 logs with 100 changes, 4 MiB, with the authority's key: keep it as a secret\nb3:00"
        );
        let without = Backup {
            authority: false,
            ..copy
        };
        assert!(backup("x", &without).contains("WITHOUT"));
    }
}
