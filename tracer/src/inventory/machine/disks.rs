//! The disks, for what they are and for their firmware.

use std::path::PathBuf;

use super::{Machine, device, entries, word};

/// Sectors of `/sys/block/*/size` have so many bytes, whatever the disk's own.
const SECTOR_BYTES: u64 = 512;

/// One disk.
pub(super) struct Disk {
    /// Names it by its place.
    pub(super) key: String,
    /// Its folder in `/sys/block`.
    block: PathBuf,
}

/// The disks that are hardware, and no loop, array or volume.
pub(super) fn all(machine: &Machine) -> Vec<Disk> {
    let disks = entries(&machine.path("sys/block"));
    let disks = disks.into_iter().filter_map(|(name, block)| {
        let device = block.join("device").canonicalize().ok()?;
        let place = device::place(&device).unwrap_or(name);
        // A device of NVMe holds several of what is a disk to everybody else.
        let key = match word(&block.join("nsid")) {
            Some(space) => format!("disk/{place}-{space}"),
            None => format!("disk/{place}"),
        };
        Some(Disk { key, block })
    });
    disks.collect()
}

impl Disk {
    pub(super) fn model(&self) -> Option<String> {
        ["device/model", "device/name"]
            .iter()
            .find_map(|file| word(&self.block.join(file)))
    }

    pub(super) fn vendor(&self) -> Option<String> {
        // Of a disk at an ATA port it is always this word, of a virtual one a number of the bus.
        word(&self.block.join("device/vendor"))
            .filter(|vendor| vendor != "ATA" && !vendor.starts_with("0x"))
    }

    pub(super) fn size_bytes(&self) -> Option<String> {
        let sectors: u64 = word(&self.block.join("size"))?.parse().ok()?;
        Some(sectors.saturating_mul(SECTOR_BYTES).to_string())
    }

    /// The revision of its firmware.
    pub(super) fn revision(&self) -> Option<String> {
        ["device/firmware_rev", "device/rev", "device/fwrev"]
            .iter()
            .find_map(|file| word(&self.block.join(file)))
    }
}
