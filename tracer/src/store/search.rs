//! Answers a query for changes: its filters as conditions of SQL, and the rest while reading.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use change::{Change, ChangeQuery, Timestamp};
use globset::{GlobBuilder, GlobMatcher};
use rusqlite::{Connection, OptionalExtension as _};

use super::changes::{Condition, Next, Order};
use super::error::Doing as _;
use super::history::Name;
use super::{Error, changes, history, matching, runs};

const IN_SESSION: &str = "c.actor IN (
    SELECT a.id FROM origins o JOIN actors a ON a.origin = o.id WHERE o.session = ?)";
const BY_AUTHOR: &str = "EXISTS (SELECT 1 FROM actors a WHERE a.id = c.actor AND a.author = ?)";
const BY_USER: &str = "EXISTS (
    SELECT 1 FROM actors a JOIN origins o ON o.id = a.origin
    WHERE a.id = c.actor AND CASE WHEN o.login_uid IS NULL
        THEN o.user_name = ? OR o.uid = ? ELSE o.login_name = ? OR o.login_uid = ? END)";
const SELECT_NEWEST_BEHIND: &str =
    "SELECT max(seq) FROM changes WHERE lag > 0 AND time < ?1 GROUP BY NULL";

/// So many changes are read by their numbers at once.
const AT_ONCE: usize = 500;

/// Finds the changes that a query asks for, newest first.
pub(super) fn find(connection: &Connection, query: &ChangeQuery) -> Result<Vec<Change>, Error> {
    let glob = query.path.as_deref().map(glob).transpose()?;
    let condition = condition(connection, query)?;
    let mut found = Found {
        changes: BTreeMap::new(),
        limit: query.limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit).unwrap_or(usize::MAX)
        }),
    };
    if found.limit == 0 {
        return Ok(Vec::new());
    }
    match &query.subject {
        None => found.add_all(connection, &condition, query, glob.as_ref())?,
        Some(subject) => {
            for Name {
                subject,
                before_seq,
            } in history::names(connection, subject)?
            {
                let before = i64::try_from(before_seq).unwrap_or(i64::MAX);
                for name in ["c.subject = ?", "c.from_subject = ?"] {
                    let mut condition = condition.clone();
                    condition.and(name, [subject.into()]);
                    condition.and("c.seq < ?", [before.into()]);
                    condition.and("c.seq > ?", [found.floor().into()]);
                    found.add(connection, &condition, glob.as_ref())?;
                }
            }
        }
    }
    Ok(found.changes.into_values().rev().collect())
}

/// The newest changes so far, by their number.
struct Found {
    changes: BTreeMap<u64, Change>,
    limit: usize,
}

impl Found {
    /// Changes up to this number would be too old to be among the newest.
    fn floor(&self) -> i64 {
        let oldest = self.changes.first_key_value().map_or(0, |(seq, _)| *seq);
        if self.changes.len() < self.limit {
            0
        } else {
            oldest.cast_signed()
        }
    }

    /// Adds the changes of all subjects, or of the few that the query is about.
    fn add_all(
        &mut self,
        connection: &Connection,
        condition: &Condition,
        query: &ChangeQuery,
        glob: Option<&GlobMatcher>,
    ) -> Result<(), Error> {
        let Some(numbers) = matching::numbers(connection, query, glob)? else {
            return self.add(connection, condition, glob);
        };
        for some in numbers.chunks(AT_ONCE) {
            let list: Vec<String> = some.iter().map(i64::to_string).collect();
            let mut condition = condition.clone();
            condition.and(
                "c.seq IN (SELECT value FROM json_each(?))",
                [format!("[{}]", list.join(",")).into()],
            );
            self.add(connection, &condition, glob)?;
            if self.changes.len() >= self.limit {
                break;
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        connection: &Connection,
        condition: &Condition,
        glob: Option<&GlobMatcher>,
    ) -> Result<(), Error> {
        let is_wanted = |key: &[u8], from: Option<&[u8]>| {
            let matches = |path| glob.is_none_or(|glob| is_match(glob, path));
            matches(key) || from.is_some_and(matches)
        };
        let mut count = 0;
        let order = (condition, Order::NewestFirst);
        changes::each(connection, order, &is_wanted, &mut |change, _| {
            self.changes.insert(change.seq, change);
            if self.changes.len() > self.limit {
                self.changes.pop_first();
            }
            count += 1;
            if count >= self.limit {
                Next::Enough
            } else {
                Next::More
            }
        })
    }
}

fn condition(connection: &Connection, query: &ChangeQuery) -> Result<Condition, Error> {
    let ChangeQuery {
        since,
        until,
        kind,
        op,
        user,
        session,
        path,
        by,
        run,
        subject: _,
        before_seq,
        limit: _,
    } = query;
    let mut condition = match run {
        Some(run) => runs::owning(connection, *run)?,
        None => Condition::default(),
    };
    if let Some(since) = since {
        let first = first_since(connection, *since)?;
        condition.and("c.seq >= ?", [first.into()]);
        condition.and("c.time >= ?", [since.as_nanos().into()]);
    }
    if let Some(until) = until {
        let last = last_until(connection, *until)?;
        condition.and("c.seq <= ?", [last.into()]);
        condition.and("c.time < ?", [until.as_nanos().into()]);
    }
    if let Some(before) = before_seq {
        let before = i64::try_from(*before).unwrap_or(i64::MAX);
        condition.and("c.seq < ?", [before.into()]);
    }
    // The plus keeps SQLite from beginning with all subjects of a kind, and sorting their changes.
    if path.is_some() {
        condition.and("+s.kind = 'file'", []);
    }
    if let Some(kind) = kind {
        condition.and("+s.kind = ?", [kind.as_str().to_owned().into()]);
    }
    if let Some(op) = op {
        condition.and("c.op = ?", [op.as_str().to_owned().into()]);
    }
    if let Some(session) = session {
        condition.and(IN_SESSION, [i64::from(*session).into()]);
    }
    if let Some(author) = by {
        condition.and(BY_AUTHOR, [author.as_str().to_owned().into()]);
    }
    if let Some(user) = user {
        let name = || user.clone().into();
        let uid = || user.parse::<u32>().map_or(-1, i64::from).into();
        condition.and(BY_USER, [name(), uid(), name(), uid()]);
    }
    Ok(condition)
}

/// No change before the one with this number happened at a time or later.
pub(super) fn first_since(connection: &Connection, since: Timestamp) -> Result<i64, Error> {
    Ok(changes::first_reaching(connection, since)?.cast_signed())
}

/// No change after the one with this number happened before a time.
pub(super) fn last_until(connection: &Connection, until: Timestamp) -> Result<i64, Error> {
    let reached = changes::first_reaching(connection, until)?;
    let behind = newest_behind(connection, until.as_nanos())?;
    Ok(behind.max(reached.cast_signed() - 1))
}

/// The number of the newest change that lies behind newer ones and before a time; 0 for none.
fn newest_behind(connection: &Connection, nanos: i64) -> Result<i64, Error> {
    let doing = "read changes";
    let mut select = connection
        .prepare_cached(SELECT_NEWEST_BEHIND)
        .doing(doing)?;
    let newest = select.query_row([nanos], |row| row.get(0)).optional();
    Ok(newest.doing(doing)?.unwrap_or(0))
}

fn glob(pattern: &str) -> Result<GlobMatcher, Error> {
    GlobBuilder::new(pattern)
        .literal_separator(true)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|error| Error::Glob(error.to_string()))
}

pub(super) fn is_match(glob: &GlobMatcher, path: &[u8]) -> bool {
    glob.is_match(Path::new(OsStr::from_bytes(path)))
}

#[cfg(test)]
mod tests {
    use change::{Author, Change, ChangeQuery, Kind, Op, Subject};

    use crate::store::example::{
        Example, alice, create, edit, file, person, rename, service, time, user,
    };

    fn found(example: &Example, query: &ChangeQuery) -> Vec<u64> {
        let changes = example.reader().changes(query).unwrap();
        changes.iter().map(|change| change.seq).collect()
    }

    /// One change of each sort that filters tell apart.
    fn sorts() -> Example {
        let mut example = Example::new();
        let apt = person(user(1000, "alice"), 41, &["apt", "install", "nginx"]);
        let mut root = person(user(0, "root"), 43, &["vim", "x"]);
        root.login_user = None;
        let sysctl = Change {
            subject: Subject::parse(b"sysctl:vm.swappiness").unwrap(),
            op: Op::Set,
            ..edit("/x", ["60", "10"], 40, Some(alice(41)))
        };
        example.log(vec![
            create("/etc/nginx/nginx.conf", "a", 10, Some(apt)),
            edit("/etc/nginx/nginx.conf", ["a", "b"], 20, Some(alice(41))),
            edit("/etc/hosts", ["a", "b"], 30, Some(service("dhclient"))),
            sysctl,
            edit("/etc/nginx/sites/a.conf", ["a", "b"], 50, Some(root)),
            edit("/etc/motd", ["a", "b"], 60, None),
        ]);
        example
    }

    #[test]
    fn each_filter_keeps_what_it_names() {
        let example = sorts();
        let any = ChangeQuery::default;
        let of = |query: ChangeQuery| found(&example, &query);
        assert_eq!(of(any()), [6, 5, 4, 3, 2, 1]);
        let since = Some(time(20));
        assert_eq!(of(ChangeQuery { since, ..any() }), [6, 5, 4, 3, 2]);
        let until = Some(time(50));
        assert_eq!(of(ChangeQuery { until, ..any() }), [4, 3, 2, 1]);
        let both = ChangeQuery {
            since,
            until,
            ..any()
        };
        assert_eq!(of(both), [4, 3, 2]);
        let kind = Some(Kind::Sysctl);
        assert_eq!(of(ChangeQuery { kind, ..any() }), [4]);
        let op = Some(Op::Create);
        assert_eq!(of(ChangeQuery { op, ..any() }), [1]);
        let session = Some(41);
        assert_eq!(of(ChangeQuery { session, ..any() }), [4, 2, 1]);
        let before_seq = Some(3);
        assert_eq!(
            of(ChangeQuery {
                before_seq,
                ..any()
            }),
            [2, 1]
        );
        let limit = Some(2);
        assert_eq!(of(ChangeQuery { limit, ..any() }), [6, 5]);
        let limit = Some(0);
        assert!(of(ChangeQuery { limit, ..any() }).is_empty());
        let subject = Subject::parse(b"sysctl:vm.swappiness").ok();
        assert_eq!(of(ChangeQuery { subject, ..any() }), [4]);
        let subject = Some(file("/etc/never"));
        assert!(of(ChangeQuery { subject, ..any() }).is_empty());
    }

    #[test]
    fn a_user_is_the_login_user_or_else_the_effective_one_by_name_or_number() {
        let example = sorts();
        for (user, seqs) in [
            ("alice", vec![4, 2, 1]),
            ("1000", vec![4, 2, 1]),
            ("root", vec![5, 3]),
            ("0", vec![5, 3]),
            ("nobody", vec![]),
        ] {
            let query = ChangeQuery {
                user: Some(user.to_owned()),
                ..ChangeQuery::default()
            };
            assert_eq!(found(&example, &query), seqs, "{user}");
        }
    }

    #[test]
    fn authors_are_told_apart() {
        let example = sorts();
        for (by, seqs) in [
            (Author::PackageManager, vec![1]),
            (Author::Human, vec![5, 4, 2]),
            (Author::Automation, vec![3]),
        ] {
            let query = ChangeQuery {
                by: Some(by),
                ..ChangeQuery::default()
            };
            assert_eq!(found(&example, &query), seqs, "{by:?}");
        }
    }

    #[test]
    fn a_star_in_a_path_stays_within_its_folder() {
        let example = sorts();
        for (path, seqs) in [
            ("/etc/*", vec![6, 3]),
            ("/etc/**", vec![6, 5, 3, 2, 1]),
            ("/etc/nginx/*.conf", vec![2, 1]),
            ("/etc/**/*.conf", vec![5, 2, 1]),
            ("/etc/{hosts,motd}", vec![6, 3]),
            ("/etc/hosts", vec![3]),
            ("**", vec![6, 5, 3, 2, 1]),
            ("/var/**", vec![]),
            ("vm.*", vec![]),
        ] {
            let mut query = ChangeQuery {
                path: Some(path.to_owned()),
                ..ChangeQuery::default()
            };
            assert_eq!(found(&example, &query), seqs, "{path}");
            query.limit = Some(1);
            assert_eq!(found(&example, &query), seqs[..seqs.len().min(1)], "{path}");
        }
        let query = ChangeQuery {
            path: Some("/etc/[".to_owned()),
            ..ChangeQuery::default()
        };
        let said = example.reader().changes(&query).unwrap_err().to_string();
        assert!(said.contains("/etc/["), "{said}");
    }

    #[test]
    fn a_pattern_finds_what_was_renamed_out_of_it() {
        let mut example = Example::new();
        example.log(vec![
            create("/etc/a", "1", 10, Some(alice(41))),
            rename(["/etc/a", "/var/z"], "1", 20),
        ]);
        let path = Some("/etc/*".to_owned());
        let query = ChangeQuery {
            path,
            ..ChangeQuery::default()
        };
        assert_eq!(found(&example, &query), [2, 1]);
    }

    #[test]
    fn times_filter_right_also_where_the_log_is_not_in_their_order() {
        let mut example = Example::new();
        let seconds = [10, 30, 20, 40, 5, 60, 50];
        let changes = seconds.map(|at| edit("/etc/a", ["a", "b"], at, Some(alice(41))));
        example.log(changes.to_vec());
        for since in (0..70).step_by(5) {
            for until in (0..70).step_by(5) {
                let query = ChangeQuery {
                    since: Some(time(since)),
                    until: Some(time(until)),
                    ..ChangeQuery::default()
                };
                let expected: Vec<u64> = (1..)
                    .zip(seconds)
                    .filter(|(_, at)| (since..until).contains(at))
                    .map(|(seq, _)| seq)
                    .collect();
                let mut found = found(&example, &query);
                found.reverse();
                assert_eq!(found, expected, "{since} {until}");
            }
        }
    }
}
