//! What `/proc` tells of one process. The layout of its files is in `proc(5)`; what they mean for
//! the table is the business of `processes` and `adopt`.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use change::Text;

use crate::bounded;
use crate::observed::{ProcessId, Program, Task};

/// How much of a command line is read: more than is kept, so that masking sees whole words.
const MAX_CMDLINE_BYTES: u64 = 16 * 1024;

/// How much of any other file is read.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// The audit system's "not set" (`AUDIT_UID_UNSET`, `AUDIT_SID_UNSET`):
/// <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/audit.h>.
const AUDIT_UNSET: u32 = u32::MAX;

/// Reads `/proc` under a root.
#[derive(Clone, Debug)]
pub(super) struct Procfs {
    root: PathBuf,
}

/// What `/proc/PID/stat` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) process: ProcessId,
    pub(super) parent: u32,
    pub(super) process_group: u32,
    posix_session: u32,
    tty: u32,
}

impl Procfs {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
        }
    }

    /// The path of a file of a process.
    pub(super) fn path(&self, pid: u32, name: &str) -> PathBuf {
        self.root.join(format!("proc/{pid}/{name}"))
    }

    /// Every process that there is.
    pub(super) fn pids(&self) -> Vec<u32> {
        let Ok(entries) = fs::read_dir(self.root.join("proc")) else {
            return Vec::new();
        };
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect()
    }

    pub(super) fn stat(&self, pid: u32) -> Option<Stat> {
        parse_stat(pid, &self.text(pid, "stat")?)
    }

    /// The start of a process, if it is alive and its id has not gone to another.
    pub(super) fn alive(&self, process: ProcessId) -> Option<Stat> {
        self.stat(process.pid)
            .filter(|stat| stat.process.same(process))
    }

    /// The program of a process, for as long as it is the same process.
    pub(super) fn program(&self, process: ProcessId) -> Option<Program> {
        let pid = process.pid;
        let exe = self.link(pid, "exe");
        let argv = parse_cmdline(&bounded::read(
            &self.path(pid, "cmdline"),
            MAX_CMDLINE_BYTES,
        )?);
        let cwd = self.link(pid, "cwd");
        let stat = self.alive(process)?;
        Some(Program {
            exe,
            argv,
            argv_truncated: false,
            cwd,
            process_group: stat.process_group,
        })
    }

    /// The command line of a process as of now: some rewrite it to say what they do.
    pub(super) fn title(&self, process: ProcessId) -> Option<Vec<Text>> {
        let title = bounded::read(&self.path(process.pid, "cmdline"), MAX_CMDLINE_BYTES)?;
        self.alive(process).map(|_| parse_cmdline(&title))
    }

    /// A process as a record of this moment would describe it.
    pub(super) fn task(&self, stat: &Stat) -> Option<Task> {
        let pid = stat.process.pid;
        let (uid, euid) = parse_uids(&self.text(pid, "status")?)?;
        let task = Task {
            process: stat.process,
            tid: pid,
            parent: stat.parent,
            uid,
            euid,
            login_uid: self.audit_number(pid, "loginuid"),
            audit_session: self.audit_number(pid, "sessionid"),
            posix_session: stat.posix_session,
            tty: self.terminal(stat.tty),
            cgroup: self.cgroup_id(pid).unwrap_or(0),
            mount_ns: self.namespace(pid, "mnt").unwrap_or(0),
            pid_ns: self.namespace(pid, "pid").unwrap_or(0),
        };
        self.alive(stat.process).map(|_| task)
    }

    /// The inode number of a namespace of a process.
    pub(super) fn namespace(&self, pid: u32, kind: &str) -> Option<u32> {
        let link = fs::read_link(self.path(pid, &format!("ns/{kind}"))).ok()?;
        let (_, number) = link.to_str()?.split_once('[')?;
        number.strip_suffix(']')?.parse().ok()
    }

    /// The text of `/proc/PID/cgroup`.
    pub(super) fn cgroup(&self, pid: u32) -> Option<String> {
        self.text(pid, "cgroup")
    }

    fn cgroup_id(&self, pid: u32) -> Option<u64> {
        let text = self.cgroup(pid)?;
        let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let mount = super::units::cgroup2_mount(&self.root)?;
        // The inode number of a cgroup's folder is its id:
        // https://github.com/torvalds/linux/blob/v6.12/include/linux/cgroup.h (`cgroup_id`)
        Some(fs::metadata(mount.join(path)).ok()?.ino())
    }

    fn text(&self, pid: u32, name: &str) -> Option<String> {
        bounded::read_text(&self.path(pid, name), MAX_FILE_BYTES)
    }

    fn link(&self, pid: u32, name: &str) -> Option<Text> {
        let target = fs::read_link(self.path(pid, name)).ok()?;
        Some(target.as_os_str().as_bytes().into())
    }

    fn audit_number(&self, pid: u32, name: &str) -> Option<u32> {
        let number = self.text(pid, name)?.trim().parse().ok()?;
        (number != AUDIT_UNSET).then_some(number)
    }

    /// The kernel's name of a terminal, from its device number as `stat` writes it:
    /// <https://github.com/torvalds/linux/blob/v6.12/include/linux/kdev_t.h> (`new_encode_dev`).
    fn terminal(&self, device: u32) -> Option<String> {
        let major = device >> 8 & 0xfff;
        let minor = (device & 0xff) | (device >> 12 & 0xf_ff00);
        match major {
            0 => None,
            // Documentation/admin-guide/devices.txt: 136-143 are Unix98 PTY slaves.
            136..=143 => Some(format!("pts{}", minor + (major - 136) * 256)),
            _ => {
                let link = self.root.join(format!("sys/dev/char/{major}:{minor}"));
                let device = fs::read_link(link).ok()?;
                Some(device.file_name()?.to_str()?.to_owned())
            }
        }
    }
}

fn parse_stat(pid: u32, text: &str) -> Option<Stat> {
    // The name stands in parentheses and may hold any character, these too.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<i64>().ok();
    let id = |index: usize| Some(u32::try_from(number(index)?).unwrap_or(0));
    let start_ticks: u64 = fields.get(19)?.parse().ok()?;
    Some(Stat {
        process: ProcessId {
            pid,
            start_ns: start_ticks.saturating_mul(ProcessId::TICK_NS),
        },
        parent: id(1)?,
        process_group: id(2)?,
        posix_session: id(3)?,
        tty: id(4)?,
    })
}

/// The real and the effective user id of `Uid:`.
fn parse_uids(status: &str) -> Option<(u32, u32)> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let mut ids = line.split_ascii_whitespace().map(str::parse);
    Some((ids.next()?.ok()?, ids.next()?.ok()?))
}

/// Splits a command line. What was rewritten as a title is padded with NULs.
fn parse_cmdline(bytes: &[u8]) -> Vec<Text> {
    let length = bytes.iter().rposition(|&byte| byte != 0);
    let Some(length) = length else {
        return Vec::new();
    };
    bytes[..=length]
        .split(|&byte| byte == 0)
        .map(Text::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let text = "7 (a) b) c) S 3 7 5 34816 7 4194560 1 0 0 0 1 1 0 0 20 0 1 0 4711 1 1";
        let stat = parse_stat(7, text).unwrap();
        assert_eq!(stat.parent, 3);
        assert_eq!(stat.posix_session, 5);
        assert_eq!(stat.process.start_ns, 47_110_000_000);
        assert_eq!(
            Procfs::new(Path::new("/")).terminal(stat.tty).unwrap(),
            "pts0"
        );
        assert_eq!(parse_stat(7, "7 (a) S 3"), None);
        assert_eq!(parse_stat(7, ""), None);
    }

    #[test]
    fn a_title_loses_its_padding() {
        assert_eq!(
            parse_cmdline(b"sshd: a@pts/0\0\0\0"),
            [Text::from("sshd: a@pts/0")]
        );
        assert_eq!(
            parse_cmdline(b"a\0\0b\0"),
            ["a".into(), "".into(), Text::from("b")]
        );
        assert_eq!(parse_cmdline(b""), []);
    }

    #[test]
    fn a_real_child_is_read() {
        let mut child = Command::new("sleep")
            .arg("60")
            .current_dir("/tmp")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let proc = Procfs::new(Path::new("/"));
        let stat = proc.stat(child.id()).unwrap();
        assert_eq!(stat.parent, std::process::id());
        // The kernel lets the parent go on before the command line is in place.
        let program = std::iter::repeat_with(|| proc.program(stat.process).unwrap())
            .find(|program| !program.argv.is_empty())
            .unwrap();
        let task = proc.task(&stat).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(program.argv, ["sleep".into(), Text::from("60")]);
        assert_eq!(program.cwd, Some("/tmp".into()));
        assert_eq!(task.euid, rustix::process::geteuid().as_raw());
        assert_ne!(task.pid_ns, 0);
        assert_eq!(proc.alive(stat.process), None);
        assert_eq!(proc.program(stat.process), None);
    }
}
