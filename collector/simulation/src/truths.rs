//! Planted truths: what was done to a fleet, for the questions to find.

use change::{Change, Kind, Op, Run, Timestamp};

use crate::chance::{draw, once_in};
use crate::deeds::{automation, change, person, run};
use crate::inventory::{attributes, file, setting, subject};

/// What the lists have.
pub const GOOD_LIBC: &str = "2.36-9+deb12u14";
/// What somebody installed on some hosts.
pub const BAD_LIBC: &str = "2.36-9+deb12u15";

/// One hundredth of a fleet was upgraded, and misbehaves since.
pub const BAD_ONE_IN: u64 = 100;
/// The outlier, which three hosts have.
pub const OUTLIER: &str = "vm.overcommit_memory";

const MINUTE_NS: i64 = 60_000_000_000;

/// Someone upgrades libc6: the package, and a file of it.
pub fn libc_upgrade(who: &str, time: Timestamp) -> (Vec<Change>, Run) {
    let typed = "apt install --only-upgrade libc6";
    let actor = person(who, typed, time);
    let version = |version| Some(attributes(&[("version", version), ("arch", "amd64")]));
    let library = "/etc/ld.so.conf.d/x86_64-linux-gnu.conf";
    let content = |text| Some(file(library, text));
    let mut changes = vec![
        change(
            subject(Kind::File, library),
            Op::Modify,
            [content(library), content("of the new version")],
            time,
            Some(&actor),
        ),
        change(
            subject(Kind::Package, "libc6"),
            Op::Upgrade,
            [version(GOOD_LIBC), version(BAD_LIBC)],
            time.plus_nanos(1_000_000_000),
            Some(&actor),
        ),
    ];
    changes[0].package = Some("libc6".to_owned());
    for change in &mut changes {
        change.run = Some(7);
    }
    (changes, run(7, "apt", &actor, time))
}

/// Someone sets a kernel parameter on three hosts only.
pub fn outlier(time: Timestamp) -> Change {
    let actor = person("carol", "sysctl -w vm.overcommit_memory=2", time);
    let values = [Some(setting("0")), Some(setting("2"))];
    change(
        subject(Kind::Sysctl, OUTLIER),
        Op::Set,
        values,
        time,
        Some(&actor),
    )
}

/// What happens to any host by and by: automation writes files, people edit a few, and a package is upgraded here
/// and not there.
pub fn everyday(host: u64, count: u64, since: Timestamp) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    let mut actor = automation(since);
    for step in 0..count {
        let time = since.plus_nanos(step.cast_signed() * MINUTE_NS / 8);
        if step % 10 == 0 {
            actor = match step % 30 {
                0 => person("bob", "vim /opt/shop/conf.d/app.conf", time),
                _ => automation(time),
            };
        }
        let number = draw(&[3, host % 3, step]) % 150;
        let path = format!("/opt/shop/conf.d/{number:03}.conf");
        let last = changes
            .iter()
            .rev()
            .find(|last| last.subject.key.as_bytes() == path.as_bytes());
        let before = last.map_or_else(|| Some(file(&path, &path)), |last| last.after.clone());
        // Most of it comes from one place, and some is a host's own.
        let own = if once_in(50, &[4, host, step]) {
            host
        } else {
            0
        };
        let after = Some(file(&path, &format!("{path} {} {own}", step / 40)));
        let op = Op::Modify;
        changes.push(change(
            subject(Kind::File, &path),
            op,
            [before, after],
            time,
            Some(&actor),
        ));
    }
    changes
}
