//! The commands that led to a change, from the session's shell down.

use change::Actor;

use super::escape::{argument, escape_text};

/// Programs that carry a session and that nobody typed.
const CARRIERS: [&str; 15] = [
    "agetty",
    "atd",
    "conmon",
    "containerd-shim",
    "containerd-shim-runc-v2",
    "cron",
    "crond",
    "dockerd",
    "init",
    "login",
    "sshd",
    "sshd-auth",
    "sshd-session",
    "systemd",
    "tini",
];

/// The chain in one line: `bash › sudo vim /etc/hosts`.
pub(super) fn chain(actor: &Actor) -> String {
    let commands: Vec<_> = commands(actor)
        .iter()
        .map(|command| command.shown(200))
        .collect();
    commands.join(" › ")
}

/// The innermost command of the chain, cut to a length.
pub(super) fn innermost(actor: &Actor, length: usize) -> String {
    commands(actor)
        .last()
        .map_or_else(String::new, |command| command.shown(length))
}

/// The process's own command, cut to a length.
pub(super) fn own(actor: &Actor, length: usize) -> String {
    Command::of(actor).shown(length)
}

struct Command<'a> {
    exe: Option<&'a str>,
    argv: &'a [String],
    truncated: bool,
}

/// The commands, outermost first: without those that only carry the session, and without those
/// that the one before names in full, as `sudo vim x` names `vim x`.
fn commands(actor: &Actor) -> Vec<Command<'_>> {
    let above = actor.ancestry.iter().rev();
    let above = above.map(|a| Command {
        exe: a.exe.as_deref(),
        argv: &a.argv,
        truncated: false,
    });
    let mut commands: Vec<Command<'_>> = Vec::new();
    for command in above
        .skip_while(Command::carries)
        .chain([Command::of(actor)])
    {
        match commands.last() {
            Some(before) if before.names(&command) => {}
            _ => commands.push(command),
        }
    }
    commands
}

impl<'a> Command<'a> {
    /// The process's own.
    fn of(actor: &'a Actor) -> Self {
        let process = &actor.process;
        Self {
            exe: process.exe.as_deref(),
            argv: &process.argv,
            truncated: process.argv_truncated,
        }
    }
}

impl Command<'_> {
    /// The program's name: without folders, and without the dash of a login shell.
    fn name(&self) -> &str {
        let first = self
            .argv
            .first()
            .map(String::as_str)
            .filter(|first| !first.is_empty());
        let program = first.or(self.exe).unwrap_or("?");
        // A title that a program gave itself, like `sshd: alice@pts/0`, is no path.
        let name = if program.contains(' ') {
            program
        } else {
            file_name(program)
        };
        name.strip_prefix('-').unwrap_or(name)
    }

    fn carries(&self) -> bool {
        let title = self.name().split([':', ' ']).next().unwrap_or_default();
        CARRIERS.contains(&title)
            || self
                .exe
                .is_some_and(|exe| CARRIERS.contains(&file_name(exe)))
    }

    /// Whether this command line ends with that one.
    fn names(&self, other: &Self) -> bool {
        let (Some((_, arguments)), Some(start)) = (
            other.argv.split_first(),
            self.argv.len().checked_sub(other.argv.len()),
        ) else {
            return false;
        };
        let tail = &self.argv[start..];
        let program = if start == 0 {
            self.name()
        } else {
            file_name(&tail[0])
        };
        program == other.name() && tail[1..] == *arguments && !self.truncated
    }

    fn shown(&self, length: usize) -> String {
        let mut words = vec![escape_text(self.name())];
        words.extend(self.argv.iter().skip(1).map(|word| argument(word)));
        let line = words.join(" ");
        let cut: String = line.chars().take(length).collect();
        if self.truncated || cut.len() < line.len() {
            format!("{cut}…")
        } else {
            cut
        }
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::actor;
    use super::*;

    #[test]
    fn the_chain_starts_at_the_shell_and_names_nothing_twice() {
        let chain_of = |commands: &[&str]| chain(&actor(commands));
        assert_eq!(
            chain_of(&[
                "vim /etc/a",
                "sudo vim /etc/a",
                "sudo vim /etc/a",
                "-bash",
                "sshd: alice@pts/0",
                "/usr/sbin/sshd -D"
            ]),
            "bash › sudo vim /etc/a"
        );
        assert_eq!(chain_of(&["/usr/sbin/cron -f"]), "cron -f");
        assert_eq!(
            chain_of(&["cp a b", "/bin/sh -c cp\u{a0}a", "cron"]),
            "sh -c 'cp\u{a0}a' › cp a b"
        );
        assert_eq!(
            chain_of(&["dpkg -i x", "apt install x", "bash", "bash"]),
            "bash › apt install x › dpkg -i x"
        );
    }

    #[test]
    fn a_long_command_is_cut() {
        assert_eq!(innermost(&actor(&["echo aaaaaaaaaaaa"]), 8), "echo aaa…");
    }
}
