//! Listens for hosts: TLS, and a bound on connections and on how long one may do nothing.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::admission::Admission;
use crate::api::{ApiState, Peer, router};
use crate::authority::{self, Authority, Shown};
use crate::clock::now;
use crate::follow::{self, Follower};
use crate::metrics::Metrics;
use crate::store::{self, Enrolment, KnownReader, Location, Store};
use crate::view::{self, ViewState, Wire};

/// So many hosts are connected at a time.
const CONNECTIONS: usize = 20_000;
/// So many of those that have shown no certificate yet.
const STRANGERS: usize = 256;
/// A connection speaks TLS within this.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The head of a request arrives within this, counted from the connection or its last request: longer than
/// hosts are silent.
const NEXT_REQUEST: Duration = Duration::from_mins(10);
/// Who has no certificate has done within this what it came for.
const STRANGERS_TIME: Duration = Duration::from_secs(30);
/// Requests under way may take this long to end once the collector stops.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// Says how to serve.
#[derive(Clone, Debug)]
pub struct Serving {
    /// Where the authority is.
    pub state_dir: PathBuf,
    /// Where the store is.
    pub location: Location,
    /// How long certificates of hosts hold.
    pub certificate_lifetime: Duration,
    /// The file of the rules that hosts are held against.
    pub rules: Option<PathBuf>,
}

/// Says why the collector cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store is not usable.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The authority is not usable.
    #[error(transparent)]
    Authority(#[from] authority::Error),
    /// Drift cannot be followed.
    #[error(transparent)]
    Follow(#[from] follow::Error),
}

/// Says how to serve viewers.
#[derive(Clone, Debug)]
pub struct Viewing {
    /// Where to listen.
    pub address: SocketAddr,
    /// A certificate that somebody else made, with its key; the collector's own otherwise.
    pub certificate: Option<PathBuf>,
}

/// What is open to serve from.
pub struct Server {
    tls: TlsAcceptor,
    router: Router,
    metrics: Arc<Metrics>,
    authority: Arc<Authority>,
    location: Location,
    follower: Follower,
}

impl Server {
    /// Opens store and authority.
    pub fn open(serving: &Serving) -> Result<Self, Error> {
        let Serving {
            state_dir,
            location,
            certificate_lifetime,
            rules,
        } = serving;
        let authority = Authority::open(state_dir, now())?;
        let tls = TlsAcceptor::from(Arc::new(authority.server(now())?));
        store::agree_on_authority(location, &authority.fingerprint())?;
        let follower = Follower::open(location, rules.as_deref(), now())?;
        let state = state(location, authority, *certificate_lifetime)?;
        Ok(Self {
            tls,
            metrics: Arc::clone(&state.metrics),
            authority: Arc::clone(&state.authority),
            router: router(state),
            location: location.clone(),
            follower,
        })
    }

    /// What answers viewers beside this, with the same counts. Plain where nobody else can listen, on the loopback.
    pub fn view(&self, viewing: &Viewing) -> Result<view::Server, Error> {
        let wire = match &viewing.certificate {
            Some(file) => Wire::Tls(Arc::new(authority::viewers_by(file)?)),
            None if viewing.address.ip().is_loopback() => Wire::Plain,
            None => Wire::Tls(Arc::new(self.authority.viewers(now())?)),
        };
        let state = ViewState::open(&self.location, Arc::clone(&self.metrics))?;
        Ok(view::Server::new(state, wire))
    }

    /// Serves until `shutdown` completes and the requests under way have ended.
    pub async fn run(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let Self {
            tls,
            router,
            follower,
            metrics: _,
            authority: _,
            location: _,
        } = self;
        let (stop_following, stopped) = mpsc::channel();
        let following = tokio::task::spawn_blocking(move || follower.run(&stopped));
        let (stop, stopping) = watch::channel(false);
        let (places, strangers) = (Semaphore::new(CONNECTIONS), Semaphore::new(STRANGERS));
        let (places, strangers) = (Arc::new(places), Arc::new(strangers));
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
            // Who finds no place comes again: hosts do.
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                continue;
            };
            let connection = Connection {
                tls: tls.clone(),
                router: router.clone(),
                strangers: Arc::clone(&strangers),
                stopping: stopping.clone(),
            };
            tokio::spawn(async move {
                connection.serve(stream).await;
                drop(place);
            });
        }
        stop.send_replace(true);
        // Each connection has one of these, and drops it when it ends.
        drop(stopping);
        if tokio::time::timeout(LAST_REQUESTS, stop.closed())
            .await
            .is_err()
        {
            tracing::warn!("requests were cut off");
        }
        drop(stop_following);
        if let Err(error) = following.await {
            tracing::error!("follow drift: {error}");
        }
    }
}

fn state(
    location: &Location,
    authority: Authority,
    certificate_lifetime: Duration,
) -> Result<ApiState, store::Error> {
    let store = Store::open(location)?;
    let enrolment = Enrolment::open(location)?;
    let known = KnownReader::open(location)?;
    Ok(ApiState {
        authority: Arc::new(authority),
        store: Arc::new(store),
        enrolment: Arc::new(Mutex::new(enrolment)),
        known: Arc::new(Mutex::new(known)),
        admission: Admission::default(),
        certificate_lifetime,
        metrics: Arc::new(Metrics::new(now())),
    })
}

/// A connection that ended before it began is nothing; without descriptors there is a moment to wait.
pub(crate) async fn accept_failed(error: &io::Error) {
    let is_its_own = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    );
    if !is_its_own {
        tracing::error!("accept a connection: {error}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

struct Connection {
    tls: TlsAcceptor,
    router: Router,
    strangers: Arc<Semaphore>,
    stopping: watch::Receiver<bool>,
}

impl Connection {
    async fn serve(self, stream: TcpStream) {
        let Self {
            tls,
            router,
            strangers,
            stopping,
        } = self;
        let Ok(stranger) = strangers.try_acquire_owned() else {
            return;
        };
        let stream = match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!("speak TLS: {error}"),
            Err(_elapsed) => return,
        };
        let (_, session) = stream.get_ref();
        let shown = session.peer_certificates().and_then(<[_]>::first);
        let peer = Peer(shown.and_then(Shown::read).map(Arc::new));
        // A stranger keeps its place as one, and has not long.
        let (stranger, patience) = match peer {
            Peer(Some(_)) => {
                drop(stranger);
                (None, Duration::MAX)
            }
            Peer(None) => (Some(stranger), STRANGERS_TIME),
        };
        let service = TowerToHyperService::new(router.layer(Extension(peer)));
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(NEXT_REQUEST)
            .serve_connection(TokioIo::new(stream), service);
        let mut served = std::pin::pin!(served);
        let mut told = stopping.clone();
        let told = async move { drop(told.wait_for(|stop| *stop).await) };
        let ended = async {
            tokio::select! {
                ended = served.as_mut() => ended,
                () = told => {
                    served.as_mut().graceful_shutdown();
                    served.as_mut().await
                }
            }
        };
        if let Ok(Err(error)) = tokio::time::timeout(patience, ended).await {
            tracing::debug!("serve a host: {error}");
        }
        drop((stranger, stopping));
    }
}
