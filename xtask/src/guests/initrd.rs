//! The initrd of a run: busybox, the modules that reach the disk, and the files that this run adds
//! to it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::{Binaries, Guest};
use crate::kernels::Kernel;
use crate::process::{quiet, shell};

const INIT: &str = include_str!("../../guests/initrd-init.sh");
const RUN_TESTS: &str = include_str!("../../guests/run-tests.sh");
const COLLECTOR_UNIT: &str = include_str!("../../../collector/systemd/tracer-collector.service");
const COLLECTOR_USER: &str = include_str!("../../../collector/systemd/tracer-collector.sysusers");
const UNIT: &str = include_str!("../../guests/tracer-tests.service");

/// The modules that the root disk needs; some kernels have them built in.
const BOOT_MODULES: [&str; 3] = ["virtio_pci", "virtio_blk", "ext4"];

/// The modules that tests load, mount or unload.
const TEST_MODULES: [&str; 16] = [
    "dummy",
    "sch_fq",
    "af_key",
    "nbd",
    "loop",
    "overlay",
    "veth",
    "btrfs",
    // What Btrfs asks for by another name; built in up to 6.12.
    "crc32c_cryptoapi",
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "nls_iso8859_1",
    "nls_utf8",
    "nfsd",
    "nfsv4",
];

/// Where the guest keeps what a run brings along.
const TESTS_FOLDER: &str = "usr/lib/tracer-tests";

/// Packs the folder `$1` into the archive `$2`. Not compressed: the guest would take longer to
/// unpack it than qemu takes to hand it over.
const PACK: &str = r#"cd "$1"; find . | cpio --quiet --create --format=newc --owner=0:0 > "$2""#;

/// Makes the disks in the folder `$1` that tests mount, packed: one of ext4, from which the power is
/// taken, and one of Btrfs.
const MAKE_DISKS: &str = r#"
cd "$1"
export PATH=$PATH:/usr/sbin:/sbin
mke2fs -q -t ext4 -E lazy_itable_init=0,lazy_journal_init=0 disk.img 24M
truncate -s 64M btrfs.img
mkfs.btrfs --quiet --mixed btrfs.img > /dev/null
gzip disk.img btrfs.img
"#;

/// What this file puts into a guest, beside what is built or downloaded.
pub(super) fn scripts() -> String {
    let texts = [
        INIT,
        RUN_TESTS,
        UNIT,
        COLLECTOR_UNIT,
        COLLECTOR_USER,
        MAKE_DISKS,
    ];
    texts.concat() + &TEST_MODULES.join(" ")
}

/// Builds the initrd in the folder of a run.
pub(super) fn assemble(
    guest: Guest,
    kernel: &Kernel,
    binaries: &Binaries<'_>,
    test_arguments: &[String],
    work: &Path,
) -> Result<PathBuf> {
    let root = work.join("initrd");
    for folder in ["bin", "proc", "sys", "dev", "root-disk", "load", "payload"] {
        fs::create_dir_all(root.join(folder))
            .with_context(|| format!("create `{folder}` of the initrd"))?;
    }
    fs::copy(busybox()?, root.join("bin/busybox")).context("copy busybox")?;
    write_program(&root.join("init"), INIT)?;

    let payload = root.join("payload");
    add_modules(kernel, &root.join("load"), &payload)?;
    add_tests(guest, kernel, binaries, test_arguments, &payload)?;

    let archive = work.join("initrd.cpio");
    quiet(&mut shell(
        PACK,
        &[&root.to_string_lossy(), &archive.to_string_lossy()],
    ))?;
    Ok(archive)
}

/// Finds the static busybox.
pub(super) fn busybox() -> Result<PathBuf> {
    let found = ["/usr/bin/busybox", "/bin/busybox"]
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.is_file());
    found.context("find busybox, Debian's package busybox-static")
}

/// Writes an executable file.
pub(super) fn write_program(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write `{}`", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Puts the boot modules into `load`, numbered in the order in which they load, and the test
/// modules where modprobe finds them.
fn add_modules(kernel: &Kernel, load: &Path, payload: &Path) -> Result<()> {
    let index = ModuleIndex::read(kernel)?;
    for (number, file) in (10..).zip(index.with_dependencies(&BOOT_MODULES)) {
        let name = Path::new(file)
            .file_name()
            .context("a module has a file name")?
            .to_string_lossy();
        copy(
            &kernel.modules().join(file),
            &load.join(format!("{number}-{name}")),
        )?;
    }

    let installed = payload.join("usr/lib/modules").join(&kernel.release);
    for file in index.with_dependencies(&TEST_MODULES) {
        copy(&kernel.modules().join(file), &installed.join(file))?;
    }
    for file in fs::read_dir(kernel.modules())? {
        let file = file?;
        let name = file.file_name();
        if name.to_string_lossy().starts_with("modules.") {
            copy(&file.path(), &installed.join(name))?;
        }
    }
    Ok(())
}

fn add_tests(
    guest: Guest,
    kernel: &Kernel,
    binaries: &Binaries<'_>,
    test_arguments: &[String],
    payload: &Path,
) -> Result<()> {
    let tests = payload.join(TESTS_FOLDER);
    copy_program(binaries.tracer, &payload.join("usr/bin/tracer"))?;
    copy_program(binaries.tests, &tests.join("tests"))?;
    if let Some(collector) = binaries.collector {
        copy_program(collector, &tests.join("tracer-collector"))?;
        fs::write(tests.join("tracer-collector.service"), COLLECTOR_UNIT)?;
        fs::write(tests.join("tracer-collector.sysusers"), COLLECTOR_USER)?;
    }
    write_program(&tests.join("run"), RUN_TESTS)?;
    if guest == Guest::Tiny {
        quiet(&mut shell(MAKE_DISKS, &[&tests.to_string_lossy()]))?;
    }
    let arguments: Vec<String> = test_arguments
        .iter()
        .map(|argument| quoted(argument))
        .collect();
    let environment = format!(
        "export TRACER=/usr/bin/tracer TRACER_GUEST={} TRACER_KERNEL={} RUST_BACKTRACE=1\n\
         TEST_ARGUMENTS={}\n",
        guest.name(),
        kernel.release,
        quoted(&format!("--test-threads=1 {}", arguments.join(" "))),
    );
    fs::write(tests.join("environment"), environment)?;

    if guest == Guest::Debian {
        let units = payload.join("etc/systemd/system");
        let wants = units.join("multi-user.target.wants");
        fs::create_dir_all(&wants)?;
        fs::write(units.join("tracer-tests.service"), UNIT)?;
        symlink(
            "../tracer-tests.service",
            wants.join("tracer-tests.service"),
        )?;
    }
    Ok(())
}

/// Quotes a word for the guest's shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Without symbols, which are most of the size: the guest copies every byte.
fn copy_program(from: &Path, to: &Path) -> Result<()> {
    copy(from, to)?;
    quiet(&mut shell(r#"strip "$1""#, &[&to.to_string_lossy()]))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| format!("create `{}`", folder.display()))?;
    }
    fs::copy(from, to)
        .with_context(|| format!("copy `{}` to `{}`", from.display(), to.display()))?;
    Ok(())
}

/// Which file a module is, and which it needs first: the kernel's `modules.dep`.
struct ModuleIndex {
    /// Module name → its file and then those it needs, the deepest last.
    files: BTreeMap<String, Vec<String>>,
}

impl ModuleIndex {
    fn read(kernel: &Kernel) -> Result<Self> {
        let path = kernel.modules().join("modules.dep");
        let text =
            fs::read_to_string(&path).with_context(|| format!("read `{}`", path.display()))?;
        let files: BTreeMap<_, _> = text.lines().filter_map(Self::parse_line).collect();
        if files.is_empty() {
            bail!("`{}` lists no module", path.display());
        }
        Ok(Self { files })
    }

    fn parse_line(line: &str) -> Option<(String, Vec<String>)> {
        let (file, needs) = line.split_once(':')?;
        let name = file
            .rsplit('/')
            .next()?
            .strip_suffix(".ko")?
            .replace('-', "_");
        let files = [file]
            .into_iter()
            .chain(needs.split_whitespace())
            .map(str::to_owned)
            .collect();
        Some((name, files))
    }

    /// Returns the files of modules in the order in which they load; what is built in has none.
    fn with_dependencies(&self, names: &[&str]) -> Vec<&str> {
        let mut ordered: Vec<&str> = Vec::new();
        for file in names
            .iter()
            .filter_map(|name| self.files.get(*name))
            .flat_map(|files| files.iter().rev())
        {
            if !ordered.contains(&file.as_str()) {
                ordered.push(file);
            }
        }
        ordered
    }
}
