//! The verbs on PostgreSQL. A connection that was lost is made anew before the next statement outside of a
//! transaction, and no sooner than a while after it could not be made.

mod live;
mod session;
mod text;

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use bytes::{BufMut as _, BytesMut};
use tokio_postgres::Row as ServerRow;
use tokio_postgres::types::{IsNull, ToSql};

use self::live::Live;
use self::session::Answer;
pub(in crate::store) use self::session::Session;
use super::{Error, Insert, Result, Row, Turn, Value};

/// After a connection could not be made, so long none is tried; each time twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// So many rows of an answer are asked for first, and so many then.
const FIRST_ROWS: usize = 128;
const MORE_ROWS: usize = 4_096;

/// Makes a connection and sets it up.
pub(in crate::store) type Connect = Box<dyn Fn() -> Result<Session> + Send>;

/// A database on a server.
pub(in crate::store) struct Server {
    connect: Connect,
    live: RefCell<Option<Live>>,
    pause: Cell<Option<(Instant, Duration)>>,
    transaction: Cell<Transaction>,
    /// So many answers are being read piece by piece.
    streams: Cell<u32>,
    /// Whether the session has what another one would not have.
    is_pinned: Cell<bool>,
    deadline: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transaction {
    None,
    Open,
    /// A statement failed in it: all that is left is to undo it.
    Failed,
}

impl Server {
    /// Connects. From a deadline on all that is asked fails.
    pub(in crate::store) fn open(connect: Connect, deadline: Option<Instant>) -> Result<Self> {
        let server = Self {
            live: RefCell::new(None),
            connect,
            pause: Cell::new(None),
            transaction: Cell::new(Transaction::None),
            streams: Cell::new(0),
            is_pinned: Cell::new(false),
            deadline,
        };
        server.with(|_live| Ok(()))?;
        Ok(server)
    }

    pub(super) fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64> {
        self.with(|live| {
            let statement = live.prepare(sql, values)?;
            live.session().execute(&statement, &params(values))
        })
    }

    pub(super) fn script(&self, sql: &str) -> Result<()> {
        self.with(|live| live.session().script(sql))
    }

    pub(super) fn query(
        &self,
        sql: &str,
        values: &[Value<'_>],
        take: &mut dyn FnMut(&Row<'_>) -> Result<bool>,
    ) -> Result<()> {
        let rows = self.with(|live| {
            let statement = live.prepare(sql, values)?;
            live.session().query(&statement, &params(values))
        })?;
        take_all(&rows, take).map(drop)
    }

    /// Asks likewise, but for no more rows than are taken, so that the server may begin to answer before it has all.
    pub(super) fn stream(
        &self,
        sql: &str,
        values: &[Value<'_>],
        take: &mut dyn FnMut(&Row<'_>) -> Result<bool>,
    ) -> Result<()> {
        if self.transaction.get() == Transaction::None {
            return self.query(sql, values, take);
        }
        let number = self.streams.get();
        self.execute(
            &format!("DECLARE stream_{number} NO SCROLL CURSOR FOR {sql}"),
            values,
        )?;
        self.streams.set(number + 1);
        let fetched = self.fetch(number, take);
        self.streams.set(number);
        fetched?;
        self.script(&format!("CLOSE stream_{number}"))
    }

    fn fetch(&self, number: u32, take: &mut dyn FnMut(&Row<'_>) -> Result<bool>) -> Result<()> {
        let mut most = FIRST_ROWS;
        loop {
            let fetch = format!("FETCH FORWARD {most} FROM stream_{number}");
            let rows = self.with(|live| live.session().query_once(&fetch))?;
            if !take_all(&rows, take)? || rows.len() < most {
                return Ok(());
            }
            most = MORE_ROWS;
        }
    }

    pub(super) fn begin(&self, turn: Turn) -> Result<()> {
        let begun = self.script(&match turn {
            Turn::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned(),
            turn => format!("BEGIN ISOLATION LEVEL READ COMMITTED; {}", waiting(turn)),
        });
        match begun {
            Ok(()) => self.transaction.set(Transaction::Open),
            // It may have begun.
            Err(_) => drop(self.roll_back()),
        }
        begun
    }

    pub(super) fn take_turn(&self, turn: Turn) -> Result<()> {
        self.script(&waiting(turn))
    }

    /// Keeps to this connection, also where it is lost: from then on all fails.
    pub(in crate::store) fn pin(&self) {
        self.is_pinned.set(true);
    }

    pub(super) fn commit(&self) -> Result<()> {
        // The server would undo it, and say that all is well.
        if self.transaction.get() == Transaction::Failed {
            return Err(Error::Unreachable(
                "a statement before this one failed".to_owned(),
            ));
        }
        let committed = self.script("COMMIT");
        self.transaction.set(Transaction::None);
        committed
    }

    pub(super) fn roll_back(&self) -> Result<()> {
        let undone = self.with(|live| live.session().script("ROLLBACK"));
        self.transaction.set(Transaction::None);
        if undone.is_err() {
            drop(self.live.take());
        }
        undone
    }

    pub(super) fn insert_all<'v, const N: usize>(
        &self,
        insert: &Insert<N>,
        rows: impl IntoIterator<Item = [Value<'v>; N]>,
    ) -> Result<()> {
        if insert.on_conflict.is_empty() {
            return self.copy_in(insert, rows);
        }
        let mut columns: [Vec<Value<'v>>; N] = [const { Vec::new() }; N];
        for row in rows {
            columns
                .iter_mut()
                .zip(row)
                .for_each(|(column, value)| column.push(value));
        }
        self.with_lists(&insert.of_lists(), &columns)
    }

    /// Executes a statement whose parameters are lists.
    pub(in crate::store) fn with_lists(&self, sql: &str, columns: &[Vec<Value<'_>>]) -> Result<()> {
        self.lists(sql, columns).map(|_rows| ())
    }

    /// Executes a statement once for each row of parameters; what each of them answers.
    pub(super) fn each<const N: usize>(
        &self,
        sql: &str,
        rows: &[[Value<'_>; N]],
    ) -> Result<Vec<Vec<ServerRow>>> {
        let Some(first) = rows.first() else {
            return Ok(Vec::new());
        };
        let all: Vec<_> = rows.iter().map(|row| params(row)).collect();
        self.with(|live| {
            let statement = live.prepare(sql, first)?;
            live.session().query_each(&statement, &all)
        })
    }

    /// All rows of the answer to a question whose parameters are lists.
    pub(in crate::store) fn rows_of_lists<T>(
        &self,
        sql: &str,
        columns: &[Vec<Value<'_>>],
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let rows = self.lists(sql, columns)?;
        rows.iter().map(|row| read(&Row::Postgres(row))).collect()
    }

    fn lists(&self, sql: &str, columns: &[Vec<Value<'_>>]) -> Result<Vec<ServerRow>> {
        // Where one has no row the others have none, and there is nothing to do.
        let first: Option<Vec<Value<'_>>> = columns
            .iter()
            .map(|column| column.first().copied())
            .collect();
        let Some(first) = first else {
            return Ok(Vec::new());
        };
        let params: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|column| column as _).collect();
        self.with(|live| {
            let types: Vec<_> = first.iter().map(Value::server_list_type).collect();
            let statement = live.prepare_as(sql, &types)?;
            live.session().query(&statement, &params)
        })
    }

    /// Copies rows in, of which none is there.
    fn copy_in<'v, const N: usize>(
        &self,
        insert: &Insert<N>,
        rows: impl IntoIterator<Item = [Value<'v>; N]>,
    ) -> Result<()> {
        let mut out = BytesMut::from(&b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0"[..]);
        let head = out.len();
        for row in rows {
            out.put_i16(i16::try_from(N).unwrap_or(i16::MAX));
            for value in row {
                put(&value, &mut out)?;
            }
        }
        if out.len() == head {
            return Ok(());
        }
        out.put_i16(-1);
        self.with(|live| {
            let statement = live.prepare_as(&insert.copied(), &[])?;
            let copied = live.session().copy_in(&statement, out.freeze());
            copied.map(|_rows| ())
        })
    }

    /// Works with the connection, which is made anew where it was lost outside of a transaction.
    fn with<T>(&self, work: impl FnOnce(&mut Live) -> Answer<T>) -> Result<T> {
        if self
            .deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
        {
            return Err(Error::OutOfTime);
        }
        let mut live = self.live.borrow_mut();
        if self.transaction.get() == Transaction::None && !self.is_pinned.get() {
            self.revive(&mut live)?;
        }
        let lost = || Error::Unreachable("the connection was lost".to_owned());
        let live = live.as_mut().ok_or_else(lost)?;
        let done = work(live);
        live.used = Instant::now();
        if done.is_err() && self.transaction.get() == Transaction::Open {
            self.transaction.set(Transaction::Failed);
        }
        Ok(done?)
    }

    fn revive(&self, live: &mut Option<Live>) -> Result<()> {
        if live.as_mut().is_some_and(Live::is_well) {
            return Ok(());
        }
        let pause = self.pause.get();
        if pause.is_some_and(|(until, _)| Instant::now() < until) {
            return Err(Error::Unreachable("it was not a moment ago".to_owned()));
        }
        *live = None;
        match (self.connect)() {
            Ok(session) => {
                *live = Some(Live::new(session));
                self.pause.set(None);
                Ok(())
            }
            Err(error) => {
                let next = pause.map_or(FIRST_PAUSE, |(_, last)| (last * 2).min(LONGEST_PAUSE));
                self.pause.set(Some((Instant::now() + next, next)));
                Err(error)
            }
        }
    }
}

/// Passes on rows until it is told that it is enough; whether it was not.
fn take_all(rows: &[ServerRow], take: &mut dyn FnMut(&Row<'_>) -> Result<bool>) -> Result<bool> {
    for row in rows {
        if !take(&Row::Postgres(row))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Waits for a turn. Each schema is a store, with turns of its own.
fn waiting(turn: Turn) -> String {
    let (lock, number) = match turn {
        Turn::Read => return String::new(),
        Turn::Fold => ("pg_advisory_xact_lock_shared", 1),
        Turn::Tidy => ("pg_advisory_xact_lock", 1),
        Turn::Decide => ("pg_advisory_xact_lock", 2),
        Turn::Begin => ("pg_advisory_xact_lock", 3),
    };
    format!("SELECT {lock}(hashtext(current_schema()), {number})")
}

fn params<'v>(values: &'v [Value<'_>]) -> Vec<&'v (dyn ToSql + Sync)> {
    values.iter().map(|value| value as _).collect()
}

/// A value as it stands in a copy: its length, and its bytes.
fn put(value: &Value<'_>, out: &mut BytesMut) -> Result<()> {
    let begin = out.len();
    out.put_i32(-1);
    let written = ToSql::to_sql(value, &value.server_type(), out);
    let too_long = |_error| Error::Column {
        index: 0,
        what: "it is too long",
    };
    if let IsNull::No = written.map_err(|_error| Error::Column {
        index: 0,
        what: "it is too long",
    })? {
        let length = i32::try_from(out.len() - begin - 4).map_err(too_long)?;
        out[begin..begin + 4].copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}
