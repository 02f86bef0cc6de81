//! Listens for viewers: plainly on the loopback, else with TLS; with a bound on connections and on how long one may
//! do nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::{ViewState, router};
use crate::serve::accept_failed;

/// So many viewers are connected at a time.
const CONNECTIONS: usize = 256;
/// A connection speaks TLS within this.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The head of a request arrives within this, counted from the connection or its last request.
const NEXT_REQUEST: Duration = Duration::from_secs(30);
/// The head of a request is no longer than this, in bytes.
const LONGEST_HEAD: usize = 64 << 10;
/// A connection takes no more requests after this: a viewer connects again.
const LONGEST: Duration = Duration::from_mins(10);
/// Who reads its last answer for longer than this is cut off.
const LAST_ANSWER: Duration = Duration::from_mins(1);
/// Requests under way may take this long to end once the collector stops.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// Says how a connection is spoken on.
#[derive(Clone)]
pub enum Wire {
    /// As it is: whoever can listen on the loopback can read it anyway.
    Plain,
    /// With TLS.
    Tls(Arc<ServerConfig>),
}

/// What is open to answer viewers from.
pub struct Server {
    router: Router,
    wire: Wire,
}

impl Server {
    /// Makes a server.
    pub fn new(state: ViewState, wire: Wire) -> Self {
        Self {
            router: router(state),
            wire,
        }
    }

    /// Answers until `shutdown` completes and the requests under way have ended.
    pub async fn run(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let (stop, stopping) = watch::channel(false);
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut shutdown => break,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    accept_failed(&error).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                continue;
            };
            let (router, wire) = (self.router.clone(), self.wire.clone());
            let stopping = stopping.clone();
            tokio::spawn(async move {
                connected(stream, wire, router, stopping).await;
                drop(place);
            });
        }
        stop.send_replace(true);
        // Each connection has one of these, and drops it when it ends.
        drop(stopping);
        let ended = tokio::time::timeout(LAST_REQUESTS, stop.closed());
        if ended.await.is_err() {
            tracing::warn!("requests of viewers were cut off");
        }
    }
}

async fn connected(stream: TcpStream, wire: Wire, router: Router, stopping: watch::Receiver<bool>) {
    let Wire::Tls(config) = wire else {
        return serve(stream, router, stopping).await;
    };
    let accepted = TlsAcceptor::from(config).accept(stream);
    match tokio::time::timeout(HANDSHAKE, accepted).await {
        Ok(Ok(stream)) => serve(stream, router, stopping).await,
        Ok(Err(error)) => tracing::debug!("speak TLS with a viewer: {error}"),
        Err(_elapsed) => {}
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    router: Router,
    mut stopping: watch::Receiver<bool>,
) {
    let service = TowerToHyperService::new(router);
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(NEXT_REQUEST)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = std::pin::pin!(served);
    let is_over = async move {
        drop(tokio::time::timeout(LONGEST, stopping.wait_for(|stop| *stop)).await);
    };
    let ended = tokio::select! {
        ended = served.as_mut() => Ok(ended),
        () = is_over => {
            served.as_mut().graceful_shutdown();
            tokio::time::timeout(LAST_ANSWER, served.as_mut()).await
        }
    };
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("serve a viewer: {error}"),
        Err(_elapsed) => tracing::debug!("a viewer was cut off"),
    }
}
