//! A connection to the system bus: who connects is what the kernel tells the bus of it (`SO_PEERCRED`).

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};

use super::message::{Argument, HEAD_BYTES, Head, Kind, Message, Target, call};

/// The bus itself.
pub(super) const BUS: Target = Target {
    destination: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
};

/// How long a line of the greeting is at most.
const MAX_LINE_BYTES: u64 = 1024;

/// How long an answer is waited for: the bus may be about to be started.
const PATIENCE: Duration = Duration::from_secs(30);

/// So many messages at most come before the answer that is waited for.
const MOST_BETWEEN: usize = 1024;

#[derive(Debug)]
pub(super) struct Connection {
    stream: BufReader<UnixStream>,
    serial: u32,
    /// How much of a message is read.
    max_bytes: u64,
}

impl Connection {
    /// Connects, and sends what says who connects; the bus answers when it can.
    pub(super) fn open(socket: &Path, uid: u32, max_bytes: u64) -> io::Result<Self> {
        let stream = connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut connection = Self {
            stream: BufReader::new(stream),
            serial: 0,
            max_bytes,
        };
        // The number of the user as text, in hexadecimal digits.
        let digits = uid.to_string();
        let digits = digits.bytes().map(|byte| format!("{byte:02x}"));
        let name = digits.collect::<Vec<_>>().concat();
        let greeting = format!("\0AUTH EXTERNAL {name}\r\nBEGIN\r\n");
        connection.stream.get_mut().write_all(greeting.as_bytes())?;
        connection.send(BUS, "Hello", &[])?;
        Ok(connection)
    }

    /// Waits until the bus has let it in.
    pub(super) fn greet(&mut self) -> io::Result<()> {
        let mut line = Vec::new();
        (&mut self.stream)
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut line)?;
        if !line.starts_with(b"OK ") {
            let line = String::from_utf8_lossy(&line);
            let why = format!("the bus does not let in: `{}`", line.trim());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        self.answer(1).map(drop)
    }

    /// Reads without a limit of time from now on.
    pub(super) fn wait_for_ever(&mut self) -> io::Result<()> {
        self.stream.get_mut().set_read_timeout(None)
    }

    /// Calls something, and gives the number by which an answer goes.
    pub(super) fn send(
        &mut self,
        target: Target,
        member: &str,
        arguments: &[Argument<'_>],
    ) -> io::Result<u32> {
        self.serial += 1;
        let message = call(self.serial, target, member, arguments);
        self.stream.get_mut().write_all(&message)?;
        Ok(self.serial)
    }

    /// Waits for the answer to a call, and passes over what comes before; none where it is an error.
    pub(super) fn answer(&mut self, serial: u32) -> io::Result<Option<Message>> {
        for _ in 0..MOST_BETWEEN {
            let Some(message) = self.read()? else {
                continue;
            };
            if message.reply_to == Some(serial) {
                return Ok((message.kind == Kind::Reply).then_some(message));
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    /// Reads one message, cut where it is too long; none where it makes no sense.
    pub(super) fn read(&mut self) -> io::Result<Option<Message>> {
        let mut head = [0; HEAD_BYTES];
        self.stream.read_exact(&mut head)?;
        let head = Head::decode(&head).ok_or(io::ErrorKind::InvalidData)?;
        let kept = head.rest_len().min(self.max_bytes);
        let mut rest = Vec::new();
        (&mut self.stream).take(kept).read_to_end(&mut rest)?;
        let cut = head.rest_len() - kept;
        io::copy(&mut (&mut self.stream).take(cut), &mut io::sink())?;
        Ok(Message::decode(&head, &rest))
    }
}

/// Connects, and never waits: a bus that takes nobody in is none that the daemon's start waits for.
fn connect(socket: &Path) -> io::Result<UnixStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let stream = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    net::connect(&stream, &SocketAddrUnix::new(socket)?)?;
    let stream = UnixStream::from(stream);
    stream.set_nonblocking(false)?;
    Ok(stream)
}
