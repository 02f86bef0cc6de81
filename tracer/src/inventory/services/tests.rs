//! Hosts with unit files and links as packages and administrators leave them, and how processes of services end.

use std::os::unix::fs::symlink;

use change::{FactValue, Op};

use super::value::ACTIVE;
use super::*;

/// A host with a few units, as packages and an administrator left them.
fn host() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let write = |name: &str, text: &str| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let link = |name: &str, target: &str| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    };
    let wanted = "[Service]\nExecStart=/bin/demo\n[Install]\nWantedBy=multi-user.target\n";
    for name in ["demo", "off", "ssh", "hidden", "getty@"] {
        write(&format!("usr/lib/systemd/system/{name}.service"), wanted);
    }
    write(
        "usr/lib/systemd/system/backup.service",
        "[Service]\nType=oneshot\nExecStart=/bin/true\n",
    );
    write("usr/lib/systemd/system/a.socket", "[Socket]\n");
    write("usr/lib/systemd/system/user@.service", "[Service]\n");
    write("run/systemd/transient/adhoc.service", "[Service]\n");
    let wants = "etc/systemd/system/multi-user.target.wants";
    link(
        &format!("{wants}/demo.service"),
        "/lib/systemd/system/demo.service",
    );
    link(
        &format!("{wants}/getty@tty1.service"),
        "/lib/systemd/system/getty@.service",
    );
    link(
        "etc/systemd/system/sshd.service",
        "/lib/systemd/system/ssh.service",
    );
    link("etc/systemd/system/hidden.service", "/dev/null");
    for unit in ["demo", "ssh", "backup", "adhoc", "user@1000", "odd"] {
        link(&format!("{STARTED}/invocation:{unit}.service"), "0123");
    }
    link(&format!("{STARTED}/invocation:-.mount"), "0123");
    link(&format!("{STARTED}/log-level-max:demo.service"), "6");
    folder
}

fn read(host: &tempfile::TempDir) -> Services {
    Services::read(host.path(), &|_, _| false)
}

#[test]
fn services_are_what_they_do_and_whether_a_boot_starts_them() {
    let host = host();
    let facts = read(&host).facts();
    let lines = facts.iter().map(|(key, value)| {
        let word = |name| value.attribute(name).unwrap();
        format!("{key} {} {}", word(ACTIVE), word(ENABLED))
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r"
    adhoc active transient
    backup inactive static
    demo active enabled
    getty@tty1 inactive enabled
    hidden inactive masked
    odd active not-found
    off inactive disabled
    ssh active enabled
    ");
}

#[test]
fn a_host_without_systemd_has_no_services() {
    let folder = tempfile::tempdir().unwrap();
    assert!(read(&folder).facts().is_empty());
}

#[test]
fn another_name_stands_for_the_unit() {
    let host = host();
    let services = read(&host);
    assert_eq!(services.canonical("sshd.service"), "ssh.service");
    assert_eq!(services.canonical("none.service"), "none.service");
}

fn unit(text: &str) -> UnitFile {
    let mut unit = UnitFile::default();
    unit.parse(text);
    unit
}

fn ending(status: i32, words: &[&str]) -> Ending {
    Ending {
        status,
        exe: None,
        argv: words.iter().map(|&word| word.to_owned()).collect(),
    }
}

#[test]
fn how_a_process_ended_is_a_failure_or_not_as_the_unit_file_says() {
    let plain = unit("[Service]\nExecStart=/bin/demo\n");
    let is = |unit: &UnitFile, status| unit.is_failure(&ending(status, &["/bin/demo"]));
    for (status, expected) in [
        (0, false),
        (15, false),
        (1, false),
        (9, true),
        (0x8b, true),
        (1 << 8, true),
    ] {
        assert_eq!(is(&plain, status), expected, "{status:#x}");
    }
    let job = unit("[Service]\nType=oneshot\nExecStart=/bin/demo\n");
    assert!(is(&job, 15));
    let java = unit(
        "# SuccessExitStatus=1\n[Service]\nSuccessExitStatus=143 \\\n  SIGKILL\nExecStart=/bin/demo\n",
    );
    assert!(!is(&java, 143 << 8));
    assert!(!is(&java, 9));
    assert!(is(&java, 1 << 8));
    let before = unit("[Service]\nExecStartPre=-/usr/bin/probe x\nExecStart=/bin/demo\n");
    assert!(!before.is_failure(&ending(1 << 8, &["/bin/sh", "/usr/bin/probe", "x"])));
    assert!(is(&before, 1 << 8));
}

#[test]
fn what_is_no_unit_file_says_nothing() {
    for text in [
        "",
        "\0\u{fffd}=[",
        "[Service",
        "=\n[Service]\n=x\nExecStart=-\n",
    ] {
        let unit = unit(text);
        assert!(!unit.is_job() && !unit.is_installable(), "{text:?}");
        assert!(unit.is_failure(&ending(9, &[])), "{text:?}");
    }
}

#[test]
fn what_was_done_is_told_from_the_values() {
    let value = |active, enabled| Some(value_of(active, enabled, None));
    let done =
        |before: &Option<FactValue>, after: &Option<FactValue>| op(before.as_ref(), after.as_ref());
    let off = value(Active::Inactive, "disabled");
    let on = value(Active::Inactive, "enabled");
    let masked = value(Active::Inactive, "masked");
    let runs = value(Active::Active, "disabled");
    let failed = value(Active::Failed, "disabled");
    assert_eq!(done(&off, &on), Op::Enable);
    assert_eq!(done(&on, &off), Op::Disable);
    assert_eq!(done(&off, &masked), Op::Disable);
    assert_eq!(done(&masked, &off), Op::Enable);
    assert_eq!(done(&off, &runs), Op::Start);
    assert_eq!(done(&None, &runs), Op::Start);
    assert_eq!(done(&runs, &failed), Op::Stop);
    assert_eq!(done(&runs, &None), Op::Stop);
    assert_eq!(done(&None, &off), Op::Install);
    assert_eq!(done(&off, &None), Op::Remove);
    assert_eq!(done(&failed, &off), Op::Set);
}

#[test]
fn the_environment_of_a_service_is_that_of_its_file_and_what_is_put_on_top_of_it() {
    let host = host();
    let unit = host.path().join("usr/lib/systemd/system/off.service");
    let text = "[Service]\nEnvironment=LEVEL=1 API_TOKEN=abc\nEnvironmentFile=-/etc/default/off\n";
    fs::write(unit, text).unwrap();
    let value = || {
        let facts = read(&host).facts();
        facts[&Text::from("off")].clone()
    };
    let before = value();
    assert_eq!(
        before.attribute("environment"),
        Some("API_TOKEN=*** LEVEL=1")
    );
    assert_eq!(
        before.attribute("environment-files"),
        Some("/etc/default/off")
    );
    let folder = host.path().join("etc/systemd/system/off.service.d");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("more.conf"), "[Service]\nEnvironment=LEVEL=2\n").unwrap();
    let after = value();
    assert_eq!(
        after.attribute("environment"),
        Some("API_TOKEN=*** LEVEL=2")
    );
    assert!(!is_same_set_up(&before, &after));
    assert_eq!(op(Some(&before), Some(&after)), Op::Set);
    // It goes with the service, whatever that does.
    let runs = Active::Active.within(&after);
    assert!(is_same_set_up(&after, &runs));
    assert_eq!(
        runs.attribute("environment"),
        after.attribute("environment")
    );
}
