//! Jobs read of samples of their files, and of what nobody should write there.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use change::FactValue;

use super::*;

/// A root with some files.
fn root(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

/// What is read of it.
fn facts(root: &tempfile::TempDir) -> Vec<String> {
    let jobs = Jobs::below(root.path().canonicalize().unwrap());
    let mut shown = Vec::new();
    for part in jobs.parts() {
        let prefix = part.prefix();
        for (key, value) in jobs.read(&part) {
            assert!(key.as_bytes().starts_with(prefix.as_bytes()), "{key}");
            let FactValue::Attributes(attributes) = value else {
                panic!("{key} has no attributes");
            };
            let attributes = attributes
                .iter()
                .map(|(name, value)| format!("{name}={value}"));
            shown.push(format!(
                "{key} {}",
                attributes.collect::<Vec<_>>().join(" | ")
            ));
        }
    }
    shown
}

#[test]
fn entries_of_cron_are_known_by_what_they_run() {
    let system = b"# system\nSHELL=/bin/sh\nPATH = /bin\n17 *\t* * *\troot\tcd / && run-parts --report /etc/cron.hourly\n\
        @reboot root /bin/warm up\n0 3 * * 1-5 alice mysqldump --password=hunter2 all\n\
        5 5 * * *\n5 5 * * * root\nnonsense\n\xff\n-*/5 * * * * bob quiet \xff\n";
    let own = b"# m h\n0 3 * * * backup --all\n30 12 * * sun backup --all\n@daily  tidy\n\
        MAILTO=x\n* * * *\n";
    let anacron = b"SHELL=/bin/sh\n1\t5\tcron.daily\trun-parts /etc/cron.daily\n@monthly 15 cron.monthly nice x\nx y z\n";
    let root = root(&[
        ("etc/crontab", system),
        ("etc/cron.d/backup", b"1 2 3 4 5 root x"),
        ("etc/cron.d/backup.dpkg-old", b"1 2 3 4 5 root y"),
        ("etc/cron.d/.placeholder", b"1 2 3 4 5 root z"),
        ("var/spool/cron/crontabs/alice", own),
        ("var/spool/cron/carol", b"@hourly of carol"),
        ("etc/anacrontab", anacron),
        ("etc/cron.daily/logrotate", b"#!/bin/sh\n"),
        ("etc/cron.daily/off", b"#!/bin/sh\n"),
        ("etc/cron.daily/no.sh", b"#!/bin/sh\n"),
    ]);
    let script = root.path().join("etc/cron.daily/logrotate");
    fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
    let shown = facts(&root).join("\n");
    assert!(!shown.contains("hunter2"), "{shown}");
    insta::assert_snapshot!(shown, @"
    cron/crontab/alice/mysqldump --password=*** all command=mysqldump --password=*** all | schedule=0 3 * * 1-5 | user=alice
    cron/crontab/bob/quiet � command=quiet � | schedule=-*/5 * * * * | user=bob
    cron/crontab/root//bin/warm up command=/bin/warm up | schedule=@reboot | user=root
    cron/crontab/root/cd / && run-parts --report /etc/cron.hourly command=cd / && run-parts --report /etc/cron.hourly | schedule=17 * * * * | user=root
    anacron/cron.daily command=run-parts /etc/cron.daily | delay=5 | period=1
    anacron/cron.monthly command=nice x | delay=15 | period=@monthly
    cron/cron.daily/logrotate runs=yes | schedule=daily
    cron/cron.daily/off runs=no | schedule=daily
    cron/cron.d/backup/root/x command=x | schedule=1 2 3 4 5 | user=root
    crontab/alice/backup --all command=backup --all | schedule=0 3 * * *; 30 12 * * sun | user=alice
    crontab/alice/tidy command=tidy | schedule=@daily | user=alice
    crontab/carol/of carol command=of carol | schedule=@hourly | user=carol
    ");
}

#[test]
fn timers_have_what_their_units_and_drop_ins_say() {
    let unit = b"[Unit]\nDescription=x\n[Timer]\nOnCalendar=daily\n# OnCalendar=never\nOnCalendar=Mon 12:00\n\
        Persistent=true\nPersistent=false\n[Install]\nWantedBy=timers.target\n";
    let root = root(&[
        ("usr/lib/systemd/system/backup.timer", unit),
        (
            "usr/lib/systemd/system/own.timer",
            b"[Timer]\nOnBootSec=5min\nUnit=other.service",
        ),
        (
            "etc/systemd/system/own.timer",
            b"[Timer]\nOnBootSec=7min\nUnit=other.service",
        ),
        (
            "etc/systemd/system/backup.timer.d/10-x.conf",
            b"[Timer]\nOnCalendar=\nOnCalendar=hourly\n",
        ),
        (
            "usr/lib/systemd/system/backup.timer.d/10-x.conf",
            b"[Timer]\nOnCalendar=never\n",
        ),
        (
            "usr/lib/systemd/system/backup.timer.d/20-y.conf",
            b"[Timer]\nRandomizedDelaySec = \\\n 5\n",
        ),
        ("usr/lib/systemd/system/off.timer", unit),
        (
            "usr/lib/systemd/system/backup.service",
            b"[Timer]\nOnCalendar=no",
        ),
        (
            "usr/lib/systemd/system/odd.timer",
            b"\xff=\xff\n[Timer]\n=x\nOn\n\xff=\xff",
        ),
    ]);
    let wants = root.path().join("etc/systemd/system/timers.target.wants");
    fs::create_dir(&wants).unwrap();
    symlink(
        "/usr/lib/systemd/system/backup.timer",
        wants.join("backup.timer"),
    )
    .unwrap();
    symlink("/nowhere", wants.join("gone.timer")).unwrap();
    symlink(
        "/dev/null",
        root.path().join("etc/systemd/system/off.timer"),
    )
    .unwrap();
    insta::assert_snapshot!(facts(&root).join("\n"), @"
    timer/backup.timer OnCalendar=hourly | Persistent=false | RandomizedDelaySec=5 | Unit=backup.service | enabled=yes
    timer/odd.timer Unit=odd.service | enabled=no | �=�
    timer/off.timer masked=yes
    timer/own.timer OnBootSec=7min | Unit=other.service | enabled=no
    ");
}

#[test]
fn a_file_decides_the_part_that_it_is_of() {
    let of = |path: &str| Part::of(&path.into());
    assert_eq!(of("/etc/crontab"), Some(Part::Crontab));
    assert_eq!(of("/etc/anacrontab"), Some(Part::Anacron));
    assert_eq!(
        of("/etc/cron.d/backup"),
        Some(Part::Folder("backup".into()))
    );
    assert_eq!(of("/etc/cron.weekly/x"), Some(Part::Scripts("weekly")));
    for spool in SPOOLS {
        assert_eq!(
            of(&format!("/{spool}/alice")),
            Some(Part::User("alice".into()))
        );
    }
    for timer in [
        "/etc/systemd/system/x.timer",
        "/usr/lib/systemd/system/x.timer",
        "/etc/systemd/system/x.timer.d",
        "/etc/systemd/system/x.timer.d/10.conf",
        "/etc/systemd/system/timers.target.wants/x.timer",
    ] {
        assert_eq!(of(timer), Some(Part::Timers), "{timer}");
    }
    for path in [
        "",
        "/",
        "/etc",
        "/etc/cron.d",
        "/etc/cron.d/x.dpkg-new",
        "/etc/cron.yearly/x",
        "/var/spool/cron/crontabs",
        "/var/spool/cron/crontabs/tmp.X1",
        "/etc/systemd/system/x.service",
        "/etc/systemd/system/x.service.d/10.conf",
        "/etc/systemd/system/multi-user.target.wants/x.service",
        "/etc/systemd/systemx.timer",
    ] {
        assert_eq!(of(path), None, "{path}");
    }
}

#[test]
fn hostile_files_are_read_within_limits() {
    let long = vec![b'*'; 9 << 20];
    let wide = [
        b"* * * * * root ".to_vec(),
        vec![b'x'; 60_000],
        b"\n".to_vec(),
    ]
    .concat()
    .repeat(60);
    let same = b"* * * * * root x\n".repeat(50_000);
    let many: Vec<u8> = (0..100_000)
        .flat_map(|n| format!("* * * * * root x{n}\n").into_bytes())
        .collect();
    let times = [b"[Timer]\n".to_vec(), b"OnCalendar=daily\n".repeat(100_000)].concat();
    for text in [&long, &wide, &same, &many, &times] {
        for name in [
            "etc/crontab",
            "etc/anacrontab",
            "usr/lib/systemd/system/x.timer",
        ] {
            let facts = facts(&root(&[(name, text)]));
            assert!(facts.len() <= 4096, "{name}: {} facts", facts.len());
            let longest = facts.iter().map(String::len).max().unwrap_or_default();
            assert!(longest < 10_000, "{name}: {longest} bytes");
        }
    }
}
