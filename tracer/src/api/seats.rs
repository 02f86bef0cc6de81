//! How many may be connected at once. Each connection takes a descriptor and memory, and whoever may
//! ask could take all of them; root has seats of its own, so that nobody can shut it out.

use std::io;
use std::sync::Arc;

use axum::serve::Listener;
use tokio::net::unix::SocketAddr;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many connections root has, and how many all others together.
pub(super) const SEATS: usize = 32;

/// Accepts connections as long as there are seats, and closes what comes beyond.
pub(super) struct Seats {
    listener: UnixListener,
    of_root: Arc<Semaphore>,
    of_others: Arc<Semaphore>,
}

/// A connection's seat, free again when the last of its copies is dropped with the connection.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    _taken: Option<Arc<OwnedSemaphorePermit>>,
}

impl Seats {
    pub(super) fn new(listener: UnixListener) -> Self {
        let seats = || Arc::new(Semaphore::new(SEATS));
        Self {
            listener,
            of_root: seats(),
            of_others: seats(),
        }
    }

    fn take(&self, stream: &UnixStream) -> Option<Seat> {
        let is_root = stream.peer_cred().is_ok_and(|peer| peer.uid() == 0);
        let seats = if is_root {
            &self.of_root
        } else {
            &self.of_others
        };
        let taken = Arc::clone(seats).try_acquire_owned().ok()?;
        Some(Seat {
            _taken: Some(Arc::new(taken)),
        })
    }
}

impl Listener for Seats {
    type Addr = Seat;
    type Io = UnixStream;

    async fn accept(&mut self) -> (UnixStream, Seat) {
        loop {
            let (stream, _unnamed): (UnixStream, SocketAddr) =
                Listener::accept(&mut self.listener).await;
            if let Some(seat) = self.take(&stream) {
                return (stream, seat);
            }
            tracing::debug!("more than {SEATS} connections: closed one");
        }
    }

    fn local_addr(&self) -> io::Result<Seat> {
        Ok(Seat { _taken: None })
    }
}
