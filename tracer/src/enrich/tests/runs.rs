//! What begins a run, and whose changes are its own.

use change::RunKind;

use super::*;

/// A shell on a terminal, and the processes that come of it.
struct Shell {
    host: Host,
    bash: Task,
    next: u32,
    time: i64,
}

impl Shell {
    fn new() -> Self {
        Self::with_tools(Tools::default())
    }

    fn with_tools(tools: Tools) -> Self {
        let mut host = Host::new();
        host.enrich.set_tools(tools);
        let mut bash = task(4650, 61_000);
        bash.tty = Some("pts0".to_owned());
        bash.audit_session = Some(41);
        bash.login_uid = Some(1000);
        host.exec(&bash, &["/usr/bin/bash"], 61_000);
        Self {
            host,
            bash,
            next: 5000,
            time: 70_000,
        }
    }

    /// A child that runs a command, in a process group of its own or of another process.
    fn child(&mut self, parent: &Task, group: Option<u32>, argv: &[&str]) -> Task {
        let child = self.fork(parent);
        self.exec(&child, group.unwrap_or(child.process.pid), argv);
        child
    }

    fn fork(&mut self, parent: &Task) -> Task {
        self.next += 1;
        self.time += 100;
        let mut child = parent.clone();
        child.process = task(self.next, self.time.unsigned_abs()).process;
        child.tid = self.next;
        self.host.fork(parent, &mut child, self.time);
        child
    }

    fn exec(&mut self, task: &Task, group: u32, argv: &[&str]) {
        let program = Program {
            process_group: group,
            ..program(argv)
        };
        self.time += 1;
        self.host.see(task, Event::Exec(program), self.time);
    }

    /// Somebody types a command, which is a job of its own.
    fn typed(&mut self, argv: &[&str]) -> Task {
        let bash = self.bash.clone();
        self.child(&bash, None, argv)
    }

    fn exit(&mut self, task: &Task, status: i32) {
        self.time += 1;
        self.host.see(task, Event::Exit { status }, self.time);
    }

    fn run_of(&mut self, task: &Task) -> Option<u64> {
        let who = Who::Task(task.clone());
        self.host.enrich.by(&who, at(self.time)).unwrap().run
    }

    fn runs(&mut self) -> Vec<Run> {
        self.host.enrich.take_run_updates()
    }

    /// The runs as `number kind tool within`.
    fn told(&mut self) -> Vec<String> {
        let runs = self.runs();
        let tell = |run: &Run| {
            let within = run
                .parent
                .map_or_else(String::new, |parent| format!(" in {parent}"));
            format!("{} {} {}{within}", run.id, run.kind.as_str(), run.tool)
        };
        runs.iter().map(tell).collect()
    }
}

#[test]
fn what_is_typed_is_a_run_and_owns_what_its_descendants_do() {
    let mut shell = Shell::new();
    let make = shell.typed(&["/usr/bin/make", "install"]);
    let cp = shell.child(&make, Some(make.process.pid), &["/bin/cp", "a", "b"]);
    assert_eq!(shell.run_of(&make), Some(1));
    assert_eq!(shell.run_of(&cp), Some(1));
    let bash = shell.bash.clone();
    assert_eq!(shell.run_of(&bash), None);
    shell.exit(&cp, 0);
    shell.exit(&make, 2 << 8);
    let [run] = &shell.runs()[..] else {
        panic!("one was typed");
    };
    assert_eq!((run.kind, run.tool.as_str()), (RunKind::Command, "make"));
    assert_eq!(
        (run.exit_code, run.signal, run.running),
        (Some(2), None, false)
    );
    assert_eq!(run.end, Some(at(shell.time)));
    assert_eq!(run.actor.process.argv, ["/usr/bin/make", "install"]);
    assert_eq!(run.actor.process.cwd.as_deref(), Some("/root"));
    // What is told of it later is its still.
    assert_eq!(shell.run_of(&make), Some(1));
    let killed = shell.typed(&["/usr/bin/sleep", "9"]);
    shell.exit(&killed, 9);
    assert_eq!(shell.runs()[0].signal, Some(9));
}

#[test]
fn a_shell_s_own_questions_are_not_typed() {
    let mut shell = Shell::new();
    let bash = shell.bash.clone();
    // Command substitution: in the shell's own group, maybe by a copy of the shell.
    shell.child(&bash, Some(bash.process.pid), &["/usr/bin/id", "-u"]);
    let copy = shell.fork(&bash);
    shell.child(&copy, Some(bash.process.pid), &["/usr/bin/dircolors"]);
    assert_eq!(shell.told(), Vec::<String>::new());
    // A list in parentheses is a job, of which each command is typed.
    let copy = shell.fork(&bash);
    let group = Some(copy.process.pid);
    shell.child(&copy, group, &["/usr/bin/touch", "x"]);
    assert_eq!(shell.told(), ["1 command touch"]);
    // Nobody types in a script, nor where there is no terminal.
    let script = shell.typed(&["/usr/bin/bash", "deploy.sh"]);
    shell.child(&script, None, &["/usr/bin/cp", "a", "b"]);
    let mut server = task(900, 50_000);
    shell.host.exec(&server, &["/usr/bin/bash"], shell.time);
    server.tty = None;
    shell.child(&server, None, &["/usr/bin/cp", "a", "b"]);
    assert_eq!(shell.told(), ["2 command deploy.sh"]);
}

#[test]
fn sudo_leads_to_what_was_meant() {
    let mut shell = Shell::new();
    let sudo = shell.typed(&["/usr/bin/sudo", "nice", "apt", "upgrade"]);
    let nice = shell.child(&sudo, None, &["/usr/bin/nice", "apt", "upgrade"]);
    shell.exec(&nice, nice.process.pid, &["/usr/bin/apt", "upgrade"]);
    let dpkg = shell.child(&nice, None, &["/usr/bin/dpkg", "--unpack", "x"]);
    assert_eq!(shell.told(), ["1 package-manager apt"]);
    assert_eq!(shell.run_of(&dpkg), Some(1));
    // An editor's helpers are no longer what was meant.
    let sudo = shell.typed(&["/usr/bin/sudo", "vim", "x"]);
    let vim = shell.child(&sudo, None, &["/usr/bin/vim.basic", "x"]);
    shell.child(&vim, None, &["/usr/bin/rg", "y"]);
    assert_eq!(shell.told(), ["2 command vim.basic"]);
}

#[test]
fn a_root_shell_is_a_run_and_so_is_each_command_in_it() {
    let mut shell = Shell::new();
    let sudo = shell.typed(&["/usr/bin/sudo", "-i"]);
    let root = shell.child(&sudo, None, &["/usr/bin/bash"]);
    let apt = shell.child(&root, None, &["/usr/bin/apt", "install", "x"]);
    assert_eq!(shell.run_of(&root), Some(1));
    assert_eq!(shell.run_of(&apt), Some(2));
    assert_eq!(
        shell.told(),
        ["1 command bash", "2 package-manager apt in 1"]
    );
}

#[test]
fn a_package_manager_is_a_run_wherever_it_is_called_from() {
    let mut shell = Shell::new();
    let script = shell.typed(&["/usr/bin/bash", "deploy.sh"]);
    let apt = shell.child(&script, None, &["/usr/bin/apt-get", "install", "x"]);
    let dpkg = shell.child(&apt, None, &["/usr/bin/dpkg", "--unpack", "x"]);
    assert_eq!(shell.run_of(&dpkg), Some(2));
    let cron = task(700, 30_000);
    let sh = shell.child(&cron, None, &["/bin/sh", "-c", "job"]);
    let upgrade = ["/usr/bin/python3.11", "/usr/bin/unattended-upgrade"];
    shell.child(&sh, None, &upgrade);
    let module = "/root/.ansible/tmp/ansible-tmp-1/AnsiballZ_apt.py";
    let ansible = shell.child(&cron, None, &["/usr/bin/python3.11", module]);
    shell.child(&ansible, None, &["/usr/bin/apt-get", "install", "y"]);
    // What serves for months is nobody's execution.
    shell.child(&cron, None, &["/usr/libexec/packagekitd"]);
    assert_eq!(
        shell.told(),
        [
            "1 command deploy.sh",
            "2 package-manager apt-get in 1",
            "3 package-manager unattended-upgrade",
            "4 config-management ansible",
            "5 package-manager apt-get in 4",
        ]
    );
}

#[test]
fn the_configuration_says_which_commands_are_which() {
    let mut shell = Shell::with_tools(Tools {
        package_managers: vec!["our-installer".to_owned()],
        config_management: Vec::new(),
    });
    let script = shell.typed(&["/usr/bin/bash", "deploy.sh"]);
    let own = shell.child(&script, None, &["/opt/our-installer", "x"]);
    shell.child(&script, None, &["/usr/bin/apt", "install", "x"]);
    assert_eq!(
        shell.told(),
        [
            "1 command deploy.sh",
            "2 package-manager our-installer in 1"
        ]
    );
    let by = shell.host.actor(&own, shell.time);
    assert_eq!(by.author(), change::Author::PackageManager);
}

#[test]
fn a_loop_that_was_typed_fills_no_disk() {
    let mut shell = Shell::new();
    let mut last = None;
    for _ in 0..1000 {
        let sed = shell.typed(&["/usr/bin/sed", "-i", "s/a/b/", "x"]);
        last = shell.run_of(&sed);
        shell.exit(&sed, 0);
        // A millisecond for all it takes.
        shell.time -= 100;
    }
    let runs = shell.runs();
    assert!((200..300).contains(&runs.len()), "{} runs", runs.len());
    let newest = runs.last().unwrap();
    assert_eq!(last, Some(newest.id));
    let more: u64 = runs.iter().map(|run| run.more).sum();
    assert_eq!(more + runs.len() as u64, 1000);
    assert!(!newest.running && newest.exit_code == Some(0), "{newest:?}");
}

#[test]
fn a_daemon_that_starts_again_goes_on_with_the_runs_that_live() {
    let mut shell = Shell::new();
    let apt = shell.typed(&["/usr/bin/apt", "upgrade"]);
    let other = shell.typed(&["/usr/bin/make"]);
    let left = shell.runs();
    let mut host = Host::new();
    host.write_process(shell.bash.process, 1, "bash\0");
    host.write_process(apt.process, shell.bash.process.pid, "apt\0upgrade\0");
    let dpkg = task(9000, 90_000);
    host.write_process(dpkg.process, apt.process.pid, "dpkg\0-i\0x\0");
    host.enrich.resume_runs(2, left);
    host.enrich.scan(at(100_000));
    let run = |host: &mut Host, task: &Task| {
        let who = Who::Task(task.clone());
        host.enrich.by(&who, at(100_001)).unwrap().run
    };
    assert_eq!(run(&mut host, &apt), Some(1));
    assert_eq!(run(&mut host, &dpkg), Some(1));
    let updates = host.enrich.take_run_updates();
    let [lost] = &updates[..] else {
        panic!("one ended meanwhile: {updates:#?}");
    };
    assert_eq!((lost.id, lost.end, lost.running), (2, None, false));
    drop(other);
    host.exit(&apt, 100_002);
    let ended = host.enrich.take_run_updates();
    assert_eq!((ended[0].id, ended[0].exit_code), (1, Some(0)));
    // The numbers go on.
    let next = task(9100, 100_100);
    host.exec(&next, &["/usr/bin/dpkg", "-i", "y"], 100_100);
    assert_eq!(host.enrich.take_run_updates()[0].id, 3);
}
