//! The thread that listens to the system bus, and what the pipeline makes of what is told there.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use anyhow::Context as _;
use change::Timestamp;
use change::wire::{CheckBody, CheckState};

use super::kernel::Settler;
use super::now;
use super::pipeline::Pipeline;
use super::shared::Shared;
use crate::bus::{Bus, SOCKET, Told};

/// The name of the check.
const CHECK: &str = "requests over the bus";

/// What was heard on the bus.
pub(super) struct Heard {
    at: Timestamp,
    what: What,
}

enum What {
    Told(Told),
    /// What the timers do that the service manager knows, after something was done to one, where that is why.
    Timers(BTreeMap<String, String>, Option<String>),
}

/// Connects to the bus, where there is one, while the daemon is root.
pub(super) fn open() -> (Option<Bus>, Option<CheckBody>) {
    match Bus::open(Path::new(SOCKET)) {
        Ok(bus) => (bus, None),
        Err(error) => (None, Some(unheard(&error))),
    }
}

fn unheard(error: &io::Error) -> CheckBody {
    CheckBody {
        name: CHECK.to_owned(),
        state: CheckState::Degraded,
        detail: format!("not seen: who asks the service manager over the bus; {error}"),
    }
}

/// Tells of what is heard on the bus, as long as that lives.
pub(super) fn listen(mut bus: Bus, settler: &Settler, shared: &Shared) {
    let Err(error) = bus.greet().and_then(|()| {
        shared.set_check(CHECK, Some(heard()));
        hand_on(&mut bus, settler)
    });
    let check = unheard(&error);
    tracing::warn!("{}: {}", check.name, check.detail);
    shared.set_check(CHECK, Some(check));
}

fn heard() -> CheckBody {
    CheckBody {
        name: CHECK.to_owned(),
        state: CheckState::Ok,
        detail: "listened to, for what the service manager is asked".to_owned(),
    }
}

fn hand_on(bus: &mut Bus, settler: &Settler) -> io::Result<std::convert::Infallible> {
    let tell = |at, what| settler.heard(Heard { at, what });
    if let Some(timers) = bus.timers()? {
        tell(now(), What::Timers(timers, None));
    }
    loop {
        let mut told = bus.wait()?;
        let at = now();
        match &mut told {
            Told::Asked(call) => call.sender = bus.sender(&call.id.sender)?,
            Told::Ended(unit) if is_timer(unit) => {
                let unit = std::mem::take(unit);
                if let Some(timers) = bus.timers()? {
                    tell(at, What::Timers(timers, Some(unit)));
                }
                continue;
            }
            Told::Ended(_) => continue,
            Told::Granted(_) | Told::Refused(_) => {}
        }
        tell(at, What::Told(told));
    }
}

fn is_timer(unit: &str) -> bool {
    unit.rsplit_once('.')
        .is_some_and(|(_, kind)| kind == "timer")
}

impl Pipeline {
    /// Takes in what was heard on the bus.
    pub(super) fn take_heard(&mut self, Heard { at, what }: Heard) {
        match what {
            What::Told(told) => self.enrich.note_message(&told, at),
            What::Timers(timers, after) => {
                let taken = self.timers_changed(timers, after, at);
                if let Err(error) = taken.context("look at the timers") {
                    self.note_loss(&format!("{error:#}"));
                }
            }
        }
    }
}
