//! On whose behalf the kernel loads modules.

use super::*;

/// A process that runs modprobe, with the kernel's options for a name, as a child of a parent of that process id.
fn modprobe(host: &mut Host, pid: u32, parent: u32, millis: i64) -> Task {
    let mut helper = task(pid, millis.unsigned_abs());
    helper.parent = parent;
    host.exec(
        &helper,
        &["/sbin/modprobe", "-q", "--", "net-pf-15"],
        millis,
    );
    helper
}

fn behind(host: &mut Host, helper: &Task) -> Option<u32> {
    let by = host.enrich.behind(&Who::Task(helper.clone()))?;
    Some(by.actor.process.pid)
}

fn request(host: &mut Host, pid: u32, millis: i64) {
    let needy = task(pid, 50_000);
    host.exec(&needy, &["/usr/bin/needy"], 50_000);
    let (who, name) = (Who::Task(needy), "net-pf-15".into());
    host.enrich.note_request(name, &who, at(millis));
}

#[test]
fn each_modprobe_of_the_kernel_is_for_the_next_who_needed_that() {
    let mut host = Host::new();
    request(&mut host, 700, 60_000);
    request(&mut host, 701, 60_001);
    let first = modprobe(&mut host, 800, 2, 60_002);
    let second = modprobe(&mut host, 801, 2, 60_003);
    let third = modprobe(&mut host, 802, 2, 60_004);
    assert_eq!(behind(&mut host, &first), Some(700));
    assert_eq!(behind(&mut host, &second), Some(701));
    assert_eq!(behind(&mut host, &third), None);
    // It loads what the module needs, too.
    assert_eq!(behind(&mut host, &first), Some(700));
}

#[test]
fn the_kernels_thread_may_be_between() {
    let mut host = Host::new();
    let worker = task(90, 20);
    let mut helper = task(800, 60_002);
    host.see(
        &task(2, 10),
        Event::Fork {
            child: worker.process,
        },
        20,
    );
    request(&mut host, 700, 60_000);
    host.fork(&worker, &mut helper, 60_002);
    let helper = modprobe(&mut host, 800, 90, 60_002);
    assert_eq!(behind(&mut host, &helper), Some(700));
}

#[test]
fn a_modprobe_of_somebody_is_theirs_whatever_it_says() {
    let mut host = Host::new();
    request(&mut host, 700, 60_000);
    let shell = task(600, 50_000);
    host.exec(&shell, &["/bin/sh"], 50_000);
    let mut helper = task(800, 60_002);
    host.fork(&shell, &mut helper, 60_002);
    let own = modprobe(&mut host, 800, 600, 60_002);
    assert_eq!(behind(&mut host, &own), None);
    let late = modprobe(&mut host, 801, 2, 70_000);
    assert_eq!(behind(&mut host, &late), None);
}
