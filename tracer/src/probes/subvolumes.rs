//! Trees on Btrfs: its subvolumes have the same inode numbers, and what tells them apart is not in the
//! structures that all file systems share.

use change::wire::{CheckBody, CheckState};
use tracer_ebpf::SUBVOLUME_REACH;

use super::btf::{self, Btf};
use super::{Error, Probes};

impl Probes {
    /// Lets the programs know of subvolumes, or says that and why they cannot. To be asked for when a
    /// tree on Btrfs is to be watched: before, its module may not be loaded.
    pub fn know_subvolumes(&mut self) -> Result<Option<CheckBody>, Error> {
        if self.settings.subvolume_dev != 0 {
            return Ok(None);
        }
        match offsets() {
            Ok((before, dev)) => {
                (self.settings.subvolume_before, self.settings.subvolume_dev) = (before, dev);
                self.write_settings()?;
                Ok(None)
            }
            Err(why) => Ok(Some(CheckBody {
                name: "trees on Btrfs".to_owned(),
                state: CheckState::Missing,
                detail: format!(
                    "not seen: changes in trees on Btrfs, until the trees are compared; {why}"
                ),
            })),
        }
    }
}

/// How far before an inode its subvolume is named, and where that one's device lies.
fn offsets() -> Result<(u32, u32), String> {
    let told = |error: btf::Error| error.to_string();
    let types = Btf::of_module("btrfs").map_err(told)?;
    let offset = |path| types.offset(path).map_err(told);
    let before = offset("btrfs_inode.vfs_inode")?.checked_sub(offset("btrfs_inode.root")?);
    let before = before.filter(|before| *before < SUBVOLUME_REACH);
    let before = before.ok_or("`btrfs_inode.root` is too far from `btrfs_inode.vfs_inode`")?;
    Ok((before, offset("btrfs_root.anon_dev")?))
}
