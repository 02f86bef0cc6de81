//! The state of the host at a moment, and what differs between two moments.

use change::wire::{DifferenceBody, DifferencesBody, FactBody, StateBody};
use change::{Certainty, FactValue, FileState, Gap, GapReason, Subject, Timestamp};

use super::cursor;
use super::past::{Fold, Past};
use crate::store::{Error, Reader, SubjectPage};

/// All that there was at a moment, changes of that moment included.
pub(super) fn state(
    reader: &Reader,
    page: &SubjectPage,
    at: Timestamp,
) -> Result<StateBody, Error> {
    let fold = Fold::new(reader)?;
    let subjects = reader.subjects(page)?;
    let next = next(page, &subjects);
    let (mut items, mut unknown) = (Vec::new(), 0);
    for (subject, _) in subjects {
        let (value, since) = match fold.at(&subject, at)? {
            Past::Value(value, since) if since <= at => (value, since),
            Past::Value(..) | Past::Untold => {
                unknown += 1;
                continue;
            }
            Past::Absent => continue,
        };
        let late = reader.oldest_after(&subject, at)?.filter(|change| {
            let may_be_before = |[from, _]: [Timestamp; 2]| from <= at;
            change.certainty == Certainty::Late && change.between.is_some_and(may_be_before)
        });
        items.push(FactBody {
            subject,
            value,
            since,
            unsure: late.map(|change| change.seq),
        });
    }
    Ok(StateBody {
        items,
        next,
        unknown,
        gaps: gaps(reader, [at, at])?,
    })
}

/// What is different at the second moment from what it was at the first one, each without the changes of
/// that very moment.
pub(super) fn differences(
    reader: &Reader,
    page: &SubjectPage,
    [since, until]: [Timestamp; 2],
) -> Result<DifferencesBody, Error> {
    let fold = Fold::new(reader)?;
    let touched = reader.touched(page, [since, until])?;
    let next = next(page, &touched);
    let mut items = Vec::new();
    for (subject, changes) in touched {
        let Some(last) = fold.last_change(&subject, until.plus_nanos(-1))? else {
            continue;
        };
        let mut ends = [None, None];
        for (end, moment) in ends.iter_mut().zip([since, until]) {
            // Of what was first seen in between, what its first change found was there before.
            *end = match fold.at(&subject, moment.plus_nanos(-1))? {
                Past::Value(value, _) => Some(value),
                Past::Absent | Past::Untold => None,
            };
        }
        let [before, after] = ends;
        if is_same(before.as_ref(), after.as_ref()) {
            continue;
        }
        items.push(DifferenceBody {
            subject,
            before,
            after,
            changes,
            last,
        });
    }
    Ok(DifferencesBody {
        items,
        next,
        gaps: gaps(reader, [since, until])?,
    })
}

/// Where the next page begins, where there may be one.
fn next<T>(page: &SubjectPage, found: &[(Subject, T)]) -> Option<String> {
    let is_full = u32::try_from(found.len()).is_ok_and(|count| count >= page.limit);
    let last = found.last().filter(|_| is_full);
    last.map(|(subject, _)| cursor(subject))
}

/// Whether two values are one. That a file was replaced by its like is no difference.
fn is_same(before: Option<&FactValue>, after: Option<&FactValue>) -> bool {
    match (before, after) {
        (Some(FactValue::File(before)), Some(FactValue::File(after))) => {
            let inode = after.inode;
            *after
                == FileState {
                    inode,
                    ..before.clone()
                }
        }
        (before, after) => before == after,
    }
}

/// The gaps that overlap an interval. What this kernel never shows is said elsewhere.
fn gaps(reader: &Reader, [from, to]: [Timestamp; 2]) -> Result<Vec<Gap>, Error> {
    let mut gaps = reader.gaps_since(from)?;
    gaps.retain(|gap| gap.from <= to && gap.reason != GapReason::Unseen);
    Ok(gaps)
}

#[cfg(test)]
mod tests {
    use change::{Change, Note, Op, RenamedFrom};

    use super::*;
    use crate::answers::example::{answers, bob};
    use crate::store::example::{
        Example, create, delete, edit, file, gap, rename, text_fact, text_state, time,
    };
    use crate::store::{Batch, Fact};

    fn page(limit: u32) -> SubjectPage {
        SubjectPage {
            kind: None,
            after: None,
            limit,
        }
    }

    fn line(item: &FactBody) -> String {
        let size = item.value.as_file().unwrap().size;
        let unsure = item.unsure.map_or("", |_| " unsure");
        format!("{} {size}{unsure}", item.subject.key)
    }

    /// All that there was at a time, as `path size`, and how much is not known.
    fn at(example: &Example, seconds: i64) -> (Vec<String>, u64) {
        let answers = answers(example);
        let (mut page, mut listed, mut unknown) = (page(2), Vec::new(), 0);
        loop {
            let body = answers.state(&page, time(seconds)).unwrap();
            unknown += body.unknown;
            listed.extend(body.items.iter().map(line));
            let Some(next) = body.next else {
                return (listed, unknown);
            };
            page.after = Some(crate::answers::subject_of_cursor(&next).unwrap());
        }
    }

    fn directory_fact(path: &str, seconds: i64) -> Fact {
        let mut fact = text_fact(path, "", seconds);
        if let Some(FactValue::File(state)) = &mut fact.value {
            state.file_type = change::FileType::Directory;
        }
        fact
    }

    #[test]
    fn what_there_was_is_folded_from_the_log() {
        let mut example = Example::new();
        example.commit(Batch {
            facts: vec![
                text_fact("/etc/kept", "1", 10),
                text_fact("/etc/x", "22", 10),
            ],
            ..Batch::default()
        });
        example.log(vec![
            create("/etc/new", "333", 20, Some(bob())),
            edit("/etc/x", ["22", "4444"], 30, Some(bob())),
            rename(["/etc/new", "/etc/named"], "333", 40),
            delete("/etc/named", "333", 50, Some(bob())),
        ]);
        let state = |seconds| at(&example, seconds).0;
        assert_eq!(at(&example, 9), (vec![], 2));
        assert_eq!(state(10), ["/etc/kept 1", "/etc/x 2"]);
        assert_eq!(state(20), ["/etc/kept 1", "/etc/new 3", "/etc/x 2"]);
        assert_eq!(state(30), ["/etc/kept 1", "/etc/new 3", "/etc/x 4"]);
        assert_eq!(state(40), ["/etc/kept 1", "/etc/named 3", "/etc/x 4"]);
        assert_eq!(
            at(&example, 50),
            (vec!["/etc/kept 1".into(), "/etc/x 4".into()], 0)
        );
    }

    #[test]
    fn files_go_where_their_directory_goes() {
        let mut example = Example::new();
        example.commit(Batch {
            facts: vec![
                directory_fact("/etc/d", 10),
                text_fact("/etc/d/f", "1", 10),
                text_fact("/etc/d/g", "22", 10),
            ],
            ..Batch::default()
        });
        example.log(vec![edit("/etc/d/g", ["22", "333"], 20, Some(bob()))]);
        let directory = directory_fact("/etc/d", 10).value;
        let change = Change {
            subject: file("/etc/e"),
            from: Some(RenamedFrom("/etc/d".into())),
            before: directory.clone(),
            after: directory.clone(),
            ..rename(["/etc/d", "/etc/e"], "", 30)
        };
        let gone = |path: &str| Fact {
            value: None,
            ..text_fact(path, "", 30)
        };
        let mut moved = directory_fact("/etc/e", 30);
        moved.value = directory;
        example.commit(Batch {
            changes: vec![change],
            facts: vec![
                gone("/etc/d"),
                gone("/etc/d/f"),
                gone("/etc/d/g"),
                moved,
                text_fact("/etc/e/f", "1", 30),
                text_fact("/etc/e/g", "333", 30),
            ],
            ..Batch::default()
        });
        example.log(vec![delete("/etc/e/f", "1", 40, Some(bob()))]);
        let state = |seconds| at(&example, seconds);
        let before = |g: &str| {
            vec![
                "/etc/d 0".into(),
                "/etc/d/f 1".into(),
                format!("/etc/d/g {g}"),
            ]
        };
        assert_eq!(state(10), (before("2"), 0));
        assert_eq!(state(29), (before("3"), 0));
        let after = vec!["/etc/e 0".into(), "/etc/e/f 1".into(), "/etc/e/g 3".into()];
        assert_eq!(state(30), (after, 0));
        assert_eq!(state(40), (vec!["/etc/e 0".into(), "/etc/e/g 3".into()], 0));
    }

    #[test]
    fn a_file_whose_name_was_taken_was_there_before() {
        let mut example = Example::new();
        example.commit(Batch {
            facts: vec![text_fact("/etc/a", "1", 10), text_fact("/etc/b", "22", 10)],
            ..Batch::default()
        });
        let mut change = rename(["/etc/a", "/etc/b"], "1", 20);
        change.before = Some(text_state("22"));
        change.notes = vec![Note::Replaced];
        example.log(vec![change]);
        assert_eq!(at(&example, 10).0, ["/etc/a 1", "/etc/b 2"]);
        assert_eq!(at(&example, 20).0, ["/etc/b 1"]);
    }

    #[test]
    fn what_may_have_changed_by_then_is_said() {
        let mut example = Example::new();
        example.commit(Batch {
            facts: vec![text_fact("/etc/a", "1", 10)],
            gaps: vec![gap(GapReason::Stopped, 20, Some(40))],
            ..Batch::default()
        });
        let mut late = edit("/etc/a", ["1", "22"], 41, None);
        late.between = Some([time(20), time(40)]);
        example.log(vec![late]);
        assert_eq!(at(&example, 19).0, ["/etc/a 1"]);
        assert_eq!(at(&example, 20).0, ["/etc/a 1 unsure"]);
        assert_eq!(at(&example, 41).0, ["/etc/a 2"]);
        let gaps = |seconds| {
            answers(&example)
                .state(&page(9), time(seconds))
                .unwrap()
                .gaps
                .len()
        };
        assert_eq!([19, 20, 39, 40].map(gaps), [0, 1, 1, 0]);
    }

    #[test]
    fn what_differs_is_told_once_and_not_what_came_back() {
        let mut example = Example::new();
        example.log(vec![
            create("/etc/early", "1", 9, Some(bob())),
            edit("/etc/a", ["1", "22"], 10, Some(bob())),
            edit("/etc/a", ["22", "333"], 11, Some(bob())),
            edit("/etc/back", ["1", "22"], 12, Some(bob())),
            edit("/etc/back", ["22", "1"], 13, Some(bob())),
            create("/etc/passing", "1", 14, Some(bob())),
            delete("/etc/passing", "1", 15, Some(bob())),
            delete("/etc/early", "1", 16, Some(bob())),
            create("/etc/late", "1", 20, Some(bob())),
        ]);
        let body = answers(&example)
            .differences(&page(9), [time(10), time(20)])
            .unwrap();
        let size =
            |value: &Option<FactValue>| value.as_ref().map(|value| value.as_file().unwrap().size);
        let told: Vec<_> = body
            .items
            .iter()
            .map(|item| {
                (
                    item.subject.key.to_string(),
                    size(&item.before),
                    size(&item.after),
                    item.changes,
                    item.last.seq,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("/etc/a".to_owned(), Some(1), Some(3), 2, 3),
                ("/etc/early".to_owned(), Some(1), None, 1, 8)
            ]
        );
        assert_eq!(body.items[1].last.op, Op::Delete);
        let one = answers(&example)
            .differences(&page(1), [time(10), time(20)])
            .unwrap();
        let next = one
            .next
            .as_deref()
            .and_then(crate::answers::subject_of_cursor);
        assert_eq!(next, Some(Subject::file("/etc/a")));
    }
}
