//! Virtual machines that run a test executable: what they are made of, and one run from boot to
//! verdict.

mod image;
mod initrd;
mod machine;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::cache;
use crate::kernels::{self, Kernel};
use crate::process::read;

pub(crate) use image::build as build_image;
pub(crate) use machine::Verdict;

/// The kinds of guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guest {
    /// Busybox on a small ext4 disk: up in seconds, for the probe tests.
    Tiny,
    /// A real Debian with systemd, sshd, sudo, cron, apt and Ansible: for the stories.
    Debian,
    /// The tiny one's disk, with one processor whose clock counts instructions: for measurements.
    Bench,
}

impl Guest {
    /// Its name in folders, and that of its test target.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Debian => "debian",
            Self::Bench => "bench",
        }
    }

    fn memory_mib(self) -> u32 {
        match self {
            Self::Tiny | Self::Bench => 768,
            Self::Debian => 1536,
        }
    }

    /// The time after which a guest counts as stuck. Without KVM everything takes ten times as
    /// long.
    fn time_limit(self) -> Duration {
        match self {
            Self::Tiny => Duration::from_mins(20),
            Self::Debian => Duration::from_mins(25),
            Self::Bench => Duration::from_mins(40),
        }
    }

    fn processor(self, kernel: &Kernel) -> Processor {
        match self {
            Self::Tiny if is_one_of(&WITH_ONE, kernel) => Processor::ONE,
            Self::Debian if is_one_of(&AS_INSTALLED, kernel) => Processor::TWO_WITH_MITIGATIONS,
            Self::Tiny | Self::Debian => Processor::TWO,
            Self::Bench => Processor::COUNTING,
        }
    }
}

/// The kernels whose tiny guests have one processor, which takes three quarters of the time that two of them take
/// under emulation. Newer ones switch tasks within the kernel: on one processor the daemon, as it is woken, would
/// take it from a program at work, and what that program is to see meanwhile would be skipped.
const WITH_ONE: [&str; 2] = ["5.10", "6.1"];

/// The kernels whose Debian guests are told nothing that an installed one isn't.
const AS_INSTALLED: [&str; 1] = ["7"];

/// What a guest's processor is.
#[derive(Clone, Copy, Debug)]
struct Processor {
    /// Arguments of qemu.
    arguments: &'static [&'static str],
    /// What the kernel is told.
    parameters: &'static str,
}

impl Processor {
    const TWO_WITH_MITIGATIONS: Self = Self {
        arguments: &["-smp", "2"],
        parameters: "",
    };

    /// What the kernel does against leaky processors takes a sixth of the time under emulation, and so does it to
    /// translate a program anew because it lies elsewhere than the last time.
    const TWO: Self = Self {
        arguments: &["-smp", "2"],
        parameters: "mitigations=off norandmaps",
    };

    const ONE: Self = Self {
        arguments: &["-smp", "1"],
        ..Self::TWO
    };

    /// An instruction is a nanosecond, and idle time passes at once.
    const COUNTING: Self = Self {
        arguments: &["-smp", "1", "-icount", "shift=0,sleep=off"],
        parameters: "",
    };
}

fn is_one_of(lines: &[&str], kernel: &Kernel) -> bool {
    let mut lines = lines.iter();
    lines.any(|line| kernels::is_of_line(&kernel.release, line))
}

/// The programs that a run puts into its guest.
pub(crate) struct Binaries<'a> {
    /// The static daemon and command line.
    pub(crate) tracer: &'a Path,
    /// The static collector, for the guest of the stories.
    pub(crate) collector: Option<&'a Path>,
    /// The static test executable.
    pub(crate) tests: &'a Path,
}

/// What shapes a run beside its programs and their arguments, in words: a run of the same is the same.
pub(crate) fn made_of(guest: Guest, kernel: &Kernel) -> Result<String> {
    let disk = image::build(guest)?;
    let qemu = read(Command::new("qemu-system-x86_64").arg("--version"))?;
    Ok(format!(
        "{guest:?} {:?} {} {} {} {}\n{qemu}",
        guest.processor(kernel),
        guest.memory_mib(),
        machine::PARAMETERS,
        kernel.folder.display(),
        disk.display(),
    ) + &initrd::scripts())
}

/// Boots a guest, runs its tests with the arguments, and returns how it went.
///
/// Every line that the tests print goes to `on_line` at once.
pub(crate) fn run(
    guest: Guest,
    kernel: &Kernel,
    binaries: &Binaries<'_>,
    test_arguments: &[String],
    on_line: &mut dyn FnMut(&str),
) -> Result<Verdict> {
    let work = Work::create(guest, kernel)?;
    let initrd = initrd::assemble(guest, kernel, binaries, test_arguments, &work.folder)?;
    let boot = machine::Boot {
        kernel: &kernel.image(),
        initrd: &initrd,
        disk: &image::build(guest)?,
        processor: guest.processor(kernel),
        memory_mib: guest.memory_mib(),
        time_limit: guest.time_limit(),
    };
    machine::boot(&boot, &work.folder, on_line).with_context(|| {
        format!(
            "run the {} guest with kernel {}",
            guest.name(),
            kernel.release
        )
    })
}

/// The scratch folder of one run; gone afterwards.
struct Work {
    folder: PathBuf,
}

impl Work {
    fn create(guest: Guest, kernel: &Kernel) -> Result<Self> {
        let name = format!("{}-{}-{}", guest.name(), kernel.release, std::process::id());
        let folder = cache::folder("runs")?.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("create `{}`", folder.display()))?;
        Ok(Self { folder })
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // Left-overs only cost disk, and the next run has a folder of its own.
        drop(fs::remove_dir_all(&self.folder));
    }
}
