//! What is asked of the service manager: the verb and the units, as `systemctl(1)` and `systemd-run(1)` read them on their
//! command lines, and as the methods of the manager (`org.freedesktop.systemd1(5)`) are called.

use std::slice;

use globset::Glob;

use crate::command::Command;

/// Says what happened to a service, or to the links that enable it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deed {
    /// It was started.
    Started,
    /// It has ended.
    Stopped,
    /// It has ended and was started again.
    Restarted,
    /// Its unit file or the links that enable or mask it are others.
    SetUp,
}

/// What a command asks of the service manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    verb: String,
    units: Vec<String>,
    /// Whether the units are started or stopped besides, with `enable`, `disable` and `mask`.
    now: bool,
    /// Whether it ends before what it asked for is done.
    pub(super) does_not_wait: bool,
}

/// Options of `systemctl` that have a value of their own behind them.
const WITH_VALUE: [&str; 14] = [
    "-t",
    "-p",
    "-P",
    "-n",
    "-o",
    "-s",
    "--type",
    "--state",
    "--property",
    "--lines",
    "--output",
    "--signal",
    "--kill-whom",
    "--job-mode",
];

/// Options of `systemd-run` that have a value of their own behind them.
const RUN_WITH_VALUE: [&str; 22] = [
    "-p",
    "-E",
    "-t",
    "--property",
    "--setenv",
    "--slice",
    "--description",
    "--service-type",
    "--uid",
    "--gid",
    "--nice",
    "--working-directory",
    "--on-active",
    "--on-boot",
    "--on-startup",
    "--on-unit-active",
    "--on-unit-inactive",
    "--on-calendar",
    "--timer-property",
    "--path-property",
    "--socket-property",
    "--job-mode",
];

/// Options by which another service manager is asked, or none: that of a user, a machine, a folder.
const ELSEWHERE: [&str; 8] = [
    "--user",
    "-H",
    "--host",
    "-M",
    "--machine",
    "--root",
    "--image",
    "--global",
];

impl Request {
    /// Reads a command; none where it asks nothing of the host's own service manager.
    pub(super) fn of(command: Command<'_>) -> Option<Self> {
        match command.name() {
            "systemctl" => Self::of_systemctl(command.argv.get(1..)?),
            "systemd-run" => Self::of_run(command.argv.get(1..)?),
            _ => None,
        }
    }

    fn of_systemctl(words: &[String]) -> Option<Self> {
        let (mut now, mut does_not_wait) = (false, false);
        let mut plain = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if is_elsewhere(word) {
                return None;
            }
            match word.as_str() {
                "--" => plain.extend(words.by_ref()),
                "--now" => now = true,
                "--no-block" => does_not_wait = true,
                option if WITH_VALUE.contains(&option) => drop(words.next()),
                option if option.starts_with('-') => {}
                _ => plain.push(word),
            }
        }
        let (verb, units) = plain.split_first()?;
        Some(Self {
            verb: (*verb).clone(),
            units: units.iter().map(|unit| unit_name(unit)).collect(),
            now,
            does_not_wait,
        })
    }

    /// The unit that is made and started; without a name it has one that is no fact.
    fn of_run(words: &[String]) -> Option<Self> {
        let mut unit = None;
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if is_elsewhere(word) {
                return None;
            }
            match word.as_str() {
                "-u" | "--unit" => unit = words.next().cloned(),
                option if RUN_WITH_VALUE.contains(&option) => drop(words.next()),
                option if option.starts_with("--unit=") => {
                    unit = option.strip_prefix("--unit=").map(str::to_owned);
                }
                option if option.starts_with('-') && option != "--" => {}
                // What follows is the command.
                _ => break,
            }
        }
        Some(Self {
            verb: "start".to_owned(),
            units: vec![unit_name(&unit?)],
            now: true,
            does_not_wait: false,
        })
    }

    /// Reads what a method is called with; none where that asks for nothing.
    pub(super) fn of_method(method: &str, words: &[String]) -> Option<Self> {
        let (verb, units) = match (method, words) {
            ("EnqueueUnitJob" | "EnqueueJob", [unit, verb, ..]) => {
                (verb.as_str(), slice::from_ref(unit))
            }
            ("StartUnitReplace", [_, unit, ..]) => ("start", slice::from_ref(unit)),
            // Of a unit, only its name: what follows says how the job is to be done.
            (_, [unit, ..]) if is_of_one(method) => (verb_of(method)?, slice::from_ref(unit)),
            _ => (verb_of(method)?, words),
        };
        Some(Self {
            verb: verb.to_owned(),
            units: units
                .iter()
                .map(|unit| file_name(unit).to_owned())
                .collect(),
            now: method == "StartTransientUnit",
            does_not_wait: true,
        })
    }

    /// Whether it asks for this; `units` are the names that the unit goes by.
    pub(super) fn asks(&self, deed: Deed, units: &[&str]) -> bool {
        self.asks_to(deed) && self.units.iter().any(|asked| is_one_of(asked, units))
    }

    fn asks_to(&self, deed: Deed) -> bool {
        let is_restart = matches!(
            self.verb.as_str(),
            "restart"
                | "try-restart"
                | "condrestart"
                | "reload-or-restart"
                | "try-reload-or-restart"
                | "reload-or-try-restart"
                | "force-reload"
        );
        let verb = self.verb.as_str();
        match deed {
            Deed::Restarted => is_restart,
            Deed::Started => {
                is_restart || verb == "start" || (self.now && matches!(verb, "enable" | "reenable"))
            }
            Deed::Stopped => {
                is_restart
                    || matches!(verb, "stop" | "kill")
                    || (self.now && matches!(verb, "disable" | "mask"))
            }
            Deed::SetUp => {
                matches!(
                    verb,
                    "enable"
                        | "disable"
                        | "reenable"
                        | "preset"
                        | "mask"
                        | "unmask"
                        | "link"
                        | "revert"
                        | "edit"
                        | "add-wants"
                        | "add-requires"
                ) || (verb == "start" && self.now)
            }
        }
    }
}

/// The verb of `systemctl` that does the same as a method.
fn verb_of(method: &str) -> Option<&'static str> {
    let verbs = [
        ("StartUnit", "start"),
        ("StartUnitWithFlags", "start"),
        ("StartTransientUnit", "start"),
        ("Start", "start"),
        ("StopUnit", "stop"),
        ("Stop", "stop"),
        ("KillUnit", "kill"),
        ("Kill", "kill"),
        ("QueueSignalUnit", "kill"),
        ("QueueSignal", "kill"),
        ("RestartUnit", "restart"),
        ("Restart", "restart"),
        ("TryRestartUnit", "try-restart"),
        ("TryRestart", "try-restart"),
        ("ReloadOrRestartUnit", "reload-or-restart"),
        ("ReloadOrRestart", "reload-or-restart"),
        ("ReloadOrTryRestartUnit", "reload-or-try-restart"),
        ("ReloadOrTryRestart", "reload-or-try-restart"),
        ("EnableUnitFiles", "enable"),
        ("EnableUnitFilesWithFlags", "enable"),
        ("DisableUnitFiles", "disable"),
        ("DisableUnitFilesWithFlags", "disable"),
        ("DisableUnitFilesWithFlagsAndInstallInfo", "disable"),
        ("ReenableUnitFiles", "reenable"),
        ("PresetUnitFiles", "preset"),
        ("PresetUnitFilesWithMode", "preset"),
        ("LinkUnitFiles", "link"),
        ("MaskUnitFiles", "mask"),
        ("UnmaskUnitFiles", "unmask"),
        ("RevertUnitFiles", "revert"),
        ("AddDependencyUnitFiles", "add-wants"),
    ];
    let verb = verbs.iter().find(|(name, _)| *name == method);
    verb.map(|(_, verb)| *verb)
}

/// Whether a method is for one unit, and not for unit files.
fn is_of_one(method: &str) -> bool {
    !method.ends_with("Files") && !method.contains("UnitFilesWith")
}

fn is_elsewhere(word: &str) -> bool {
    ELSEWHERE.iter().any(|option| {
        let rest = word.strip_prefix(option);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('=') || option.len() == 2)
    })
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A unit as it is named in full: the path of its file may be given, and `.service` may be left out.
fn unit_name(word: &str) -> String {
    let name = file_name(word);
    let has_type = name.rsplit_once('.').is_some_and(|(_, kind)| {
        [
            "service",
            "socket",
            "timer",
            "target",
            "path",
            "mount",
            "slice",
            "scope",
            "swap",
            "automount",
            "device",
        ]
        .contains(&kind)
    });
    if has_type {
        name.to_owned()
    } else {
        format!("{name}.service")
    }
}

fn is_one_of(asked: &str, units: &[&str]) -> bool {
    if asked.contains(['*', '?', '[']) {
        let glob = Glob::new(asked).map(|glob| glob.compile_matcher());
        return glob.is_ok_and(|glob| units.iter().any(|unit| glob.is_match(unit)));
    }
    units.contains(&asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str) -> Option<Request> {
        let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let exe = argv.first().cloned();
        Request::of(Command {
            exe: exe.as_deref(),
            argv: &argv,
        })
    }

    fn asks(line: &str, deed: Deed) -> bool {
        request(line).is_some_and(|request| request.asks(deed, &["demo.service", "alias.service"]))
    }

    #[test]
    fn a_method_asks_for_what_it_is_called_with() {
        use Deed::{Restarted, SetUp, Started, Stopped};
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (method, called, deeds) in [
            (
                "RestartUnit",
                "demo.service replace",
                &[Started, Stopped, Restarted][..],
            ),
            (
                "Restart",
                "demo.service replace",
                &[Started, Stopped, Restarted],
            ),
            ("EnqueueUnitJob", "demo.service stop replace", &[Stopped]),
            ("StartUnitReplace", "other.service demo.service", &[Started]),
            ("StartTransientUnit", "demo.service fail", &[Started, SetUp]),
            ("MaskUnitFiles", "other.service /etc/demo.service", &[SetUp]),
            (
                "DisableUnitFilesWithFlags",
                "other.service demo.service",
                &[SetUp],
            ),
            ("StopUnit", "other.service demo.service", &[]),
            ("GetUnit", "demo.service", &[]),
            ("StopUnit", "", &[]),
        ] {
            let request = Request::of_method(method, &words(called));
            for deed in [Started, Stopped, Restarted, SetUp] {
                let asks = request
                    .as_ref()
                    .is_some_and(|request| request.asks(deed, &["demo.service"]));
                assert_eq!(asks, deeds.contains(&deed), "{method} {called}: {deed:?}");
            }
        }
    }

    #[test]
    fn a_command_asks_for_what_its_verb_says_of_the_units_it_names() {
        for (line, deeds) in [
            (
                "systemctl restart demo",
                &[Deed::Started, Deed::Stopped, Deed::Restarted][..],
            ),
            (
                "/usr/bin/systemctl -q stop other demo.service",
                &[Deed::Stopped],
            ),
            (
                "systemctl --no-block start /lib/systemd/system/demo.service",
                &[Deed::Started],
            ),
            ("systemctl start alias", &[Deed::Started]),
            ("systemctl stop d*o", &[Deed::Stopped]),
            ("systemctl enable --now demo", &[Deed::Started, Deed::SetUp]),
            ("systemctl mask demo", &[Deed::SetUp]),
            ("systemctl kill -s KILL demo", &[Deed::Stopped]),
            (
                "systemd-run --unit demo --wait sleep 9",
                &[Deed::Started, Deed::SetUp],
            ),
            (
                "systemd-run -p User=x --unit=demo sleep 9",
                &[Deed::Started, Deed::SetUp],
            ),
            ("systemctl status demo", &[]),
            ("systemctl restart demo.socket", &[]),
            ("systemctl --user restart demo", &[]),
            ("systemctl -Mweb restart demo", &[]),
            ("systemctl --root=/mnt enable demo", &[]),
            ("systemctl -p demo restart", &[]),
            ("systemctl stop [", &[]),
            ("systemctl", &[]),
            ("systemd-run --unit", &[]),
            ("systemd-run sleep demo", &[]),
            ("vim restart demo", &[]),
        ] {
            for deed in [Deed::Started, Deed::Stopped, Deed::Restarted, Deed::SetUp] {
                assert_eq!(asks(line, deed), deeds.contains(&deed), "{line}: {deed:?}");
            }
        }
    }
}
