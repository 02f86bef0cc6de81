//! What is measured: the workloads, and what they cost the processes that run them.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

const OUTSIDE: &str = "/srv/bench";
pub(crate) const WATCHED: &str = "/etc/bench";
const PROGRAM: &str = "/srv/nothing";
const ARCHIVE: &str = "/srv/small.tar";
const ARCHIVED_FOLDERS: u64 = 60;
const ARCHIVED_FILES: u64 = 3_000;
const DATA: [u8; 64] = [b'v'; 64];
/// How many files a workload goes round.
const FILES: u64 = 64;

/// One workload; the letters are those of every comparison with other tools.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workload {
    /// Open, write 64 bytes, close, outside the trees.
    OutsideWrite,
    /// `write(2)` of 64 bytes to one open file outside.
    OpenWrite,
    /// Open, read, close in /etc.
    WatchedRead,
    /// Open, write 64 bytes, close in /etc.
    WatchedWrite,
    /// Write a temporary file and rename it over another in /etc.
    Replace,
    /// Fork, run a program that ends at once, wait.
    Exec,
    /// Untar outside the trees.
    Untar,
    /// Create a file that wasn't there in /etc, write 64 bytes, close.
    Creations,
}

impl Workload {
    /// Those that are timed.
    pub(crate) const ALL: [Self; 7] = [
        Self::OutsideWrite,
        Self::OpenWrite,
        Self::WatchedRead,
        Self::WatchedWrite,
        Self::Replace,
        Self::Exec,
        Self::Untar,
    ];

    pub(crate) fn letter(self) -> &'static str {
        match self {
            Self::OutsideWrite => "a",
            Self::OpenWrite => "b",
            Self::WatchedRead => "c",
            Self::WatchedWrite => "d",
            Self::Replace => "e",
            Self::Exec => "f",
            Self::Untar => "t",
            Self::Creations => "n",
        }
    }

    /// How often it acts in one round.
    pub(crate) fn operations(self) -> u64 {
        match self {
            Self::OutsideWrite => 5_000,
            Self::OpenWrite => 100_000,
            Self::WatchedRead => 8_000,
            Self::WatchedWrite | Self::Untar | Self::Creations => 3_000,
            Self::Replace => 1_000,
            Self::Exec => 400,
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::OutsideWrite | Self::OpenWrite | Self::Exec | Self::Untar => OUTSIDE,
            Self::WatchedRead | Self::WatchedWrite | Self::Replace | Self::Creations => WATCHED,
        }
    }
}

/// Everything that the workloads need is there.
pub(crate) struct Workloads(());

impl Workloads {
    pub(crate) fn prepare() -> Result<Self> {
        for folder in [OUTSIDE, WATCHED] {
            fs::create_dir_all(folder)?;
            for path in paths(folder) {
                fs::write(path, DATA)?;
            }
        }
        fs::write(PROGRAM, nothing())?;
        fs::set_permissions(PROGRAM, fs::Permissions::from_mode(0o755))?;
        make_archive().context("make the archive")?;
        Ok(Self(()))
    }

    /// Runs one, and tells the CPU time of the processes that worked.
    #[expect(clippy::unused_self, reason = "it shows that everything is prepared")]
    pub(crate) fn run(&self, workload: Workload, operations: u64) -> Result<i64> {
        let paths = paths(workload.folder());
        let mut round = paths.iter().cycle().take(usize::try_from(operations)?);
        let mut open = OpenOptions::new();
        open.write(true).create(true);
        let mut one = open.clone().truncate(true).open(format!("{OUTSIDE}/one"))?;
        let untarred = format!("{OUTSIDE}/tree");
        fs::create_dir_all(&untarred)?;
        let before = cpu_ns()?;
        match workload {
            Workload::OutsideWrite | Workload::WatchedWrite => {
                round.try_for_each(|path| {
                    Ok::<(), anyhow::Error>(open.open(path)?.write_all(&DATA)?)
                })?;
            }
            Workload::OpenWrite => write_often(&mut one, operations)?,
            Workload::WatchedRead => round.try_for_each(|path| read(path))?,
            Workload::Replace => round.try_for_each(|path| replace(&open, path))?,
            Workload::Exec => round.try_for_each(|_| spawn(&mut exec()))?,
            Workload::Untar => {
                spawn(Command::new("/usr/bin/tar").args(["-xf", ARCHIVE, "-C", &untarred]))?;
            }
            Workload::Creations => create(operations)?,
        }
        let used = cpu_ns()? - before;
        fs::remove_dir_all(untarred)?;
        Ok(used)
    }

    /// Removes what [`Workload::Creations`] made.
    #[expect(clippy::unused_self, reason = "it shows that everything is prepared")]
    pub(crate) fn forget_creations(&self) -> Result<()> {
        Ok(fs::remove_dir_all(format!("{WATCHED}/new"))?)
    }
}

fn paths(folder: &str) -> Vec<String> {
    (0..FILES)
        .map(|number| format!("{folder}/conf-{number:02}"))
        .collect()
}

fn write_often(file: &mut File, times: u64) -> Result<()> {
    for time in 1..=times {
        ensure!(file.write(&DATA)? == DATA.len(), "a write was short");
        if time % 4096 == 0 {
            file.seek(SeekFrom::Start(0))?;
        }
    }
    Ok(())
}

fn read(path: &str) -> Result<()> {
    Ok(File::open(path)?.read_exact(&mut [0; 64])?)
}

fn replace(open: &OpenOptions, path: &str) -> Result<()> {
    let temporary = format!("{WATCHED}/.tmp");
    open.open(&temporary)?.write_all(&DATA)?;
    Ok(fs::rename(&temporary, path)?)
}

fn create(files: u64) -> Result<()> {
    let folder = format!("{WATCHED}/new");
    fs::create_dir(&folder)?;
    for number in 0..files {
        File::create_new(format!("{folder}/{number}"))?.write_all(&DATA)?;
    }
    Ok(())
}

fn exec() -> Command {
    let mut command = Command::new(PROGRAM);
    // Setting the group that it has anyway makes the library fork, where it would use vfork.
    command.env_clear().gid(0);
    command
}

fn spawn(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

/// The CPU time of this process and of those it has waited for.
fn cpu_ns() -> Result<i64> {
    let mut sum = 0;
    for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
        let usage = getrusage(who)?;
        sum += usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    }
    Ok(sum * 1_000)
}

fn make_archive() -> Result<()> {
    let folder = format!("{OUTSIDE}/small");
    for number in 0..ARCHIVED_FILES {
        let within = format!("{folder}/d{}", number % ARCHIVED_FOLDERS);
        fs::create_dir_all(&within)?;
        fs::write(format!("{within}/f{number}"), [b'x'; 1024])?;
    }
    spawn(Command::new("/usr/bin/tar").args(["-cf", ARCHIVE, "-C", &folder, "."]))?;
    Ok(fs::remove_dir_all(folder)?)
}

/// An executable that does nothing but `exit(0)`: an ELF header, one program header, and three
/// instructions.
fn nothing() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    #[cfg(target_arch = "x86_64")]
    // mov eax, 60; xor edi, edi; syscall
    const MACHINE_AND_CODE: (u16, &[u8]) = (62, &[0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05]);
    #[cfg(target_arch = "aarch64")]
    // mov x8, #93; mov x0, #0; svc #0
    const MACHINE_AND_CODE: (u16, &[u8]) = (
        183,
        &[0xa8, 0x0b, 0x80, 0xd2, 0, 0, 0x80, 0xd2, 0x01, 0, 0, 0xd4],
    );
    let (machine, code) = MACHINE_AND_CODE;
    let size = HEADERS + code.len() as u64;

    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let mut put = |bytes: &[u8]| elf.extend_from_slice(bytes);
    // ELF header: executable, machine, version, entry point, where the program headers are, where
    // section headers are not, flags, and sizes.
    put(&2_u16.to_le_bytes());
    put(&machine.to_le_bytes());
    put(&1_u32.to_le_bytes());
    for word in [BASE + HEADERS, 64, 0] {
        put(&word.to_le_bytes());
    }
    put(&0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 64, 0, 0] {
        put(&half.to_le_bytes());
    }
    // Program header: load, readable and executable, the whole file at the base, page by page.
    put(&1_u32.to_le_bytes());
    put(&5_u32.to_le_bytes());
    for word in [0, BASE, BASE, size, size, 4096] {
        put(&word.to_le_bytes());
    }
    put(code);
    elf
}
