//! One session with the collector: finds out what it has, and sends what it has not, until something fails.

use std::path::Path;
use std::time::Duration;

use change::wire::{
    ACKNOWLEDGED, AcknowledgedBody, BATCHES, Batch, ContentsBody, Countersigned, MISSING,
    MOST_ASKED, encode, from_hex, hex,
};
use globset::GlobSetBuilder;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

use super::compose::{Composed, Composer, Origin};
use super::connect::{self, Connection};
use super::progress::Progress;
use super::{Error, Identity, Push, Settings, enrol, folder};
use crate::config;
use crate::store::{self, Reader};

/// So long changes are gathered before they are sent.
const GATHERING: Duration = Duration::from_secs(1);
/// A host without news says so often that it is there.
const REPORT: Duration = Duration::from_mins(1);
/// The key of the store's own name.
pub(crate) const LOG: &str = "log";

/// A session in the making, and the work on it.
pub(super) struct Session<'p> {
    push: &'p Push,
    identity: Identity,
    connection: Connection,
    /// Reading the store blocks, so it is lent to a thread that may.
    composer: Option<Box<Composer>>,
    progress: Progress,
}

impl<'p> Session<'p> {
    /// Connects, and asks what the collector has of the log.
    pub(super) async fn begin(push: &'p Push, identity: Identity) -> Result<Self, Error> {
        let opening = (push.settings.clone(), identity.clone());
        let composer = blocking(move || open(&opening.0, &opening.1)).await??;
        let (composer, log) = composer;
        let connection = Connection::open(&identity.url, connect::tls(&identity)?).await?;
        let progress = Progress::load(&folder(&push.settings.state_dir), &log);
        let mut session = Self {
            push,
            identity,
            connection,
            composer: Some(Box::new(composer)),
            progress,
        };
        session.ask().await?;
        Ok(session)
    }

    /// Sends what there is and what comes. What was not sent of the facts is gone through again.
    pub(super) async fn send(&mut self) -> Result<(), Error> {
        let ended = self.send_on().await;
        let composer = self.composer.as_deref();
        if composer.is_none_or(Composer::has_facts_left) {
            self.push.with_state(|state| state.is_compared = true);
        }
        ended
    }

    async fn send_on(&mut self) -> Result<(), Error> {
        let mut is_quiet = false;
        loop {
            self.renew_in_time().await?;
            let composed = self.compose().await?;
            if composed.says_something() || is_quiet {
                is_quiet = false;
                self.send_all(composed).await?;
                continue;
            }
            let has_more = self.with_composer(|composer| composer.pass_over(composed));
            if !has_more.await? {
                is_quiet = wait_for_news(self.push).await;
            }
        }
    }

    /// Contents come before what leads to them, so that none is missing after a failure in between. Of a new log the
    /// collector takes the first batch first, as that tells when the log begins.
    async fn send_all(&mut self, composed: Composed) -> Result<(), Error> {
        let from = self.composer.as_ref().ok_or(Error::Interrupted)?;
        let contents: Vec<_> = from.contents_of(&composed).into_iter().collect();
        if self.progress.acknowledged_seq == 0 {
            self.send_batch(composed).await?;
            self.send_contents(&contents).await
        } else {
            self.send_contents(&contents).await?;
            self.send_batch(composed).await
        }
    }

    async fn ask(&mut self) -> Result<(), Error> {
        let asked = (self.push.now)();
        let target = format!("{ACKNOWLEDGED}?log={}", self.progress.log);
        let body: AcknowledgedBody = self.connection.ask(&target).await?;
        let theirs = body.next_seq.saturating_sub(1);
        let ours = self.with_composer(|composer| composer.last_seq()).await??;
        if theirs > ours {
            return Err(Error::Older { theirs, ours });
        }
        if theirs == 0 || theirs < self.progress.acknowledged_seq {
            self.push.with_state(|state| state.is_compared = true);
        }
        if theirs < self.progress.acknowledged_seq {
            // It was put back to an older state: it gets again what it has not.
            tracing::warn!(
                "the collector has changes up to {theirs} and had acknowledged {}: sending the rest again",
                self.progress.acknowledged_seq
            );
            self.progress.last_run = 0;
            self.progress.open_runs.clear();
        }
        self.progress.acknowledged_seq = theirs;
        self.push
            .answered(theirs, body.time, [asked, (self.push.now)()]);
        Ok(())
    }

    async fn compose(&mut self) -> Result<Composed, Error> {
        let is_compared = self
            .push
            .with_state(|state| std::mem::take(&mut state.is_compared));
        let (progress, now) = (self.progress.clone(), (self.push.now)());
        let composed = self.with_composer(move |composer| {
            if is_compared {
                composer.go_through_facts();
            }
            composer.compose(&progress, now)
        });
        Ok(composed.await??)
    }

    async fn send_batch(&mut self, composed: Composed) -> Result<(), Error> {
        let batch = composed.batch.clone();
        let last = batch.next_seq() - 1;
        let body = self.deliver(batch).await?;
        if body.next_seq != last + 1 {
            return Err(Error::Answer(format!(
                "it has changes up to {} after those up to {last} were sent",
                body.next_seq.saturating_sub(1)
            )));
        }
        if let Some(head) = body.head {
            self.check(&head, &composed)?;
            self.progress.head = Some(head);
        }
        let mut progress = self.progress.clone();
        let noted = self.with_composer(move |composer| {
            composer.sent(composed, &mut progress);
            progress
        });
        let noted = noted.await?;
        if noted != self.progress {
            self.progress = noted;
            let (progress, folder) = (self.progress.clone(), folder(&self.push.settings.state_dir));
            if let Err(error) = blocking(move || progress.save(&folder)).await? {
                tracing::warn!("note what the collector has: {error}");
            }
        }
        Ok(())
    }

    /// Sends a batch, and takes the answer that it is durable.
    async fn deliver(&mut self, batch: Batch) -> Result<AcknowledgedBody, Error> {
        let frame = blocking(move || encode(&batch)).await?;
        let asked = (self.push.now)();
        let frame = frame.map_err(Error::Frame)?;
        let body: AcknowledgedBody = self.connection.push(BATCHES, frame).await?;
        let acknowledged = body.next_seq.saturating_sub(1);
        self.push
            .answered(acknowledged, body.time, [asked, (self.push.now)()]);
        Ok(body)
    }

    /// What the collector signed must be what was sent.
    fn check(&self, head: &Countersigned, composed: &Composed) -> Result<(), Error> {
        let is_ours = head.host == self.identity.given.host
            && head.log == self.progress.log
            && Some(&head.chain) == composed.batch.chain.as_ref();
        if is_ours && is_signed(head, &self.identity.given.countersigns_by) {
            return Ok(());
        }
        Err(Error::Answer(
            "it does not countersign what was sent".to_owned(),
        ))
    }

    /// Sends those of the contents that no host has sent before.
    async fn send_contents(&mut self, hashes: &[[u8; 32]]) -> Result<(), Error> {
        for some in hashes.chunks(MOST_ASKED) {
            let hashes = some.iter().map(|hash| hex(hash)).collect();
            let asked = ContentsBody { hashes };
            let missing: ContentsBody = self.connection.tell(MISSING, &asked).await?;
            // Only what was asked for: which contents travel is not for the collector to say.
            let mut missing: Vec<_> = missing
                .hashes
                .iter()
                .filter(|hash| asked.hashes.contains(hash))
                .filter_map(|hash| from_hex(hash))
                .collect();
            while !missing.is_empty() {
                let (batch, rest) = self.read_contents(missing).await?;
                missing = rest;
                self.deliver(batch).await?;
            }
        }
        Ok(())
    }

    /// Makes a batch of contents up to a limit, and returns the hashes of the others.
    async fn read_contents(
        &mut self,
        mut hashes: Vec<[u8; 32]>,
    ) -> Result<(Batch, Vec<[u8; 32]>), Error> {
        let (acknowledged, now) = (self.progress.acknowledged_seq, (self.push.now)());
        let read = self.with_composer(move |composer| {
            let contents = composer.some_contents(&mut hashes)?;
            let batch = composer.of_contents(acknowledged, contents, now)?;
            Ok((batch, hashes))
        });
        read.await?
    }

    /// Gets the next certificate when it is time, and goes on with that.
    async fn renew_in_time(&mut self) -> Result<(), Error> {
        if (self.push.now)() < self.identity.renewal() {
            return Ok(());
        }
        let renewed = enrol::renew(&mut self.connection, &self.identity).await?;
        let (saved, folder) = (renewed.clone(), folder(&self.push.settings.state_dir));
        blocking(move || saved.save(&folder)).await??;
        tracing::info!("the next certificate holds until {}", renewed.given.expires);
        self.connection = Connection::open(&renewed.url, connect::tls(&renewed)?).await?;
        self.push.with_state(|state| {
            if let Some(enrolled) = &mut state.enrolled {
                enrolled.expires = renewed.given.expires;
            }
        });
        self.identity = renewed;
        Ok(())
    }

    async fn with_composer<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Composer) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let mut composer = self.composer.take().ok_or(Error::Interrupted)?;
        let (composer, done) = blocking(move || {
            let done = work(&mut composer);
            (composer, done)
        })
        .await?;
        self.composer = Some(composer);
        Ok(done)
    }
}

/// Waits until something is new; tells whether nothing was for long.
async fn wait_for_news(push: &Push) -> bool {
    let news = tokio::time::timeout(REPORT, push.news.notified());
    let is_quiet = news.await.is_err();
    if !is_quiet {
        tokio::time::sleep(GATHERING).await;
    }
    is_quiet
}

/// The name of the log: by the store and by the enrolment, so that another store is another log, and so is the same
/// after the host was enrolled again.
fn log_name(reader: &Reader, identity: &Identity) -> Result<String, store::Error> {
    let own = reader.meta(LOG)?.unwrap_or_default();
    let mut name = blake3::Hasher::new();
    name.update(&own).update(identity.enrolment.as_bytes());
    Ok(name.finalize().to_hex()[..32].to_owned())
}

/// Where the collector last said that the log's hash chain is, if it signed that: a store that does not lead
/// through there was rewritten.
///
/// None where the host is not enrolled, or this process may not know.
pub(crate) fn countersigned(state_dir: &Path, store: &Reader) -> Option<Countersigned> {
    let folder = folder(state_dir);
    let identity = Identity::load(&folder).ok().flatten()?;
    let log = log_name(store, &identity).ok()?;
    let head = Progress::load(&folder, &log).head?;
    let given = &identity.given;
    let is_ours = head.host == given.host && head.log == log;
    (is_ours && is_signed(&head, &given.countersigns_by)).then_some(head)
}

/// Opens the store to send from.
fn open(settings: &Settings, identity: &Identity) -> Result<(Composer, String), Error> {
    let log = log_name(&Reader::open(&settings.store)?, identity)?;
    let mut contents = GlobSetBuilder::new();
    for pattern in &settings.contents {
        // The configuration was checked.
        contents.add(config::glob(pattern).map_err(|error| Error::Url(error.to_string()))?);
    }
    let contents = contents
        .build()
        .map_err(|error| Error::Url(error.to_string()))?;
    let labels = settings.labels.iter().filter_map(|label| {
        let (name, value) = label.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    });
    let origin = Origin {
        machine: identity.given.host.clone(),
        labels: labels.collect(),
        log: log.clone(),
    };
    let composer = Composer::open(settings, origin, contents)?;
    Ok((composer, log))
}

/// Whether the collector with that key signed it.
fn is_signed(head: &Countersigned, countersigns_by: &str) -> bool {
    let Some(point) = from_hex::<65>(countersigns_by) else {
        return false;
    };
    let digits = head.signature.as_bytes();
    let signature: Option<Vec<u8>> = digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point);
    signature.is_some_and(|signature| key.verify(&head.message(), &signature).is_ok())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_panic| Error::Interrupted)
}
