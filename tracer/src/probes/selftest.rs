//! Proves that each probe is alive: does in a private folder what the probe should see, and looks
//! whether it was seen. A function can exist, be attached to, and still never be called.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use change::Text;
use rustix::fs::{CWD, FileType, Mode, XattrFlags};

use super::{Error, Extent, Probes, Records, RootInode};
use crate::capture::FLAGS_NAME;
use crate::decode::{Decoder, Places, UNKNOWN_NAME};
use crate::observed::{Action, Event, FileEvent, Observation};
use crate::trees::open::is_on_btrfs;

/// The root's number during the test.
const ROOT: u32 = u32::MAX;
/// How long records may take to arrive.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Longer than a clock tick at 100 Hz, the longest that there is.
const TICK: Duration = Duration::from_millis(12);
/// How many ticks to wait for the file's times to move on: where processors are short, a virtual machine's clock may
/// not tick although a process runs.
const TICKS: u32 = 80;
/// How often everything is done before a probe is called dead: on a preemptible kernel a program is skipped, rarely,
/// where it interrupts itself.
const ROUNDS: u32 = 2;

/// Runs the test in a folder below `folder` and marks the probes that are dead.
///
/// # Errors
/// Only where a map cannot be written; a dead probe, or a folder that cannot be used, is a check
/// that is not in order.
pub fn run(probes: &mut Probes, records: &mut Records, folder: &Path) -> Result<(), Error> {
    let folder = folder.join("selftest");
    drop(fs::remove_dir_all(&folder));
    let made = fs::create_dir_all(&folder).and_then(|()| fs::metadata(&folder));
    let metadata = match made {
        Ok(metadata) => metadata,
        Err(error) => {
            tracing::warn!("test the probes in `{}`: {error}", folder.display());
            return Ok(());
        }
    };
    if is_on_btrfs(&folder.as_os_str().as_bytes().into())
        && let Some(check) = probes.know_subvolumes()?
    {
        tracing::warn!(
            "the probes are not tested in `{}`: {}",
            folder.display(),
            check.detail
        );
        return Ok(());
    }
    let root = RootInode {
        dev: metadata.dev(),
        inode: metadata.ino(),
        extent: Extent::Whole,
    };
    probes.watch(ROOT, root)?;
    let mut seen = HashSet::new();
    let mut skipped = Vec::new();
    for round in 0..ROUNDS {
        let folder = folder.join(round.to_string());
        // Where that fails, all that follows does, and says why.
        drop(fs::create_dir(&folder));
        skipped = act(&folder);
        seen.extend(collect(probes, records));
        if probes.attached().iter().all(|name| seen.contains(name)) {
            break;
        }
    }
    probes.unwatch(metadata.dev(), metadata.ino())?;
    drop(fs::remove_dir_all(&folder));
    let attached: Vec<&str> = probes.attached().to_vec();
    for name in attached {
        if seen.contains(name) {
            continue;
        }
        let why = skipped.iter().find(|(skipped, _)| *skipped == name);
        if let Some((_, why)) = why {
            tracing::info!("probe {name} is not tested: {why}");
        } else {
            let detail =
                "attached, but what it should see in the self-test did not arrive".to_owned();
            probes.mark_dead(name, detail);
        }
    }
    Ok(())
}

/// Does everything once; tells what could not be done, and why.
fn act(folder: &Path) -> Vec<(&'static str, io::Error)> {
    let path = |name: &str| folder.join(name);
    let acts: [(&'static str, &dyn Fn() -> io::Result<()>); 17] = [
        ("close", &|| File::create(path("file")).map(drop)),
        ("dirtied", &|| write_on(&path("file"))),
        ("create", &|| node(&path("node"), FileType::RegularFile)),
        ("mknod", &|| node(&path("pipe"), FileType::Fifo)),
        ("mkdir", &|| fs::create_dir(path("folder"))),
        ("rmdir", &|| fs::remove_dir(path("folder"))),
        ("symlink", &|| symlink("file", path("symlink"))),
        ("link", &|| fs::hard_link(path("file"), path("link"))),
        ("attributes", &|| {
            fs::set_permissions(path("file"), fs::Permissions::from_mode(0o600))
        }),
        ("set-xattr", &|| {
            set_xattr(&path("file"), "trusted.tracer", b"1")
        }),
        ("remove-xattr", &|| {
            Ok(rustix::fs::removexattr(path("file"), "trusted.tracer")?)
        }),
        ("set-acl", &|| {
            set_xattr(&path("file"), "system.posix_acl_access", &MINIMAL_ACL)
        }),
        ("set-flags", &|| set_flags(&path("file"))),
        ("file-ioctl", &|| set_flags(&path("file"))),
        ("rename", &|| fs::rename(path("file"), path("renamed"))),
        ("unlink", &|| fs::remove_file(path("renamed"))),
        ("exec", &run_something),
    ];
    let failed = |(name, act): &(&'static str, &dyn Fn() -> io::Result<()>)| {
        act().err().map(|error| (*name, error))
    };
    acts.iter().filter_map(failed).collect()
}

/// `user::rw-,group::r--,other::r--` in the format of acl(5) as the kernel takes it, version 2.
const MINIMAL_ACL: [u8; 28] = [
    2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 4, 0, 4, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255,
    255, 255, 255,
];

/// Writes until the file's times have moved on while it is open: in the next clock tick, as a rule.
fn write_on(path: &Path) -> io::Result<()> {
    let mut file = File::options().append(true).open(path)?;
    let made = file.metadata()?.modified()?;
    for _ in 0..TICKS {
        thread::sleep(TICK);
        file.write_all(b"1")?;
        if file.metadata()?.modified()? != made {
            return Ok(());
        }
    }
    let why = format!("its times stay the same for {:?}", TICK * TICKS);
    Err(io::Error::other(why))
}

fn node(path: &Path, kind: FileType) -> io::Result<()> {
    Ok(rustix::fs::mknodat(CWD, path, kind, Mode::RUSR, 0)?)
}

fn set_xattr(path: &Path, name: &str, value: &[u8]) -> io::Result<()> {
    Ok(rustix::fs::setxattr(
        path,
        name,
        value,
        XattrFlags::empty(),
    )?)
}

/// Sets the flags to what they are, which is told like any other.
fn set_flags(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    let flags = rustix::fs::ioctl_getflags(&file)?;
    Ok(rustix::fs::ioctl_setflags(&file, flags)?)
}

fn run_something() -> io::Result<()> {
    let mut program = Command::new("/proc/self/exe");
    program
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    program.status().map(|_| ())
}

/// Names the probes that were heard of.
fn collect(probes: &Probes, records: &mut Records) -> HashSet<&'static str> {
    let mut heard = Heard::default();
    let deadline = Instant::now() + PATIENCE;
    loop {
        records.drain(|record| heard.take(record));
        let complete = probes
            .attached()
            .iter()
            .all(|name| heard.probes.contains(name));
        if complete || Instant::now() >= deadline {
            return heard.probes;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

#[derive(Default)]
struct Heard {
    decoder: Decoder,
    probes: HashSet<&'static str>,
}

impl Heard {
    fn take(&mut self, record: &[u8]) {
        let observation = self.decoder.decode(record, &TestFolder);
        if let Ok(Some(Observation { event, .. })) = observation {
            let probe = self.probe_of(event);
            self.probes.extend(probe);
        }
    }

    /// The probe that what was seen proves alive.
    fn probe_of(&self, event: Event) -> Option<&'static str> {
        let FileEvent { action, inode, .. } = match event {
            Event::Fork { .. } => return Some("fork"),
            Event::Exec(_) => return Some("exec"),
            Event::Exit { .. } => return Some("exit"),
            Event::Sysctl(_)
            | Event::Setting { .. }
            | Event::Sysrq { .. }
            | Event::Module(_)
            | Event::Cgroup { .. }
            | Event::Signal(_)
            | Event::Mount(_) => return None,
            Event::File(event) => event,
        };
        let kind = inode.map(|inode| inode.mode & 0o170_000);
        Some(match (action, kind) {
            (Action::Closed { .. } | Action::Released { .. }, _) => "close",
            (Action::Dirtied, _) => "dirtied",
            (Action::Creating, _) => "creating",
            (Action::Created, Some(0o040_000)) => "mkdir",
            (Action::Created, Some(0o010_000)) => "mknod",
            (Action::Created, _) => "create",
            (Action::Symlinked { .. }, _) => "symlink",
            (Action::Linked { .. }, _) => "link",
            (Action::Deleted, Some(0o040_000)) => "rmdir",
            (Action::Deleted, _) => "unlink",
            (Action::Renamed { .. }, _) => "rename",
            (Action::Attributes { .. }, _) => "attributes",
            (Action::Xattr { name }, _) if name == "system.posix_acl_access" => "set-acl",
            (Action::Xattr { name }, _) if name == FLAGS_NAME => "set-flags",
            (Action::Xattr { name }, _) if name == UNKNOWN_NAME => "file-ioctl",
            (Action::Xattr { .. }, _) if self.probes.contains("set-xattr") => "remove-xattr",
            (Action::Xattr { .. }, _) => "set-xattr",
        })
    }
}

/// The only root that there is during the test.
struct TestFolder;

impl Places for TestFolder {
    fn root(&self, _id: u32) -> Option<Text> {
        Some("/selftest".into())
    }

    fn mount(&self, _id: u32) -> Option<Text> {
        None
    }

    fn device(&self, _dev: u64) -> Option<Text> {
        None
    }
}
