//! How a thread that waits for the kernel is woken, and told of what came from elsewhere.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::Context as _;

use crate::daemon::{Asker, Input, bus, services};

/// What the threads pass on to each other, each when it has handed on what came before.
pub(super) enum Knock {
    Ask(Asker),
    /// Something was mounted or unmounted.
    Mounts,
    /// The services were looked at.
    Services(Box<services::Look>),
    /// Something was heard on the system bus.
    Heard(Box<bus::Heard>),
}

impl From<Knock> for Input {
    fn from(knock: Knock) -> Self {
        match knock {
            Knock::Ask(asker) => Self::Settle(asker),
            Knock::Mounts => Self::Mounts,
            Knock::Services(look) => Self::Services(look),
            Knock::Heard(heard) => Self::Heard(heard),
        }
    }
}

/// Passes knocks to a thread that waits for the kernel, and wakes it.
pub(super) struct Bell {
    knocks: Sender<Knock>,
    wake: UnixStream,
}

/// The other end of a [`Bell`].
pub(super) struct Door {
    knocks: Receiver<Knock>,
    pub(super) woken: UnixStream,
}

pub(super) fn bell() -> anyhow::Result<(Bell, Door)> {
    let (to, knocks) = channel();
    let pipe = UnixStream::pair().and_then(|(wake, woken)| {
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        Ok((wake, woken))
    });
    let (wake, woken) = pipe.context("make the pipe that wakes a thread")?;
    Ok((Bell { knocks: to, wake }, Door { knocks, woken }))
}

impl Bell {
    pub(super) fn ring(&mut self, knock: Knock) {
        if self.knocks.send(knock).is_ok() {
            // A full pipe means that the thread is awake anyway.
            drop(self.wake.write(&[1]));
        }
    }
}

impl Door {
    /// Who knocked until now.
    pub(super) fn open(&mut self) -> Vec<Knock> {
        let mut wakes = [0; 64];
        while matches!(self.woken.read(&mut wakes), Ok(count) if count > 0) {}
        self.knocks.try_iter().collect()
    }
}
