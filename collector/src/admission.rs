//! Whose batch is worked on next: one of each host at a time, in the order in which they came, and no more of
//! them in memory than fit.
//!
//! So a host that catches up with days does not keep the others waiting.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use change::wire::{MOST_FRAME_BYTES, MOST_UNPACKED_BYTES};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many batches are unpacked at a time: until then nobody knows how large one is.
const AT_WORK: usize = 4;
/// So much of frames is in memory at a time, in KiB.
const MEMORY_KIB: usize = 64 << 10;
/// So much of what was unpacked waits at a time to be written, in KiB: as much as is unpacked.
const UNPACKED_KIB: usize = AT_WORK * (MOST_UNPACKED_BYTES >> 10);
/// A small batch counts for so much, in KiB: each that waits keeps a thread.
const SMALL_KIB: usize = 1 << 10;
/// So long a batch waits for its turn; its host comes again.
const TURN: Duration = Duration::from_secs(10);

/// Says why a batch is not worked on now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// The host has another one at work.
    Host,
    /// Too many hosts send.
    Collector,
}

/// Lets batches in.
#[derive(Clone, Debug)]
pub struct Admission {
    hosts: Arc<Mutex<HashSet<String>>>,
    memory: Arc<Semaphore>,
    work: Arc<Semaphore>,
    unpacked: Arc<Semaphore>,
}

/// A batch that was let in; the host's next one is when this is dropped.
#[derive(Debug)]
pub struct Admitted {
    host: String,
    hosts: Arc<Mutex<HashSet<String>>>,
    _memory: OwnedSemaphorePermit,
}

impl Default for Admission {
    fn default() -> Self {
        Self::of(MEMORY_KIB, AT_WORK)
    }
}

impl Admission {
    fn of(memory_kib: usize, at_work: usize) -> Self {
        Self {
            hosts: Arc::default(),
            memory: Arc::new(Semaphore::new(memory_kib)),
            work: Arc::new(Semaphore::new(at_work)),
            unpacked: Arc::new(Semaphore::new(UNPACKED_KIB)),
        }
    }

    /// Lets a host send a frame of so many bytes, once there is memory for it.
    pub async fn admit(&self, host: &str, frame_bytes: usize) -> Result<Admitted, Busy> {
        let Some(claim) = self.claim(host) else {
            return Err(Busy::Host);
        };
        let kib = frame_bytes.min(MOST_FRAME_BYTES).div_ceil(1024);
        let kib = u32::try_from(kib).unwrap_or(u32::MAX);
        let memory = in_turn(Arc::clone(&self.memory).acquire_many_owned(kib)).await?;
        let (host, hosts) = claim.keep();
        Ok(Admitted {
            host,
            hosts,
            _memory: memory,
        })
    }

    /// Waits for the turn to unpack, which ends when there is [`Admission::room`] for what was unpacked.
    pub async fn turn(&self) -> Result<OwnedSemaphorePermit, Busy> {
        in_turn(Arc::clone(&self.work).acquire_owned()).await
    }

    /// Waits until so many unpacked bytes may wait to be written.
    pub async fn room(&self, unpacked_bytes: usize) -> Result<OwnedSemaphorePermit, Busy> {
        let kib = unpacked_bytes.min(MOST_UNPACKED_BYTES).div_ceil(1024);
        let kib = u32::try_from(kib.max(SMALL_KIB)).unwrap_or(u32::MAX);
        in_turn(Arc::clone(&self.unpacked).acquire_many_owned(kib)).await
    }

    fn claim(&self, host: &str) -> Option<Claim> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts
            .insert(host.to_owned())
            .then(|| Claim(Some((host.to_owned(), Arc::clone(&self.hosts)))))
    }
}

/// The place of a host, given back where it is not let in after all.
struct Claim(Option<(String, Arc<Mutex<HashSet<String>>>)>);

impl Claim {
    fn keep(mut self) -> (String, Arc<Mutex<HashSet<String>>>) {
        self.0.take().expect("a claim is kept once")
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some((host, hosts)) = self.0.take() {
            give_back(&hosts, &host);
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        give_back(&self.hosts, &self.host);
    }
}

fn give_back(hosts: &Mutex<HashSet<String>>, host: &str) {
    let mut hosts = hosts.lock().unwrap_or_else(PoisonError::into_inner);
    hosts.remove(host);
}

async fn in_turn(
    acquire: impl Future<Output = Result<OwnedSemaphorePermit, tokio::sync::AcquireError>>,
) -> Result<OwnedSemaphorePermit, Busy> {
    let acquired = tokio::time::timeout(TURN, acquire).await;
    // A semaphore that is never closed fails only by its time.
    acquired.ok().and_then(Result::ok).ok_or(Busy::Collector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_host_has_one_batch_at_work() {
        let admission = Admission::default();
        let first = admission.admit("a", 100).await.unwrap();
        assert_eq!(admission.admit("a", 100).await.unwrap_err(), Busy::Host);
        let other = admission.admit("b", 100).await.unwrap();
        drop((first, other));
        assert!(admission.admit("a", 100).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_fit_waits_for_its_turn_and_is_sent_away() {
        let admission = Admission::of(10, 1);
        let held = admission.admit("a", 8 << 10).await.unwrap();
        assert_eq!(
            admission.admit("b", 8 << 10).await.unwrap_err(),
            Busy::Collector
        );
        let other = admission.clone();
        let waiting = tokio::spawn(async move { other.admit("b", 8 << 10).await.map(drop) });
        tokio::task::yield_now().await;
        drop(held);
        assert_eq!(waiting.await.unwrap(), Ok(()));
        let turn = admission.turn().await.unwrap();
        assert_eq!(admission.turn().await.unwrap_err(), Busy::Collector);
        drop(turn);
        assert!(admission.turn().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn small_batches_wait_together_and_large_ones_in_turn() {
        let admission = Admission::default();
        let mut small = Vec::new();
        for _ in 0..UNPACKED_KIB / SMALL_KIB {
            small.push(admission.room(100).await.unwrap());
        }
        assert_eq!(admission.room(100).await.unwrap_err(), Busy::Collector);
        drop(small);
        let mut large = Vec::new();
        for _ in 0..AT_WORK {
            large.push(admission.room(MOST_UNPACKED_BYTES).await.unwrap());
        }
        assert_eq!(admission.room(100).await.unwrap_err(), Busy::Collector);
        large.pop();
        assert!(admission.room(100).await.is_ok());
    }

    #[tokio::test]
    async fn who_gives_up_while_waiting_leaves_its_place() {
        let admission = Admission::of(10, 1);
        let held = admission.admit("a", 8 << 10).await.unwrap();
        {
            let waiting = admission.admit("b", 8 << 10);
            let soon = tokio::time::timeout(Duration::from_millis(1), waiting).await;
            assert!(soon.is_err());
        }
        drop(held);
        assert!(admission.admit("b", 8 << 10).await.is_ok());
    }
}
