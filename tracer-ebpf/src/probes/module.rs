//! Kernel modules that come and go.

use aya_ebpf::macros::{btf_tracepoint, fentry, fexit};
use aya_ebpf::programs::{BtfTracePointContext, FEntryContext, FExitContext};
use tracer_ebpf::{ModuleDoneRecord, ModuleFileRecord, ModuleRecord, Probe, RecordKind};

use super::process::put_path;
use super::{fill_header, run};
use crate::maps::Buffer;
use crate::read::{self, CurrentTask, Memory as _, Typed};

/// `MODULE_NAME_LEN`: 64 bytes less a word, with the NUL.
const NAME_BYTES: u32 = 56;

/// `READING_MODULE` and, where there is one, `READING_MODULE_COMPRESSED`:
/// <https://github.com/torvalds/linux/blob/v6.12/include/linux/kernel_read_file.h>.
const READING: [u64; 2] = [2, 7];

const EPERM: i32 = 1;

/// A module was brought in, and its own initialisation is still to come, which may fail; without it:
/// who loaded a module is not known.
/// match-proto: `module_load(struct module *mod)`
#[btf_tracepoint(function = "module_load")]
pub(crate) fn module_load(ctx: BtfTracePointContext) -> u32 {
    let name = name_of(read::pointer::<0>(&ctx));
    run(Probe::ModuleLoad, || {
        tell(name, RecordKind::MODULE_LOADED, Probe::ModuleLoad)
    })
}

/// A module is taken away, also after its initialisation failed; without it: who unloaded a module is
/// not known.
/// match-proto: `module_free(struct module *mod)`
#[btf_tracepoint(function = "module_free")]
pub(crate) fn module_free(ctx: BtfTracePointContext) -> u32 {
    let name = name_of(read::pointer::<0>(&ctx));
    run(Probe::ModuleFree, || {
        tell(name, RecordKind::MODULE_FREED, Probe::ModuleFree)
    })
}

/// A task needs a module, and the kernel is about to run modprobe for it; without it: for whom the kernel loads a
/// module by itself is not known.
/// match-proto: `module_request(char *name, bool wait, unsigned long ip)`
#[btf_tracepoint(function = "module_request")]
pub(crate) fn module_request(ctx: BtfTracePointContext) -> u32 {
    let name = read::pointer::<0>(&ctx).address();
    run(Probe::ModuleRequest, || {
        tell(name, RecordKind::MODULE_REQUESTED, Probe::ModuleRequest)
    })
}

/// The kernel is about to read a file that a task loads as a module; without it: a module's file is the one that the
/// kernel's list of modules names, and the name of one that is refused is not known.
/// match-proto: `int security_kernel_read_file(struct file *file, enum kernel_read_file_id id, bool contents)`
#[fentry]
pub(crate) fn module_file(ctx: FEntryContext) -> u32 {
    if !READING.contains(&(read::argument::<1>(&ctx) & 0xffff_ffff)) {
        return 0;
    }
    run(Probe::ModuleFile, || tell_file(read::pointer::<0>(&ctx)))
}

#[inline(always)]
fn tell_file(file: Typed) -> Option<()> {
    let mut buffer = Buffer::of(Probe::ModuleFile)?;
    let head = size_of::<ModuleFileRecord>() as u32;
    let (end, path) = put_path(&mut buffer, head, file.at(|o| &o.file_path));
    let record: &mut ModuleFileRecord = buffer.head();
    let now_ns = fill_header(&mut record.header, RecordKind::MODULE_FILE);
    record.path = path;
    buffer.send(end, now_ns);
    Some(())
}

/// A task's request to load a module ended; without it: a load that fails is not told.
/// match-proto: `long __x64_sys_finit_module(const struct pt_regs *regs)`
#[fexit]
pub(crate) fn module_done_by_file(ctx: FExitContext) -> u32 {
    run(Probe::ModuleDone, || tell_done(&ctx))
}

/// match-proto: `long __x64_sys_init_module(const struct pt_regs *regs)`
#[fexit]
pub(crate) fn module_done_by_bytes(ctx: FExitContext) -> u32 {
    run(Probe::ModuleDone, || tell_done(&ctx))
}

#[inline(always)]
fn tell_done(ctx: &FExitContext) -> Option<()> {
    let result = read::argument::<1>(ctx) as i32;
    let euid = CurrentTask::get()
        .object(|o| &o.task_cred)
        .u32(|o| &o.cred_euid);
    // Anybody may try.
    if result == -EPERM && euid != 0 {
        return Some(());
    }
    let mut buffer = Buffer::of(Probe::ModuleDone)?;
    let record: &mut ModuleDoneRecord = buffer.head();
    let now_ns = fill_header(&mut record.header, RecordKind::MODULE_DONE);
    record.result = result;
    record.reserved = 0;
    buffer.send(size_of::<ModuleDoneRecord>() as u32, now_ns);
    Some(())
}

#[inline(always)]
fn name_of(module: Typed) -> *const u8 {
    module.at(|o| &o.module_name).address()
}

#[inline(always)]
fn tell(name: *const u8, kind: RecordKind, probe: Probe) -> Option<()> {
    let mut buffer = Buffer::of(probe)?;
    let head = size_of::<ModuleRecord>() as u32;
    let end = buffer.put_string::<NAME_BYTES>(head, name);
    let record: &mut ModuleRecord = buffer.head();
    let now_ns = fill_header(&mut record.header, kind);
    record.name_len = end - head;
    record.reserved = 0;
    buffer.send(end, now_ns);
    Some(())
}
