//! Who is answered next: few questions at a time, in the order in which they came, and of one viewer not more than
//! some, so that no dashboard keeps the others waiting. Hosts are served beside all that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Error;

/// So many questions are answered at a time.
const AT_WORK: usize = 4;
/// So many of one viewer are at work or wait: what a browser asks at once, and a little more.
const OF_A_VIEWER: usize = 8;
/// So long a question waits for its turn.
const TURN: Duration = Duration::from_secs(5);

/// Gives turns.
#[derive(Clone)]
pub(super) struct Turns {
    at_work: Arc<Semaphore>,
    metrics: Arc<Semaphore>,
    viewers: Arc<Mutex<HashMap<String, usize>>>,
}

/// The turn of a question; the next one's is when this is dropped.
pub(super) struct Turn {
    _place: OwnedSemaphorePermit,
    _hand: Option<Hand>,
}

/// One of the questions that a viewer has in hand.
struct Hand {
    viewer: String,
    viewers: Arc<Mutex<HashMap<String, usize>>>,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            at_work: Arc::new(Semaphore::new(AT_WORK)),
            metrics: Arc::new(Semaphore::new(1)),
            viewers: Arc::default(),
        }
    }
}

impl Turns {
    /// Waits for the turn of a viewer's question.
    pub(super) async fn take(&self, viewer: &str) -> Result<Turn, Error> {
        let hand = self.hand(viewer).ok_or(Error::ViewerBusy(OF_A_VIEWER))?;
        let place = in_turn(&self.at_work).await?;
        Ok(Turn {
            _place: place,
            _hand: Some(hand),
        })
    }

    /// Waits for the turn to read metrics, which no question keeps waiting.
    pub(super) async fn take_for_metrics(&self) -> Result<Turn, Error> {
        let place = in_turn(&self.metrics).await?;
        Ok(Turn {
            _place: place,
            _hand: None,
        })
    }

    fn hand(&self, viewer: &str) -> Option<Hand> {
        let mut viewers = self.viewers.lock().unwrap_or_else(PoisonError::into_inner);
        let in_hand = viewers.entry(viewer.to_owned()).or_default();
        if *in_hand == OF_A_VIEWER {
            return None;
        }
        *in_hand += 1;
        Some(Hand {
            viewer: viewer.to_owned(),
            viewers: Arc::clone(&self.viewers),
        })
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        let mut viewers = self.viewers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(in_hand) = viewers.get_mut(&self.viewer) {
            *in_hand -= 1;
            if *in_hand == 0 {
                viewers.remove(&self.viewer);
            }
        }
    }
}

async fn in_turn(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Error> {
    let acquired = tokio::time::timeout(TURN, Arc::clone(places).acquire_owned()).await;
    // A semaphore that is never closed fails only by its time.
    acquired.ok().and_then(Result::ok).ok_or(Error::Busy)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn said(turns: Turns, viewer: &str) -> String {
        match turns.take(viewer).await {
            Ok(_) => "a turn".to_owned(),
            Err(error) => error.word().to_owned() + " " + &error.to_string(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_viewer_does_not_keep_the_others_out_for_long() {
        let turns = Turns::default();
        let mut held = Vec::new();
        for _ in 0..AT_WORK {
            held.push(turns.take("a").await.map_err(drop).unwrap());
        }
        let mut waiting = Vec::new();
        for _ in AT_WORK..OF_A_VIEWER {
            waiting.push(tokio::spawn(said(turns.clone(), "a")));
        }
        tokio::task::yield_now().await;
        assert!(
            said(turns.clone(), "a")
                .await
                .starts_with("busy 8 questions")
        );
        assert!(said(turns.clone(), "b").await.starts_with("busy too much"));
        for one in waiting {
            assert!(one.await.unwrap().starts_with("busy too much"));
        }
        held.pop();
        assert_eq!(said(turns.clone(), "b").await, "a turn");
        assert_eq!(said(turns.clone(), "a").await, "a turn");
        drop(held);
        assert!(turns.viewers.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn metrics_wait_for_no_question() {
        let turns = Turns::default();
        let mut held = Vec::new();
        for _ in 0..AT_WORK {
            held.push(turns.take("a").await.map_err(drop).unwrap());
        }
        assert!(turns.take_for_metrics().await.is_ok());
    }
}
