//! What a unit file says of how its service ends, and of its environment, with what is put on top of it in `NAME.service.d`: systemd.syntax(7).

use std::path::Path;

use super::ending::Ending;
use super::environment::Environment;
use crate::bounded;

/// How much of a unit file is read.
const MAX_BYTES: u64 = 64 * 1024;

/// The settings of a unit file that matter here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct UnitFile {
    /// `Type=`.
    service_type: Option<String>,
    /// `RemainAfterExit=`.
    remains: bool,
    /// Whether `[Install]` says what enabling it does.
    is_installable: bool,
    /// `SuccessExitStatus=`.
    good: Vec<String>,
    /// Commands whose failure is none of the service.
    ignored: Vec<String>,
    /// `Environment=` and `EnvironmentFile=`.
    environment: Environment,
}

impl UnitFile {
    /// Takes in what one more file says.
    pub(super) fn take(&mut self, path: &Path) {
        if let Some(text) = bounded::read_text(path, MAX_BYTES) {
            self.parse(&text);
        }
    }

    pub(super) fn parse(&mut self, text: &str) {
        let mut section = "";
        for line in joined(text).lines() {
            let line = line.trim();
            if line.starts_with('[') {
                section = match line {
                    "[Service]" => "Service",
                    "[Install]" => "Install",
                    _ => "",
                };
            } else if let Some((name, value)) = line.split_once('=')
                && !line.starts_with(['#', ';'])
            {
                self.set(section, name.trim(), value.trim());
            }
        }
    }

    fn set(&mut self, section: &str, name: &str, value: &str) {
        match (section, name) {
            ("Service", "Type") => self.service_type = Some(value.to_owned()),
            ("Service", "RemainAfterExit") => {
                self.remains = matches!(value, "yes" | "true" | "on" | "1");
            }
            ("Service", "SuccessExitStatus") if value.is_empty() => self.good.clear(),
            ("Service", "SuccessExitStatus") => {
                self.good
                    .extend(value.split_whitespace().map(str::to_owned));
            }
            ("Service", "Environment") => self.environment.assign(value),
            ("Service", "EnvironmentFile") => self.environment.add_file(value),
            // Whether one fails has no say in whether the service does.
            ("Service", "ExecReload" | "ExecCondition") => self.ignored.extend(command(value)),
            ("Service", exec) if exec.starts_with("Exec") && is_ignored(value) => {
                self.ignored.extend(command(value));
            }
            ("Install", "WantedBy" | "RequiredBy" | "UpheldBy" | "Alias" | "Also")
                if !value.is_empty() =>
            {
                self.is_installable = true;
            }
            _ => {}
        }
    }

    pub(super) fn environment(self) -> Environment {
        self.environment
    }

    pub(super) fn is_installable(&self) -> bool {
        self.is_installable
    }

    /// Whether it is done when its processes have ended.
    pub(super) fn is_job(&self) -> bool {
        self.is_type("oneshot") && !self.remains
    }

    pub(super) fn is_forking(&self) -> bool {
        self.is_type("forking")
    }

    /// Whether a process that ended like this made the service fail.
    pub(super) fn is_failure(&self, ending: &Ending) -> bool {
        let is_ignored = self.ignored.iter().any(|command| ending.is_of(command));
        !is_ignored && !ending.is_good(self.is_type("oneshot"), &self.good)
    }

    fn is_type(&self, name: &str) -> bool {
        self.service_type.as_deref() == Some(name)
    }
}

/// A line that ends in a backslash goes on in the next.
fn joined(text: &str) -> String {
    text.replace("\\\n", " ")
}

/// What stands before a command (systemd.service(5), "Special executable prefixes").
const PREFIXES: [char; 6] = ['@', '-', ':', '+', '!', '|'];

fn is_ignored(value: &str) -> bool {
    let prefixes = value.chars().take_while(|c| PREFIXES.contains(c));
    prefixes.into_iter().any(|c| c == '-')
}

fn command(value: &str) -> Option<String> {
    let first = value.trim_start_matches(PREFIXES).split_whitespace();
    first.map(str::to_owned).next()
}
