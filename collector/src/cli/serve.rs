//! `tracer-collector serve`: the server.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::{Context, Error, Exit};
use crate::serve::{Server, Serving};

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
    /// Hold hosts against the rules in this file, which is read anew when it is changed; see `check-rules`
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
}

impl ServeArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self {
            listen,
            certificate_lifetime,
            rules,
        } = self;
        let serving = Serving {
            state_dir: context.state_dir()?.to_owned(),
            certificate_lifetime,
            rules,
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
            server.run(listener, shutdown).await;
            tracing::info!("ending");
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
