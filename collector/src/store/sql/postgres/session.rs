//! A connection to a server, for a thread that waits for what it asks.
//!
//! Statements go one after the other, or many at once where none needs the answer to the one before: then the way to
//! the server and back counts once.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt as _;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, Row, Socket, Statement};

use crate::store::sql::{Error, Result};

/// What the server answers.
pub(super) type Answer<T> = std::result::Result<T, tokio_postgres::Error>;

type Params<'p> = Vec<&'p (dyn ToSql + Sync)>;
type Driver = Pin<Box<dyn Future<Output = Answer<()>> + Send>>;

/// A server that has not said that it is there within this is not.
const CHECK: Duration = Duration::from_secs(5);
/// So long it may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// A connection that was made.
pub(in crate::store) struct Session {
    /// Taken at the end only.
    client: Option<Client>,
    /// What carries it; none where it has ended.
    driver: Option<Driver>,
    runtime: Runtime,
}

impl Session {
    /// Connects. Blocks until it is done; not to be called by a thread that runs futures, like all the others.
    pub(in crate::store) fn connect<T>(config: &Config, tls: T) -> Result<Self>
    where
        T: MakeTlsConnect<Socket>,
        T::Stream: Send + 'static,
    {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.enable_all().build();
        let runtime = runtime.map_err(|error| Error::Unreachable(error.to_string()))?;
        let (client, connection) = runtime.block_on(config.connect(tls))?;
        Ok(Self {
            client: Some(client),
            driver: Some(Box::pin(connection)),
            runtime,
        })
    }

    /// Executes statements without parameters.
    pub(in crate::store) fn script(&mut self, sql: &str) -> Answer<()> {
        self.run(async |client| client.batch_execute(sql).await)
    }

    pub(super) fn prepare(&mut self, sql: &str, types: &[Type]) -> Answer<Statement> {
        self.run(async |client| client.prepare_typed(sql, types).await)
    }

    /// How many rows it wrote.
    pub(super) fn execute(&mut self, statement: &Statement, params: &Params<'_>) -> Answer<u64> {
        self.run(async |client| client.execute(statement, params).await)
    }

    pub(super) fn query(&mut self, statement: &Statement, params: &Params<'_>) -> Answer<Vec<Row>> {
        self.run(async |client| client.query(statement, params).await)
    }

    /// All rows of the answer to a question without parameters that is asked once.
    pub(super) fn query_once(&mut self, sql: &str) -> Answer<Vec<Row>> {
        self.run(async |client| client.query(sql, &[]).await)
    }

    /// Executes a statement once for each of the parameters, in their order, without waiting in between; all rows of
    /// each answer.
    pub(super) fn query_each(
        &mut self,
        statement: &Statement,
        params: &[Params<'_>],
    ) -> Answer<Vec<Vec<Row>>> {
        self.run(async |client| {
            let asked = params.iter().map(|params| client.query(statement, params));
            in_order(asked).await
        })
    }

    /// Copies rows in, as the binary form of COPY has them.
    pub(super) fn copy_in(&mut self, statement: &Statement, rows: Bytes) -> Answer<u64> {
        self.run(async |client| {
            let mut sink = pin!(client.copy_in::<_, Bytes>(statement).await?);
            // It takes everything: what goes wrong is told at the end.
            drop(sink.as_mut().send(rows).await);
            sink.finish().await
        })
    }

    /// Whether the connection has ended, as far as is known.
    pub(super) fn is_closed(&self) -> bool {
        self.driver.is_none() || self.client.as_ref().is_none_or(Client::is_closed)
    }

    /// Whether the server is still there.
    pub(super) fn is_well(&mut self) -> bool {
        self.run(async |client| {
            let asked = tokio::time::timeout(CHECK, client.batch_execute("")).await;
            Ok(asked.is_ok_and(|answer| answer.is_ok()))
        })
        .unwrap_or(false)
    }

    /// Waits for what is asked, and carries the connection meanwhile.
    fn run<T>(&mut self, ask: impl AsyncFnOnce(&Client) -> Answer<T>) -> Answer<T> {
        let Self {
            client,
            driver,
            runtime,
        } = self;
        let client = client.as_ref().expect("it is taken at the end only");
        let mut asked = pin!(ask(client));
        runtime.block_on(poll_fn(|context| {
            if let Some(Poll::Ready(ended)) = driver.as_mut().map(|one| one.as_mut().poll(context))
            {
                *driver = None;
                ended?;
            }
            asked.as_mut().poll(context)
        }))
    }
}

impl Drop for Session {
    /// The server is told, or it would complain of a connection that was lost.
    fn drop(&mut self) {
        drop(self.client.take());
        if let Some(driver) = self.driver.take() {
            let goodbye = async { tokio::time::timeout(GOODBYE, driver).await };
            drop(self.runtime.block_on(goodbye));
        }
    }
}

/// Begins all in their order, and waits for one after the other.
async fn in_order<T>(
    asked: impl Iterator<Item = impl Future<Output = Answer<T>>>,
) -> Answer<Vec<T>> {
    let mut asked: Vec<_> = asked.map(Box::pin).collect();
    let mut answers: Vec<Option<Answer<T>>> = Vec::with_capacity(asked.len());
    // What is asked is sent when it is first looked at.
    poll_fn(|context| {
        for one in &mut asked {
            answers.push(match one.as_mut().poll(context) {
                Poll::Ready(answer) => Some(answer),
                Poll::Pending => None,
            });
        }
        Poll::Ready(())
    })
    .await;
    let mut all = Vec::with_capacity(asked.len());
    for (one, answer) in asked.into_iter().zip(answers) {
        all.push(match answer {
            Some(answer) => answer?,
            None => one.await?,
        });
    }
    Ok(all)
}
