//! What the kernel half and the daemon share: records, map contents and field offsets.
//! The programs themselves are the binary of this package, compiled for bpf only.
#![no_std]

mod config;
mod offsets;
mod record;

pub use config::{
    BLOOM_WORDS, ENDING_SIGNALS, PENDING_ENTRIES, Probe, RING_BYTES, ROOTS_ENTRIES, RootKey,
    RootValue, SUBVOLUME_REACH, Settings, bloom_bit, children_bit,
};
pub use offsets::{ABSENT, Offsets};
pub use record::{
    ARGV_BYTES, CgroupRecord, DoneRecord, ExecRecord, ExitRecord, FileRecord, ForkRecord, Header,
    InodeRecord, MAX_DEPTH, ModuleDoneRecord, ModuleFileRecord, ModuleRecord, MountRecord,
    NAMES_BYTES, NamespacesRecord, PathFlags, PathRecord, RecordKind, RenameRecord, SignalRecord,
    SysctlRecord, SysrqRecord, WrittenRecord, XATTR_NAME_BYTES,
};
