//! A connection to a server that was made, and what was prepared on it.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use tokio_postgres::Statement;
use tokio_postgres::types::Type;

use super::session::{Answer, Session};
use super::text::numbered;
use crate::store::sql::Value;

/// A connection that was idle for longer is asked first whether it still is one.
const FRESH: Duration = Duration::from_secs(1);

/// A connection that was made, with the statements that were prepared on it.
pub(super) struct Live {
    /// Taken at the end only.
    session: Option<Session>,
    statements: HashMap<String, Statement>,
    pub(super) used: Instant,
}

impl Live {
    pub(super) fn new(session: Session) -> Self {
        Self {
            session: Some(session),
            statements: HashMap::new(),
            used: Instant::now(),
        }
    }

    pub(super) fn session(&mut self) -> &mut Session {
        self.session.as_mut().expect("it is taken at the end only")
    }

    pub(super) fn is_well(&mut self) -> bool {
        let is_fresh = self.used.elapsed() < FRESH;
        let session = self.session();
        !session.is_closed() && (is_fresh || session.is_well())
    }

    pub(super) fn prepare(&mut self, sql: &str, values: &[Value<'_>]) -> Answer<Statement> {
        if let Some(known) = self.statements.get(sql) {
            return Ok(known.clone());
        }
        let types: Vec<_> = values.iter().map(Value::server_type).collect();
        self.prepare_as(sql, &types)
    }

    pub(super) fn prepare_as(&mut self, sql: &str, types: &[Type]) -> Answer<Statement> {
        if let Some(known) = self.statements.get(sql) {
            return Ok(known.clone());
        }
        let statement = self.session().prepare(&numbered(sql), types)?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let session = self.session.take();
        // To say goodbye it waits, which threads of a runtime must not.
        if tokio::runtime::Handle::try_current().is_ok() {
            drop(thread::spawn(move || drop(session)));
        }
    }
}
