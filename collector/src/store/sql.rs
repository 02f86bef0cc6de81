//! The door to the database, whichever it is: the few verbs that the store's statements need.
//!
//! Statements are written once, in what both databases speak. Their parameters are `?1`, or `?` one after the other;
//! each is prepared once on a connection, and remembered by its text.

mod copy;
mod error;
mod postgres;
mod row;
mod sqlite;
mod value;

use std::ops::Deref;

pub(super) use self::copy::Insert;
pub use self::error::Error;
pub(super) use self::error::{Result, words};
pub(super) use self::postgres::{Server, Session as ServerSession};
pub(super) use self::row::Row;
pub(super) use self::sqlite::File;
pub(super) use self::value::{Params, ToValue, Value};
use crate::store;
use crate::store::error::Doing as _;

/// A connection to one of the databases.
pub(super) enum Connection {
    /// To a file of this process's own.
    Sqlite(File),
    /// To a server that others use, too.
    Postgres(Box<Server>),
}

/// Whom a transaction keeps out until it ends. In `SQLite` one writes at a time, whatever it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nobody: it reads one moment.
    Read,
    /// Who folds in what hosts send, and who removes what is old, work on different rows or wait for one another.
    Fold,
    /// Everybody that folds.
    Tidy,
    /// Everybody that writes what people decide.
    Decide,
    /// Everybody that begins a host's log.
    Begin,
}

impl Connection {
    /// Executes a statement; how many rows it wrote.
    pub(super) fn execute(&self, sql: &str, params: impl Params) -> Result<u64> {
        params.with(|values| match self {
            Self::Sqlite(file) => file.execute(sql, values),
            Self::Postgres(server) => server.execute(sql, values),
        })
    }

    /// Executes statements without parameters.
    pub(super) fn script(&self, sql: &str) -> Result<()> {
        match self {
            Self::Sqlite(file) => file.script(sql),
            Self::Postgres(server) => server.script(sql),
        }
    }

    /// Executes a statement once for each row of parameters, in their order, and waits once for all of them.
    pub(super) fn execute_each<const N: usize>(
        &self,
        sql: &str,
        rows: &[[Value<'_>; N]],
    ) -> Result<()> {
        match self {
            Self::Sqlite(file) => rows
                .iter()
                .try_for_each(|row| file.execute(sql, row).map(drop)),
            Self::Postgres(server) => server.each(sql, rows).map(drop),
        }
    }

    /// Asks a question once for each row of parameters: all rows of each answer.
    pub(super) fn rows_each<T, const N: usize>(
        &self,
        sql: &str,
        params: &[[Value<'_>; N]],
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<Vec<T>>> {
        let Self::Postgres(server) = self else {
            let each = params.iter().map(|row| self.rows(sql, &row[..], &mut read));
            return each.collect();
        };
        let answers = server.each(sql, params)?;
        let read_all = |rows: &Vec<_>| {
            rows.iter()
                .map(|row| read(&Row::Postgres(row)))
                .collect::<Result<Vec<T>>>()
        };
        answers.iter().map(read_all).collect()
    }

    /// All rows of an answer.
    pub(super) fn rows<T>(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut rows = Vec::new();
        let mut take = |row: &Row<'_>| {
            rows.push(read(row)?);
            Ok(true)
        };
        params.with(|values| match self {
            Self::Sqlite(file) => file.query(sql, values, &mut take),
            Self::Postgres(server) => server.query(sql, values, &mut take),
        })?;
        Ok(rows)
    }

    /// The first row of an answer, where there is any.
    pub(super) fn optional<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let (mut found, mut read) = (None, Some(read));
        let mut take = |row: &Row<'_>| {
            found = read.take().map(|read| read(row)).transpose()?;
            Ok(false)
        };
        params.with(|values| match self {
            Self::Sqlite(file) => file.query(sql, values, &mut take),
            Self::Postgres(server) => server.query(sql, values, &mut take),
        })?;
        Ok(found)
    }

    /// The one row of an answer.
    pub(super) fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<T> {
        self.optional(sql, params, read)?.ok_or(Error::NoRow)
    }

    /// Whether an answer has any row.
    pub(super) fn exists(&self, sql: &str, params: impl Params) -> Result<bool> {
        Ok(self.optional(sql, params, |_row| Ok(()))?.is_some())
    }

    /// Passes on rows as they come, until it is told that it is enough. What they are passed to may ask meanwhile.
    pub(super) fn each(
        &self,
        (sql, params): (&str, impl Params),
        doing: &'static str,
        pass_on: &mut dyn FnMut(&Row<'_>) -> std::result::Result<bool, store::Error>,
    ) -> std::result::Result<(), store::Error> {
        let mut failure = None;
        let mut take = |row: &Row<'_>| {
            let passed = pass_on(row);
            Ok(passed.unwrap_or_else(|error| {
                failure = Some(error);
                false
            }))
        };
        let done = params.with(|values| match self {
            Self::Sqlite(file) => file.query(sql, values, &mut take),
            Self::Postgres(server) => server.stream(sql, values, &mut take),
        });
        failure.map_or(Ok(()), Err).and(done.doing(doing))
    }

    /// Begins a transaction, which is undone where it is dropped without [`Transaction::commit`].
    pub(super) fn begin(&self, turn: Turn) -> Result<Transaction<'_>> {
        match self {
            Self::Sqlite(file) => file.begin(turn),
            Self::Postgres(server) => server.begin(turn),
        }?;
        Ok(Transaction {
            connection: self,
            is_open: true,
        })
    }

    /// Waits, within a transaction, until whom it keeps out has ended.
    pub(super) fn take_turn(&self, turn: Turn) -> Result<()> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(server) => server.take_turn(turn),
        }
    }

    /// The first row of each answer, where there is any, which nobody else changes until the transaction ends.
    pub(super) fn hold_each<T, const N: usize>(
        &self,
        sql: &str,
        params: &[[Value<'_>; N]],
        read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<Option<T>>> {
        let held = match self {
            Self::Sqlite(_) => self.rows_each(sql, params, read),
            Self::Postgres(_) => self.rows_each(&format!("{sql} FOR UPDATE"), params, read),
        };
        Ok(held?
            .into_iter()
            .map(|rows| rows.into_iter().next())
            .collect())
    }

    /// Inserts rows into a table.
    pub(super) fn insert_all<'v, const N: usize>(
        &self,
        insert: &Insert<N>,
        rows: impl IntoIterator<Item = [Value<'v>; N]>,
    ) -> Result<()> {
        match self {
            Self::Sqlite(file) => {
                let sql = insert.row_by_row();
                for row in rows {
                    file.execute(&sql, &row)?;
                }
                Ok(())
            }
            Self::Postgres(server) => server.insert_all(insert, rows),
        }
    }

    /// The server, where it is one.
    pub(super) fn server(&self) -> Option<&Server> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(server) => Some(server),
        }
    }

    /// The condition that a column has one of the values of a parameter, which is a list.
    pub(super) fn is_one_of(&self, column: &str, param: &str) -> String {
        match self {
            Self::Sqlite(_) => format!("{column} IN (SELECT value FROM json_each({param}))"),
            Self::Postgres(_) => format!("{column} = ANY ({param})"),
        }
    }
}

/// What is written together or not at all.
pub(super) struct Transaction<'c> {
    connection: &'c Connection,
    is_open: bool,
}

impl Transaction<'_> {
    /// Leaves it open until the connection ends, as whoever reads one moment does.
    pub(super) fn keep(mut self) {
        self.is_open = false;
    }

    /// Keeps what was written. It is on the disk when this returns.
    pub(super) fn commit(mut self) -> Result<()> {
        match self.connection {
            Connection::Sqlite(file) => file.script("COMMIT")?,
            Connection::Postgres(server) => server.commit()?,
        }
        self.is_open = false;
        Ok(())
    }
}

impl Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.is_open {
            // Where this fails the connection is of no use, and the database undoes it by itself.
            drop(match self.connection {
                Connection::Sqlite(file) => file.script("ROLLBACK"),
                Connection::Postgres(server) => server.roll_back(),
            });
        }
    }
}
