//! Kernel modules that come and go.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use tracer_ebpf::{ModuleRecord, Probe, RecordKind};

use super::{fill_header, finish};
use crate::maps::Buffer;
use crate::read::{self, Memory as _, Typed};

/// `MODULE_NAME_LEN`: 64 bytes less a word, with the NUL.
const NAME_BYTES: u32 = 56;

/// A module was brought in, and its own initialisation is still to come, which may fail; without it:
/// who loaded a module is not known.
/// match-proto: `module_load(struct module *mod)`
#[btf_tracepoint(function = "module_load")]
pub(crate) fn module_load(ctx: BtfTracePointContext) -> u32 {
    let module = read::pointer::<0>(&ctx);
    let told = tell(module, RecordKind::MODULE_LOADED, Probe::ModuleLoad);
    finish(told, Probe::ModuleLoad)
}

/// A module is taken away, also after its initialisation failed; without it: who unloaded a module is
/// not known.
/// match-proto: `module_free(struct module *mod)`
#[btf_tracepoint(function = "module_free")]
pub(crate) fn module_free(ctx: BtfTracePointContext) -> u32 {
    let module = read::pointer::<0>(&ctx);
    let told = tell(module, RecordKind::MODULE_FREED, Probe::ModuleFree);
    finish(told, Probe::ModuleFree)
}

#[inline(always)]
fn tell(module: Typed, kind: RecordKind, probe: Probe) -> Option<()> {
    let mut buffer = Buffer::of(probe)?;
    let head = size_of::<ModuleRecord>() as u32;
    let name = module.at(|o| &o.module_name).address();
    let end = buffer.put_string::<NAME_BYTES>(head, name);
    let record: &mut ModuleRecord = buffer.head();
    let now_ns = fill_header(&mut record.header, kind);
    record.name_len = end - head;
    record.reserved = 0;
    buffer.send(end, now_ns);
    Some(())
}
