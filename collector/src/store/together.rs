//! Batches of several hosts that go to the disk together.
//!
//! Who finds a writer idle writes at once. Who does not waits, and the first of those who wait is given the next writer
//! that is done, and writes whatever waits by then. So a transaction holds the more batches the more hosts send, and one
//! that comes alone waits for nobody.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use change::Timestamp;
use change::wire::Batch;

use super::{Acknowledged, Error};
use crate::fleet::HostId;

/// So many batches go to the disk together at most.
const MOST_BATCHES: usize = 64;
/// So many changes and facts, and a batch more.
const MOST_ROWS: usize = 4_096;

/// A batch that has come.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'b> {
    /// Who sent it, as its certificate says.
    pub sender: &'b HostId,
    /// What it holds.
    pub batch: &'b Batch,
    /// When it came.
    pub received: Timestamp,
}

/// Writes batches, one transaction after the other.
pub(super) trait Writer {
    /// Writes batches in one transaction: all, or where one is refused none.
    fn write(&mut self, arrivals: &[Arrival<'_>]) -> Result<Vec<Acknowledged>, Error>;

    /// Forgets what may be wrong after it did not come to an end.
    fn recover(&mut self);
}

/// Writers, and the batches that wait for them.
pub(super) struct Together<W: Writer> {
    state: Mutex<State<W>>,
    /// There is an idle writer.
    is_idle: Condvar,
}

struct State<W> {
    /// While one is idle nothing waits.
    idle: Vec<W>,
    /// In the order in which they came.
    waiting: VecDeque<Arc<Place<W>>>,
}

/// A batch, and what becomes of it.
struct Place<W> {
    sender: HostId,
    batch: Arc<Batch>,
    received: Timestamp,
    outcome: Mutex<Outcome<W>>,
    is_settled: Condvar,
}

enum Outcome<W> {
    /// It waits, or is being written.
    Open,
    /// It is to write what waits.
    Lead(W),
    Settled(Result<Acknowledged, Error>),
    Taken,
}

impl<W: Writer> Together<W> {
    pub(super) fn new(writers: Vec<W>) -> Self {
        Self {
            state: Mutex::new(State {
                idle: writers,
                waiting: VecDeque::new(),
            }),
            is_idle: Condvar::new(),
        }
    }

    /// Takes a batch, in one transaction with those that wait with it.
    pub(super) fn take(
        &self,
        sender: HostId,
        batch: Arc<Batch>,
        received: Timestamp,
    ) -> Result<Acknowledged, Error> {
        let place = Arc::new(Place {
            sender,
            batch,
            received,
            outcome: Mutex::new(Outcome::Open),
            is_settled: Condvar::new(),
        });
        let mut state = self.lock();
        let idle = state.idle.pop();
        if idle.is_none() {
            state.waiting.push_back(Arc::clone(&place));
        }
        drop(state);
        match idle.map_or_else(|| place.wait(), Outcome::Lead) {
            Outcome::Lead(writer) => {
                self.lead(writer, Arc::clone(&place));
                settled(place.wait())
            }
            outcome => settled(outcome),
        }
    }

    /// Takes batches in a transaction of their own.
    pub(super) fn take_all(&self, arrivals: &[Arrival<'_>]) -> Result<Vec<Acknowledged>, Error> {
        let mut state = self.lock();
        let writer = loop {
            match state.idle.pop() {
                Some(writer) => break writer,
                None => state = wait(&self.is_idle, state),
            }
        };
        drop(state);
        let mut turn = Turn::new(self, writer);
        turn.writer().write(arrivals)
    }

    /// Writes a batch and what waits.
    fn lead(&self, writer: W, first: Arc<Place<W>>) {
        let mut turn = Turn::new(self, writer);
        let group = Group(self.lock().take_group(first));
        group.write(turn.writer());
    }

    /// Gives a writer to the first that waits, or lays it by.
    fn give_back(&self, writer: W) {
        let mut state = self.lock();
        if let Some(first) = state.waiting.pop_front() {
            first.settle(Outcome::Lead(writer));
        } else {
            state.idle.push(writer);
            self.is_idle.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W> State<W> {
    /// Takes away what is to be written together.
    fn take_group(&mut self, first: Arc<Place<W>>) -> Vec<Arc<Place<W>>> {
        let mut rows = first.rows();
        let mut group = vec![first];
        while rows < MOST_ROWS && group.len() < MOST_BATCHES {
            let Some(next) = self.waiting.pop_front() else {
                break;
            };
            rows += next.rows();
            group.push(next);
        }
        group
    }
}

/// A writer in somebody's hands, given back whatever happens.
struct Turn<'t, W: Writer> {
    together: &'t Together<W>,
    writer: Option<W>,
}

impl<'t, W: Writer> Turn<'t, W> {
    fn new(together: &'t Together<W>, writer: W) -> Self {
        Self {
            together,
            writer: Some(writer),
        }
    }

    fn writer(&mut self) -> &mut W {
        self.writer
            .as_mut()
            .expect("it is given back at the end only")
    }
}

impl<W: Writer> Drop for Turn<'_, W> {
    fn drop(&mut self) {
        if let Some(mut writer) = self.writer.take() {
            if thread::panicking() {
                writer.recover();
            }
            self.together.give_back(writer);
        }
    }
}

/// Batches that one of those who wait for them writes.
struct Group<W>(Vec<Arc<Place<W>>>);

impl<W: Writer> Group<W> {
    /// Writes them all, or where one is refused each alone: nobody's batch depends on another host's.
    fn write(self, writer: &mut W) {
        let all: Vec<_> = self.0.iter().map(|place| place.arrival()).collect();
        let written = writer.write(&all);
        drop(all);
        match written {
            Err(_) if self.0.len() > 1 => {
                for place in &self.0 {
                    let alone = writer.write(&[place.arrival()]);
                    let one = alone.and_then(|mut one| one.pop().ok_or(Error::Unfinished));
                    place.settle(Outcome::Settled(one));
                }
            }
            Err(error) => {
                if let Some(place) = self.0.first() {
                    place.settle(Outcome::Settled(Err(error)));
                }
            }
            Ok(acknowledged) => {
                for (place, one) in self.0.iter().zip(acknowledged) {
                    place.settle(Outcome::Settled(Ok(one)));
                }
            }
        }
    }
}

impl<W> Drop for Group<W> {
    /// Nobody waits for ever for what will not come.
    fn drop(&mut self) {
        for place in &self.0 {
            if matches!(*place.lock(), Outcome::Open) {
                place.settle(Outcome::Settled(Err(Error::Unfinished)));
            }
        }
    }
}

impl<W> Place<W> {
    fn arrival(&self) -> Arrival<'_> {
        Arrival {
            sender: &self.sender,
            batch: &self.batch,
            received: self.received,
        }
    }

    fn rows(&self) -> usize {
        self.batch.changes.len() + self.batch.facts.len()
    }

    /// Waits until somebody has written it, or it is to do so itself.
    fn wait(&self) -> Outcome<W> {
        let mut outcome = self.lock();
        while matches!(*outcome, Outcome::Open) {
            outcome = wait(&self.is_settled, outcome);
        }
        match mem::replace(&mut *outcome, Outcome::Taken) {
            Outcome::Lead(writer) => {
                *outcome = Outcome::Open;
                Outcome::Lead(writer)
            }
            settled => settled,
        }
    }

    fn settle(&self, outcome: Outcome<W>) {
        *self.lock() = outcome;
        self.is_settled.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Outcome<W>> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wait<'g, T>(condition: &Condvar, guard: MutexGuard<'g, T>) -> MutexGuard<'g, T> {
    condition
        .wait(guard)
        .unwrap_or_else(PoisonError::into_inner)
}

fn settled<W>(outcome: Outcome<W>) -> Result<Acknowledged, Error> {
    match outcome {
        Outcome::Settled(settled) => settled,
        Outcome::Open | Outcome::Lead(_) | Outcome::Taken => Err(Error::Unfinished),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use change::wire::FactNow;
    use change::{Kind, Subject};

    use super::*;

    /// Tells of each transaction, and waits until it may go on. A host `bad` is refused, and with `panic` it panics.
    struct Example {
        began: Sender<Vec<String>>,
        go_on: Receiver<()>,
    }

    impl Writer for Example {
        fn write(&mut self, arrivals: &[Arrival<'_>]) -> Result<Vec<Acknowledged>, Error> {
            let hosts: Vec<_> = arrivals
                .iter()
                .map(|arrival| arrival.sender.0.clone())
                .collect();
            self.began.send(hosts.clone()).unwrap();
            self.go_on.recv().unwrap();
            assert!(!hosts.contains(&"panic".to_owned()), "as it was asked to");
            if hosts.contains(&"bad".to_owned()) {
                return Err(Error::Tidying);
            }
            let acknowledged = Acknowledged {
                durable_seq: 7,
                skew_ns: 0,
            };
            Ok(vec![acknowledged; hosts.len()])
        }

        fn recover(&mut self) {
            self.began.send(vec!["recovered".to_owned()]).unwrap();
        }
    }

    fn batch(facts: usize) -> Arc<Batch> {
        let fact = FactNow {
            subject: Subject {
                kind: Kind::Sysctl,
                key: "a".into(),
            },
            value: None,
            since: Timestamp::from_nanos(0),
        };
        Arc::new(Batch {
            facts: vec![fact; facts],
            ..Batch::default()
        })
    }

    /// What a host is told whose batch has so many facts.
    fn told(together: &Together<Example>, host: &str, facts: usize) -> Result<u64, Error> {
        let host = HostId(host.to_owned());
        let taken = together.take(host, batch(facts), Timestamp::from_nanos(0));
        taken.map(|one| one.durable_seq)
    }

    /// Waits until so many wait.
    fn until_waiting(together: &Together<Example>, count: usize) {
        while together.lock().waiting.len() < count {
            thread::yield_now();
        }
    }

    fn example() -> (Together<Example>, Receiver<Vec<String>>, Sender<()>) {
        let (began, heard) = channel();
        let (say, go_on) = channel();
        (Together::new(vec![Example { began, go_on }]), heard, say)
    }

    #[test]
    fn what_comes_meanwhile_goes_together_and_where_one_is_refused_each_alone() {
        let (together, heard, say) = example();
        let together = &together;
        thread::scope(|scope| {
            let first = scope.spawn(move || told(together, "first", 1));
            assert_eq!(heard.recv().unwrap(), ["first"]);
            let mut others = Vec::new();
            for (count, host) in ["good", "bad", "fine"].into_iter().enumerate() {
                others.push(scope.spawn(move || told(together, host, 1)));
                until_waiting(together, count + 1);
            }
            for _ in 0..5 {
                say.send(()).unwrap();
            }
            assert_eq!(first.join().unwrap().unwrap(), 7);
            assert_eq!(heard.recv().unwrap(), ["good", "bad", "fine"]);
            let alone: Vec<_> = heard.iter().take(3).flatten().collect();
            assert_eq!(alone, ["good", "bad", "fine"]);
            let told: Vec<_> = others
                .into_iter()
                .map(|other| other.join().unwrap())
                .collect();
            assert!(
                matches!(told[..], [Ok(7), Err(Error::Tidying), Ok(7)]),
                "{told:?}"
            );
        });
        assert_eq!(together.lock().idle.len(), 1);
    }

    #[test]
    fn much_goes_in_several_transactions() {
        let (together, heard, say) = example();
        let together = &together;
        thread::scope(|scope| {
            scope.spawn(move || told(together, "first", 1).unwrap());
            assert_eq!(heard.recv().unwrap().len(), 1);
            let mut sizes = [1; MOST_BATCHES + 3];
            sizes[1] = MOST_ROWS;
            for (number, facts) in sizes.into_iter().enumerate() {
                scope.spawn(move || told(together, "other", facts).unwrap());
                until_waiting(together, number + 1);
            }
            for _ in 0..4 {
                say.send(()).unwrap();
            }
            let sizes: Vec<_> = heard.iter().take(3).map(|hosts| hosts.len()).collect();
            assert_eq!(sizes, [2, MOST_BATCHES, 1]);
        });
    }

    #[test]
    fn where_a_writer_panics_those_who_wait_are_told_and_others_go_on() {
        let (together, heard, say) = example();
        let together = &together;
        thread::scope(|scope| {
            let first = scope.spawn(move || told(together, "first", 1));
            assert_eq!(heard.recv().unwrap(), ["first"]);
            let panics = scope.spawn(move || told(together, "panic", 1));
            until_waiting(together, 1);
            let other = scope.spawn(move || told(together, "other", 1));
            until_waiting(together, 2);
            say.send(()).unwrap();
            assert_eq!(first.join().unwrap().unwrap(), 7);
            assert_eq!(heard.recv().unwrap(), ["panic", "other"]);
            let next = scope.spawn(move || told(together, "next", 1));
            until_waiting(together, 1);
            say.send(()).unwrap();
            assert!(panics.join().is_err());
            assert!(matches!(other.join().unwrap(), Err(Error::Unfinished)));
            assert_eq!(heard.recv().unwrap(), ["recovered"]);
            assert_eq!(heard.recv().unwrap(), ["next"]);
            say.send(()).unwrap();
            assert_eq!(next.join().unwrap().unwrap(), 7);
        });
    }
}
