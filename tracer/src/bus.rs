//! The system bus, over which many ask the service manager.
//!
//! It is listened to as root may, by one of the bus's monitors, which may send nothing any more; what has to be asked is
//! asked as `nobody`, who may do nothing.

mod connection;
mod message;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::thread;

use rustix::fs::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use self::connection::{BUS, Connection};
use self::message::{Argument, Kind, Message, Target};

/// Where the bus is (D-Bus Specification, "Well-known Message Bus Instances").
pub const SOCKET: &str = "/run/dbus/system_bus_socket";

/// The user without rights of its own, which the kernel has a number for.
const NOBODY: u32 = 65_534;

/// Of what is told so much is read: names of units stand at the beginning.
const TOLD_BYTES: u64 = 16 << 10;
/// Of what is answered so much.
const ANSWER_BYTES: u64 = 1 << 20;

/// The service manager on the bus.
const MANAGER: Target = Target {
    destination: "org.freedesktop.systemd1",
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
};
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const UNIT_PATH: &str = "/org/freedesktop/systemd1/unit/";

/// What is listened to: what the manager is asked, its answers that name a job, what is refused, and jobs that have ended.
const RULES: [&str; 6] = [
    "type='method_call',destination='org.freedesktop.systemd1',\
     interface='org.freedesktop.systemd1.Manager'",
    "type='method_call',destination='org.freedesktop.systemd1',\
     interface='org.freedesktop.systemd1.Unit'",
    "type='method_return',sender='org.freedesktop.systemd1',\
     arg0path='/org/freedesktop/systemd1/job/'",
    "type='error',sender='org.freedesktop.systemd1'",
    "type='error',sender='org.freedesktop.DBus'",
    "type='signal',sender='org.freedesktop.systemd1',\
     interface='org.freedesktop.systemd1.Manager',member='JobRemoved'",
];

/// Names a call: by its sender's name on the bus and its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallId {
    /// The name, which no other connection will ever have.
    pub sender: String,
    /// The number.
    pub serial: u32,
}

/// Who sent a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The process that connected to the bus.
    pub pid: u32,
    /// Its user then.
    pub uid: u32,
}

/// What somebody asks of the service manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which call it is.
    pub id: CallId,
    /// The method.
    pub method: String,
    /// The texts that its arguments begin with: units, and what is to be done.
    pub words: Vec<String>,
    /// Whether it will be answered.
    pub wants_reply: bool,
    /// Who sent it; none where it was gone before that was asked.
    pub sender: Option<Sender>,
}

/// What the bus tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Somebody asks for something.
    Asked(Call),
    /// The manager has made a job of what a call asks for.
    Granted(CallId),
    /// The manager or the bus has refused a call.
    Refused(CallId),
    /// A job of a unit has ended.
    Ended(String),
}

/// Knows what is said to the service manager, and what it says.
#[derive(Debug)]
pub struct Bus {
    monitor: Connection,
    asking: Connection,
}

impl Bus {
    /// Connects to the bus while the process is root; none where this host has none.
    pub fn open(socket: &Path) -> io::Result<Option<Self>> {
        let mut monitor = match Connection::open(socket, 0, TOLD_BYTES) {
            Ok(monitor) => monitor,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let monitoring = Target {
            interface: "org.freedesktop.DBus.Monitoring",
            ..BUS
        };
        // At once, so that nothing is ever sent as root but this.
        let rules = [Argument::Texts(&RULES), Argument::Number(0)];
        monitor.send(monitoring, "BecomeMonitor", &rules)?;
        let asking = as_nobody(|| Connection::open(socket, NOBODY, ANSWER_BYTES))?;
        Ok(Some(Self { monitor, asking }))
    }

    /// Waits until the bus has let it in.
    pub fn greet(&mut self) -> io::Result<()> {
        self.monitor.greet()?;
        if self.monitor.answer(2)?.is_none() {
            let why = "the bus lets nobody listen";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        self.monitor.wait_for_ever()?;
        self.asking.greet()?;
        // Without a listener of its own the manager tells nobody of its jobs.
        self.asking.send(MANAGER, "Subscribe", &[])?;
        Ok(())
    }

    /// Waits for the next that is told.
    pub fn wait(&mut self) -> io::Result<Told> {
        loop {
            if let Some(told) = self.monitor.read()?.as_ref().and_then(told) {
                return Ok(told);
            }
        }
    }

    /// Asks the bus who sent a call; none where whoever it was has gone.
    pub fn sender(&mut self, name: &str) -> io::Result<Option<Sender>> {
        let name = [Argument::Text(name)];
        let pid = self.asking.send(BUS, "GetConnectionUnixProcessID", &name)?;
        let uid = self.asking.send(BUS, "GetConnectionUnixUser", &name)?;
        let mut number = |serial| -> io::Result<Option<u32>> {
            let answer = self.asking.answer(serial)?;
            Ok(answer.and_then(|answer| answer.body().number()))
        };
        let (pid, uid) = (number(pid)?, number(uid)?);
        Ok(pid.zip(uid).map(|(pid, uid)| Sender { pid, uid }))
    }

    /// Asks the service manager for the timers that it knows, with what they are doing.
    pub fn timers(&mut self) -> io::Result<Option<BTreeMap<String, String>>> {
        let patterns = [Argument::Texts(&[]), Argument::Texts(&["*.timer"])];
        let asked = self
            .asking
            .send(MANAGER, "ListUnitsByPatterns", &patterns)?;
        Ok(self.asking.answer(asked)?.as_ref().and_then(listed))
    }
}

/// Does something in a thread that has no rights.
fn as_nobody<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    let work = move || {
        set_thread_groups(&[])?;
        set_thread_res_gid(group, group, group)?;
        set_thread_res_uid(user, user, user)?;
        work()
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().spawn_scoped(scope, work)?;
        let panicked = |_| io::Error::other("the thread panicked");
        thread.join().map_err(panicked)?
    })
}

fn told(message: &Message) -> Option<Told> {
    let answered = || {
        Some(CallId {
            sender: message.destination.clone(),
            serial: message.reply_to?,
        })
    };
    match message.kind {
        Kind::Call => Some(Told::Asked(asked(message)?)),
        Kind::Reply => answered().map(Told::Granted),
        Kind::Error => answered().map(Told::Refused),
        Kind::Other => {
            let mut body = message.body();
            let (_number, _job) = (body.number()?, body.text()?);
            (message.member == "JobRemoved" && message.signature == "uoss")
                .then(|| body.text().map(Told::Ended))?
        }
    }
}

fn asked(message: &Message) -> Option<Call> {
    let mut words = Vec::new();
    if message.interface == UNIT {
        words.push(unit_of(&message.path)?);
    }
    let mut body = message.body();
    if message.signature.starts_with("as") {
        words.extend(body.texts()?);
    } else {
        let texts = message.signature.chars().take_while(|kind| *kind == 's');
        for _ in texts.take(2) {
            words.push(body.text()?);
        }
    }
    Some(Call {
        id: CallId {
            sender: message.sender.clone(),
            serial: message.serial,
        },
        method: message.member.clone(),
        words,
        wants_reply: message.wants_reply,
        sender: None,
    })
}

/// The unit that an object stands for: in its path everything but letters and digits is `_` and two hexadecimal digits.
fn unit_of(path: &str) -> Option<String> {
    let mut rest = path.strip_prefix(UNIT_PATH)?;
    let mut unit = String::new();
    while let Some((plain, escaped)) = rest.split_once('_') {
        unit.push_str(plain);
        let (digits, after) = escaped.split_at_checked(2)?;
        unit.push(char::from(u8::from_str_radix(digits, 16).ok()?));
        rest = after;
    }
    Some(unit + rest)
}

/// The names of units and what they are doing, of a list as the manager gives it: `a(ssssssouso)`.
fn listed(message: &Message) -> Option<BTreeMap<String, String>> {
    let unit = |unit: &mut message::Reader<'_>| {
        let (name, _description, _load) = (unit.text()?, unit.text()?, unit.text()?);
        let active = unit.text()?;
        let (_sub, _following, _path) = (unit.text()?, unit.text()?, unit.text()?);
        let _job = (unit.number()?, unit.text()?, unit.text()?);
        Some((name, active))
    };
    let all = message.body().array(8, unit)?;
    Some(all.into_iter().collect())
}

/// Reads a message from any bytes.
pub(crate) fn fuzz(bytes: &[u8]) {
    let Some((head, rest)) = bytes.split_first_chunk() else {
        return;
    };
    let message = message::Head::decode(head).and_then(|head| Message::decode(&head, rest));
    if let Some(message) = message {
        drop(format!("{:?}{:?}", told(&message), listed(&message)));
    }
}

#[cfg(test)]
mod tests;
