//! Who asked the service manager for something, where that is known.

use super::*;
use crate::bus::{Call, CallId, Sender, Told};

const UNIT: &str = "demo.service";

/// A command that a login began.
fn command(host: &mut Host, pid: u32, login_uid: u32, argv: &[&str], millis: i64) -> Task {
    let mut command = task(pid, millis.unsigned_abs());
    command.audit_session = Some(login_uid);
    command.login_uid = Some(login_uid);
    host.exec(&command, argv, millis);
    command
}

fn asked(host: &mut Host, deed: Deed, millis: i64) -> Option<u32> {
    let by = host.enrich.asked(deed, UNIT, &[UNIT], at(millis))?;
    Some(by.actor.process.pid)
}

const RESTART: [&str; 3] = ["/usr/bin/systemctl", "restart", "demo"];

#[test]
fn a_command_at_work_is_behind_what_it_asks_for_once() {
    let mut host = Host::new();
    let restart = command(&mut host, 700, 1000, &RESTART, 60_000);
    assert!(
        host.enrich
            .is_asked(Deed::Restarted, UNIT, &[UNIT], [at(60_100); 2])
    );
    assert_eq!(asked(&mut host, Deed::Restarted, 59_000), None);
    assert_eq!(asked(&mut host, Deed::SetUp, 60_100), None);
    assert_eq!(asked(&mut host, Deed::Restarted, 60_100), Some(700));
    // It crashes, and the manager starts it again.
    assert_eq!(asked(&mut host, Deed::Stopped, 60_200), None);
    assert_eq!(asked(&mut host, Deed::Started, 60_300), None);
    host.exit(&restart, 60_400);
    assert!(
        !host
            .enrich
            .is_asked(Deed::Restarted, UNIT, &[UNIT], [at(60_500); 2])
    );
}

#[test]
fn a_command_that_has_ended_is_behind_what_is_noticed_soon_after() {
    let mut host = Host::new();
    let restart = command(&mut host, 700, 1000, &RESTART, 60_000);
    host.exit(&restart, 60_100);
    assert_eq!(asked(&mut host, Deed::Started, 60_700), None);
    assert_eq!(asked(&mut host, Deed::Started, 60_500), Some(700));
    let argv = ["/usr/bin/systemctl", "--no-block", "stop", "demo"];
    let queued = command(&mut host, 701, 1000, &argv, 61_000);
    host.exit(&queued, 61_010);
    assert_eq!(asked(&mut host, Deed::Stopped, 66_000), Some(701));
}

#[test]
fn a_restart_that_nobody_waits_for_is_asked_until_its_beginning_may_be_seen() {
    let mut host = Host::new();
    let argv = ["/usr/bin/systemctl", "--no-block", "restart", "demo"];
    let queued = command(&mut host, 700, 1000, &argv, 60_000);
    host.exit(&queued, 60_010);
    let is_asked = |ended, now| {
        let between = [at(ended), at(now)];
        let enrich = &host.enrich;
        enrich.is_asked(Deed::Restarted, UNIT, &[UNIT], between)
    };
    assert!(is_asked(60_100, 64_000), "it ends slowly");
    assert!(!is_asked(60_100, 71_000), "it never begins");
}

#[test]
fn of_two_that_ask_for_the_same_nobody_is_named() {
    let mut host = Host::new();
    command(&mut host, 700, 1000, &RESTART, 60_000);
    command(
        &mut host,
        701,
        1001,
        &["/usr/bin/systemctl", "stop", "demo"],
        60_010,
    );
    assert_eq!(asked(&mut host, Deed::Stopped, 60_100), None);
    assert_eq!(asked(&mut host, Deed::Started, 60_100), Some(700));
}

/// A call of a process that a login began, and the number it goes by.
fn call(host: &mut Host, serial: u32, (pid, uid): (u32, u32), method: &str, millis: i64) -> CallId {
    let id = CallId {
        sender: ":1.7".to_owned(),
        serial,
    };
    let call = Call {
        id: id.clone(),
        method: method.to_owned(),
        words: vec![UNIT.to_owned(), "replace".to_owned()],
        wants_reply: true,
        sender: Some(Sender { pid, uid }),
    };
    host.enrich.note_message(&Told::Asked(call), at(millis));
    id
}

#[test]
fn who_asks_over_the_bus_is_behind_what_the_manager_took_on() {
    let mut host = Host::new();
    command(&mut host, 700, 1000, &["/usr/bin/python3"], 60_000);
    let first = call(&mut host, 1, (700, 1000), "StopUnit", 61_000);
    assert_eq!(
        asked(&mut host, Deed::Stopped, 61_050),
        None,
        "not yet taken on"
    );
    host.enrich.note_message(&Told::Granted(first), at(61_100));
    assert_eq!(asked(&mut host, Deed::Started, 61_200), None);
    assert_eq!(asked(&mut host, Deed::Stopped, 61_200), Some(700));
    assert_eq!(asked(&mut host, Deed::Stopped, 61_300), None, "once");
    let second = call(&mut host, 2, (700, 1000), "StopUnit", 62_000);
    host.enrich.note_message(&Told::Refused(second), at(62_100));
    assert_eq!(asked(&mut host, Deed::Stopped, 62_200), None, "refused");
}

#[test]
fn what_root_asks_over_the_bus_is_taken_on_unless_it_is_refused() {
    let mut host = Host::new();
    command(&mut host, 700, 1000, &["/usr/bin/busctl"], 60_000);
    call(&mut host, 1, (700, 0), "RestartUnit", 61_000);
    assert_eq!(asked(&mut host, Deed::Restarted, 61_050), Some(700));
    assert_eq!(
        asked(&mut host, Deed::Stopped, 80_000),
        None,
        "long after it"
    );
    let refused = call(&mut host, 2, (700, 0), "StopUnit", 81_000);
    host.enrich
        .note_message(&Told::Refused(refused), at(81_010));
    assert_eq!(asked(&mut host, Deed::Stopped, 81_100), None);
}

#[test]
fn a_command_that_asks_over_the_bus_is_one_who_asks() {
    let mut host = Host::new();
    command(&mut host, 700, 1000, &RESTART, 60_000);
    call(&mut host, 1, (700, 1000), "RestartUnit", 60_010);
    assert_eq!(asked(&mut host, Deed::Restarted, 60_100), Some(700));
    // Somebody of whom nothing is known asks for the same.
    command(&mut host, 701, 1000, &RESTART, 61_000);
    call(&mut host, 2, (999, 0), "RestartUnit", 61_000);
    assert_eq!(asked(&mut host, Deed::Restarted, 61_100), None);
}

#[test]
fn a_script_that_becomes_the_command_is_one_with_it() {
    let mut host = Host::new();
    let script = command(&mut host, 700, 1000, &RESTART, 60_000);
    host.exec(&script, &RESTART, 60_010);
    assert_eq!(asked(&mut host, Deed::Restarted, 60_100), Some(700));
}

#[test]
fn who_asks_in_a_container_asks_the_manager_there() {
    let mut host = Host::new();
    let mut inside = task(700, 60_000);
    inside.pid_ns = 77;
    host.exec(&inside, &RESTART, 60_000);
    assert_eq!(asked(&mut host, Deed::Restarted, 60_100), None);
}

#[test]
fn how_a_process_of_a_service_ended_is_told_once_and_only_of_what_the_manager_started() {
    let mut host = Host::new();
    host.write("proc/800/cgroup", "0::/system.slice/demo.service\n");
    host.write("proc/801/cgroup", "0::/system.slice/demo.service\n");
    let manager = task(1, 10);
    host.exec(&manager, &["/lib/systemd/systemd"], 10);
    let mut main = task(800, 60_000);
    main.cgroup = 9;
    host.fork(&manager, &mut main, 60_000);
    host.exec(&main, &["/bin/demo"], 60_001);
    let mut orphan = task(801, 60_010);
    orphan.cgroup = 9;
    host.fork(&main, &mut orphan, 60_010);
    orphan.parent = 1;
    host.see(&orphan, Event::Exit { status: 6 }, 60_050);
    host.see(&main, Event::Exit { status: 9 }, 60_100);
    let mut take = |millis| host.enrich.take_endings(UNIT, at(millis), false);
    assert_eq!(take(60_020), []);
    let endings = take(60_110);
    assert_eq!(endings.len(), 1, "{endings:?}");
    assert_eq!(endings[0].status, 9);
    assert_eq!(endings[0].argv, ["/bin/demo"]);
    assert_eq!(take(60_200), []);
}

/// A service's main process, and the end that it comes to after a signal of alice's to it.
fn ends_by(sender: &Task, signal: u32, (status, after_ms): (i32, i64)) -> Option<u32> {
    let mut host = Host::new();
    host.write("proc/800/cgroup", "0::/system.slice/demo.service\n");
    let manager = task(1, 10);
    host.exec(&manager, &["/lib/systemd/systemd"], 10);
    let mut main = task(800, 60_000);
    main.cgroup = 9;
    host.fork(&manager, &mut main, 60_000);
    host.exec(&main, &["/bin/demo"], 60_001);
    host.exec(sender, &["/bin/kill", "800"], 60_010);
    let to = main.process;
    host.see(sender, Event::Signal(Sent { to, signal }), 61_000);
    host.see(&main, Event::Exit { status }, 61_000 + after_ms);
    let ended = [at(61_010 + after_ms), at(61_030 + after_ms)];
    let killer = host.enrich.killer(UNIT, ended, false);
    assert_eq!(host.enrich.killer(UNIT, ended, false), None, "told once");
    killer.map(|by| by.actor.process.pid)
}

#[test]
fn who_sent_the_signal_that_a_service_ended_by_is_known() {
    let mut alice = task(700, 60_000);
    alice.cgroup = 10;
    assert_eq!(ends_by(&alice, 9, (9, 5)), Some(700));
    assert_eq!(ends_by(&alice, 6, (6 | 0x80, 5)), Some(700), "with a core");
    assert_eq!(ends_by(&alice, 1, (9, 5)), None, "it took that one");
    assert_eq!(ends_by(&alice, 15, (0, 5_000)), Some(700), "it heeds it");
    assert_eq!(ends_by(&alice, 15, (0, 15_000)), None, "long after it");
    assert_eq!(ends_by(&alice, 1, (0, 5)), None, "no order to end");
    let mut itself = task(700, 60_000);
    itself.cgroup = 9;
    assert_eq!(ends_by(&itself, 9, (9, 5)), None, "its own processes");
}

#[test]
fn what_began_anew_since_was_not_ended_by_that_signal() {
    let mut host = Host::new();
    host.write("proc/800/cgroup", "0::/system.slice/demo.service\n");
    let manager = task(1, 10);
    host.exec(&manager, &["/lib/systemd/systemd"], 10);
    let mut main = task(800, 60_000);
    main.cgroup = 9;
    host.fork(&manager, &mut main, 60_000);
    let to = main.process;
    let signal = Sent { to, signal: 9 };
    host.see(&task(700, 60_000), Event::Signal(signal), 61_000);
    host.see(&main, Event::Exit { status: 9 }, 61_001);
    let mut killer = |from, until| host.enrich.killer(UNIT, [at(from), at(until)], false);
    assert_eq!(killer(60_900, 60_920), None, "it lived on");
    assert_eq!(killer(90_000, 90_020), None, "it was over by then");
}
