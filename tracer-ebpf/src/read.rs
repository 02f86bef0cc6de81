//! Every read of kernel memory and of a program's context, safe to call: a wrong address makes the
//! kernel return zeros or the verifier refuse the program, never a crash.
#![expect(unsafe_code, reason = "one of the few places for it")]

use core::ptr::read_volatile;

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::{
    bpf_get_current_cgroup_id, bpf_get_current_pid_tgid, bpf_get_current_task,
    bpf_get_current_task_btf, bpf_ktime_get_boot_ns, bpf_probe_read_kernel, generated,
};
use tracer_ebpf::{ABSENT, Offsets};

/// Filled in and frozen by the loader, so that the verifier knows every offset as a constant.
#[unsafe(no_mangle)]
static OFFSETS: Offsets = Offsets::UNKNOWN;

/// Picks one field's offset.
pub(crate) trait Field: FnOnce(&Offsets) -> &u32 {}
impl<F: FnOnce(&Offsets) -> &u32> Field for F {}

#[inline(always)]
fn offset(field: impl Field) -> u32 {
    // SAFETY: reads a static. Volatile, or the compiler would use the value it sees here.
    unsafe { read_volatile(field(&OFFSETS)) }
}

/// Whether this kernel has the field.
#[inline(always)]
pub(crate) fn is_present(field: impl Field) -> bool {
    offset(field) != ABSENT
}

/// An address in kernel memory and the way to read there.
pub(crate) trait Memory: Copy {
    /// Makes one from an address.
    fn new(address: *const u8) -> Self;
    /// The address.
    fn address(self) -> *const u8;
    /// Reads a number at an address; 0 where it cannot be read.
    fn load<T: Copy + Default>(address: *const u8) -> T;

    #[inline(always)]
    fn at(self, field: impl Field) -> Self {
        Self::new(self.address().wrapping_add(offset(field) as usize))
    }

    #[inline(always)]
    fn object(self, field: impl Field) -> Self {
        Self::new(Self::load::<u64>(self.at(field).address()) as *const u8)
    }

    #[inline(always)]
    fn u16(self, field: impl Field) -> u16 {
        Self::load(self.at(field).address())
    }

    #[inline(always)]
    fn u32(self, field: impl Field) -> u32 {
        Self::load(self.at(field).address())
    }

    #[inline(always)]
    fn u64(self, field: impl Field) -> u64 {
        Self::load(self.at(field).address())
    }

    #[inline(always)]
    fn is_null(self) -> bool {
        self.address().is_null()
    }

    #[inline(always)]
    fn is(self, other: Self) -> bool {
        self.address() == other.address()
    }
}

/// A pointer whose type the verifier knows: a read is one instruction.
#[derive(Clone, Copy)]
pub(crate) struct Typed(*const u8);

impl Memory for Typed {
    #[inline(always)]
    fn new(address: *const u8) -> Self {
        Self(address)
    }

    #[inline(always)]
    fn address(self) -> *const u8 {
        self.0
    }

    #[inline(always)]
    fn load<T: Copy + Default>(address: *const u8) -> T {
        // SAFETY: the verifier accepts the read only through a pointer of known type to a field
        // inside it, and the kernel makes a fault read zeros.
        unsafe { read_volatile(address.cast()) }
    }
}

/// A bare address: a read is a helper call.
#[derive(Clone, Copy)]
pub(crate) struct Probed(*const u8);

impl Memory for Probed {
    #[inline(always)]
    fn new(address: *const u8) -> Self {
        Self(address)
    }

    #[inline(always)]
    fn address(self) -> *const u8 {
        self.0
    }

    #[inline(always)]
    fn load<T: Copy + Default>(address: *const u8) -> T {
        // SAFETY: the helper checks the address.
        unsafe { bpf_probe_read_kernel(address.cast::<T>()) }.unwrap_or_default()
    }
}

/// The current task: typed where the kernel can (5.11), else read through helpers.
#[derive(Clone, Copy)]
pub(crate) struct CurrentTask(*const u8);

impl Memory for CurrentTask {
    #[inline(always)]
    fn new(address: *const u8) -> Self {
        Self(address)
    }

    #[inline(always)]
    fn address(self) -> *const u8 {
        self.0
    }

    #[inline(always)]
    fn load<T: Copy + Default>(address: *const u8) -> T {
        if offset(|o| &o.typed_task) == 1 {
            Typed::load(address)
        } else {
            Probed::load(address)
        }
    }
}

impl CurrentTask {
    /// The task that runs this program.
    #[inline(always)]
    pub(crate) fn get() -> Self {
        if offset(|o| &o.typed_task) == 1 {
            // SAFETY: the helper takes no arguments.
            Self(unsafe { bpf_get_current_task_btf() }.cast_const().cast())
        } else {
            // SAFETY: as above.
            Self(unsafe { bpf_get_current_task() } as *const u8)
        }
    }
}

/// Argument `INDEX` of the probed function; one past the last is its result in an fexit program.
#[inline(always)]
pub(crate) fn argument<const INDEX: usize>(ctx: &impl EbpfContext) -> u64 {
    // SAFETY: the context of a tracing program is an array of 64-bit slots, and the verifier
    // refuses a slot that the function does not have. A constant index, as it must be up to 6.18.
    unsafe { read_volatile(ctx.as_ptr().cast::<u64>().add(INDEX)) }
}

/// The pointer in argument `INDEX`, whose type the verifier knows.
#[inline(always)]
pub(crate) fn pointer<const INDEX: usize>(ctx: &impl EbpfContext) -> Typed {
    Typed(argument::<INDEX>(ctx) as *const u8)
}

/// Copies kernel memory; says whether that worked.
#[inline(always)]
pub(crate) fn copy_kernel(to: *mut u8, size: u32, from: *const u8) -> bool {
    // SAFETY: the verifier checks `to` and `size`, the helper checks `from`.
    unsafe { generated::bpf_probe_read_kernel(to.cast(), size, from.cast()) == 0 }
}

/// Fills with zeros, by a helper that cannot read at address 0 and then does that. For zeros in the
/// code the compiler calls a function of its own; a program that has such functions and reads through
/// a null pointer ends in an oops on 5.10, which looks for the way out in the wrong table.
#[inline(always)]
pub(crate) fn clear<T: zerocopy::FromBytes + zerocopy::IntoBytes>(value: &mut T) {
    let start = core::ptr::from_mut(value).cast();
    copy_kernel(start, size_of::<T>() as u32, core::ptr::null());
}

/// Copies a string from kernel memory; tells its length with the NUL, or a negative error.
///
/// Never to the first byte of a map's value: on 5.8 to 6.1 without the fix 8678ea06852c that can
/// end all kprobe programs of a CPU until the next boot.
#[inline(always)]
pub(crate) fn copy_kernel_string(to: *mut u8, size: u32, from: *const u8) -> i64 {
    // SAFETY: as in `copy_kernel`.
    unsafe { generated::bpf_probe_read_kernel_str(to.cast(), size, from.cast()) as i64 }
}

/// Copies memory of the current process; says whether that worked.
#[inline(always)]
pub(crate) fn copy_user(to: *mut u8, size: u32, from: u64) -> bool {
    // SAFETY: as in `copy_kernel`.
    unsafe { generated::bpf_probe_read_user(to.cast(), size, from as *const _) == 0 }
}

/// Copies a string of the current process; tells its length with the NUL, or a negative error.
#[inline(always)]
pub(crate) fn copy_user_string(to: *mut u8, size: u32, from: u64) -> i64 {
    // SAFETY: as in `copy_kernel`.
    unsafe { generated::bpf_probe_read_user_str(to.cast(), size, from as *const _) as i64 }
}

/// Now, in nanoseconds of `CLOCK_BOOTTIME`.
#[inline(always)]
pub(crate) fn now_ns() -> u64 {
    // SAFETY: the helper takes no arguments.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// Process id (thread group id) and thread id of the current task.
#[inline(always)]
pub(crate) fn pid_and_tid() -> (u32, u32) {
    let both = bpf_get_current_pid_tgid();
    ((both >> 32) as u32, both as u32)
}

/// Id of the current task's cgroup.
#[inline(always)]
pub(crate) fn cgroup_id() -> u64 {
    // SAFETY: the helper takes no arguments.
    unsafe { bpf_get_current_cgroup_id() }
}

/// Whether a sysctl is written, not read.
#[inline(always)]
pub(crate) fn is_sysctl_write(ctx: &aya_ebpf::programs::SysctlContext) -> bool {
    // SAFETY: the verifier knows the context's type.
    unsafe { read_volatile(&raw const (*ctx.sysctl).write) == 1 }
}

/// Copies a sysctl's path below `/proc/sys`; tells its length, or a negative error.
#[inline(always)]
pub(crate) fn sysctl_name(ctx: *mut core::ffi::c_void, to: *mut u8, max: usize) -> i64 {
    // SAFETY: the verifier checks `to` and `max`, and that the context is a sysctl program's.
    unsafe { generated::bpf_sysctl_get_name(ctx.cast(), to.cast(), max as u64, 0) as i64 }
}

/// Copies a sysctl's value as it is; tells its length, or a negative error.
#[inline(always)]
pub(crate) fn sysctl_before(ctx: *mut core::ffi::c_void, to: *mut u8, max: usize) -> i64 {
    // SAFETY: as in `sysctl_name`.
    unsafe { generated::bpf_sysctl_get_current_value(ctx.cast(), to.cast(), max as u64) as i64 }
}

/// Copies the value that is to be written to a sysctl; tells its length, or a negative error.
#[inline(always)]
pub(crate) fn sysctl_after(ctx: *mut core::ffi::c_void, to: *mut u8, max: usize) -> i64 {
    // SAFETY: as in `sysctl_name`.
    unsafe { generated::bpf_sysctl_get_new_value(ctx.cast(), to.cast(), max as u64) as i64 }
}
