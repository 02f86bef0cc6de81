//! What work takes: by the clock, and of processors.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Time by the clock, and on the processor, which other programs may want, too.
#[derive(Clone, Copy, Default)]
pub(crate) struct Spent {
    clock: Duration,
    processor: Duration,
}

impl Spent {
    /// Adds what pieces of work take, which are done at the same time: one by this thread, and each other one by a thread of its
    /// own. The sum of what they have done.
    pub(crate) fn on_each<T: Send>(
        &mut self,
        pieces: impl Iterator<Item = T>,
        work: impl Fn(T) -> Result<usize> + Sync,
    ) -> Result<usize> {
        let (begin, work) = (Instant::now(), &work);
        let timed = move |piece| {
            let before = on_processor()?;
            Ok((work(piece)?, on_processor()?.saturating_sub(before)))
        };
        let mut pieces: Vec<T> = pieces.collect();
        let own = pieces.pop();
        let done: Vec<Result<(usize, Duration)>> = thread::scope(|scope| {
            let others = pieces
                .into_iter()
                .map(|piece| scope.spawn(move || timed(piece)));
            let threads: Vec<_> = others.collect();
            let own = own.map(timed);
            let joined = threads.into_iter().map(thread::ScopedJoinHandle::join);
            let joined = joined.map(|done| done.unwrap_or_else(|_| bail!("a sender panicked")));
            joined.chain(own).collect()
        });
        self.clock += begin.elapsed();
        let mut sum = 0;
        for piece in done {
            let (count, processor) = piece?;
            sum += count;
            self.processor += processor;
        }
        Ok(sum)
    }
}

/// For how long this thread has run, by the kernel's own account.
fn on_processor() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").context("read the time spent")?;
    let nanos = stat.split(' ').next().and_then(|nanos| nanos.parse().ok());
    nanos
        .map(Duration::from_nanos)
        .context("read the time spent")
}

/// Prints how fast something was.
pub(crate) fn rate(what: &str, count: usize, of: &str, spent: Spent) {
    let a_second = |spent: Duration| 1_000_000_000 * count as u128 / spent.as_nanos().max(1);
    println!(
        "| {what}: {count} {of} | {} {of}/s, {} a second of processor time |",
        a_second(spent.clock),
        a_second(spent.processor)
    );
}
