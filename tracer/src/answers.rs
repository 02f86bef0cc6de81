//! Answers: what API and command line ask, as the bodies of `change::wire`. Calls block, so they
//! belong off the runtime's threads. SQL is the store's, routes and tables are theirs who ask.

#[cfg(test)]
mod example;
mod moment;
mod past;
mod state;
mod versions;
mod volatile;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use change::wire::{
    BlameBody, ChangeWithDiff, DiffBody, DifferencesBody, FactBody, Page, RecapBody, RunBody,
    SessionBody, StateBody, VerifyBody, VolatileBody, WhoBody,
};
use change::{
    Change, ChangeQuery, ContentState, Gap, GapReason, Kind, Run, RunQuery, Subject, Text,
    Timestamp,
};

use self::moment::Moment;
use crate::persisted::Persisted;
use crate::recap;
use crate::store::{self, Error, Kept, KnownHead, Purge, Reader, SubjectPage};

/// How many changes a page has unless asked otherwise, and at most.
const PAGE: u32 = 100;
const LONGEST_PAGE: u32 = 1000;

/// How many connections wait for the next question.
const IDLE_READERS: usize = 3;

/// Answers questions from the store; its clones share connections.
#[derive(Clone)]
pub struct Answers {
    pool: Arc<Pool>,
}

struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Reader>>,
}

/// A file's content at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentAt {
    /// These bytes.
    Bytes(Vec<u8>),
    /// It did not exist then.
    Absent,
    /// It existed, and its content is not in the store.
    NotKept(ContentState),
    /// Nothing is known of that moment: tracing began later, or the subject was never seen.
    Unknown,
}

impl Answers {
    /// Answers from the store in that file.
    pub fn new(path: PathBuf) -> Self {
        let idle = Mutex::default();
        Self {
            pool: Arc::new(Pool { path, idle }),
        }
    }

    /// The changes that a query asks for, newest first, and from where to go on.
    pub fn changes(&self, query: &ChangeQuery) -> Result<Page<Change>, Error> {
        let limit = query.limit.unwrap_or(PAGE).min(LONGEST_PAGE);
        let one_more = ChangeQuery {
            limit: Some(limit + 1),
            ..query.clone()
        };
        let mut items = self.ask(|reader| {
            let mut changes = reader.changes(&one_more)?;
            moment::say_forgotten(reader, &mut changes)?;
            Ok(changes)
        })?;
        let length = usize::try_from(limit).unwrap_or(usize::MAX);
        let is_last = items.len() <= length;
        items.truncate(length);
        let next = items.last().filter(|_| !is_last);
        Ok(Page {
            next: next.map(|change| change.seq.to_string()),
            items,
        })
    }

    /// The change with that number.
    pub fn change(&self, seq: u64) -> Result<Option<ChangeWithDiff>, Error> {
        self.ask(|reader| {
            let change = reader.change(seq)?;
            change
                .map(|change| moment::with_diff(reader, change))
                .transpose()
        })
    }

    /// Who changed a subject, newest first.
    pub fn who(&self, subject: &Subject, limit: u32) -> Result<WhoBody, Error> {
        self.ask(|reader| {
            let changes = reader.changes(&ChangeQuery {
                subject: Some(subject.clone()),
                limit: Some(limit.min(LONGEST_PAGE)),
                ..ChangeQuery::default()
            })?;
            let newest = changes.first().map(|change| change.time);
            let ever = Timestamp::from_nanos(i64::MIN);
            Ok(WhoBody {
                subject: subject.clone(),
                changes: changes
                    .into_iter()
                    .map(|change| moment::with_diff(reader, change))
                    .collect::<Result<_, _>>()?,
                gaps: reader.gaps_since(newest.unwrap_or(ever))?,
                watched_since: moment::watched_since(reader, subject)?,
            })
        })
    }

    /// What is different between a subject at two moments. Where it was not watched yet at the
    /// first one, that moment moves to where it was.
    pub fn diff(
        &self,
        subject: &Subject,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<DiffBody, Error> {
        self.ask(|reader| moment::diff(reader, subject, [since, until]))
    }

    /// Which change brought each line of a file; none where there is no file or its content is not
    /// known.
    pub fn blame(&self, subject: &Subject) -> Result<Option<BlameBody>, Error> {
        self.ask(|reader| versions::blame(reader, subject))
    }

    /// What is kept of a content by its name, `b3:…`; nothing for any other name.
    pub fn content(&self, name: &str) -> Result<Kept, Error> {
        let Some(hash) = store::parse_content_name(name) else {
            return Ok(Kept::Nothing);
        };
        self.ask(|reader| reader.content(&hash))
    }

    /// The content that a subject had at a moment, changes of that moment included; a setting's
    /// value as a line.
    pub fn content_at(&self, subject: &Subject, at: Timestamp) -> Result<ContentAt, Error> {
        self.ask(|reader| Moment::of(reader, subject, at)?.into_content(reader))
    }

    /// The newest sessions, newest first.
    pub fn sessions(&self, limit: u32) -> Result<Page<SessionBody>, Error> {
        let items = self.ask(|reader| reader.sessions(limit.min(LONGEST_PAGE)))?;
        Ok(Page { items, next: None })
    }

    /// The runs that a query asks for, newest first, and from where to go on.
    pub fn runs(&self, query: &RunQuery) -> Result<Page<Run>, Error> {
        let limit = query.limit.unwrap_or(PAGE).min(LONGEST_PAGE);
        let query = RunQuery {
            limit: Some(limit + 1),
            ..query.clone()
        };
        let mut items = self.ask(|reader| reader.runs(&query))?;
        let length = usize::try_from(limit).unwrap_or(usize::MAX);
        let is_last = items.len() <= length;
        items.truncate(length);
        let next = items.last().filter(|_| !is_last);
        Ok(Page {
            next: next.map(|run| run.id.to_string()),
            items,
        })
    }

    /// One run, and what it did with those within it.
    pub fn run(&self, id: u64) -> Result<Option<RunBody>, Error> {
        self.ask(|reader| {
            let Some(run) = reader.run(id)? else {
                return Ok(None);
            };
            Ok(Some(RunBody {
                run,
                within: reader.runs_within(id)?,
                summary: reader.run_summary(id)?,
            }))
        })
    }

    /// What was done in the newest session with that id.
    pub fn recap(&self, id: u32) -> Result<Option<RecapBody>, Error> {
        self.ask(|reader| {
            let Some(session) = reader.session(id)? else {
                return Ok(None);
            };
            let mut changes = reader.session_changes(&session)?;
            changes.reverse();
            let mut runs = reader.session_runs(&session)?;
            runs.reverse();
            Ok(Some(RecapBody {
                session,
                commands: recap::commands(&runs, &changes),
            }))
        })
    }

    /// The newest gaps, newest first.
    pub fn gaps(&self, limit: u32) -> Result<Page<Gap>, Error> {
        let items = self.ask(|reader| reader.gaps(limit.min(LONGEST_PAGE)))?;
        Ok(Page { items, next: None })
    }

    /// The facts of a kind, or of all, that come behind a subject, and from where to go on.
    pub fn facts(
        &self,
        kind: Option<Kind>,
        after: Option<&Subject>,
        limit: u32,
    ) -> Result<StateBody, Error> {
        let limit = usize::try_from(limit.min(LONGEST_PAGE)).unwrap_or(usize::MAX);
        let facts = self.ask(|reader| match kind {
            Some(kind) => {
                let key = after.map_or(&[][..], |after| after.key.as_bytes());
                reader.facts_of(kind, key, limit)
            }
            None => reader.all_facts(after, limit),
        })?;
        let last = facts.last().filter(|_| facts.len() == limit);
        let next = last.map(|fact| cursor(&fact.subject));
        let items = facts.into_iter().filter_map(|fact| {
            Some(FactBody {
                subject: fact.subject,
                value: fact.value?,
                since: fact.time,
                unsure: None,
            })
        });
        Ok(StateBody {
            items: items.collect(),
            next,
            unknown: 0,
            gaps: Vec::new(),
        })
    }

    /// What there was at a moment, a page at a time; changes of that moment included.
    pub fn state(&self, page: &SubjectPage, at: Timestamp) -> Result<StateBody, Error> {
        self.ask(|reader| state::state(reader, &bounded(page), at))
    }

    /// What differs between two moments, a page at a time, each without the changes of that very moment.
    pub fn differences(
        &self,
        page: &SubjectPage,
        between: [Timestamp; 2],
    ) -> Result<DifferencesBody, Error> {
        self.ask(|reader| state::differences(reader, &bounded(page), between))
    }

    /// The sysctls whose value is not the one that `persisted` gives them, or that they had before the
    /// first change since `boot`.
    pub fn volatile(
        &self,
        persisted: &Persisted,
        boot: Timestamp,
    ) -> Result<Page<VolatileBody>, Error> {
        let items = self.ask(|reader| volatile::volatile(reader, persisted, boot))?;
        Ok(Page { items, next: None })
    }

    /// Number of the newest change; 0 where there is none.
    pub fn last_seq(&self) -> Result<u64, Error> {
        self.ask(Reader::last_seq)
    }

    /// What in the store is not as it was written.
    pub fn verify(&self, known: Option<KnownHead>) -> Result<VerifyBody, Error> {
        self.ask(|reader| reader.verify(known))
    }

    /// What there is to purge of a file.
    pub fn purge(&self, subject: &Subject, with_shared: bool) -> Result<Purge, Error> {
        self.ask(|reader| reader.purge(subject, with_shared))
    }

    /// Since when nothing was missed; none while a gap is open or before the daemon ever ran. What
    /// this kernel never shows does not count.
    pub fn complete_since(&self) -> Result<Option<Timestamp>, Error> {
        self.ask(|reader| {
            let gaps = reader.gaps_since(Timestamp::from_nanos(i64::MIN))?;
            let missed = gaps.iter().filter(|gap| gap.reason != GapReason::Unseen);
            let ends: Option<Vec<_>> = missed.map(|gap| gap.to).collect();
            match ends.map(|ends| ends.into_iter().max()) {
                None => Ok(None),
                Some(Some(newest_end)) => Ok(Some(newest_end)),
                Some(None) => reader.first_heartbeat(),
            }
        })
    }

    fn ask<T>(&self, question: impl FnOnce(&Reader) -> Result<T, Error>) -> Result<T, Error> {
        let Pool { path, idle } = &*self.pool;
        let waiting = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let reader = waiting.map_or_else(|| Reader::open(path), Ok)?;
        // A reader that met an error is not used again.
        let answer = question(&reader).map_err(|error| error.in_store(path))?;
        let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_READERS {
            idle.push(reader);
        }
        drop(idle);
        Ok(answer)
    }
}

/// A page that is no longer than any may be.
fn bounded(page: &SubjectPage) -> SubjectPage {
    SubjectPage {
        limit: page.limit.min(LONGEST_PAGE),
        ..page.clone()
    }
}

/// Names a subject for going on behind it: its kind, and its key in base64, as it may be any bytes.
fn cursor(subject: &Subject) -> String {
    format!("{}:{}", subject.kind, subject.key.to_base64())
}

/// The subject behind which the page ended whose `next` this is; none where it is something else.
pub fn subject_of_cursor(cursor: &str) -> Option<Subject> {
    let (kind, key) = cursor.split_once(':')?;
    Some(Subject {
        kind: kind.parse().ok()?,
        key: Text::from_base64(key)?,
    })
}

#[cfg(test)]
mod tests {
    use super::example::{answers, bob, four_versions};
    use super::*;
    use crate::store::Batch;
    use crate::store::example::{
        Example, alice, create, edit, file, gap, person, session, time, user,
    };

    fn seqs(changes: &[Change]) -> Vec<u64> {
        changes.iter().map(|change| change.seq).collect()
    }

    #[test]
    fn pages_lead_to_each_other_without_overlap() {
        let example = four_versions();
        let mut query = ChangeQuery {
            limit: Some(3),
            ..ChangeQuery::default()
        };
        let first = answers(&example).changes(&query).unwrap();
        assert_eq!(seqs(&first.items), [4, 3, 2]);
        query.before_seq = first.next.unwrap().parse().ok();
        let second = answers(&example).changes(&query).unwrap();
        assert_eq!((seqs(&second.items), second.next), (vec![1], None));
        query = ChangeQuery {
            limit: Some(4),
            ..ChangeQuery::default()
        };
        assert_eq!(answers(&example).changes(&query).unwrap().next, None);
    }

    #[test]
    fn who_shows_the_newest_change_first_with_its_diff() {
        let mut example = four_versions();
        example.commit(Batch {
            gaps: vec![
                gap(GapReason::Stopped, 1, Some(3)),
                gap(GapReason::Lost, 3, Some(5)),
            ],
            ..Batch::default()
        });
        let body = answers(&example).who(&file("/etc/a"), 2).unwrap();
        let [newest, late] = &body.changes[..] else {
            panic!("two were asked for: {body:?}");
        };
        assert_eq!(
            newest.diff.as_deref(),
            Some("--- a/etc/a\n+++ b/etc/a\n@@ -1,3 +1,3 @@\n zero\n one\n-two\n+2\n")
        );
        assert_eq!(newest.change.actor, Some(alice(41).into()));
        assert_eq!(late.change.actor, None);
        let reasons: Vec<_> = body.gaps.iter().map(|gap| gap.reason).collect();
        assert_eq!(reasons, [GapReason::Lost]);
        assert_eq!(body.watched_since, Some(time(1)));
    }

    #[test]
    fn a_change_is_found_by_its_number() {
        let example = four_versions();
        let created = answers(&example).change(1).unwrap().unwrap();
        assert_eq!(
            created.diff.as_deref(),
            Some("--- /dev/null\n+++ b/etc/a\n@@ -0,0 +1 @@\n+one\n")
        );
        assert_eq!(answers(&example).change(5).unwrap(), None);
        assert_eq!(answers(&example).change(u64::MAX).unwrap(), None);
    }

    #[test]
    fn a_content_is_found_by_its_name() {
        let example = four_versions();
        let answers = answers(&example);
        let change = answers.change(1).unwrap().unwrap().change;
        let name = change.after.unwrap().as_file().unwrap().hash.clone();
        let kept = answers.content(&name.unwrap()).unwrap();
        assert_eq!(kept, Kept::Bytes(b"one\n".to_vec()));
        assert_eq!(answers.content("k3:00").unwrap(), Kept::Nothing);
    }

    #[test]
    fn what_was_forgotten_is_said_to_be_wherever_it_was_shown() {
        let mut example = four_versions();
        let subject = file("/etc/a");
        let purge = answers(&example).purge(&subject, false).unwrap();
        assert!(purge.count() > 0 && purge.is_current, "{purge:?}");
        let state = example.reader().fact(&subject).unwrap().unwrap().value;
        let record = Change {
            op: change::Op::Forget,
            before: state.clone(),
            after: state,
            ..edit("/etc/a", ["", ""], 9, Some(alice(41)))
        };
        let seq = example.writer().forget(&purge, record).unwrap().seq;
        let answers = answers(&example);
        let forgotten = |change: &Change| {
            let after = change.after.as_ref().and_then(change::FactValue::as_file);
            after.map(|state| state.content) == Some(ContentState::Forgotten)
        };
        let listed = answers.changes(&ChangeQuery::default()).unwrap().items;
        assert!(listed.iter().all(forgotten), "{listed:#?}");
        let who = answers.who(&subject, 10).unwrap().changes;
        assert_eq!(
            (who[0].change.op, who[0].change.seq),
            (change::Op::Forget, seq)
        );
        assert!(
            who.iter()
                .all(|change| change.diff.is_none() && forgotten(&change.change))
        );
        let at = answers.content_at(&subject, time(3)).unwrap();
        assert_eq!(at, ContentAt::NotKept(ContentState::Forgotten));
        let diff = answers.diff(&subject, time(2), time(99)).unwrap();
        assert!(diff.why_not.unwrap().contains("forgotten"));
        assert_eq!(answers.blame(&subject).unwrap(), None);
        assert!(answers.verify(None).unwrap().intact);
    }

    #[test]
    fn a_recap_tells_what_was_typed_and_what_it_changed() {
        let mut example = Example::new();
        let vim = person(user(1000, "alice"), 41, &["vim", "/etc/a"]);
        let mut make = person(user(1000, "alice"), 41, &["make", "install"]);
        (make.process.pid, make.ancestry[0].pid) = (5000, 4999);
        example.log(vec![
            edit("/etc/a", ["", "1"], 10, Some(vim.clone())),
            create("/opt/b", "1", 20, Some(make.clone())),
            edit("/etc/a", ["1", "2"], 25, Some(bob())),
            create("/opt/c", "1", 30, Some(make)),
            edit("/etc/a", ["2", "3"], 40, Some(vim)),
        ]);
        example.commit(Batch {
            sessions: vec![session(41, 5)],
            ..Batch::default()
        });
        let answers = answers(&example);
        let recap = answers.recap(41).unwrap().unwrap();
        assert_eq!(recap.session.changes, 4);
        let commands: Vec<_> = recap
            .commands
            .iter()
            .map(|command| (command.argv.join(" "), command.changes.clone()))
            .collect();
        assert_eq!(
            commands,
            [
                ("sudo vim /etc/a".to_owned(), vec![1, 5]),
                ("sudo make install".to_owned(), vec![2, 4])
            ]
        );
        assert_eq!(recap.commands[1].subjects, [file("/opt/b"), file("/opt/c")]);
        assert_eq!(answers.recap(7).unwrap(), None);
        assert_eq!(answers.sessions(10).unwrap().items, [recap.session]);
    }

    #[test]
    fn the_record_is_complete_since_the_last_gap_ended() {
        let mut example = Example::new();
        let since = |example: &Example| answers(example).complete_since().unwrap();
        assert_eq!(since(&example), None);
        for seconds in [10, 20] {
            example.commit(Batch {
                heartbeat: Some(time(seconds)),
                gaps: vec![gap(GapReason::Unseen, 0, None)],
                ..Batch::default()
            });
        }
        assert_eq!(since(&example), Some(time(10)));
        assert_eq!(example.reader().heartbeat().unwrap(), Some(time(20)));
        let mut lost = gap(GapReason::Lost, 30, None);
        example.commit(Batch {
            gaps: vec![gap(GapReason::Stopped, 20, Some(25)), lost.clone()],
            ..Batch::default()
        });
        assert_eq!(since(&example), None);
        (lost.id, lost.to) = (4, Some(time(35)));
        example.commit(Batch {
            gaps: vec![lost],
            ..Batch::default()
        });
        assert_eq!(since(&example), Some(time(35)));
        assert_eq!(answers(&example).gaps(1).unwrap().items.len(), 1);
    }

    #[test]
    fn a_store_that_is_not_there_is_an_error_and_no_panic() {
        let answers = Answers::new("/nonexistent/tracer.db".into());
        assert!(answers.last_seq().is_err());
        let example = four_versions();
        assert_eq!(Answers::new(example.path()).last_seq().unwrap(), 4);
    }
}
