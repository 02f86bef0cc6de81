//! Loads the programs for the running kernel, attaches them and reads what they send.
//! With its folder the only place that knows aya.

pub mod btf;
mod host;
pub mod plan;
mod ring;
pub mod selftest;
mod subvolumes;
mod unproven;

use aya::maps::{Array, HashMap, MapData, PerCpuArray};
use aya::programs::{BtfTracePoint, FEntry, FExit, ProgramError};
use aya::{Ebpf, EbpfLoader};
use change::wire::{CheckBody, CheckState};
use tracer_ebpf::{Offsets, Probe, RootKey, RootValue, Settings, bloom_bit, children_bit};

use btf::Btf;
use host::{chain, missed_runs, split_functions};
use plan::{Attachment, Planned, Way};
use zerocopy::FromZeros as _;

pub use ring::Records;

static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("TRACER_EBPF_OBJECT"));

/// Fields that a kernel may lack: what they are for works less well without them.
const OPTIONAL_FIELDS: [&str; 11] = [
    "cgroup.root",
    "cgroup.kn",
    "cgroup_root.hierarchy_id",
    "kernfs_node.id",
    "task_struct.ioac.wchar",
    "module.name",
    "net.ns.inum",
    "ipc_namespace.ns.inum",
    "fs_context.root",
    "pt_regs.di|pt_regs.regs",
    "pt_regs.si",
];

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

/// Says how much of what is below a root is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything.
    Whole,
    /// What is directly in it.
    Children,
    /// It is a file.
    File,
}

/// Names the inode of a root, and says what it is.
#[derive(Clone, Copy, Debug)]
pub struct RootInode {
    /// The device as `stat(2)` gives it.
    pub dev: u64,
    /// The inode number.
    pub inode: u64,
    /// How much below it is watched.
    pub extent: Extent,
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
    /// Whether the end of a write to a sysctl is told, and not only its beginning.
    tells_results: bool,
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
            // Nothing is relocated by the kernel's types: so the loader needn't keep a copy of them, which is
            // larger than the daemon otherwise.
            .btf(None)
            .override_global("OFFSETS", &offsets, true)
            .load(OBJECT)
            .map_err(|error| Error::Load(Box::new(error)))?;
        let records = Records::new(&mut ebpf)?;
        let mut probes = Self {
            settings: Settings::new_zeroed(),
            settings_map: map(&mut ebpf, "SETTINGS")?,
            roots: map(&mut ebpf, "ROOTS")?,
            lost: map(&mut ebpf, "LOST")?,
            ebpf,
            checks: Vec::new(),
            attached: Vec::new(),
            tells_results: false,
        };
        let kernel =
            aya::Btf::from_sys_fs().map_err(|error| Error::Load(Box::new(error.into())))?;
        for planned in planned {
            if scope == Scope::All || !planned.about_files {
                probes.attach(planned, &kernel)?;
            }
        }
        probes.attach_unproven(scope, &kernel);
        Ok((probes, records))
    }

    fn attach(&mut self, planned: Planned, kernel: &aya::Btf) -> Result<(), Error> {
        let Planned {
            name,
            lost_without,
            about_files,
            is_proved,
            attachments,
        } = planned;
        let result = attachments.and_then(|all| attach_all(&mut self.ebpf, &all, kernel));
        let (state, detail) = match result {
            Ok(()) => {
                self.attached.extend(is_proved.then_some(name));
                (CheckState::Ok, String::new())
            }
            // Every kernel has the function that `close` needs: if it is refused, all are.
            Err(why) if about_files && name == "close" => return Err(Error::Trampolines(why)),
            Err(why) => (
                // What the others see is found late, and at once.
                if is_proved {
                    CheckState::Missing
                } else {
                    CheckState::Degraded
                },
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

    /// Makes the programs tell of changes below a root; `id` names it in records and is not 0.
    pub fn watch(&mut self, id: u32, root: RootInode) -> Result<(), Error> {
        let failed = |source| Error::Map {
            name: "ROOTS",
            source: Box::new(source),
        };
        let RootInode { dev, inode, extent } = root;
        let children_only = u32::from(extent == Extent::Children);
        let value = RootValue { id, children_only };
        self.roots
            .insert(root_key(dev, inode), value, 0)
            .map_err(failed)?;
        let (word, bit) = match extent {
            Extent::Children => children_bit(inode),
            Extent::Whole | Extent::File => bloom_bit(inode),
        };
        self.settings.filter[word] |= bit;
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

    /// Makes the programs pass over what the process `pid` does (0 for none), and tell of mounts in the mount
    /// namespace alone whose inode number this is.
    pub fn know(&mut self, pid: u32, mount_ns: u32) -> Result<(), Error> {
        (self.settings.ignored_pid, self.settings.mount_ns) = (pid, mount_ns);
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
    pub fn lost(&self) -> Vec<(String, u64)> {
        let mut lost = Vec::new();
        for (probe, name) in Probe::ALL {
            let counts = self.lost.get(&(probe as u32), 0);
            let count: u64 = counts.map_or(0, |counts| counts.iter().sum());
            if count > 0 {
                lost.push((name.to_owned(), count));
            }
        }
        let missed = self.ebpf.programs().map(|(name, program)| {
            let name = format!("{name}, skipped by the kernel");
            (name, missed_runs(program))
        });
        lost.extend(missed.filter(|(_, count)| *count > 0));
        lost
    }

    /// How each probe stands.
    pub fn checks(&self) -> &[CheckBody] {
        &self.checks
    }

    /// Names of the probes that are attached and that a self-test can prove alive.
    pub fn attached(&self) -> &[&'static str] {
        &self.attached
    }

    /// Whether each write to a sysctl that is announced is followed by its outcome.
    pub fn tells_results_of_sysctls(&self) -> bool {
        self.tells_results
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

fn root_key(dev: u64, inode: u64) -> RootKey {
    let dev = rustix::fs::major(dev) << 20 | rustix::fs::minor(dev);
    RootKey {
        inode,
        dev,
        reserved: 0,
    }
}
