//! Authors: which sort of author an actor is, and the tool it worked through.
//! Told from the names in the chain of processes, so that every listing and filter agrees.

use std::sync::LazyLock;

use crate::{Actor, Author, Change, SessionKind, User};

/// Names the program in a chain of processes that made changes on somebody's behalf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool<'a> {
    /// A package manager.
    PackageManager(&'a str),
    /// Configuration management.
    ConfigManagement(&'a str),
}

/// Says which commands are package managers and which configuration management.
///
/// An entry is the file name of an executable or a script, which may end in `*` for any rest, and
/// after a space the first argument that it must have: `apt`, `AnsiballZ_*`, `cargo install`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tools {
    /// Package managers.
    pub package_managers: Vec<String>,
    /// Configuration management.
    pub config_management: Vec<String>,
}

impl Default for Tools {
    fn default() -> Self {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            package_managers: owned(PACKAGE_MANAGERS),
            config_management: owned(CONFIG_MANAGEMENT),
        }
    }
}

/// What is known without a configuration.
static USUAL: LazyLock<Tools> = LazyLock::new(Tools::default);

const PACKAGE_MANAGERS: &[&str] = &[
    "apk",
    "apt",
    "apt-get",
    "aptitude",
    "cargo install",
    "cargo uninstall",
    "conda",
    "dnf",
    "dnf-3",
    "dnf5",
    "dpkg",
    "dpkg-reconfigure",
    "flatpak",
    "gem",
    "go install",
    "mamba",
    "microdnf",
    "npm",
    "packagekitd",
    "pacman",
    "pip",
    "pip3",
    "pipx",
    "rpm",
    "snap",
    "snapd",
    "synaptic",
    "tdnf",
    "unattended-upgrade",
    "unattended-upgrades",
    "uv",
    "yarn",
    "yum",
    "zypper",
];

const CONFIG_MANAGEMENT: &[&str] = &[
    "AnsiballZ_*",
    "ansible",
    "ansible-playbook",
    "ansible-pull",
    "cf-agent",
    "cf-execd",
    "chef-client",
    "chef-solo",
    "cinc-client",
    "cloud-init",
    "mgmt",
    "puppet",
    "puppet-agent",
    "rudder",
    "salt-call",
    "salt-minion",
    "salt-ssh",
];

/// Interpreters of scripts, each with the letter of the option behind which the script itself stands, and
/// not its name.
const INTERPRETERS: [(&str, char); 12] = [
    ("ash", 'c'),
    ("bash", 'c'),
    ("dash", 'c'),
    ("env", 'S'),
    ("ksh", 'c'),
    ("node", 'e'),
    ("perl", 'e'),
    ("platform-python", 'c'),
    ("python", 'c'),
    ("ruby", 'e'),
    ("sh", 'c'),
    ("zsh", 'c'),
];

/// Executables that are many programs, each by the name that it is called by.
const MULTI_CALL: [&str; 3] = ["busybox", "coreutils", "toybox"];

impl Tools {
    /// The tool that a command is, by the executable and the command line.
    pub fn of_command<'a>(&'a self, exe: Option<&str>, argv: &[String]) -> Option<Tool<'a>> {
        let manager = find(&self.package_managers, exe, argv).map(Tool::PackageManager);
        manager.or_else(|| find(&self.config_management, exe, argv).map(Tool::ConfigManagement))
    }

    /// The tool that made an actor's changes on somebody's behalf, where the chain shows one: a package
    /// manager before configuration management, and of several the outermost.
    pub fn of_actor<'a>(&'a self, actor: &Actor) -> Option<Tool<'a>> {
        let last = |list: &'a [String]| {
            let commands = actor.commands();
            commands
                .filter_map(|(exe, argv)| find(list, exe, argv))
                .last()
        };
        let packager = last(&self.package_managers).map(Tool::PackageManager);
        let configured = || {
            let module = || {
                let mut commands = actor.commands();
                commands
                    .any(|(_, argv)| is_of_ansible(argv))
                    .then_some("ansible")
            };
            last(&self.config_management).or_else(module)
        };
        packager.or_else(|| configured().map(Tool::ConfigManagement))
    }

    /// Which sort of author an actor is.
    pub fn author(&self, actor: &Actor) -> Author {
        let in_person = match &actor.session {
            Some(session) => matches!(session.kind, SessionKind::Ssh | SessionKind::Console),
            None => actor.login_user.is_some(),
        };
        match self.of_actor(actor) {
            Some(Tool::PackageManager(_)) => Author::PackageManager,
            None if in_person => Author::Human,
            Some(Tool::ConfigManagement(_)) | None => Author::Automation,
        }
    }
}

impl Actor {
    /// The person behind it: who logged in, or else the user it acted as.
    pub fn person(&self) -> &User {
        self.login_user.as_ref().unwrap_or(&self.user)
    }

    /// The tool that made the change on somebody's behalf, of those that are usual.
    pub fn tool(&self) -> Option<Tool<'static>> {
        USUAL.of_actor(self)
    }

    /// Which sort of author it is: as its tracer was configured to tell, or else as is usual.
    pub fn author(&self) -> Author {
        self.by.unwrap_or_else(|| USUAL.author(self))
    }

    /// Executable and command line of the process and its ancestors, nearest first.
    fn commands(&self) -> impl Iterator<Item = (Option<&str>, &[String])> {
        let own = (self.process.exe.as_deref(), self.process.argv.as_slice());
        let above = self.ancestry.iter();
        std::iter::once(own)
            .chain(above.map(|ancestor| (ancestor.exe.as_deref(), ancestor.argv.as_slice())))
    }
}

impl Change {
    /// Which sort of author made it; none for a late change.
    pub fn author(&self) -> Option<Author> {
        self.actor.as_ref().map(|actor| actor.author())
    }
}

/// The name of the tool that a command is, of those in a list. Of `AnsiballZ_*`, which Ansible calls its
/// modules on a managed host, it is `ansible`.
fn find<'a>(list: &'a [String], exe: Option<&str>, argv: &[String]) -> Option<&'a str> {
    let (names, first) = names(exe, argv);
    let matches = |entry: &&String| {
        let (name, wanted) = match entry.split_once(' ') {
            Some((name, wanted)) => (name, Some(wanted)),
            None => (entry.as_str(), None),
        };
        let is_it = |known: &&str| match name.strip_suffix('*') {
            Some(begin) => known.starts_with(begin),
            None => *known == name,
        };
        (wanted.is_none() || wanted == first) && names.iter().flatten().any(is_it)
    };
    let found = list.iter().find(matches)?;
    Some(if found.starts_with("AnsiballZ_") {
        "ansible"
    } else {
        found
    })
}

/// The names a command goes by: of its executable and, where that is an interpreter, of the script;
/// and the first argument to them.
fn names<'a>(exe: Option<&'a str>, argv: &'a [String]) -> ([Option<&'a str>; 2], Option<&'a str>) {
    let program = program_name(exe, argv);
    let plain = program.map(|name| name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.'));
    let mut words = argv.iter().skip(1).filter(|word| !word.starts_with('-'));
    let interpreter = INTERPRETERS.iter().find(|(name, _)| Some(*name) == plain);
    let script = interpreter.and_then(|(_, inline)| {
        let is_inline = |word: &String| !word.starts_with("--") && word.contains(*inline);
        let mut options = argv.iter().skip(1).take_while(|word| word.starts_with('-'));
        (!options.any(is_inline)).then(|| words.next()).flatten()
    });
    let script = script.map(|script| file_name(script));
    ([program, script], words.next().map(String::as_str))
}

/// The name of a program, by its executable or else as it was called; without the dash of a login shell.
pub fn program_name<'a>(exe: Option<&'a str>, argv: &'a [String]) -> Option<&'a str> {
    let own = exe.map(file_name);
    let own = own.filter(|own| !MULTI_CALL.contains(own));
    // Servers call themselves by what they do: `sshd: alice@pts/0`.
    let called = argv.first().and_then(|called| called.split(':').next());
    let name = own.or(called.map(file_name)).or(exe.map(file_name))?;
    Some(name.trim_start_matches('-'))
}

/// The name of a command as people know it: of the script, where an interpreter runs one.
pub fn command_name<'a>(exe: Option<&'a str>, argv: &'a [String]) -> Option<&'a str> {
    let ([program, script], _) = names(exe, argv);
    script.or(program)
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// On a managed host Ansible is only seen by what it copies there and runs.
fn is_of_ansible(argv: &[String]) -> bool {
    argv.iter()
        .any(|arg| arg.contains("/ansible-tmp-") || arg.contains("/.ansible/tmp/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ancestor, Process, Session, Timestamp};

    fn actor(kind: SessionKind, chain: &[&str]) -> Actor {
        let argv = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let exe = |line: &str| line.split(' ').next().map(str::to_owned);
        Actor {
            user: User { uid: 0, name: None },
            login_user: None,
            process: Process {
                pid: 9,
                start: Timestamp::default(),
                exe: exe(chain[0]),
                argv: argv(chain[0]),
                argv_truncated: false,
                cwd: None,
            },
            ancestry: chain[1..]
                .iter()
                .map(|line| Ancestor {
                    pid: 8,
                    exe: exe(line),
                    argv: argv(line),
                })
                .collect(),
            session: Some(Session {
                id: 1,
                kind,
                tty: None,
                remote: None,
            }),
            unit: None,
            container: None,
            by: None,
        }
    }

    #[test]
    fn the_outermost_package_manager_names_the_run() {
        let apt = actor(
            SessionKind::Ssh,
            &["/usr/bin/dpkg -i x", "/usr/bin/apt install x", "/bin/bash"],
        );
        assert_eq!(apt.tool(), Some(Tool::PackageManager("apt")));
        assert_eq!(apt.author(), Author::PackageManager);
        let script = actor(
            SessionKind::Service,
            &["/usr/bin/python3.11 -u /usr/bin/unattended-upgrade"],
        );
        assert_eq!(
            script.tool(),
            Some(Tool::PackageManager("unattended-upgrade"))
        );
    }

    #[test]
    fn a_package_manager_that_is_a_script_or_a_module_is_one_too() {
        for line in [
            "/usr/bin/python3 -m pip install x",
            "/usr/bin/pip3 install x",
            "/usr/bin/ruby3.1 /usr/bin/gem install x",
        ] {
            let actor = actor(SessionKind::Ssh, &[line, "/bin/bash"]);
            assert_eq!(actor.author(), Author::PackageManager, "{line}");
        }
    }

    #[test]
    fn a_list_may_name_any_command_and_the_argument_that_makes_it_one() {
        let tools = Tools {
            package_managers: vec!["our-installer".into(), "cargo install".into()],
            config_management: vec!["deploy-*".into()],
        };
        let tool = |line: &str| {
            let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
            tools.of_command(Some(&argv[0]), &argv)
        };
        assert_eq!(
            tool("/opt/our-installer x"),
            Some(Tool::PackageManager("our-installer"))
        );
        assert_eq!(
            tool("/usr/bin/cargo -q install ripgrep"),
            Some(Tool::PackageManager("cargo install"))
        );
        assert_eq!(tool("/usr/bin/cargo build install"), None);
        assert_eq!(
            tool("/usr/bin/python3.11 /opt/deploy-web --now"),
            Some(Tool::ConfigManagement("deploy-*"))
        );
        assert_eq!(tool("/usr/bin/apt install x"), None);
        let mut own = actor(SessionKind::Ssh, &["/opt/our-installer x", "/bin/bash"]);
        assert_eq!(own.author(), Author::Human);
        own.by = Some(tools.author(&own));
        assert_eq!(own.author(), Author::PackageManager);
    }

    #[test]
    fn a_command_is_known_by_its_script() {
        let name = |line: &str| {
            let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
            command_name(Some(&argv[0]), &argv).unwrap().to_owned()
        };
        assert_eq!(name("/usr/bin/bash -e /opt/deploy.sh now"), "deploy.sh");
        assert_eq!(name("/usr/bin/bash -ec /opt/deploy.sh"), "bash");
        assert_eq!(name("/usr/bin/perl -pi -e s/a/b/ x"), "perl");
        assert_eq!(name("/usr/bin/python3.11 -m http.server"), "http.server");
        assert_eq!(name("/usr/bin/vim.basic /etc/hosts"), "vim.basic");
        let script = ["/bin/sh", "/opt/apt", "x"].map(str::to_owned);
        assert_eq!(command_name(Some("/usr/bin/busybox"), &script), Some("apt"));
        assert_eq!(program_name(Some("/usr/bin/busybox"), &[]), Some("busybox"));
        assert_eq!(program_name(None, &["-bash".to_owned()]), Some("bash"));
    }

    #[test]
    fn ansible_over_ssh_is_automation_and_an_editor_is_human() {
        let module = "/usr/bin/python3 /root/.ansible/tmp/ansible-tmp-1/AnsiballZ_copy.py";
        let ansible = actor(SessionKind::Ssh, &[module, "/bin/sh"]);
        assert_eq!(ansible.tool(), Some(Tool::ConfigManagement("ansible")));
        assert_eq!(ansible.author(), Author::Automation);
        let shell = "/bin/sh -c chmod u+x /var/tmp/ansible-tmp-1/ /var/tmp/ansible-tmp-1/x.py";
        let elsewhere = actor(SessionKind::Ssh, &[shell]);
        assert_eq!(elsewhere.author(), Author::Automation);
        let editor = actor(
            SessionKind::Ssh,
            &["/usr/bin/vim /etc/apt/apt.conf", "/bin/bash"],
        );
        assert_eq!((editor.tool(), editor.author()), (None, Author::Human));
        let cron = actor(SessionKind::Cron, &["/bin/cp a b", "/bin/sh -c x"]);
        assert_eq!(cron.author(), Author::Automation);
    }
}
