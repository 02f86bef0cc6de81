//! How a process of a service ended.

use std::path::Path;

/// Tells how a process ended that systemd had started for a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// The status as `wait(2)` gives it.
    pub status: i32,
    /// Its executable.
    pub exe: Option<String>,
    /// The first words of its command line, among which a script's name is.
    pub argv: Vec<String>,
}

/// `exit_status_to_string`'s numbers for the signals that unit files name, of signal(7).
const SIGNALS: [(&str, i32); 12] = [
    ("SIGHUP", 1),
    ("SIGINT", 2),
    ("SIGQUIT", 3),
    ("SIGABRT", 6),
    ("SIGKILL", 9),
    ("SIGUSR1", 10),
    ("SIGSEGV", 11),
    ("SIGUSR2", 12),
    ("SIGPIPE", 13),
    ("SIGALRM", 14),
    ("SIGTERM", 15),
    ("SIGXCPU", 24),
];

/// The signals that are a good end of what is no job (systemd.service(5), `SuccessExitStatus=`): the hang-up,
/// the interrupt, a closed pipe, and to terminate.
const GOOD_SIGNALS: [i32; 4] = [1, 2, 13, 15];

impl Ending {
    /// The signal that ended it.
    pub(super) fn signal(&self) -> Option<i32> {
        let signal = self.status & 0x7f;
        (signal != 0).then_some(signal)
    }

    /// Whether a process like this ended well; `more` are the words of the unit file that say what else does.
    pub(super) fn is_good(&self, is_job: bool, more: &[String]) -> bool {
        let code = self.status >> 8 & 0xff;
        match self.signal() {
            Some(signal) => {
                let is_named = |word: &String| {
                    let mut known = SIGNALS.iter();
                    known.any(|(name, number)| name == word && *number == signal)
                };
                (!is_job && GOOD_SIGNALS.contains(&signal)) || more.iter().any(is_named)
            }
            None => code == 0 || more.iter().any(|word| word.parse() == Ok(code)),
        }
    }

    /// Whether it ran a command of a unit file, which gives the path or the bare name.
    pub(super) fn is_of(&self, command: &str) -> bool {
        let name = |path: &str| Path::new(path).file_name().map(ToOwned::to_owned);
        let is_it = |word: &String| word == command || name(word) == name(command);
        self.exe.iter().chain(self.argv.iter().take(3)).any(is_it)
    }
}
