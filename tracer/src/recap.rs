//! Recap: a session's changes by the commands that were typed in it. Pure; `answers` feeds it.

use std::collections::HashMap;

use change::wire::RecapCommand;
use change::{Actor, Change, Run};

use crate::command::Command;

/// The commands of a session, oldest first: its runs with the changes that they own, and what other
/// changes are grouped by. Both are passed oldest first.
pub fn commands(runs: &[Run], changes: &[Change]) -> Vec<RecapCommand> {
    let mut commands: Vec<RecapCommand> = runs.iter().map(|run| of_run(run, runs)).collect();
    let mut places: HashMap<Key<'_>, usize> = (runs.iter().enumerate())
        .map(|(place, run)| (Key::Run(run.id), place))
        .collect();
    for change in changes {
        let Some(actor) = &change.actor else {
            continue;
        };
        let run = change.run.map(Key::Run);
        let known = run.and_then(|run| places.get(&run).copied());
        let place = known.unwrap_or_else(|| {
            let link = typed(actor);
            *places.entry(Key::Typed(link)).or_insert_with(|| {
                commands.push(of_change(change, link));
                commands.len() - 1
            })
        });
        commands[place].changes.push(change.seq);
        commands[place].subjects.push(change.subject.clone());
    }
    commands.sort_by_key(|command| command.time);
    commands
}

/// What a change is grouped by: the run that owns it, or the command that was typed.
#[derive(PartialEq, Eq, Hash)]
enum Key<'a> {
    Run(u64),
    Typed(Link<'a>),
}

fn of_run(run: &Run, runs: &[Run]) -> RecapCommand {
    let above = |run: &Run| {
        let parent = run.parent?;
        let place = runs.binary_search_by_key(&parent, |run| run.id).ok()?;
        runs.get(place)
    };
    let depth = std::iter::successors(above(run), |run| above(run)).count();
    let process = &run.actor.process;
    RecapCommand {
        time: run.start,
        run: Some(run.id),
        end: run.end,
        exit_code: run.exit_code,
        signal: run.signal,
        more: run.more,
        cwd: process.cwd.clone(),
        depth: u32::try_from(depth).unwrap_or(u32::MAX),
        argv: process.argv.clone(),
        changes: Vec::new(),
        subjects: Vec::new(),
    }
}

fn of_change(change: &Change, link: Link<'_>) -> RecapCommand {
    RecapCommand {
        time: change.time,
        run: None,
        end: None,
        exit_code: None,
        signal: None,
        more: 0,
        cwd: None,
        depth: 0,
        argv: link.command.argv.to_vec(),
        changes: Vec::new(),
        subjects: Vec::new(),
    }
}

/// A process of the chain.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Link<'a> {
    pid: u32,
    command: Command<'a>,
}

/// The process that a person started, seen from the session's first process downwards: the first
/// one that is neither a shell to type in nor a door to one. What a shell did by itself is its own.
fn typed(actor: &Actor) -> Link<'_> {
    let own = Link {
        pid: actor.process.pid,
        command: Command {
            exe: actor.process.exe.as_deref(),
            argv: &actor.process.argv,
        },
    };
    let above = actor.ancestry.iter().rev().map(|ancestor| Link {
        pid: ancestor.pid,
        command: Command {
            exe: ancestor.exe.as_deref(),
            argv: &ancestor.argv,
        },
    });
    let chain: Vec<_> = above.chain([own]).collect();
    let last_shell = chain
        .iter()
        .map(|link| link.command)
        .take_while(|command| command.is_shell_to_type_in() || command.is_door())
        .enumerate()
        .filter(|(_, command)| command.is_shell_to_type_in())
        .map(|(index, _)| index)
        .last();
    let first = last_shell.map_or_else(
        // Nobody typed: a command was run by the server of the session.
        || {
            let first = chain.iter().position(|link| !link.command.is_door());
            first.unwrap_or(chain.len() - 1)
        },
        |shell| shell + 1,
    );
    chain.get(first).copied().unwrap_or(own)
}

#[cfg(test)]
mod tests {
    use change::{Ancestor, RunKind};

    use super::*;
    use crate::store::example::{edit, person, run, user};

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
        commands(&[], &changes)
            .into_iter()
            .map(|command| (command.argv.join(" "), command.changes))
            .collect()
    }

    #[test]
    fn what_was_typed_is_told_whether_it_changed_something_or_not() {
        let alice = |argv: &[&str]| person(user(1000, "alice"), 1, argv);
        let runs = [
            run(5, RunKind::Command, &alice(&["sudo", "-i"]), 10, None),
            run(6, RunKind::Command, &alice(&["ls"]), 20, Some(5)),
            run(9, RunKind::PackageManager, &alice(&["apt"]), 30, Some(5)),
        ];
        let bash = ["sshd: a", "-bash"];
        let mut changes = [change(1, &bash), change(12, &bash), change(31, &bash)];
        (changes[1].run, changes[2].run) = (Some(5), Some(9));
        let told: Vec<_> = commands(&runs, &changes)
            .into_iter()
            .map(|command| (command.argv.join(" "), command.depth, command.changes))
            .collect();
        assert_eq!(
            told,
            [
                ("-bash".to_owned(), 0, vec![1]),
                ("sudo -i".to_owned(), 0, vec![12]),
                ("ls".to_owned(), 1, vec![]),
                ("apt".to_owned(), 1, vec![31]),
            ]
        );
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
