//! Answers a query of the log: finds the changes that match, by what can be told without reading them in full.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use change::{Change, Op, Timestamp};
use globset::{GlobBuilder, GlobMatcher};

use super::changes::{self, package_in, renamed_from_in};
use super::error::Doing as _;
use super::sql::{Connection, Row, ToValue as _, Value};
use super::{Error, LogPlace, names, runs};
use crate::fleet::{HostKey, LogQuery, Logged, SubjectKey, ValueKey};

const SELECT: &str = "
    SELECT c.host, c.seq, c.time, c.subject, c.op, c.after, c.run, a.person, a.author, s.kind, s.key, c.rest
    FROM changes c
    JOIN subjects s ON s.id = c.subject
    LEFT JOIN actors a ON a.id = c.actor";
const NEWEST_FIRST: &str = "ORDER BY c.time DESC, c.host, c.seq DESC";
// The plus keeps the database from going through all changes by their times.
const NEWEST_FIRST_SORTED: &str = "ORDER BY +c.time DESC, c.host, c.seq DESC";
const SELECT_FILES: &str = "SELECT id, key FROM subjects WHERE kind = 'file'";
const BY_UID: &str = "(a.person = ? OR a.uid = ?)";

/// Up to so many changes are looked up by their subjects and sorted; beyond that they are so many among all that going
/// through all finds them.
const FEW: i64 = 20_000;

const READ: &str = "search the log";

/// Changes, newest first.
pub(super) fn log(connection: &Connection, query: &LogQuery) -> Result<Vec<Change>, Error> {
    log_page(connection, query, None).map(|(changes, _place)| changes)
}

/// Changes behind a place, newest first, and the place of the last where there may be more.
pub(super) fn log_page(
    connection: &Connection,
    query: &LogQuery,
    behind: Option<LogPlace>,
) -> Result<(Vec<Change>, Option<LogPlace>), Error> {
    let mut found = Vec::new();
    let mut search = Search::new(connection, query)?;
    search.begin_behind(behind);
    search.each(&mut |Logged {
                           time, host, seq, ..
                       }| {
        found.push(LogPlace { time, host, seq });
        true
    })?;
    let mut log = Vec::new();
    for place in &found {
        log.extend(changes::read(connection, place.host, place.seq)?);
    }
    let last = found.last().filter(|_| found.len() == query.limit);
    Ok((log, last.copied()))
}

/// Passes on what matches, newest first, at most as much as the query says or until it is told that it is enough.
pub(super) fn each(
    connection: &Connection,
    query: &LogQuery,
    pass_on: &mut dyn FnMut(Logged) -> bool,
) -> Result<(), Error> {
    Search::new(connection, query)?.each(pass_on)
}

/// In which order rows are looked at.
enum Way {
    /// Those of some subjects, and renames, of which they may be the old names.
    Subjects(Vec<i64>),
    /// Those of one host.
    Host(u32),
    /// All, as they happened.
    All,
}

struct Search<'q> {
    connection: &'q Connection,
    query: &'q LogQuery,
    path: Option<GlobMatcher>,
    package: Option<GlobMatcher>,
    /// What the table itself can tell.
    condition: Vec<(String, Vec<Param>)>,
}

/// What a condition is about.
enum Param {
    Integer(i64),
    Text(String),
    List(Vec<i64>),
}

impl Param {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Integer(value) => value.to_value(),
            Self::Text(text) => text.to_value(),
            Self::List(values) => Value::List(values),
        }
    }
}

impl<'q> Search<'q> {
    fn new(connection: &'q Connection, query: &'q LogQuery) -> Result<Self, Error> {
        let LogQuery {
            since,
            until,
            hosts: _,
            kind,
            op,
            user,
            session,
            by,
            run,
            subject: _,
            path,
            package,
            after_seq,
            limit: _,
        } = query;
        let mut condition: Vec<(String, Vec<Param>)> = Vec::new();
        let mut and = |text: &str, param: Option<Param>| {
            condition.extend(param.map(|param| (text.to_owned(), vec![param])));
        };
        let word = |word: &str| Param::Text(word.to_owned());
        and(
            "c.time >= ?",
            since.map(|time| Param::Integer(time.as_nanos())),
        );
        and(
            "c.time < ?",
            until.map(|time| Param::Integer(time.as_nanos())),
        );
        // What is added keeps the database from beginning with all subjects of a kind.
        and("s.kind || '' = ?", kind.map(|kind| word(kind.as_str())));
        and("c.op || '' = ?", op.map(|op| word(op.as_str())));
        and("a.session = ?", session.map(|id| Param::Integer(id.into())));
        and("a.author = ?", by.map(|by| word(by.as_str())));
        and(
            "c.seq > ?",
            after_seq.map(|seq| Param::Integer(seq.cast_signed())),
        );
        if let Some((HostKey(host), id)) = *run {
            let ids = runs::with_all_within(connection, HostKey(host), id)?;
            let ids = ids.into_iter().map(u64::cast_signed).collect();
            and("c.host = ?", Some(Param::Integer(host.into())));
            and(&connection.is_one_of("c.run", "?"), Some(Param::List(ids)));
        }
        if let Some(user) = user {
            let name = word(user);
            condition.push(match user.parse::<u32>() {
                Ok(uid) => (BY_UID.to_owned(), vec![name, Param::Integer(uid.into())]),
                Err(_name) => ("a.person = ?".to_owned(), vec![name]),
            });
        }
        Ok(Self {
            connection,
            query,
            path: path.as_deref().map(matcher).transpose()?,
            package: package.as_deref().map(matcher).transpose()?,
            condition,
        })
    }

    /// Leaves out what stands before a place, and what is there.
    fn begin_behind(&mut self, place: Option<LogPlace>) {
        let Some(LogPlace { time, host, seq }) = place else {
            return;
        };
        let place = [time.as_nanos(), -i64::from(host.0), seq.cast_signed()];
        // The index knows only the time; of changes of one moment the order is that of the listing.
        let at_latest = ("c.time <= ?".to_owned(), vec![Param::Integer(place[0])]);
        let behind = "(c.time, -c.host, c.seq) < (?, ?, ?)".to_owned();
        let behind = (behind, place.map(Param::Integer).into());
        self.condition.extend([at_latest, behind]);
    }

    fn each(&self, pass_on: &mut dyn FnMut(Logged) -> bool) -> Result<(), Error> {
        let way = self.way()?;
        let Way::Subjects(ids) = way else {
            let (condition, order) = match way {
                Way::Host(host) => {
                    let host = Param::Integer(host.into());
                    (("c.host = ?", Some(host)), NEWEST_FIRST_SORTED)
                }
                Way::Subjects(_) | Way::All => (("TRUE", None), NEWEST_FIRST),
            };
            let mut left = self.query.limit;
            return self.rows(condition, order, &mut |logged| {
                left = left.saturating_sub(1);
                pass_on(logged) && left > 0
            });
        };
        let mut found = self.of_subjects(&ids)?;
        found.sort_by_key(|logged| {
            (
                std::cmp::Reverse(logged.time),
                logged.host,
                u64::MAX - logged.seq,
            )
        });
        found.dedup_by_key(|logged| (logged.host, logged.seq));
        for logged in found.into_iter().take(self.query.limit) {
            if !pass_on(logged) {
                break;
            }
        }
        Ok(())
    }

    fn way(&self) -> Result<Way, Error> {
        let LogQuery {
            subject,
            hosts,
            run,
            ..
        } = self.query;
        if let Some(subject) = subject {
            let id = names::id_of(self.connection, subject).doing(READ)?;
            return Ok(Way::Subjects(id.into_iter().collect()));
        }
        let one = hosts.as_ref().filter(|hosts| hosts.len() == 1);
        if let Some(HostKey(host)) = one.and_then(|hosts| hosts.iter().next()) {
            return Ok(Way::Host(host));
        }
        if let Some((HostKey(host), _)) = run {
            return Ok(Way::Host(*host));
        }
        let Some(glob) = &self.path else {
            return Ok(Way::All);
        };
        let mut ids = Vec::new();
        self.connection.each((SELECT_FILES, ()), READ, &mut |row| {
            if is_match(glob, &row.bytes(1).doing(READ)?) {
                ids.push(row.get(0).doing(READ)?);
            }
            Ok(true)
        })?;
        let count = self.count_of(&ids)?;
        Ok(if count < FEW {
            Way::Subjects(ids)
        } else {
            Way::All
        })
    }

    /// How many changes of some subjects there are in the time asked for, as far as that they are few.
    fn count_of(&self, ids: &[i64]) -> Result<i64, Error> {
        let LogQuery { since, until, .. } = self.query;
        let nanos = |time: &Option<Timestamp>, open: i64| time.map_or(open, Timestamp::as_nanos);
        let is_one = self.connection.is_one_of("subject", "?1");
        let sql = format!(
            "SELECT count(*) FROM (
                SELECT 1 FROM changes WHERE {is_one} AND time >= ?2 AND time < ?3 LIMIT ?4
            ) AS counted"
        );
        let row = [
            Value::List(ids),
            Value::Integer(Some(nanos(since, i64::MIN))),
            Value::Integer(Some(nanos(until, i64::MAX))),
            Value::Integer(Some(FEW)),
        ];
        let count = self.connection.one(&sql, row.as_slice(), |row| row.get(0));
        count.doing(READ)
    }

    /// The newest of some subjects, and of renames that took the name from one; more than are asked for.
    fn of_subjects(&self, ids: &[i64]) -> Result<Vec<Logged>, Error> {
        let mut found = Vec::new();
        let mut gather = |condition: (&str, Option<Param>), order| {
            let mut left = self.query.limit;
            self.rows(condition, order, &mut |logged| {
                found.push(logged);
                left = left.saturating_sub(1);
                left > 0
            })
        };
        match ids {
            [] => {}
            [one] => gather(("c.subject = ?", Some(Param::Integer(*one))), NEWEST_FIRST)?,
            several => {
                let text = self.connection.is_one_of("c.subject", "?");
                gather(
                    (&text, Some(Param::List(several.to_vec()))),
                    NEWEST_FIRST_SORTED,
                )?;
            }
        }
        gather(("c.op = 'rename'", None), NEWEST_FIRST)?;
        Ok(found)
    }

    fn rows(
        &self,
        (more, param): (&str, Option<Param>),
        order: &str,
        pass_on: &mut dyn FnMut(Logged) -> bool,
    ) -> Result<(), Error> {
        if self.query.limit == 0 {
            return Ok(());
        }
        let own = self.condition.iter().map(|(text, _)| text.as_str());
        let texts: Vec<_> = own.chain([more]).collect();
        let sql = format!("{SELECT} WHERE {} {order}", texts.join(" AND "));
        let own = self.condition.iter().flat_map(|(_, params)| params);
        let values: Vec<_> = own.chain(&param).map(Param::value).collect();
        self.connection
            .each((&sql, values.as_slice()), READ, &mut |row| {
                Ok(!self.accepts(row)? || pass_on(logged_in(row)?))
            })
    }

    /// What the table itself cannot tell.
    fn accepts(&self, row: &Row<'_>) -> Result<bool, Error> {
        let LogQuery { hosts, subject, .. } = self.query;
        if let Some(hosts) = hosts
            && !hosts.contains(HostKey(row.get(0).doing(READ)?))
        {
            return Ok(false);
        }
        if subject.is_none() && self.path.is_none() && self.package.is_none() {
            return Ok(true);
        }
        let kind = row.text(9).doing(READ)?.unwrap_or_default();
        let key = row.bytes(10).doing(READ)?;
        let key = key.as_ref();
        let rest = row.text(11).doing(READ)?;
        let from = rest.map(renamed_from_in).transpose()?.flatten();
        if let Some(subject) = subject {
            let is_it = |name: &[u8]| name == subject.key.as_bytes();
            let from = from.as_ref().is_some_and(|from| is_it(from.as_bytes()));
            if kind != subject.kind.as_str() || !(is_it(key) || from) {
                return Ok(false);
            }
        }
        if let Some(glob) = &self.path {
            let from = from
                .as_ref()
                .is_some_and(|from| is_match(glob, from.as_bytes()));
            if kind != "file" || !(is_match(glob, key) || from) {
                return Ok(false);
            }
        }
        let Some(glob) = &self.package else {
            return Ok(true);
        };
        if kind == "package" {
            return Ok(is_match(glob, key));
        }
        let package = rest.map(package_in).transpose()?.flatten();
        Ok(package.is_some_and(|package| is_match(glob, package.as_bytes())))
    }
}

fn logged_in(row: &Row<'_>) -> Result<Logged, Error> {
    let op: String = row.get(4).doing(READ)?;
    let no_op = || Error::Row {
        table: "changes",
        what: format!("`{op}` is no op"),
    };
    let run: Option<i64> = row.get(6).doing(READ)?;
    let author: Option<String> = row.get(8).doing(READ)?;
    Ok(Logged {
        host: HostKey(row.get(0).doing(READ)?),
        seq: row.get::<i64>(1).doing(READ)?.cast_unsigned(),
        time: Timestamp::from_nanos(row.get(2).doing(READ)?),
        subject: SubjectKey(row.get(3).doing(READ)?),
        kind: names::kind_in(row.text(9).doing(READ)?.unwrap_or_default())?,
        op: Op::from_word(&op).ok_or_else(no_op)?,
        after: row.get::<Option<i64>>(5).doing(READ)?.map(ValueKey),
        run: run.map(i64::cast_unsigned),
        person: row.get(7).doing(READ)?,
        author: author.as_deref().and_then(change::Author::from_word),
    })
}

fn matcher(glob: &str) -> Result<GlobMatcher, Error> {
    let built = GlobBuilder::new(glob).literal_separator(true).build();
    let built = built.map_err(|error| Error::Glob(error.to_string()))?;
    Ok(built.compile_matcher())
}

fn is_match(glob: &GlobMatcher, name: &[u8]) -> bool {
    glob.is_match(Path::new(OsStr::from_bytes(name)))
}
