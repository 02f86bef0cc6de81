//! `tracer-collector serve`: the server.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::{Context, Error, Exit};
use crate::serve::{Server, Serving};
use crate::store::database;
use crate::tidying::Tidying;

/// Serve hosts, in the foreground
///
/// Hosts connect over HTTPS and show the certificate that they got from `tracer enrol`. The first start makes the
/// collector's own certificate authority.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Listen on this address
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:7443")]
    listen: SocketAddr,
    /// Give hosts certificates that hold for so long; they get the next one when two thirds of it are over
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = super::duration)]
    certificate_lifetime: Duration,
    /// Keep each moment for so long, as `90d`, and remove what is older four times a day; without it all is kept
    #[arg(long, value_name = "LENGTH", value_parser = super::tidy::keep)]
    keep: Option<Duration>,
}

impl ServeArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self {
            listen,
            certificate_lifetime,
            keep,
        } = self;
        let serving = Serving {
            state_dir: context.state_dir()?.to_owned(),
            certificate_lifetime,
        };
        let server = Server::open(&serving)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|source| failed("start threads", source))?;
        runtime.block_on(async {
            let listener = TcpListener::bind(listen).await;
            let on = format!("listen on `{listen}`");
            let listener = listener.map_err(|source| failed(&on, source))?;
            let address = listener
                .local_addr()
                .map_err(|source| failed(&on, source))?;
            let shutdown = ended()?;
            tracing::info!("listening on {address}");
            let database = database(&serving.state_dir);
            let tidying = keep.map(|keep| Tidying::begin(database, keep));
            server.run(listener, shutdown).await;
            tracing::info!("ending");
            drop(tidying);
            Ok(Exit::Found)
        })
    }
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
