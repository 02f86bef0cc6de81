//! `tracer-collector serve`: the server.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Context, Error, Exit};
use crate::serve::{Server, Serving, Viewing};
use crate::tidying::Tidying;
use crate::view;

/// Serve hosts, in the foreground
///
/// Hosts connect over HTTPS and show the certificate that they got from `tracer enrol`. The first start makes the
/// collector's own certificate authority.
///
/// With `--view` people and dashboards can ask over HTTP what the other commands answer, with a token that
/// `tracer-collector token make` makes: on the loopback plainly, on any other address with TLS. `/v1/openapi.json` says
/// how, and `/metrics` has the figures for Prometheus.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Listen for hosts on this address
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:7443")]
    listen: SocketAddr,
    /// Give hosts certificates that hold for so long; they get the next one when two thirds of it are over
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = super::duration)]
    certificate_lifetime: Duration,
    /// Keep each moment for so long, as `90d`, and remove what is older four times a day; without it all is kept
    #[arg(long, value_name = "LENGTH", value_parser = super::tidy::keep)]
    keep: Option<Duration>,
    /// Listen for viewers on this address, such as `127.0.0.1:7444`; without it there are none
    #[arg(long, value_name = "ADDRESS")]
    view: Option<SocketAddr>,
    /// Show viewers this certificate: a file with its chain and its key in PEM. Without it the collector's own is shown
    #[arg(long, value_name = "FILE", requires = "view")]
    view_certificate: Option<PathBuf>,
    /// Hold hosts against the rules in this file, which is read anew when it is changed; see `check-rules`
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
}

impl ServeArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self {
            listen,
            certificate_lifetime,
            keep,
            view,
            view_certificate,
            rules,
        } = self;
        let serving = Serving {
            state_dir: context.state_dir()?.to_owned(),
            location: context.location()?,
            certificate_lifetime,
            rules,
        };
        let server = Server::open(&serving)?;
        let location = serving.location.clone();
        let viewing = view.map(|address| Viewing {
            address,
            certificate: view_certificate,
        });
        let viewers = viewing.map(|viewing| Ok((viewing.address, server.view(&viewing)?)));
        let viewers = viewers.transpose().map_err(Error::Serve)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|source| failed("start threads", source))?;
        runtime.block_on(async {
            let (ended, listener) = (ended()?, bind(listen).await?);
            let (stop, stopping) = watch::channel(false);
            let shutdown = async move {
                ended.await;
                stop.send_replace(true);
            };
            let viewers = match viewers {
                Some((address, viewers)) => Some(answer(viewers, address, stopping).await?),
                None => None,
            };
            tracing::info!("listening on {}", local(&listener));
            let tidying = keep.map(|keep| Tidying::begin(location, keep));
            server.run(listener, shutdown).await;
            if let Some(viewers) = viewers
                && let Err(error) = viewers.await
            {
                tracing::error!("serve viewers: {error}");
            }
            tracing::info!("ending");
            drop(tidying);
            Ok(Exit::Found)
        })
    }
}

/// Answers viewers in a task of its own, until the server stops.
async fn answer(
    viewers: view::Server,
    address: SocketAddr,
    mut stopping: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, Error> {
    let listener = bind(address).await?;
    tracing::info!("viewers on {}", local(&listener));
    let stopped = async move { drop(stopping.wait_for(|stop| *stop).await) };
    Ok(tokio::spawn(viewers.run(listener, stopped)))
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|source| failed(&format!("listen on `{address}`"), source))
}

/// Where it listens, as it is told: of port 0 the port that was found.
fn local(listener: &TcpListener) -> String {
    let address = listener.local_addr();
    address.map_or_else(|error| error.to_string(), |address| address.to_string())
}

/// Waits for the signal to end.
fn ended() -> Result<impl Future<Output = ()>, Error> {
    let wait_for = |kind| signal(kind).map_err(|source| failed("wait for signals", source));
    let mut term = wait_for(SignalKind::terminate())?;
    let mut int = wait_for(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    })
}

fn failed(doing: &str, source: io::Error) -> Error {
    let doing = doing.to_owned();
    Error::System { doing, source }
}
