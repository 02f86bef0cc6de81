//! The verbs on `SQLite`.

use rusqlite::params_from_iter;

use super::{Result, Row, Turn, Value};

/// A database that is a file.
pub(in crate::store) struct File(pub(in crate::store) rusqlite::Connection);

impl File {
    pub(super) fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64> {
        let mut statement = self.0.prepare_cached(sql)?;
        Ok(statement.execute(params_from_iter(values))? as u64)
    }

    pub(super) fn script(&self, sql: &str) -> Result<()> {
        Ok(self.0.execute_batch(sql)?)
    }

    pub(super) fn query(
        &self,
        sql: &str,
        values: &[Value<'_>],
        take: &mut dyn FnMut(&Row<'_>) -> Result<bool>,
    ) -> Result<()> {
        let mut statement = self.0.prepare_cached(sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            if !take(&Row::Sqlite(row))? {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn begin(&self, turn: Turn) -> Result<()> {
        self.script(match turn {
            Turn::Read => "BEGIN",
            Turn::Fold | Turn::Tidy | Turn::Decide | Turn::Begin => "BEGIN IMMEDIATE",
        })
    }
}
