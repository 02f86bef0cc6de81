//! What a way of watching tells the daemon, the same for all ways: the joint between the kernel's
//! side (`decode`, `fanotify`) and everything that follows (`assemble`, `enrich`).

mod modules;

use change::{FileType, Text};

pub use self::modules::ModuleStep;

/// Tells of one thing that was seen to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// When it happened, in nanoseconds of `CLOCK_BOOTTIME`: nobody sets that clock.
    pub boot_ns: u64,
    /// Who did it.
    pub who: Who,
    /// What it was.
    pub event: Event,
}

impl Observation {
    /// The same write to a sysctl, which the kernel had taken by then.
    #[must_use]
    pub fn ended(mut self, at_ns: u64) -> Self {
        if let Event::Sysctl(write) = &mut self.event {
            write.ended_ns = Some(at_ns);
        }
        self
    }
}

/// Says who did something, as exactly as the way of watching can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// The task as it was at that very moment.
    Task(Task),
    /// Only a process id, still to be looked up: all that fanotify tells.
    Pid(u32),
}

impl Who {
    /// The process id (thread group id) as the host sees it.
    pub fn pid(&self) -> u32 {
        match self {
            Self::Task(task) => task.process.pid,
            Self::Pid(pid) => *pid,
        }
    }
}

/// Names a process for good: ids are reused, an id with its start is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessId {
    /// Thread group id as the host sees it.
    pub pid: u32,
    /// When the group's leader started, in nanoseconds of `CLOCK_BOOTTIME`. Read from `/proc` it
    /// is only exact to [`ProcessId::TICK_NS`]; compare with [`ProcessId::same`].
    pub start_ns: u64,
}

impl ProcessId {
    /// The grain of the start time in `/proc/PID/stat` (`USER_HZ` is 100 on every port of Linux
    /// that we run on).
    pub const TICK_NS: u64 = 10_000_000;

    /// Whether both name the same process, whichever of them was read from `/proc`.
    pub fn same(self, other: Self) -> bool {
        self.pid == other.pid && self.start_ns / Self::TICK_NS == other.start_ns / Self::TICK_NS
    }
}

/// Describes a task as the kernel saw it at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// The process.
    pub process: ProcessId,
    /// The thread.
    pub tid: u32,
    /// The process that is its parent at this moment.
    pub parent: u32,
    /// Real user id.
    pub uid: u32,
    /// Effective user id.
    pub euid: u32,
    /// The user who logged in (`loginuid`); none where no login is behind it.
    pub login_uid: Option<u32>,
    /// The audit session id; none where no login is behind it.
    pub audit_session: Option<u32>,
    /// The POSIX session: the process id of its leader.
    pub posix_session: u32,
    /// The controlling terminal as the kernel names it, like `pts0` or `tty1`.
    pub tty: Option<String>,
    /// The id of its cgroup in the unified hierarchy, which is the inode number of its folder.
    pub cgroup: u64,
    /// Inode number of its mount namespace.
    pub mount_ns: u32,
    /// Inode number of its pid namespace.
    pub pid_ns: u32,
}

/// Says what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The process made a child.
    Fork {
        /// The new process.
        child: ProcessId,
    },
    /// The process runs a program from now on.
    Exec(Program),
    /// The process ended.
    Exit {
        /// The status as `wait(2)` gives it.
        status: i32,
    },
    /// Something happened to a file in a watched tree.
    File(FileEvent),
    /// A kernel module came or went, or is about to.
    Module(ModuleStep),
    /// A cgroup was made.
    Cgroup {
        /// Its id in the unified hierarchy.
        id: u64,
        /// Its path from that hierarchy's root.
        path: Text,
    },
    /// The process sent another a signal that may end it.
    Signal(Sent),
    /// Something was mounted, moved, given other options or unmounted, or swap space was turned on or off.
    Mount(MountTouched),
    /// A sysctl was written, or is about to be.
    Sysctl(SysctlWrite),
    /// A function of the magic system request key was asked for by `/proc/sysrq-trigger`.
    Sysrq {
        /// The letter that stands for it, as in sysrq(7).
        key: char,
    },
    /// A file of sysfs was written, with success.
    Setting {
        /// Its path, through the device and not by a link.
        path: Text,
    },
}

/// Describes a signal that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Who gets it.
    pub to: ProcessId,
    /// Its number, as in signal(7).
    pub signal: u32,
}

/// Describes a write to a sysctl.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SysctlWrite {
    /// Its path below `/proc/sys`.
    pub path: Text,
    /// The value as the write began, where that is told.
    pub before: Option<String>,
    /// What was to be written, where that is told.
    pub asked: Option<String>,
    /// The namespaces of who wrote.
    pub namespaces: Namespaces,
    /// When the kernel had taken it, in nanoseconds of `CLOCK_BOOTTIME`; none where it is not known
    /// whether the kernel took it, or will.
    pub ended_ns: Option<u64>,
}

/// Names the namespaces that some sysctls are of, by their inode numbers; 0 stands for one that is
/// not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// The network namespace.
    pub net: u32,
    /// The IPC namespace.
    pub ipc: u32,
    /// The UTS namespace.
    pub uts: u32,
    /// The user namespace.
    pub user: u32,
    /// The PID namespace.
    pub pid: u32,
}

/// Says where something was done to what is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountTouched {
    /// At a place of a mount.
    Place {
        /// The mount's id.
        mount: u32,
        /// The place within it, from its root on: `/` for the root itself.
        within: Text,
        /// Whether that mount was unmounted.
        gone: bool,
    },
    /// At a path as the caller gave it.
    Path(Text),
    /// A file system has other options, wherever it is mounted.
    FileSystem {
        /// Its device as `stat(2)` gives it.
        dev: u64,
    },
    /// Swap space was turned on or off.
    Swap {
        /// The device or file as the caller gave it.
        path: Text,
    },
}

/// Describes the program that a process runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Path of the executable; of the interpreter for a script.
    pub exe: Option<Text>,
    /// The command line.
    pub argv: Vec<Text>,
    /// Whether the command line was longer than what a record holds.
    pub argv_truncated: bool,
    /// The working directory at that moment.
    pub cwd: Option<Text>,
    /// The process group, which a shell gives each job of its own; 0 where it is not known.
    pub process_group: u32,
}

/// Describes what happened to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEvent {
    /// What was done.
    pub action: Action,
    /// The file's absolute path under its watched tree, as the host names it, after the action.
    pub path: Text,
    /// The file as the kernel saw it at that moment; none where the way of watching does not tell.
    pub inode: Option<Inode>,
    /// Whether the file had no name in its directory (any more) at that moment: it had been
    /// removed, or was opened with `O_TMPFILE`. The path is then what it was, or a stand-in.
    pub unnamed: bool,
    /// A number that is the open description's own while it is open, where there is one: processes
    /// that share a description write as one.
    pub description: Option<u64>,
}

impl FileEvent {
    /// The other name that it is about: before a rename, or of the file that is linked.
    pub fn other_name(&self) -> Option<&Text> {
        match &self.action {
            Action::Renamed { from, .. } => Some(&from.path),
            Action::Linked { existing } => existing.as_ref(),
            _ => None,
        }
    }

    /// The names that a directory had and has, if it was made or renamed; a new one has had none other.
    pub fn placed_directory(&self) -> Option<(Text, Text)> {
        let inode = self.inode?;
        if !inode.is_directory() {
            return None;
        }
        match &self.action {
            Action::Renamed { from, .. } => Some((from.path.clone(), self.path.clone())),
            Action::Created => Some((self.path.clone(), self.path.clone())),
            _ => None,
        }
    }
}

/// Says what was done to a file. Only what succeeded is told, but for [`Action::Creating`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// An open is about to create it; whether that succeeds is not known yet.
    Creating,
    /// It was created, not by an open: a directory, a device, a pipe, a file by `mknod`.
    Created,
    /// Its content changed through this process: the kernel moved its times on. Told at most once
    /// a clock tick for each file, while it is still open.
    Dirtied,
    /// A description that was open for writing was closed for the last time.
    Closed {
        /// Whether the same description had created the file.
        created: bool,
    },
    /// The process ended while it held a description open for writing that others still hold.
    Released {
        /// Bytes that the process wrote in its life, to any file.
        written_bytes: u64,
    },
    /// Attributes were set.
    Attributes {
        /// The size was set, as by `truncate`.
        size: bool,
        /// The permission bits were set.
        mode: bool,
        /// Owner or group were set.
        owner: bool,
    },
    /// An extended attribute was set or removed.
    Xattr {
        /// The attribute's name.
        name: String,
    },
    /// It is a new symbolic link.
    Symlinked {
        /// Where it points.
        target: Text,
    },
    /// It is a new name of a file.
    Linked {
        /// The name that was given to the call; none where that could not be told.
        existing: Option<Text>,
    },
    /// It is gone: a name was removed.
    Deleted,
    /// It was renamed to `path`, or swapped with it.
    Renamed {
        /// The name before. At least one of both names is in a watched tree.
        from: Name,
        /// Whether `path` itself is in a watched tree.
        into_watched: bool,
        /// What is under the old name afterwards.
        left: Left,
        /// The file that `path` named before and that is replaced now.
        replaced: Option<Inode>,
    },
}

/// Says what a rename left under the old name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing.
    Nothing,
    /// The file that had the new name before: the two were swapped.
    Other,
    /// A device by which a layer of overlayfs says that there is no file.
    Whiteout,
}

/// Names a file that may lie outside the watched trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The absolute path as well as it is known.
    pub path: Text,
    /// Whether it is in a watched tree.
    pub watched: bool,
}

/// Describes an inode as the kernel saw it at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inode {
    /// The device as `stat(2)` gives it.
    pub dev: u64,
    /// The inode number.
    pub number: u64,
    /// Type and permission bits as in `st_mode`.
    pub mode: u32,
    /// How many names it has.
    pub links: u32,
    /// Numeric owner as the host sees it.
    pub uid: u32,
    /// Numeric group as the host sees it.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Change time in nanoseconds since the epoch, or [`Inode::UNKNOWN_TIME`].
    pub ctime_ns: i64,
    /// Time of the last change of its content, likewise.
    pub mtime_ns: i64,
}

impl Inode {
    /// Stands for a change time that what happened moved on after the inode was looked at.
    pub const UNKNOWN_TIME: i64 = 0;

    /// Whether it is one of a directory.
    pub fn is_directory(self) -> bool {
        FileType::from_mode(self.mode) == FileType::Directory
    }
}
