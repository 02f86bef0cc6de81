//! Loads the programs for the running kernel, attaches them and reads what they send.
//! With its folder the only place that knows aya.

pub mod btf;
pub mod plan;
mod ring;
pub mod selftest;

use std::fs::{self, File};
use std::os::fd::{AsFd as _, AsRawFd as _};

use aya::maps::{Array, HashMap, MapData, PerCpuArray};
use aya::programs::{
    BtfTracePoint, CgroupAttachMode, CgroupSysctl, FEntry, FExit, Program, ProgramError,
};
use aya::{Ebpf, EbpfLoader};
use change::wire::{CheckBody, CheckState};
use tracer_ebpf::{BLOOM_WORDS, Offsets, Probe, RootKey, RootValue, Settings, bloom_bit};

use btf::Btf;
use plan::{Attachment, Planned, Way};

pub use ring::Records;

static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("TRACER_EBPF_OBJECT"));

/// Fields that a kernel may lack: what they are for works less well without them.
const OPTIONAL_FIELDS: [&str; 1] = ["task_struct.ioac.wchar"];

/// Says why the programs cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel's types cannot be read, or lack a field.
    #[error("{0}; nothing can be traced without it")]
    Types(#[from] btf::Error),
    /// The object cannot be loaded.
    #[error("load the programs: {0}")]
    Load(#[source] Box<aya::EbpfError>),
    /// A map is missing or cannot be written.
    #[error("open the map `{name}`: {source}")]
    Map {
        /// Its name.
        name: &'static str,
        /// What went wrong.
        source: Box<aya::maps::MapError>,
    },
    /// The kernel refuses to attach to its functions, as locked-down ones do.
    #[error("this kernel refuses programs at its functions: {0}")]
    Trampolines(String),
}

/// Says what to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything: processes and file changes.
    All,
    /// Processes only; file changes are seen another way.
    Processes,
}

/// The loaded programs; they stay attached as long as this lives.
pub struct Probes {
    ebpf: Ebpf,
    settings: Settings,
    settings_map: Array<MapData, Settings>,
    roots: HashMap<MapData, RootKey, RootValue>,
    lost: PerCpuArray<MapData, u64>,
    checks: Vec<CheckBody>,
    attached: Vec<&'static str>,
}

impl Probes {
    /// Loads and attaches what `scope` asks for.
    ///
    /// # Errors
    /// [`Error::Trampolines`] where the kernel refuses programs at its functions: then file
    /// changes must be seen another way. A single thing that cannot be seen is no error, but
    /// stands in [`Probes::checks`].
    pub fn load(scope: Scope) -> Result<(Self, Records), Error> {
        let types = Btf::of_running_kernel()?;
        let offsets = resolve(&types)?;
        let planned = plan::plan(&types, &split_functions());
        drop(types);
        let mut loader = EbpfLoader::new();
        let mut ebpf = loader
            .override_global("OFFSETS", &offsets, true)
            .load(OBJECT)
            .map_err(|error| Error::Load(Box::new(error)))?;
        let records = Records::new(&mut ebpf)?;
        let mut probes = Self {
            settings: Settings {
                bloom: [0; BLOOM_WORDS],
                woken_at_ns: 0,
                ignored_pid: 0,
                reserved: 0,
            },
            settings_map: map(&mut ebpf, "SETTINGS")?,
            roots: map(&mut ebpf, "ROOTS")?,
            lost: map(&mut ebpf, "LOST")?,
            ebpf,
            checks: Vec::new(),
            attached: Vec::new(),
        };
        let kernel =
            aya::Btf::from_sys_fs().map_err(|error| Error::Load(Box::new(error.into())))?;
        for planned in planned {
            if scope == Scope::All || !planned.about_files {
                probes.attach(planned, &kernel)?;
            }
        }
        probes.attach_sysctl();
        Ok((probes, records))
    }

    fn attach(&mut self, planned: Planned, kernel: &aya::Btf) -> Result<(), Error> {
        let Planned {
            name,
            lost_without,
            about_files,
            attachments,
        } = planned;
        let result = attachments.and_then(|all| attach_all(&mut self.ebpf, &all, kernel));
        let (state, detail) = match result {
            Ok(()) => {
                self.attached.push(name);
                (CheckState::Ok, String::new())
            }
            // Every kernel has the function that `close` needs: if it is refused, all are.
            Err(why) if about_files && name == "close" => return Err(Error::Trampolines(why)),
            Err(why) => (
                CheckState::Missing,
                format!("not seen: {lost_without}; {why}"),
            ),
        };
        self.checks.push(CheckBody {
            name: format!("probe {name}"),
            state,
            detail,
        });
        Ok(())
    }

    fn attach_sysctl(&mut self) {
        let (state, detail) = match self.try_attach_sysctl() {
            Ok(()) => (CheckState::Ok, String::new()),
            Err(why) => (
                CheckState::Degraded,
                format!("not seen: writes to sysctls; {why}"),
            ),
        };
        self.checks.push(CheckBody {
            name: "probe sysctl".to_owned(),
            state,
            detail,
        });
    }

    fn try_attach_sysctl(&mut self) -> Result<(), String> {
        let root = unified_hierarchy().ok_or("no cgroup2 file system is mounted")?;
        let folder = File::open(&root).map_err(|error| format!("open `{root}`: {error}"))?;
        let program = self
            .ebpf
            .program_mut("sysctl")
            .ok_or("the object has no such program")?;
        let program: &mut CgroupSysctl = program.try_into().map_err(|error| chain(&error))?;
        program.load().map_err(|error| chain(&error))?;
        // Attached by a link, which the kernel takes without flags and lets others beside it.
        program
            .attach(folder, CgroupAttachMode::Single)
            .map_err(|error| chain(&error))?;
        Ok(())
    }

    /// Makes the programs tell of changes below a root.
    ///
    /// `dev` is the device as `stat(2)` gives it; `id` names the root in records and is not 0.
    pub fn watch(
        &mut self,
        id: u32,
        dev: u64,
        inode: u64,
        children_only: bool,
    ) -> Result<(), Error> {
        let failed = |source| Error::Map {
            name: "ROOTS",
            source: Box::new(source),
        };
        let key = root_key(dev, inode);
        let value = RootValue {
            id,
            children_only: u32::from(children_only),
        };
        self.roots.insert(key, value, 0).map_err(failed)?;
        let (word, bit) = bloom_bit(inode);
        self.settings.bloom[word] |= bit;
        self.write_settings()
    }

    /// Ends what [`Probes::watch`] began.
    pub fn unwatch(&mut self, dev: u64, inode: u64) -> Result<(), Error> {
        let failed = |source| Error::Map {
            name: "ROOTS",
            source: Box::new(source),
        };
        self.roots.remove(&root_key(dev, inode)).map_err(failed)
    }

    /// Makes the programs pass over what the process `pid` does; 0 for none.
    pub fn ignore(&mut self, pid: u32) -> Result<(), Error> {
        self.settings.ignored_pid = pid;
        self.write_settings()
    }

    fn write_settings(&mut self) -> Result<(), Error> {
        let failed = |source| Error::Map {
            name: "SETTINGS",
            source: Box::new(source),
        };
        self.settings_map.set(0, self.settings, 0).map_err(failed)
    }

    /// How many records each probe has lost since the start: because the ring buffer was full, or
    /// because the kernel did not run a program that was at work on the same CPU already.
    pub fn lost(&self) -> Vec<(&'static str, u64)> {
        let mut lost = Vec::new();
        for (probe, name) in Probe::ALL {
            let counts = self.lost.get(&(probe as u32), 0);
            let count: u64 = counts.map_or(0, |counts| counts.iter().sum());
            if count > 0 {
                lost.push((name, count));
            }
        }
        let missed: u64 = self
            .ebpf
            .programs()
            .map(|(_, program)| missed_runs(program))
            .sum();
        if missed > 0 {
            lost.push(("skipped by the kernel", missed));
        }
        lost
    }

    /// How each probe stands.
    pub fn checks(&self) -> &[CheckBody] {
        &self.checks
    }

    /// Names of the probes that are attached.
    pub fn attached(&self) -> &[&'static str] {
        &self.attached
    }

    /// Marks a probe as dead: attached, but what it should see does not arrive.
    pub fn mark_dead(&mut self, name: &str, detail: String) {
        let name = format!("probe {name}");
        if let Some(check) = self.checks.iter_mut().find(|check| check.name == name) {
            check.state = CheckState::Missing;
            check.detail = detail;
        }
    }
}

fn attach_all(ebpf: &mut Ebpf, all: &[Attachment], kernel: &aya::Btf) -> Result<(), String> {
    for attachment in all {
        attach(ebpf, *attachment, kernel)
            .map_err(|error| format!("attach to `{}`: {}", attachment.target, chain(&error)))?;
    }
    Ok(())
}

fn attach(ebpf: &mut Ebpf, attachment: Attachment, kernel: &aya::Btf) -> Result<(), ProgramError> {
    let Attachment {
        program,
        target,
        way,
    } = attachment;
    let program = ebpf.program_mut(program).ok_or(ProgramError::NotLoaded)?;
    match way {
        Way::Entry => {
            let program: &mut FEntry = program.try_into()?;
            program.load(target, kernel)?;
            program.attach()?;
        }
        Way::End => {
            let program: &mut FExit = program.try_into()?;
            program.load(target, kernel)?;
            program.attach()?;
        }
        Way::Tracepoint => {
            let program: &mut BtfTracePoint = program.try_into()?;
            program.load(target, kernel)?;
            program.attach()?;
        }
    }
    Ok(())
}

fn resolve(types: &Btf) -> Result<Offsets, btf::Error> {
    let mut offsets = Offsets::UNKNOWN;
    for (path, place) in offsets.paths() {
        match types.offset(path) {
            Ok(offset) => *place = offset,
            Err(_) if OPTIONAL_FIELDS.contains(&path) => {}
            Err(error) => return Err(error),
        }
    }
    offsets.typed_task = u32::from(types.has_helper("get_current_task_btf"));
    Ok(offsets)
}

/// The fields that this kernel lacks and that nothing works without.
pub fn missing_fields(types: &Btf) -> Vec<btf::Error> {
    let mut offsets = Offsets::UNKNOWN;
    let paths = offsets.paths().map(|(path, _)| path);
    let needed = paths
        .into_iter()
        .filter(|path| !OPTIONAL_FIELDS.contains(path));
    needed.filter_map(|path| types.offset(path).err()).collect()
}

fn map<T: TryFrom<aya::maps::Map, Error = aya::maps::MapError>>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<T, Error> {
    let missing = || aya::maps::MapError::InvalidName {
        name: name.to_owned(),
    };
    let found = ebpf
        .take_map(name)
        .ok_or_else(missing)
        .and_then(T::try_from);
    found.map_err(|source| Error::Map {
        name,
        source: Box::new(source),
    })
}

/// Tells which functions the compiler has split, by their symbols (`vfs_rmdir.part.0`).
fn split_functions() -> impl Fn(&str) -> bool {
    let symbols = fs::read("/proc/kallsyms").unwrap_or_default();
    let is_split = |line: &&[u8]| {
        let name = line
            .splitn(3, |byte| *byte == b' ')
            .nth(2)
            .unwrap_or_default();
        [".part.", ".isra.", ".constprop."]
            .iter()
            .any(|mark| contains(name, mark.as_bytes()))
    };
    let names: Vec<Vec<u8>> = symbols
        .split(|byte| *byte == b'\n')
        .filter(|line| line.contains(&b'.'))
        .filter(is_split)
        .filter_map(|line| line.splitn(3, |byte| *byte == b' ').nth(2))
        .map(|name| {
            name.split(|byte| *byte == b'.')
                .next()
                .unwrap_or_default()
                .to_vec()
        })
        .collect();
    move |function| names.iter().any(|name| name == function.as_bytes())
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

/// How often the kernel passed over a program because it was at work on that CPU already: the line
/// `recursion_misses` of fdinfo (5.12 on; 0 where there is none).
fn missed_runs(program: &Program) -> u64 {
    let Ok(fd) = program.fd() else { return 0 };
    let path = format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd());
    let text = fs::read_to_string(path).unwrap_or_default();
    let count = text
        .lines()
        .find_map(|line| line.strip_prefix("recursion_misses:"));
    count
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or(0)
}

fn root_key(dev: u64, inode: u64) -> RootKey {
    let dev = rustix::fs::major(dev) << 20 | rustix::fs::minor(dev);
    RootKey {
        inode,
        dev,
        reserved: 0,
    }
}

/// Where the unified cgroup hierarchy is mounted.
fn unified_hierarchy() -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let line = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
    line.split(' ').nth(4).map(str::to_owned)
}

/// An error with its causes in one line; of the verifier's log only the end, which has the reason.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    let tail: Vec<&str> = text.lines().rev().take(6).collect();
    tail.into_iter().rev().collect::<Vec<_>>().join(" | ")
}
