//! What can be told of a command by its name and its arguments: whether it is a shell that somebody
//! types in, or only leads to another command.

use change::{command_name, program_name};

const SHELLS: [&str; 10] = [
    "ash", "bash", "csh", "dash", "fish", "ksh", "mksh", "sh", "tcsh", "zsh",
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

/// Programs that run another one, which is what somebody meant.
const WRAPPERS: [&str; 17] = [
    "chrt",
    "doas",
    "eatmydata",
    "env",
    "ionice",
    "nice",
    "nohup",
    "pkexec",
    "run0",
    "setsid",
    "stdbuf",
    "su",
    "sudo",
    "systemd-inhibit",
    "taskset",
    "time",
    "timeout",
];

/// A command as it was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Command<'a> {
    /// Path of the executable.
    pub(crate) exe: Option<&'a str>,
    /// The command line.
    pub(crate) argv: &'a [String],
}

impl<'a> Command<'a> {
    /// The program's name, by its executable or else as it was called.
    pub(crate) fn name(&self) -> &'a str {
        program_name(self.exe, self.argv).unwrap_or_default()
    }

    /// The name that people know it by: of its script where it runs one, else its own.
    pub(crate) fn known_as(&self) -> &'a str {
        command_name(self.exe, self.argv).unwrap_or_default()
    }

    /// Whether it leads to a shell.
    pub(crate) fn is_door(&self) -> bool {
        DOORS.contains(&self.name())
    }

    /// Whether it runs another command, which is what somebody meant.
    pub(crate) fn is_wrapper(&self) -> bool {
        WRAPPERS.contains(&self.name())
    }

    /// Whether it is a shell that runs neither a script nor a command line.
    pub(crate) fn is_shell_to_type_in(&self) -> bool {
        let is_plain = |arg: &String| {
            arg.starts_with("--") || (arg.starts_with('-') && !arg.contains('c')) || arg == "+o"
        };
        SHELLS.contains(&self.name()) && self.argv.iter().skip(1).all(is_plain)
    }
}
