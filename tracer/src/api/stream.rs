//! `/v1/stream`: changes as they come, as server-sent events. Nothing is left out: a reader that
//! comes back names the last change it saw, and one that is too slow is told and then served from
//! the store.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use change::{Change, ChangeQuery};
use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use super::filter::Filter;
use super::params::Params;
use super::{ApiState, Error, blocking};
use crate::answers::Answers;

/// How often a quiet stream says that it is alive.
const ALIVE: Duration = Duration::from_secs(15);
/// How many changes are read from the store at once.
const WINDOW: u32 = 500;

pub(super) async fn follow(
    State(state): State<ApiState>,
    State(mut stopping): State<watch::Receiver<bool>>,
    headers: HeaderMap,
    params: Params,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Error> {
    let query = params.read(Params::filters)?;
    // Subscribed before the store is asked, so that no change falls in between.
    let live = state.changes.subscribe();
    let answers = state.answers.clone();
    let newest = blocking(move || answers.last_seq()).await?;
    let next = last_event_id(&headers)?.map_or(newest, |seen| seen.min(newest)) + 1;
    let filter = Filter::new(query).expect("the parameter was read as a glob");
    let feed = Feed {
        answers: state.answers,
        live,
        filter,
        next,
        behind: newest,
        ready: VecDeque::new(),
    };
    let events = stream::unfold(feed, |mut feed| async move {
        feed.next_event().await.map(|event| (Ok(event), feed))
    });
    let stopped = async move { drop(stopping.wait_for(|stop| *stop).await) };
    let events = events.take_until(Box::pin(stopped));
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE).text("alive")))
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    let Some(value) = headers.get("last-event-id") else {
        return Ok(None);
    };
    let seq = value
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse().ok());
    seq.map(Some).ok_or_else(|| Error::BadParameter {
        name: "Last-Event-ID",
        value: String::from_utf8_lossy(value.as_bytes())
            .escape_default()
            .to_string(),
        allowed: "it must be the number of a change".to_owned(),
    })
}

/// One reader's place in the log.
struct Feed {
    answers: Answers,
    live: broadcast::Receiver<Arc<Change>>,
    filter: Filter,
    /// The change to come next.
    next: u64,
    /// Everything up to this one is read from the store.
    behind: u64,
    ready: VecDeque<Event>,
}

impl Feed {
    /// The next event; none when there will be no more.
    async fn next_event(&mut self) -> Option<Event> {
        while self.ready.is_empty() {
            if self.next <= self.behind {
                self.read_window().await?;
            } else {
                self.receive().await?;
            }
        }
        self.ready.pop_front()
    }

    async fn receive(&mut self) -> Option<()> {
        match self.live.recv().await {
            Ok(change) if change.seq < self.next => {}
            Ok(change) if change.seq > self.next => self.behind = change.seq,
            Ok(change) => self.push(&change),
            Err(RecvError::Lagged(missed)) => {
                let answers = self.answers.clone();
                self.behind = logged(blocking(move || answers.last_seq()).await)?;
                let data = format!(r#"{{"missed":{missed}}}"#);
                self.ready
                    .push_back(Event::default().event("lagged").data(data));
            }
            Err(RecvError::Closed) => return None,
        }
        Some(())
    }

    fn push(&mut self, change: &Change) {
        self.next = change.seq + 1;
        if self.filter.accepts(change) {
            let json = serde_json::to_string(change).expect("a change is plain values");
            let event = Event::default()
                .id(change.seq.to_string())
                .event("change")
                .data(json);
            self.ready.push_back(event);
        }
    }

    /// Reads on in the store, oldest first. Numbers have no holes, so a window of them is exactly
    /// what precedes its end.
    async fn read_window(&mut self) -> Option<()> {
        let end = (self.next + u64::from(WINDOW)).min(self.behind + 1);
        let query = ChangeQuery {
            before_seq: Some(end),
            limit: Some(WINDOW),
            ..ChangeQuery::default()
        };
        let answers = self.answers.clone();
        let page = logged(blocking(move || answers.changes(&query)).await)?;
        let first = self.next;
        for change in page.items.iter().rev().filter(|change| change.seq >= first) {
            self.push(change);
        }
        self.next = end;
        Some(())
    }
}

/// A stream that has begun has no other way to tell its reader than to end.
fn logged<T>(answer: Result<T, Error>) -> Option<T> {
    answer
        .inspect_err(|error| tracing::error!(%error, "follow changes"))
        .ok()
}
