//! `/v1/batches`, and what a host asks before it sends: what is here of its log, and of contents.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::rejection::JsonRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::{Extension, Json};
use change::Timestamp;
use change::wire::{
    AcknowledgedBody, Batch, ChainHead, ContentsBody, MOST_ASKED, MOST_FRAME_BYTES, decode_sized,
    from_hex,
};
use serde::Deserialize;

use super::{ApiState, Error, Peer, blocking, now};
use crate::fleet::HostId;
use crate::store::{self, Member};

/// A batch arrives within this, and a second more for each [`BYTES_A_SECOND`] of it.
const ARRIVAL: Duration = Duration::from_secs(10);
const BYTES_A_SECOND: u64 = 256 << 10;

/// Takes a batch: answers once it is on the disk.
pub(super) async fn take(
    State(state): State<ApiState>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<AcknowledgedBody>, Error> {
    let metrics = Arc::clone(&state.metrics);
    let taken = take_from(state, peer, &headers, body).await;
    taken.inspect_err(|error| metrics.refused_batch(error.word()))
}

async fn take_from(
    state: ApiState,
    peer: Peer,
    headers: &HeaderMap,
    body: Body,
) -> Result<Json<AcknowledgedBody>, Error> {
    let member = state.member(peer).await?;
    let length = frame_length(headers)?;
    let admitted = state.admission.admit(&member.name, length).await;
    let _admitted = admitted.map_err(Error::Busy)?;
    let frame = arrival(body, length).await?;
    let arrived = Instant::now();
    let received = now();
    let turn = state.admission.turn().await.map_err(Error::Busy)?;
    let (batch, unpacked_bytes) = blocking(move || decode_sized(&frame)).await??;
    let room = state.admission.room(unpacked_bytes).await;
    let room = room.map_err(Error::Busy)?;
    drop(turn);
    let working = state.clone();
    let taken = blocking(move || {
        let _room = room;
        (ingest(&working, &member, batch, received), member)
    });
    match taken.await? {
        (Ok((body, new)), _) => {
            state.metrics.took_batch(length, new, arrived.elapsed());
            Ok(Json(body))
        }
        (Err(error), member) => {
            if let Error::Rewritten(finding) = &error {
                mark(&state, member, finding.to_string()).await?;
            }
            Err(error)
        }
    }
}

/// What the host says its frame has; memory is set aside for it before it comes.
fn frame_length(headers: &HeaderMap) -> Result<usize, Error> {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok())
        .ok_or_else(|| Error::BadRequest("a batch says how long it is".to_owned()))?;
    if length > MOST_FRAME_BYTES {
        return Err(Error::TooLarge(format!(
            "a batch has at most {MOST_FRAME_BYTES} bytes, and this one {length}"
        )));
    }
    Ok(length)
}

async fn arrival(body: Body, length: usize) -> Result<Bytes, Error> {
    let patience = ARRIVAL + Duration::from_secs(length as u64 / BYTES_A_SECOND);
    let read = axum::body::to_bytes(body, MOST_FRAME_BYTES);
    let read = tokio::time::timeout(patience, read).await;
    read.map_err(|_elapsed| Error::Slow)?
        .map_err(|error| Error::BadRequest(format!("read batch: {error}")))
}

/// Writes a batch; tells with the answer how many of its changes were new.
fn ingest(
    state: &ApiState,
    member: &Member,
    mut batch: Batch,
    received: Timestamp,
) -> Result<(AcknowledgedBody, u64), Error> {
    check(member, &batch)?;
    let expected = refuse_elsewhere(state, member, &batch)?;
    // What its operators say a host is counts more than what it says itself.
    batch.sender.labels.extend(member.labels.clone());
    let id = HostId(member.name.clone());
    let batch = Arc::new(batch);
    let acknowledged = state.store.ingest(&id, Arc::clone(&batch), received)?;
    let chain = batch
        .chain
        .clone()
        .filter(|chain| chain.seq == acknowledged.durable_seq);
    let next_seq = acknowledged.durable_seq + 1;
    let log = (member.name.as_str(), batch.sender.log.as_str());
    let body = answer(state, log, (next_seq, chain), now())?;
    let first_new = expected.max(batch.first_seq);
    Ok((body, next_seq.saturating_sub(first_new)))
}

/// Refuses a batch that speaks for another host, or does not say how its log goes on.
fn check(member: &Member, batch: &Batch) -> Result<(), Error> {
    let others = batch.changes.iter().map(|change| &change.host);
    let mut named = [&batch.sender.machine].into_iter().chain(others);
    if let Some(other) = named.find(|host| **host != member.name) {
        return Err(Error::OtherHost {
            certificate: member.name.clone(),
            batch: other.clone(),
        });
    }
    let stands_at = |head: Option<&ChainHead>, seq: u64| match head {
        Some(head) => head.seq == seq,
        None => seq == 0,
    };
    let before = batch.first_seq.saturating_sub(1);
    let last = batch.next_seq().saturating_sub(1);
    if !stands_at(batch.before.as_ref(), before) || !stands_at(batch.chain.as_ref(), last) {
        let what = format!("it does not say where its hash chain is at {before} and at {last}");
        return Err(Error::BadRequest(what));
    }
    Ok(())
}

/// A batch that reaches back behind what is here would go on from a place that nobody can check, and one that leaves a
/// hole is not to hold up those that would be written with it. Returns the number of the next change that is not here.
fn refuse_elsewhere(state: &ApiState, member: &Member, batch: &Batch) -> Result<u64, Error> {
    let known = state.known.lock().unwrap_or_else(PoisonError::into_inner);
    let (expected, _) = known.log(&member.name, &batch.sender.log)?;
    // A log of which nothing is here may begin at any number.
    let is_hole = expected > 1 && batch.first_seq > expected;
    let is_overlap = batch.first_seq < expected && batch.next_seq() > expected;
    if is_hole || is_overlap {
        return Err(Error::Conflict(store::Error::Hole {
            host: member.name.clone(),
            expected,
            found: batch.first_seq,
        }));
    }
    Ok(expected)
}

fn answer(
    state: &ApiState,
    (host, log): (&str, &str),
    (next_seq, chain): (u64, Option<ChainHead>),
    time: Timestamp,
) -> Result<AcknowledgedBody, Error> {
    let sign = |chain| state.authority.countersign((host, log), chain, time);
    Ok(AcknowledgedBody {
        next_seq,
        head: chain.map(sign).transpose()?,
        time,
    })
}

async fn mark(state: &ApiState, member: Member, finding: String) -> Result<(), Error> {
    tracing::warn!(host = %member.name, "{finding}");
    state
        .enrolment(move |enrolment| -> Result<(), store::Error> {
            enrolment.mark_rewritten(&member.name, &finding, now())
        })
        .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogParams {
    log: String,
}

/// Says what is here of the host's log.
pub(super) async fn acknowledged(
    State(state): State<ApiState>,
    Extension(peer): Extension<Peer>,
    Query(LogParams { log }): Query<LogParams>,
) -> Result<Json<AcknowledgedBody>, Error> {
    let Member { name, .. } = state.member(peer).await?;
    let asked = (name.clone(), log.clone());
    let known = state.known(move |known| known.log(&asked.0, &asked.1));
    let known = known.await?;
    answer(&state, (&name, &log), known, now()).map(Json)
}

/// Says which contents are not here.
pub(super) async fn missing(
    State(state): State<ApiState>,
    Extension(peer): Extension<Peer>,
    body: Result<Json<ContentsBody>, JsonRejection>,
) -> Result<Json<ContentsBody>, Error> {
    state.member(peer).await?;
    let Json(ContentsBody { hashes }) = body?;
    if hashes.len() > MOST_ASKED {
        let what = format!("at most {MOST_ASKED} contents can be asked for at once");
        return Err(Error::BadRequest(what));
    }
    let missing = state.known(move |known| {
        let mut missing = Vec::new();
        for digits in hashes {
            let is_here = match from_hex(&digits) {
                Some(hash) => known.has_content(&hash)?,
                None => true,
            };
            if !is_here {
                missing.push(digits);
            }
        }
        Ok(missing)
    });
    let hashes = missing.await?;
    Ok(Json(ContentsBody { hashes }))
}
