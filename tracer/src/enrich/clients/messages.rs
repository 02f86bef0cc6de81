//! Who asked the service manager over the bus: what the bus told is remembered until the manager has done it. Only what the
//! manager took on counts, or what it is told by root, whom it refuses nothing without saying so.

use change::Timestamp;

use super::request::Request;
use super::{Asker, Client};
use crate::bus::{Call, CallId, Told};
use crate::enrich::Enrich;
use crate::observed::Who;

/// How much earlier than it was read a message was sent at most.
const READ_NS: i64 = 100_000_000;

/// How many messages are remembered that the manager has not taken on.
const MOST_OPEN: usize = 64;

const ROOT: u32 = 0;

impl Client {
    fn is_of_call(&self, of: &CallId) -> bool {
        matches!(&self.who, Asker::Message { call, .. } if call == of)
    }

    fn is_open(&self) -> bool {
        matches!(
            self.who,
            Asker::Message {
                is_granted: false,
                ..
            }
        )
    }
}

impl Enrich {
    /// The bus told of something.
    pub fn note_message(&mut self, told: &Told, time: Timestamp) {
        match told {
            Told::Asked(call) => self.note_call(call, time),
            Told::Granted(id) => self.note_granted(id, time),
            Told::Refused(id) => self.clients.asked.retain(|client| !client.is_of_call(id)),
            Told::Ended(_) => {}
        }
    }

    fn note_call(&mut self, call: &Call, time: Timestamp) {
        let Some(request) = Request::of_method(&call.method, &call.words) else {
            return;
        };
        let is_granted = call.sender.is_some_and(|sender| sender.uid == ROOT);
        // Whether it was taken on is not known of the rest.
        if !is_granted && !call.wants_reply {
            return;
        }
        self.forget_clients(time);
        let who = call.sender.map(|sender| Who::Pid(sender.pid));
        let by = who.and_then(|who| self.by(&who, time));
        let pid = by.as_ref().map(|by| by.actor.process.pid);
        let is_command = |client: &Client| {
            matches!(&client.who, Asker::Command { key, .. } if Some(key.pid) == pid)
                && client.until.is_none()
        };
        // The command's own words are known already.
        if self.clients.asked.iter().any(is_command) {
            return;
        }
        let who = Asker::Message {
            call: call.id.clone(),
            by,
            is_granted,
        };
        let mut client = Client::new(who, request, time.plus_nanos(-READ_NS));
        client.until = is_granted.then_some(time);
        self.clients.remember(client);
        self.clients.bound_open();
    }

    fn note_granted(&mut self, id: &CallId, time: Timestamp) {
        let asked = self.clients.asked.iter_mut();
        for client in asked.filter(|client| client.is_of_call(id)) {
            client.until = Some(time);
            if let Asker::Message { is_granted, .. } = &mut client.who {
                *is_granted = true;
            }
        }
    }
}

impl super::Clients {
    /// Who is never answered does not push out who is.
    fn bound_open(&mut self) {
        let open = self.asked.iter().filter(|client| client.is_open()).count();
        let first = self.asked.iter().position(Client::is_open);
        if let Some(first) = first.filter(|_| open > MOST_OPEN) {
            drop(self.asked.remove(first));
        }
    }
}
