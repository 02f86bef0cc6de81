//! Who asked the service manager for what: the commands that do so, as they were run, and messages over the bus. The
//! manager does it in its own process, so only that such a one was at work at that moment tells who was behind it.

mod killers;
mod messages;
mod request;

use std::collections::VecDeque;

use change::Timestamp;

use self::killers::Killers;
pub use self::request::Deed;
use self::request::Request;
use super::place::Place;
use super::processes::{Entry, Key};
use super::{By, Enrich};
use crate::bus::CallId;
use crate::command::Command;
use crate::inventory::Ending;
use crate::observed::{Task, Who};

/// How many who ask, and ends of services' processes, are remembered.
const MOST: usize = 256;

/// How long after its end whoever asked may still be behind what happens: what the manager did is noticed a little later
/// than it was done.
const NOTICED_NS: i64 = 500_000_000;

/// The same of one who does not wait until it is done.
const QUEUED_NS: i64 = 10_000_000_000;

/// Knows who asks the service manager for something, and how processes that it started ended.
#[derive(Debug, Default)]
pub(super) struct Clients {
    asked: VecDeque<Client>,
    endings: VecDeque<(String, Timestamp, Ending, bool)>,
    killers: Killers,
}

#[derive(Debug)]
struct Client {
    who: Asker,
    request: Request,
    since: Timestamp,
    until: Option<Timestamp>,
    /// What it was behind already: once each, of a unit.
    done: Vec<(Deed, String)>,
}

/// Says in which way somebody asks.
#[derive(Debug)]
enum Asker {
    /// By a command.
    Command { key: Key, task: Task },
    /// By a message over the bus.
    Message {
        call: CallId,
        /// Who sent it, where that is known.
        by: Option<By>,
        /// Whether the manager does what it asks for.
        is_granted: bool,
    },
}

impl Client {
    fn new(who: Asker, request: Request, since: Timestamp) -> Self {
        Self {
            who,
            request,
            since,
            until: None,
            done: Vec::new(),
        }
    }

    fn is_command(&self, of: Key) -> bool {
        matches!(&self.who, Asker::Command { key, .. } if *key == of)
    }

    /// Whether what happens then may still be its doing, as far as its end tells.
    fn may_be_behind(&self, time: Timestamp) -> bool {
        let late = if self.request.does_not_wait {
            QUEUED_NS
        } else {
            NOTICED_NS
        };
        self.until
            .is_none_or(|until| time <= until.plus_nanos(late))
    }

    fn may_have_done(&self, deed: Deed, unit: &str, names: &[&str], time: Timestamp) -> bool {
        let is_granted = !matches!(
            self.who,
            Asker::Message {
                is_granted: false,
                ..
            }
        );
        let was_at_work = self.since <= time && self.may_be_behind(time);
        let has_done = self
            .done
            .iter()
            .any(|(done, of)| *done == deed && of == unit);
        is_granted && was_at_work && !has_done && self.request.asks(deed, names)
    }
}

impl Clients {
    fn remember(&mut self, client: Client) {
        self.asked.push_back(client);
        if self.asked.len() > MOST {
            self.asked.pop_front();
        }
    }
}

impl Enrich {
    /// A process began to run a program, which may ask the service manager for something.
    pub(super) fn note_client(&mut self, key: Key, task: &Task, time: Timestamp) {
        self.note_helper(key, task.parent, time);
        let Some(program) = self
            .processes
            .get(key)
            .and_then(|entry| entry.program.as_deref())
        else {
            return;
        };
        let command = Command {
            exe: program.exe.as_deref(),
            argv: &program.argv,
        };
        let Some(request) = Request::of(command) else {
            return;
        };
        self.processes.mark_active(key);
        self.forget_clients(time);
        // A script that is the command in the end is one with it.
        self.clients.asked.retain(|client| !client.is_command(key));
        let task = task.clone();
        let client = Client::new(Asker::Command { key, task }, request, time);
        self.clients.remember(client);
    }

    /// A process ended, which may have asked for something, or be of a service.
    pub(super) fn note_end(&mut self, key: Key, task: &Task, status: i32, time: Timestamp) {
        let known = self
            .clients
            .asked
            .iter_mut()
            .find(|client| client.is_command(key));
        if let Some(client) = known {
            client.until = Some(time);
        }
        if task.parent != 1 || (status == 0 && !self.clients.killers.has_asked(key)) {
            return;
        }
        let place = self.units.place(task.cgroup, task.process.pid, time);
        let Place {
            unit: Some(unit),
            container: None,
            ..
        } = &*place
        else {
            return;
        };
        self.note_killed(key, (unit, task.cgroup), status, time);
        if status == 0 {
            return;
        }
        let entry = self.processes.get(key);
        let program = entry.and_then(|entry| entry.program.as_deref());
        let ending = Ending {
            status,
            exe: program.and_then(|program| program.exe.clone()),
            argv: program.map_or_else(Vec::new, |program| {
                program.argv.iter().take(3).cloned().collect()
            }),
        };
        let is_own = entry.is_some_and(Entry::is_of_manager);
        let endings = &mut self.clients.endings;
        endings.push_back((unit.clone(), time, ending, is_own));
        if endings.len() > MOST {
            endings.pop_front();
        }
    }

    /// How the processes of a service ended that the manager had started, with those that others left behind to it, where
    /// they are `orphans` that count. Only what ended badly is told, and once.
    pub fn take_endings(&mut self, unit: &str, until: Timestamp, orphans: bool) -> Vec<Ending> {
        let endings = &mut self.clients.endings;
        let (mut taken, mut left) = (Vec::new(), VecDeque::new());
        for (of, time, ending, is_own) in std::mem::take(endings) {
            if of != unit || time > until {
                left.push_back((of, time, ending, is_own));
            } else if is_own || orphans {
                taken.push(ending);
            }
        }
        *endings = left;
        taken
    }

    /// Who asked the manager for what it did to a unit at a time, where that is known: one alone was at work who asks for
    /// this. `names` are all that the unit goes by.
    pub fn asked(&mut self, deed: Deed, unit: &str, names: &[&str], time: Timestamp) -> Option<By> {
        let is_it = |client: &&mut Client| client.may_have_done(deed, unit, names, time);
        let mut all: Vec<&mut Client> = self.clients.asked.iter_mut().filter(is_it).collect();
        let [client] = all.as_mut_slice() else {
            return None;
        };
        let done: &[Deed] = match deed {
            Deed::Restarted => &[Deed::Restarted, Deed::Stopped, Deed::Started],
            _ => &[deed],
        };
        let done = done.iter().map(|deed| (*deed, unit.to_owned()));
        client.done.extend(done);
        let (who, since) = match &client.who {
            Asker::Command { task, .. } => (Who::Task(task.clone()), client.since),
            Asker::Message { by, .. } => return by.clone(),
        };
        let by = self.by(&who, since)?;
        // The one in a container asks the manager there.
        by.actor.container.is_none().then_some(by)
    }

    /// Whether somebody asks for this who is at work still, or may be behind what is done now all the same.
    pub fn is_asked(
        &self,
        deed: Deed,
        unit: &str,
        names: &[&str],
        [time, now]: [Timestamp; 2],
    ) -> bool {
        let mut asked = self.clients.asked.iter();
        asked.any(|client| {
            client.may_be_behind(now) && client.may_have_done(deed, unit, names, time)
        })
    }

    /// Forgets who can be behind nothing any more.
    fn forget_clients(&mut self, time: Timestamp) {
        self.clients.asked.retain(|client| {
            let until = client.until;
            until.is_none_or(|until| time <= until.plus_nanos(2 * QUEUED_NS))
        });
    }
}
