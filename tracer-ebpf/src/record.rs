//! What a probe sends: one struct a record behind one header, all in the host's byte order.
//! Variable parts (names, arguments) follow the struct in the order of their lengths.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How far up the parents a program walks.
pub const MAX_DEPTH: u32 = 64;
/// Bytes of names that a path can have in a record.
pub const NAMES_BYTES: u32 = 4096;
/// Bytes of a command line that a record holds.
pub const ARGV_BYTES: u32 = 4096;
/// Bytes of an extended attribute's name (`XATTR_NAME_MAX`) with its NUL.
pub const XATTR_NAME_BYTES: u32 = 256;

/// Tells records apart. Not an enum: the daemon answers an unknown kind with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct RecordKind(pub u32);

#[expect(
    missing_docs,
    reason = "each is documented in `probes`, where it is sent"
)]
impl RecordKind {
    pub const FORK: Self = Self(1);
    pub const EXEC: Self = Self(2);
    pub const EXIT: Self = Self(3);
    pub const CLOSED: Self = Self(4);
    pub const DIRTIED: Self = Self(5);
    pub const RELEASED: Self = Self(6);
    pub const CREATING: Self = Self(7);
    pub const CREATED: Self = Self(8);
    pub const SYMLINKED: Self = Self(9);
    pub const LINKED: Self = Self(10);
    pub const REMOVING: Self = Self(11);
    pub const RENAMING: Self = Self(12);
    pub const DONE: Self = Self(13);
    pub const ATTRIBUTES: Self = Self(14);
    pub const XATTR: Self = Self(15);
    pub const SYSCTL: Self = Self(16);
    pub const MODULE_LOADED: Self = Self(17);
    pub const MODULE_FREED: Self = Self(18);
    pub const MOUNTED: Self = Self(19);
    pub const MOVING_MOUNT: Self = Self(20);
    pub const UNMOUNTED: Self = Self(21);
    pub const REMOUNTED: Self = Self(22);
    pub const SWAPPED: Self = Self(23);
    pub const SYSCTL_DONE: Self = Self(24);
    pub const SETTING: Self = Self(25);
    pub const SYSRQ: Self = Self(26);
    pub const CGROUP: Self = Self(27);
    pub const SIGNAL: Self = Self(28);
    pub const MODULE_REQUESTED: Self = Self(29);
    pub const MODULE_FILE: Self = Self(30);
    pub const MODULE_DONE: Self = Self(31);
}

/// Begins every record: what happened when, and who did it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    /// When, in nanoseconds of `CLOCK_BOOTTIME`.
    pub time_ns: u64,
    /// When the process started, likewise.
    pub start_ns: u64,
    /// Id of the cgroup in the unified hierarchy.
    pub cgroup: u64,
    /// What follows.
    pub kind: RecordKind,
    /// Thread group id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// Thread group id of the parent.
    pub parent: u32,
    /// Real user id, as the host sees it.
    pub uid: u32,
    /// Effective user id, likewise.
    pub euid: u32,
    /// The user who logged in; `u32::MAX` for none.
    pub login_uid: u32,
    /// Audit session id; `u32::MAX` for none.
    pub audit_session: u32,
    /// POSIX session id.
    pub posix_session: u32,
    /// Inode number of the mount namespace.
    pub mount_ns: u32,
    /// Inode number of the pid namespace.
    pub pid_ns: u32,
    /// Keeps the size a multiple of 8.
    pub reserved: u32,
    /// Name of the controlling terminal, NUL-terminated; empty for none.
    pub tty: [u8; 16],
}

/// Describes an inode.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct InodeRecord {
    /// The inode number; 0 where there is no inode.
    pub number: u64,
    /// Size in bytes.
    pub size: u64,
    /// Change time, seconds since the epoch.
    pub ctime_sec: i64,
    /// Time of the last change of its content, likewise.
    pub mtime_sec: i64,
    /// Nanoseconds of the change time; bit 31 is the kernel's own flag (`I_CTIME_QUERIED`).
    pub ctime_nsec: u32,
    /// Nanoseconds of the time of the last change of its content.
    pub mtime_nsec: u32,
    /// The device in the kernel's encoding (major << 20 | minor).
    pub dev: u32,
    /// Type and permission bits.
    pub mode: u32,
    /// How many names it has.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Generation, which tells apart files that had the same number one after the other.
    pub generation: u32,
}

/// Says what is special about a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct PathFlags(pub u32);

impl PathFlags {
    /// The path is longer or deeper than what is told: the topmost part is missing.
    pub const CUT: u32 = 1;
    /// The name is not in its directory (any more): it was removed, or never had one.
    pub const UNNAMED: u32 = 2;
}

/// Describes a path by its names from the leaf upwards, each preceded by its length in a byte:
/// up to a watched root, or else up to the top of its file system (or mount, in an exec record).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PathRecord {
    /// The root that the names lead up to; 0 where they lead up to the top.
    pub root: u32,
    /// Bytes of the names.
    pub names_len: u32,
    /// What is special about it.
    pub flags: PathFlags,
    /// In an exec record the mount's id, elsewhere the device, in the kernel's encoding.
    pub place: u32,
}

/// Tells of one thing that happened to a file, by `header.kind`. Names follow, then `extra`: the
/// target of a symbolic link, the name of an attribute, or the names of a link's existing file.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FileRecord {
    /// When and who.
    pub header: Header,
    /// The file.
    pub inode: InodeRecord,
    /// Its path.
    pub path: PathRecord,
    /// By kind: for `CLOSED` 1 where the description had created the file; for `RELEASED` the
    /// bytes that the process wrote; for `ATTRIBUTES` `ia_valid`; for `REMOVING` the attempt; for
    /// `XATTR` 0 where the name follows, 1 and 2 for the access control lists, 3 for the flags, 4
    /// for what only the file system knows.
    pub detail: u64,
    /// For `CLOSED`, `DIRTIED` and `RELEASED` a number that is the description's own while it is
    /// open; else 0.
    pub description: u64,
    /// Bytes of what follows the names.
    pub extra_len: u32,
    /// For `LINKED` the root of the existing name.
    pub extra_root: u32,
}

/// Announces a rename whose outcome a [`DoneRecord`] tells. The old names follow, then the new.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RenameRecord {
    /// When and who.
    pub header: Header,
    /// The file that is renamed.
    pub inode: InodeRecord,
    /// The file that the new name names, which is replaced (or swapped).
    pub replaced: InodeRecord,
    /// The old path.
    pub from: PathRecord,
    /// The new path.
    pub to: PathRecord,
    /// Names the attempt, for its outcome.
    pub attempt: u64,
    /// Flags of `renameat2(2)`.
    pub flags: u32,
    /// Keeps the size a multiple of 8.
    pub reserved: u32,
}

/// Tells how an attempt ended. Of the header only time, kind, pid and tid are set.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DoneRecord {
    /// When and who.
    pub header: Header,
    /// The attempt, as its record named it.
    pub attempt: u64,
    /// 0, or the error as a negative number.
    pub result: i32,
    /// Keeps the size a multiple of 8.
    pub reserved: u32,
}

/// Tells of a new process; the header is the parent's.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForkRecord {
    /// When and who.
    pub header: Header,
    /// When the child started, in nanoseconds of `CLOCK_BOOTTIME`.
    pub child_start_ns: u64,
    /// The child's thread group id.
    pub child: u32,
    /// Keeps the size a multiple of 8.
    pub reserved: u32,
}

/// Tells of a program that begins to run. The executable's names follow, then those of the working
/// directory, then the arguments, each ended by NUL.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ExecRecord {
    /// When and who.
    pub header: Header,
    /// The executable; `place` is the mount's id.
    pub exe: PathRecord,
    /// The working directory; `place` is the mount's id.
    pub cwd: PathRecord,
    /// Bytes of arguments in the record.
    pub argv_len: u32,
    /// Bytes of arguments that the program got.
    pub argv_bytes: u32,
    /// Process group id. A shell with job control gives each job a group of its own.
    pub process_group: u32,
    /// Keeps the size a multiple of 8.
    pub reserved: u32,
}

/// Tells of a function of the magic system request key that was asked for by its file.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SysrqRecord {
    /// When and who.
    pub header: Header,
    /// The letter that stands for it.
    pub key: u32,
    /// Keeps the size a multiple of 8.
    pub reserved: u32,
}

/// Tells of a process that ended.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ExitRecord {
    /// When and who.
    pub header: Header,
    /// The status as `wait(2)` gives it.
    pub status: i32,
    /// Keeps the size a multiple of 8.
    pub reserved: u32,
}

/// Tells of a signal that one process sent to another.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SignalRecord {
    /// When and who.
    pub header: Header,
    /// When the process that gets it started, in nanoseconds of `CLOCK_BOOTTIME`.
    pub target_start_ns: u64,
    /// Its thread group id.
    pub target: u32,
    /// The signal's number.
    pub signal: u32,
}

/// Tells of a new cgroup of the unified hierarchy. Its path follows, from the hierarchy's root.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CgroupRecord {
    /// When and who.
    pub header: Header,
    /// Its id, which is the inode number of its folder.
    pub id: u64,
    /// Bytes of the path.
    pub path_len: u32,
    /// Keeps the size a multiple of 8.
    pub reserved: u32,
}

/// Tells of a module that comes or goes, or that a task needs. Its name follows.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ModuleRecord {
    /// When and who.
    pub header: Header,
    /// Bytes of the name.
    pub name_len: u32,
    /// Keeps the size a multiple of 8.
    pub reserved: u32,
}

/// Tells of a file that is read to be loaded as a module. Its names follow.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ModuleFileRecord {
    /// When and who.
    pub header: Header,
    /// The file; `place` is the mount's id.
    pub path: PathRecord,
}

/// Tells how a request to load a module ended.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ModuleDoneRecord {
    /// When and who.
    pub header: Header,
    /// 0, or the error as a negative number.
    pub result: i32,
    /// Keeps the size a multiple of 8.
    pub reserved: u32,
}

/// Tells of something done to a mount or to swap space, by `header.kind`. The names of the place follow,
/// then the path that the caller gave.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MountRecord {
    /// When and who.
    pub header: Header,
    /// The place, up to the root of its mount; `place` is that mount's id. For `REMOUNTED` without
    /// names, and `place` is the device, in the kernel's encoding. Nothing for `SWAPPED`.
    pub path: PathRecord,
    /// For `MOVING_MOUNT` the attempt, for its outcome; else 0.
    pub attempt: u64,
    /// Bytes of the path that the caller gave: all that is known of the place for `SWAPPED`; for `MOUNTED`
    /// it goes on from the place, or instead of it where it is absolute.
    pub given_len: u32,
    /// Keeps the size a multiple of 8.
    pub reserved: u32,
}

/// Names the namespaces that some sysctls are of, by their inode numbers; 0 where the kernel does not
/// tell one.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct NamespacesRecord {
    /// The network namespace.
    pub net: u32,
    /// The IPC namespace.
    pub ipc: u32,
    /// The UTS namespace.
    pub uts: u32,
    /// The user namespace.
    pub user: u32,
}

/// Tells of a sysctl that is about to be written. The name follows, then the old value, then the new.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SysctlRecord {
    /// When and who.
    pub header: Header,
    /// Bytes of the name.
    pub name_len: u32,
    /// Bytes of the old value.
    pub before_len: u32,
    /// Bytes of the new value.
    pub after_len: u32,
    /// Keeps the size a multiple of 8.
    pub reserved: u32,
    /// The namespaces of who writes.
    pub namespaces: NamespacesRecord,
}

/// Tells how a write to a sysctl or to a file of sysfs ended, by `header.kind`. The names follow, up to
/// the top of the file system.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct WrittenRecord {
    /// When and who.
    pub header: Header,
    /// The path within the file system.
    pub path: PathRecord,
    /// The namespaces of who writes.
    pub namespaces: NamespacesRecord,
    /// The bytes that were written, or the error as a negative number.
    pub result: i64,
}
