//! Stories of whole sessions, told record by record, and what holds for any sequence of records.

use std::collections::HashMap;
use std::fs;
use std::process::{Command, Stdio};

use change::{SessionKind, Text};
use proptest::prelude::*;
use rustix::time::{ClockId, clock_gettime};

mod clients;
mod requests;
mod runs;

use super::*;
use crate::observed::{Action, FileEvent, ProcessId, Program, Sent};

/// Wall time of the boot in the tests.
const BOOT_NS: i64 = 1_700_000_000_000_000_000;

struct Host {
    root: tempfile::TempDir,
    enrich: Enrich,
}

impl Host {
    fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    fn with_limits(limits: Limits) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc")).unwrap();
        let passwd = "root:x:0:0:::\nalice:x:1000:1000:::\n";
        fs::write(root.path().join("etc/passwd"), passwd).unwrap();
        let enrich = Enrich::with_limits(root.path(), || BOOT_NS, limits);
        Self { root, enrich }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A living process in `/proc`.
    fn write_process(&self, id: ProcessId, parent: u32, cmdline: &str) {
        let (pid, ticks) = (id.pid, id.start_ns / ProcessId::TICK_NS);
        let stat = format!("{pid} (x) S {parent} 1 1 0 1 0 1 0 0 0 1 1 0 0 20 0 1 0 {ticks} 1 1");
        self.write(&format!("proc/{pid}/stat"), &stat);
        self.write(&format!("proc/{pid}/cmdline"), cmdline);
        self.write(
            &format!("proc/{pid}/status"),
            "Name:\tx\nUid:\t1000\t0\t0\t0\n",
        );
        let exe = self.root.path().join(format!("proc/{pid}/exe"));
        if fs::symlink_metadata(&exe).is_err() {
            let target = format!("/usr/bin/{}", cmdline.split('\0').next().unwrap());
            std::os::unix::fs::symlink(target, exe).unwrap();
        }
    }

    fn see(&mut self, task: &Task, event: Event, millis: i64) {
        let observation = Observation {
            boot_ns: 0,
            who: Who::Task(task.clone()),
            event,
        };
        self.enrich.observe(&observation, at(millis));
    }

    fn fork(&mut self, parent: &Task, child: &mut Task, millis: i64) {
        child.parent = parent.process.pid;
        let event = Event::Fork {
            child: child.process,
        };
        self.see(parent, event, millis);
    }

    fn exec(&mut self, task: &Task, argv: &[&str], millis: i64) {
        self.see(task, Event::Exec(program(argv)), millis);
    }

    fn exit(&mut self, task: &Task, millis: i64) {
        self.see(task, Event::Exit { status: 0 }, millis);
    }

    fn actor(&mut self, task: &Task, millis: i64) -> Arc<Actor> {
        let who = Who::Task(task.clone());
        self.enrich.actor(&who, at(millis)).unwrap()
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_nanos(BOOT_NS + millis * 1_000_000)
}

fn task(pid: u32, start_ms: u64) -> Task {
    Task {
        process: ProcessId {
            pid,
            start_ns: start_ms * 1_000_000 + 1,
        },
        tid: pid,
        mount_ns: 1,
        pid_ns: 0xEFFF_FFFC,
        ..Task::default()
    }
}

fn program(argv: &[&str]) -> Program {
    Program {
        exe: Some(argv[0].into()),
        argv: argv.iter().map(|&word| Text::from(word)).collect(),
        argv_truncated: false,
        cwd: Some("/root".into()),
        process_group: 0,
    }
}

fn wrote() -> Event {
    Event::File(FileEvent {
        action: Action::Dirtied,
        path: "/etc/hosts".into(),
        inode: None,
        unnamed: false,
        description: None,
    })
}

/// The listener, the server's process for alice, her shell, and vim by sudo.
fn alice_edits(host: &mut Host) -> (Task, Task, Task, Task) {
    let listener = task(600, 1000);
    host.exec(&listener, &["/usr/sbin/sshd", "-D"], 1000);
    let mut server = task(4640, 60_000);
    host.fork(&listener, &mut server, 60_000);
    server.audit_session = Some(41);
    server.login_uid = Some(1000);
    let mut bash = task(4650, 61_000);
    bash.euid = 1000;
    bash.audit_session = Some(41);
    bash.login_uid = Some(1000);
    bash.tty = Some("pts0".to_owned());
    host.fork(&server, &mut bash, 61_000);
    host.exec(&bash, &["/usr/bin/bash"], 61_001);
    let mut sudo = Task {
        euid: 0,
        ..bash.clone()
    };
    sudo.process = task(4700, 70_000).process;
    host.fork(&bash, &mut sudo, 70_000);
    host.exec(&sudo, &["/usr/bin/sudo", "vim", "/etc/hosts"], 70_001);
    let mut vim = sudo.clone();
    vim.process = task(4711, 70_100).process;
    host.fork(&sudo, &mut vim, 70_100);
    host.exec(&vim, &["/usr/bin/vim.basic", "/etc/hosts"], 70_101);
    (server, bash, sudo, vim)
}

#[test]
fn alice_is_told_by_her_session() {
    let mut host = Host::new();
    let server = task(4640, 60_000).process;
    host.write_process(server, 600, "sshd: alice@pts/0\0\0\0");
    host.write(
        "run/systemd/sessions/41",
        "AUDIT=41\nREMOTE_HOST=10.1.2.3\nTTY=pts/0\n",
    );
    let (_, _, _, vim) = alice_edits(&mut host);
    let actor = host.actor(&vim, 71_000);
    assert_eq!(actor.user.name.as_deref(), Some("root"));
    assert_eq!(
        actor.login_user.as_ref().unwrap().name.as_deref(),
        Some("alice")
    );
    assert_eq!(actor.process.argv, ["/usr/bin/vim.basic", "/etc/hosts"]);
    assert_eq!(actor.process.cwd.as_deref(), Some("/root"));
    assert_eq!(
        actor.process.start,
        Timestamp::from_nanos(BOOT_NS + 70_100_000_001)
    );
    let ancestry: Vec<_> = actor
        .ancestry
        .iter()
        .map(|kin| (kin.pid, kin.argv[0].as_str()))
        .collect();
    let expected = [
        (4700, "/usr/bin/sudo"),
        (4650, "/usr/bin/bash"),
        (4640, "sshd: alice@pts/0"),
    ];
    assert_eq!(ancestry, expected);
    assert_eq!(actor.ancestry[2].exe.as_deref(), Some("/usr/sbin/sshd"));
    let session = actor.session.as_ref().unwrap();
    assert_eq!((session.id, session.kind), (41, SessionKind::Ssh));
    assert_eq!(session.tty.as_deref(), Some("pts/0"));
    assert_eq!(session.remote.as_deref(), Some("10.1.2.3"));
    assert_eq!(actor.container, None);
    assert!(Arc::ptr_eq(&actor, &host.actor(&vim, 72_000)), "told once");
}

#[test]
fn a_session_is_reported_when_it_begins_and_ends() {
    let mut host = Host::new();
    let (server, bash, sudo, vim) = alice_edits(&mut host);
    let updates = host.enrich.take_session_updates();
    assert_eq!(updates.len(), 1);
    assert_eq!((updates[0].start, updates[0].end), (at(61_000), None));
    assert_eq!(
        updates[0].user.as_ref().unwrap().name.as_deref(),
        Some("alice")
    );
    assert_eq!(updates[0].session.tty.as_deref(), Some("pts/0"));
    for (index, task) in [&vim, &sudo, &bash, &server].into_iter().enumerate() {
        assert!(host.enrich.take_session_updates().is_empty());
        host.exit(task, 80_000 + i64::try_from(index).unwrap());
    }
    let updates = host.enrich.take_session_updates();
    assert_eq!(updates[0].end, Some(at(80_003)));
    let late = host.actor(&vim, 71_000);
    assert_eq!(
        late.ancestry.len(),
        3,
        "a change is folded after the end of all of them"
    );
    assert!(host.enrich.take_session_updates().is_empty());
}

#[test]
fn a_job_is_told_by_cron() {
    let mut host = Host::new();
    let cron = Task {
        cgroup: 0,
        ..task(500, 1000)
    };
    host.exec(&cron, &["/usr/sbin/cron", "-f"], 1000);
    let mut child = task(7000, 90_000);
    host.fork(&cron, &mut child, 90_000);
    child.audit_session = Some(9);
    child.login_uid = Some(0);
    let mut sh = child.clone();
    sh.process = task(7001, 90_100).process;
    host.fork(&child, &mut sh, 90_100);
    host.exec(&sh, &["/bin/sh", "-c", "backup"], 90_101);
    let actor = host.actor(&sh, 91_000);
    assert_eq!(actor.session.as_ref().unwrap().kind, SessionKind::Cron);
    let pids: Vec<_> = actor.ancestry.iter().map(|kin| kin.pid).collect();
    assert_eq!(pids, [7000]);
}

#[test]
fn a_service_is_told_up_to_the_first_process() {
    let mut host = Host::new();
    host.write_process(task(1, 10).process, 0, "init\0");
    host.write_process(task(800, 5000).process, 1, "nginx\0-g\0");
    host.write("proc/801/cgroup", "0::/system.slice/nginx.service\n");
    host.write_process(task(801, 5010).process, 800, "nginx\0worker\0");
    host.enrich.scan(at(10_000));
    let worker = Task {
        parent: 800,
        ..task(801, 5010)
    };
    let actor = host.actor(&worker, 11_000);
    assert_eq!(actor.unit.as_deref(), Some("nginx.service"));
    assert_eq!(actor.session.as_ref().unwrap().kind, SessionKind::Service);
    assert_eq!(actor.process.exe.as_deref(), Some("/usr/bin/nginx"));
    let pids: Vec<_> = actor.ancestry.iter().map(|kin| kin.pid).collect();
    assert_eq!(pids, [800]);
}

#[test]
fn a_change_belongs_to_the_program_that_ran_when_it_was_made() {
    let mut host = Host::new();
    let sh = task(900, 1000);
    host.exec(&sh, &["/bin/sh", "-c", "x"], 1000);
    host.see(&sh, wrote(), 1500);
    host.exec(&sh, &["/bin/sleep", "100"], 1600);
    assert_eq!(host.actor(&sh, 1700).process.argv[0], "/bin/sleep");
    assert_eq!(host.actor(&sh, 1500).process.argv[0], "/bin/sh");
    assert_eq!(host.actor(&sh, 1700).process.argv[0], "/bin/sleep");
}

#[test]
fn a_process_whose_records_were_lost_is_read_from_proc() {
    let mut host = Host::new();
    host.write_process(task(1, 10).process, 0, "init\0");
    host.write_process(task(700, 3000).process, 1, "bash\0");
    host.write_process(task(710, 4000).process, 700, "vim\0--password=x\0");
    let vim = Task {
        parent: 700,
        ..task(710, 4000)
    };
    let actor = host.actor(&vim, 5000);
    assert_eq!(actor.process.argv, ["vim", "--password=***"]);
    assert_eq!(actor.ancestry[0].argv, ["bash"]);
    let earlier = Task {
        parent: 700,
        ..task(710, 3500)
    };
    let actor = host.actor(&earlier, 5000);
    assert_eq!(actor.process.exe, None, "the id belongs to another now");
    assert_eq!(actor.ancestry[0].argv, ["bash"]);
    let orphan = Task {
        parent: 710,
        ..task(720, 3600)
    };
    assert_eq!(
        host.actor(&orphan, 5000).ancestry[0].exe,
        None,
        "not vim: it began later"
    );
}

#[test]
fn the_same_program_is_told_by_its_executable() {
    let mut host = Host::new();
    let (_, bash, sudo, vim) = alice_edits(&mut host);
    let mut again = task(4800, 75_000);
    host.fork(&bash, &mut again, 75_000);
    let who = |task: &Task| Who::Task(task.clone());
    assert!(host.enrich.is_same_program(&who(&bash), &who(&again)));
    host.exec(&again, &["/usr/bin/vim.basic", "/etc/fstab"], 75_001);
    assert!(host.enrich.is_same_program(&who(&vim), &who(&again)));
    assert!(host.enrich.is_same_program(&Who::Pid(4711), &who(&again)));
    assert!(!host.enrich.is_same_program(&who(&sudo), &who(&again)));
    assert!(
        !host.enrich.is_same_program(&Who::Pid(1), &Who::Pid(2)),
        "both are unknown"
    );
}

#[test]
fn a_bare_process_id_is_looked_up() {
    let mut host = Host::new();
    assert_eq!(host.enrich.actor(&Who::Pid(710), at(5000)), None);
    host.write_process(task(710, 4000).process, 1, "vim\0");
    let actor = host.enrich.actor(&Who::Pid(710), at(5000)).unwrap();
    assert_eq!(actor.process.argv, ["vim"]);
    assert_eq!(actor.user.uid, 0);
    assert_eq!(
        host.enrich.actor(&Who::Pid(710), at(3000)),
        None,
        "it began later"
    );
    let known = task(710, 4000);
    host.exit(&known, 6000);
    fs::remove_dir_all(host.root.path().join("proc/710")).unwrap();
    let late = host.enrich.actor(&Who::Pid(710), at(6005)).unwrap();
    assert_eq!(late.process.argv, ["vim"]);
    assert_eq!(
        host.enrich.actor(&Who::Pid(710), at(60_000)),
        None,
        "gone for long"
    );
}

#[test]
fn a_second_scan_ends_who_is_gone() {
    let mut host = Host::new();
    let mut shell = task(700, 3000);
    shell.audit_session = Some(5);
    host.exec(&shell, &["/bin/bash"], 3000);
    host.enrich.take_session_updates();
    host.enrich.scan(at(9000));
    assert_eq!(host.enrich.take_session_updates()[0].end, Some(at(9000)));
}

#[test]
fn this_very_host_is_read() {
    let mut enrich = Enrich::new(Path::new("/"));
    let now = || {
        let now = clock_gettime(ClockId::Realtime);
        Timestamp::from_parts(now.tv_sec, u32::try_from(now.tv_nsec).unwrap())
    };
    enrich.scan(now());
    let mut child = Command::new("sleep")
        .arg("60")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    // The kernel lets the parent go on before the command line is in place.
    let cmdline = format!("/proc/{}/cmdline", child.id());
    while fs::read(&cmdline).unwrap().is_empty() {
        std::thread::yield_now();
    }
    let actor = enrich.actor(&Who::Pid(child.id()), now()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(actor.process.argv, ["sleep", "60"]);
    assert_eq!(actor.ancestry[0].pid, std::process::id());
    assert!(actor.ancestry.iter().all(|kin| kin.pid != 1));
    let age = now().as_nanos() - actor.process.start.as_nanos();
    assert!((0..60_000_000_000).contains(&age), "{age}");
    assert_eq!(actor.user.uid, rustix::process::geteuid().as_raw());
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Fork {
        parent: u32,
        child: u32,
        is_told: bool,
    },
    Exec {
        pid: u32,
        is_told: bool,
    },
    Exit {
        pid: u32,
        is_told: bool,
    },
    Write(u32),
    Scan,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pid = || 2..40u32;
    let is_told = || prop::bool::weighted(0.8);
    let step = prop_oneof![
        4 => (pid(), pid(), is_told())
            .prop_map(|(parent, child, is_told)| Step::Fork { parent, child, is_told }),
        3 => (pid(), is_told()).prop_map(|(pid, is_told)| Step::Exec { pid, is_told }),
        3 => (pid(), is_told()).prop_map(|(pid, is_told)| Step::Exit { pid, is_told }),
        4 => pid().prop_map(Step::Write),
        1 => Just(Step::Scan),
    ];
    prop::collection::vec(step, 0..150)
}

/// What is true on a host, and the part of it that `/proc` shows; the rest depends on what is told.
struct Truth {
    host: Host,
    alive: HashMap<u32, (Task, String)>,
    millis: i64,
}

impl Truth {
    fn begin(&mut self, pid: u32, parent: &Task, label: &str) -> Task {
        let mut task = task(pid, self.millis.unsigned_abs());
        task.parent = parent.process.pid;
        task.audit_session = parent
            .audit_session
            .or(pid.is_multiple_of(3).then_some(pid));
        self.host
            .write_process(task.process, task.parent, &format!("{label}\0"));
        self.alive.insert(pid, (task.clone(), label.to_owned()));
        task
    }

    fn living(&mut self, pid: u32) -> (Task, String) {
        if !self.alive.contains_key(&pid) {
            self.begin(pid, &Task::default(), "nobody");
            self.millis += 1000;
        }
        self.alive[&pid].clone()
    }

    fn end(&mut self, pid: u32) {
        if self.alive.remove(&pid).is_some() {
            fs::remove_dir_all(self.host.root.path().join(format!("proc/{pid}"))).unwrap();
        }
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        self.millis += 1000;
        match step {
            Step::Fork {
                parent,
                child,
                is_told,
            } => {
                let (parent, label) = self.living(parent);
                if parent.process.pid == child {
                    return Ok(());
                }
                self.end(child);
                let mut child = self.begin(child, &parent, &label);
                if is_told {
                    self.host.fork(&parent, &mut child, self.millis);
                }
            }
            Step::Exec { pid, is_told } => {
                let (task, _) = self.living(pid);
                let label = format!("{pid}:{}", self.millis);
                self.host.write(&format!("proc/{pid}/cmdline"), &label);
                self.alive.insert(pid, (task.clone(), label.clone()));
                if is_told {
                    self.host.exec(&task, &[&label], self.millis);
                }
            }
            Step::Exit { pid, is_told } => {
                let (task, _) = self.living(pid);
                self.end(pid);
                if is_told {
                    self.host.exit(&task, self.millis);
                }
            }
            Step::Write(pid) => return self.write(pid),
            Step::Scan => self.host.enrich.scan(at(self.millis)),
        }
        Ok(())
    }

    fn write(&mut self, pid: u32) -> Result<(), TestCaseError> {
        let (task, _) = self.living(pid);
        let start = Timestamp::from_nanos(BOOT_NS + task.process.start_ns.cast_signed());
        self.host.see(&task, wrote(), self.millis);
        let told = self.host.actor(&task, self.millis);
        prop_assert_eq!((told.process.pid, told.process.start), (pid, start));
        let looked_up = self.host.enrich.actor(&Who::Pid(pid), at(self.millis));
        if let Some(told) = looked_up {
            let off = told.process.start.as_nanos().abs_diff(start.as_nanos());
            prop_assert!(
                off < ProcessId::TICK_NS,
                "{} is not {start}",
                told.process.start
            );
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn nobody_is_taken_for_another_whatever_is_told(steps in steps()) {
        let limits = Limits { entries: 24, idle: 4, active: 4, program_bytes: 2000 };
        let mut truth = Truth {
            host: Host::with_limits(limits),
            alive: HashMap::new(),
            millis: 10_000,
        };
        for step in steps {
            truth.step(step)?;
            prop_assert!(truth.host.enrich.process_count() <= limits.entries);
        }
    }

    #[test]
    fn a_command_line_is_never_another_processes(steps in steps()) {
        let mut truth = Truth {
            host: Host::new(),
            alive: HashMap::new(),
            millis: 10_000,
        };
        for step in steps {
            // Without losses every label is the true one.
            let step = match step {
                Step::Fork { parent, child, .. } => Step::Fork { parent, child, is_told: true },
                Step::Exec { pid, .. } => Step::Exec { pid, is_told: true },
                Step::Exit { pid, .. } => Step::Exit { pid, is_told: true },
                other => other,
            };
            truth.step(step)?;
            if let Step::Write(pid) = step {
                let (task, label) = truth.living(pid);
                let told = truth.host.actor(&task, truth.millis);
                prop_assert_eq!(&told.process.argv, &[label]);
            }
        }
    }
}
