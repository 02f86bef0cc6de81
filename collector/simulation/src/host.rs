//! A simulated host: an inventory and a log, which it sends in frames as a tracer does.

use std::collections::BTreeMap;

use change::wire::{self, Batch, Content, FrameError, Sender};
use change::{Change, Run, Timestamp};
use tracer_collector::fleet::HostId;

use crate::inventory::{self, Role, hostname};

/// A host and how far its log has come.
pub struct Host {
    /// Its number, from 1.
    pub number: u64,
    /// What it is for.
    pub role: Role,
    next_seq: u64,
}

impl Host {
    /// A host that has not sent anything.
    pub fn new(number: u64, role: Role) -> Self {
        Self {
            number,
            role,
            next_seq: 1,
        }
    }

    /// Who it is by its certificate.
    pub fn id(&self) -> HostId {
        HostId(self.machine())
    }

    /// The first batch: all facts and a few contents, and no change.
    pub fn baseline(&self, sent: Timestamp) -> Batch {
        let contents = inventory::with_address(self.number).map(|(_, text)| Content {
            hash: *blake3::hash(text.as_bytes()).as_bytes(),
            bytes: text.into_bytes(),
        });
        Batch {
            facts: inventory::facts(self.number, self.role, sent),
            contents: contents.into(),
            ..self.batch(sent)
        }
    }

    /// A batch with the next changes of the log, and the runs that own them.
    pub fn log(&mut self, changes: Vec<Change>, runs: Vec<Run>, sent: Timestamp) -> Batch {
        let mut batch = self.batch(sent);
        let numbered = (self.next_seq..).zip(changes).map(|(seq, change)| Change {
            host: batch.sender.machine.clone(),
            hostname: batch.sender.hostname.clone(),
            seq,
            ..change
        });
        batch.changes = numbered.collect();
        batch.runs = runs;
        self.next_seq = batch.next_seq();
        batch.newest_seq = self.next_seq - 1;
        batch
    }

    fn batch(&self, sent: Timestamp) -> Batch {
        let labels = [("role", self.role.as_str())];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Batch {
            sender: Sender {
                machine: self.machine(),
                hostname: hostname(self.number),
                labels: BTreeMap::from(labels),
                tracer: env!("CARGO_PKG_VERSION").to_owned(),
                log: format!("log-{}", self.number),
            },
            sent,
            first_seq: self.next_seq,
            newest_seq: self.next_seq - 1,
            complete_until: Some(sent),
            ..Batch::default()
        }
    }

    fn machine(&self) -> String {
        let hash = blake3::hash(&self.number.to_le_bytes()).to_hex();
        hash[..32].to_owned()
    }
}

/// A batch as the collector gets it: through a frame.
pub fn through_a_frame(batch: &Batch) -> Result<Batch, FrameError> {
    wire::decode(&wire::encode(batch)?)
}
