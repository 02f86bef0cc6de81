//! Authors: which sort of author an actor is, and the tool it worked through.
//! Told from the names in the chain of processes, so that every listing and filter agrees.

use crate::{Actor, Author, Change, SessionKind, User};

/// Names the program in a chain of processes that made changes on somebody's behalf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool<'a> {
    /// A package manager.
    PackageManager(&'a str),
    /// Configuration management.
    ConfigManagement(&'a str),
}

const PACKAGE_MANAGERS: [&str; 27] = [
    "apk",
    "apt",
    "apt-get",
    "aptitude",
    "dnf",
    "dnf-3",
    "dnf5",
    "dpkg",
    "dpkg-reconfigure",
    "flatpak",
    "gem",
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
    "yum",
    "zypper",
];

const CONFIG_MANAGEMENT: [&str; 16] = [
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

const INTERPRETERS: [&str; 8] = [
    "bash",
    "dash",
    "perl",
    "platform-python",
    "python",
    "ruby",
    "sh",
    "env",
];

impl Actor {
    /// The person behind it: who logged in, or else the user it acted as.
    pub fn person(&self) -> &User {
        self.login_user.as_ref().unwrap_or(&self.user)
    }

    /// The tool that made the change on somebody's behalf, where the chain shows one: a package
    /// manager before configuration management, and of several the outermost.
    pub fn tool(&self) -> Option<Tool<'_>> {
        let find = |known: fn(&str, &[String]) -> Option<&'static str>| {
            self.commands()
                .filter_map(|(exe, argv)| names(exe, argv).find_map(|name| known(name, argv)))
                .last()
        };
        find(package_manager)
            .map(Tool::PackageManager)
            .or_else(|| find(config_management).map(Tool::ConfigManagement))
    }

    /// Which sort of author it is.
    pub fn author(&self) -> Author {
        let in_person = match &self.session {
            Some(session) => matches!(session.kind, SessionKind::Ssh | SessionKind::Console),
            None => self.login_user.is_some(),
        };
        match self.tool() {
            Some(Tool::PackageManager(_)) => Author::PackageManager,
            None if in_person => Author::Human,
            Some(Tool::ConfigManagement(_)) | None => Author::Automation,
        }
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

/// The names a command goes by: of its executable and, where that is an interpreter, of the script.
fn names<'a>(exe: Option<&'a str>, argv: &'a [String]) -> impl Iterator<Item = &'a str> {
    let program = exe.or(argv.first().map(String::as_str)).map(file_name);
    let plain = program.map(|name| name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.'));
    let script = plain
        .filter(|name| INTERPRETERS.contains(name))
        .and_then(|_| argv.iter().skip(1).find(|arg| !arg.starts_with('-')))
        .map(|script| file_name(script));
    program.into_iter().chain(script)
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn package_manager(name: &str, _argv: &[String]) -> Option<&'static str> {
    PACKAGE_MANAGERS.into_iter().find(|known| *known == name)
}

/// On a managed host Ansible is only seen by the modules that it copies there and runs.
fn config_management(name: &str, argv: &[String]) -> Option<&'static str> {
    let module = || {
        argv.iter()
            .any(|arg| arg.contains("/ansible-tmp-") || arg.contains("/.ansible/tmp/"))
    };
    let known = CONFIG_MANAGEMENT.into_iter().find(|known| *known == name);
    known.or_else(|| (name.starts_with("AnsiballZ_") || module()).then_some("ansible"))
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
