//! Programs that take a secret by an option whose name does not tell.

use super::HIDDEN;

/// Says which part of a value is the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// All of it.
    Whole,
    /// What follows the first of this character; nothing where there is none.
    After(char),
}

impl Form {
    /// The value without its secret.
    pub(super) fn hide(self, value: &str) -> String {
        match self {
            Self::Whole => HIDDEN.to_owned(),
            Self::After(mark) => match value.split_once(mark) {
                Some((user, _)) => format!("{user}{mark}{HIDDEN}"),
                None => value.to_owned(),
            },
        }
    }
}

/// One option that takes a secret.
pub(super) struct ShortOption {
    /// The option with its dashes.
    pub(super) flag: &'static str,
    /// Whether the secret may be the next argument; directly behind the flag it always may.
    pub(super) separate: bool,
    /// Which part is secret.
    pub(super) form: Form,
}

/// A family of programs with the same options.
pub(super) struct Tool {
    /// Names of the programs; with a `*` at the end, their beginning.
    programs: &'static [&'static str],
    /// The subcommand without which the options mean something else.
    subcommand: Option<&'static str>,
    options: &'static [ShortOption],
}

const fn whole(flag: &'static str, separate: bool) -> ShortOption {
    ShortOption {
        flag,
        separate,
        form: Form::Whole,
    }
}

const fn after(flag: &'static str, mark: char) -> ShortOption {
    ShortOption {
        flag,
        separate: true,
        form: Form::After(mark),
    }
}

const CONTAINER_TOOL: Tool = Tool {
    programs: &["docker", "podman", "nerdctl", "buildah", "skopeo", "helm"],
    subcommand: None,
    options: &[],
};

static CONTAINER_LOGIN: Tool = Tool {
    programs: CONTAINER_TOOL.programs,
    subcommand: Some("login"),
    options: &[whole("-p", true)],
};

static TOOLS: [Tool; 12] = [
    CONTAINER_TOOL,
    Tool {
        programs: &["mysql*", "mariadb*"],
        subcommand: None,
        options: &[whole("-p", false)],
    },
    Tool {
        programs: &["sshpass", "mongo*", "useradd", "usermod"],
        subcommand: None,
        options: &[whole("-p", true)],
    },
    Tool {
        programs: &["curl"],
        subcommand: None,
        options: &[
            after("--user", ':'),
            after("--proxy-user", ':'),
            after("-u", ':'),
            after("-U", ':'),
        ],
    },
    Tool {
        programs: &["redis-cli", "valkey-cli"],
        subcommand: None,
        options: &[whole("-a", true)],
    },
    Tool {
        programs: &["ldap*"],
        subcommand: None,
        options: &[whole("-w", true), whole("-s", true)],
    },
    Tool {
        programs: &["smbclient", "rpcclient", "net"],
        subcommand: None,
        options: &[after("-U", '%')],
    },
    Tool {
        programs: &["zip", "unzip", "ipmitool", "mosquitto_*"],
        subcommand: None,
        options: &[whole("-P", true)],
    },
    Tool {
        programs: &["7z*"],
        subcommand: None,
        options: &[whole("-p", false)],
    },
    Tool {
        programs: &["openssl"],
        subcommand: None,
        options: &[whole("-k", true), whole("-K", true), whole("-pass", true)],
    },
    Tool {
        programs: &["sqlcmd"],
        subcommand: None,
        options: &[whole("-P", true)],
    },
    // Their `-p` is a port, also behind `sshpass`.
    Tool {
        programs: &["ssh", "scp", "sftp", "rsync"],
        subcommand: None,
        options: &[],
    },
];

impl Tool {
    /// The tool that a word of a command line calls, given the one called so far.
    pub(super) fn of(word: &str, so_far: Option<&'static Self>) -> Option<&'static Self> {
        if word.starts_with('-') || word.contains('=') {
            return None;
        }
        if let Some(tool) = so_far
            && tool.programs == CONTAINER_TOOL.programs
            && CONTAINER_LOGIN.subcommand == Some(word)
        {
            return Some(&CONTAINER_LOGIN);
        }
        let name = word.rsplit('/').next().unwrap_or(word);
        TOOLS.iter().find(|tool| {
            tool.programs.iter().any(|program| {
                program
                    .strip_suffix('*')
                    .map_or(name == *program, |start| name.starts_with(start))
            })
        })
    }

    /// The option of this tool that a word is.
    pub(super) fn option(&self, word: &str) -> Option<&'static ShortOption> {
        self.options.iter().find(|option| {
            word.strip_prefix(option.flag).is_some_and(|rest| {
                option.flag.len() == 2 || rest.is_empty() || rest.starts_with('=')
            })
        })
    }
}
