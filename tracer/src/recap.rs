//! Recap: a session's changes by the commands that were typed in it. Pure; `answers` feeds it.

use std::collections::HashMap;

use change::wire::RecapCommand;
use change::{Actor, Change};

const SHELLS: [&str; 9] = [
    "ash", "bash", "csh", "dash", "fish", "ksh", "sh", "tcsh", "zsh",
];
/// Programs that lead to a shell and are no command of interest by themselves.
const DOORS: [&str; 15] = [
    "agetty",
    "cron",
    "crond",
    "doas",
    "init",
    "login",
    "machinectl",
    "run0",
    "screen",
    "sshd",
    "sshd-session",
    "su",
    "sudo",
    "systemd",
    "tmux",
];

/// Groups changes, oldest first, by the command that made them: the one directly below the shell
/// that somebody typed in. A shell opened from that shell, as by `sudo -i`, is one to type in too.
pub fn commands(changes: &[Change]) -> Vec<RecapCommand> {
    let mut commands: Vec<RecapCommand> = Vec::new();
    let mut known = HashMap::new();
    for change in changes {
        let Some(actor) = &change.actor else {
            continue;
        };
        let command = typed(actor);
        let index = *known.entry(command).or_insert_with(|| {
            commands.push(RecapCommand {
                time: change.time,
                argv: command.argv.to_vec(),
                changes: Vec::new(),
                subjects: Vec::new(),
            });
            commands.len() - 1
        });
        commands[index].changes.push(change.seq);
        commands[index].subjects.push(change.subject.clone());
    }
    commands
}

/// A process of the chain.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Command<'a> {
    pid: u32,
    exe: Option<&'a str>,
    argv: &'a [String],
}

/// The process that a person started, seen from the session's first process downwards: the first
/// one that is neither a shell to type in nor a door to one. What a shell did by itself is its own.
fn typed(actor: &Actor) -> Command<'_> {
    let own = Command {
        pid: actor.process.pid,
        exe: actor.process.exe.as_deref(),
        argv: &actor.process.argv,
    };
    let above = actor.ancestry.iter().rev().map(|ancestor| Command {
        pid: ancestor.pid,
        exe: ancestor.exe.as_deref(),
        argv: &ancestor.argv,
    });
    let chain: Vec<_> = above.chain([own]).collect();
    let last_shell = chain
        .iter()
        .take_while(|command| command.is_shell_to_type_in() || command.is_door())
        .enumerate()
        .filter(|(_, command)| command.is_shell_to_type_in())
        .map(|(index, _)| index)
        .last();
    let first = last_shell.map_or_else(
        // Nobody typed: a command was run by the server of the session.
        || {
            let first = chain.iter().position(|command| !command.is_door());
            first.unwrap_or(chain.len() - 1)
        },
        |shell| shell + 1,
    );
    chain.get(first).copied().unwrap_or(own)
}

impl Command<'_> {
    /// The program's name, by its executable or else as it was called.
    fn name(&self) -> &str {
        let called = self.argv.first().map_or("", String::as_str);
        let called = called.split(':').next().unwrap_or(called);
        let path = self.exe.unwrap_or(called);
        let name = path.rsplit('/').next().unwrap_or(path);
        name.trim_start_matches('-')
    }

    fn is_door(&self) -> bool {
        DOORS.contains(&self.name())
    }

    /// Whether it is a shell that runs neither a script nor a command line.
    fn is_shell_to_type_in(&self) -> bool {
        let is_plain = |arg: &String| {
            arg.starts_with("--") || (arg.starts_with('-') && !arg.contains('c')) || arg == "+o"
        };
        SHELLS.contains(&self.name()) && self.argv.iter().skip(1).all(is_plain)
    }
}

#[cfg(test)]
mod tests {
    use change::Ancestor;

    use super::*;
    use crate::store::example::{edit, person, user};

    fn change(seq: u64, chain: &[&str]) -> Change {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let mut actor = person(user(1000, "alice"), 1, &["x"]);
        let pid = |depth: usize| u32::try_from(depth).unwrap() + 100;
        let (own, above) = chain.split_last().unwrap();
        actor.process.exe = None;
        actor.process.argv = words(own);
        actor.process.pid = pid(above.len()) + u32::try_from(own.len()).unwrap();
        let ancestor = |(depth, line): (usize, &&str)| Ancestor {
            pid: pid(depth),
            exe: None,
            argv: words(line),
        };
        actor.ancestry = above.iter().enumerate().rev().map(ancestor).collect();
        let path = format!("/etc/{seq}");
        let mut change = edit(&path, ["", "x"], seq.cast_signed(), Some(actor));
        change.seq = seq;
        change
    }

    fn grouped(chains: &[&[&str]]) -> Vec<(String, Vec<u64>)> {
        let changes: Vec<_> = (1..)
            .zip(chains)
            .map(|(seq, chain)| change(seq, chain))
            .collect();
        commands(&changes)
            .into_iter()
            .map(|command| (command.argv.join(" "), command.changes))
            .collect()
    }

    #[test]
    fn changes_are_grouped_by_what_was_typed() {
        let make = "make install";
        assert_eq!(
            grouped(&[
                &[
                    "sshd: alice@pts/0",
                    "-bash",
                    "sudo vim /etc/1",
                    "vim /etc/1"
                ],
                &["sshd: alice@pts/0", "-bash", make, "sh -c cp", "cp a b"],
                &[
                    "sshd: alice@pts/0",
                    "-bash",
                    make,
                    "sh -c install",
                    "install a"
                ],
            ]),
            [
                ("sudo vim /etc/1".to_owned(), vec![1]),
                (make.to_owned(), vec![2, 3])
            ]
        );
    }

    #[test]
    fn a_root_shell_is_a_shell_to_type_in() {
        assert_eq!(
            grouped(&[
                &["sshd: a", "-bash", "sudo -i", "-bash", "sed -i s/a/b/ x"],
                &["sshd: a", "-bash", "su -", "-bash", "bash fix.sh", "cp a b"],
            ]),
            [
                ("sed -i s/a/b/ x".to_owned(), vec![1]),
                ("bash fix.sh".to_owned(), vec![2])
            ]
        );
    }

    #[test]
    fn what_the_shell_did_itself_is_the_shells() {
        assert_eq!(
            grouped(&[&["sshd: a", "-bash"]]),
            [("-bash".to_owned(), vec![1])]
        );
    }

    #[test]
    fn a_command_given_to_ssh_is_the_command() {
        assert_eq!(
            grouped(&[&["systemd", "sshd: a", "bash -c ./fix", "cp a b"]]),
            [("bash -c ./fix".to_owned(), vec![1])]
        );
    }
}
