//! Every map, and safe access to it.
#![expect(unsafe_code, reason = "one of the few places for it")]

use core::hint::black_box;

use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, PerCpuArray, RingBuf};
use tracer_ebpf::{
    PENDING_ENTRIES, Probe, RING_BYTES, ROOTS_ENTRIES, RootKey, RootValue, Settings, bloom_bit,
    children_bit,
};

use crate::read;

/// Records on their way to the daemon.
#[map]
static RECORDS: RingBuf = RingBuf::with_byte_size(RING_BYTES, 0);

/// What the daemon says to all programs.
#[map]
static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);

/// The roots of the watched trees.
#[map]
static ROOTS: HashMap<RootKey, RootValue> = HashMap::with_max_entries(ROOTS_ENTRIES, 0);

/// Attempts whose outcome is awaited.
#[map]
static PENDING: HashMap<Attempt, u32> = HashMap::with_max_entries(PENDING_ENTRIES, 0);

/// How many records of each probe did not fit.
#[map]
static LOST: PerCpuArray<u64> = PerCpuArray::with_max_entries(Probe::ALL.len() as u32, 0);

/// A place for each probe to put a record together. One a probe is enough: the kernel does not run
/// a tracing program again on a CPU where it was interrupted.
#[map]
static SCRATCH: PerCpuArray<[u8; SCRATCH_BYTES]> =
    PerCpuArray::with_max_entries(Probe::ALL.len() as u32, 0);

const SCRATCH_BYTES: usize = 12_800;
/// Where a variable part may begin, as a mask, so that the verifier sees a bound. The largest part
/// has 4096 bytes.
const START_MASK: u32 = 0x1fff;

/// Names an attempt: the thread and the directory entry it works on (0 where only the thread tells).
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Attempt {
    pub(crate) entry: u64,
    pub(crate) tid: u64,
}

/// What the daemon says to all programs.
#[inline(always)]
pub(crate) fn settings() -> Option<&'static Settings> {
    SETTINGS.get(0)
}

/// The root with that inode number, which is the parent of the file or not; the device is only asked
/// for where the filter hits.
#[inline(always)]
pub(crate) fn root(
    settings: &Settings,
    inode: u64,
    is_parent: bool,
    dev: impl FnOnce() -> u32,
) -> Option<RootValue> {
    let may_be = |(word, bit): (usize, u64)| settings.filter.get(word).map(|bits| bits & bit != 0);
    let is_candidate = may_be(bloom_bit(inode))? || is_parent && may_be(children_bit(inode))?;
    if !is_candidate {
        return None;
    }
    let key = RootKey {
        inode,
        dev: dev(),
        reserved: 0,
    };
    // SAFETY: the daemon only adds and removes values, it does not change them in place.
    unsafe { ROOTS.get(key) }.copied()
}

/// Remembers that an attempt's outcome is awaited; counts a loss where that is not possible.
#[inline(always)]
pub(crate) fn await_outcome(attempt: Attempt, probe: Probe) {
    if PENDING.insert(attempt, 1, 0).is_err() {
        count_lost(probe);
    }
}

/// Whether the outcome of an attempt is awaited; asked once.
#[inline(always)]
pub(crate) fn take_awaited(attempt: Attempt) -> bool {
    // SAFETY: only this thread knows the attempt.
    let awaited = unsafe { PENDING.get(attempt) }.is_some();
    awaited && PENDING.remove(attempt).is_ok()
}

/// Counts a record that could not be sent.
#[inline(always)]
pub(crate) fn count_lost(probe: Probe) {
    if let Some(count) = LOST.get_ptr_mut(probe as u32) {
        // SAFETY: the value belongs to this CPU, and a lost count of losses cannot happen.
        unsafe { *count += 1 };
    }
}

/// A record being put together.
pub(crate) struct Buffer {
    start: *mut u8,
    probe: Probe,
}

impl Buffer {
    /// The probe's own place on this CPU.
    #[inline(always)]
    pub(crate) fn of(probe: Probe) -> Option<Self> {
        let start = SCRATCH.get_ptr_mut(probe as u32)?;
        Some(Self {
            start: start.cast(),
            probe,
        })
    }

    /// The record's fixed part, with whatever was there before.
    #[inline(always)]
    pub(crate) fn head<T: zerocopy::FromBytes + zerocopy::IntoBytes>(&mut self) -> &mut T {
        const { assert!(size_of::<T>() <= SCRATCH_BYTES) };
        // SAFETY: the place is larger than `T`, map values are aligned to 8 bytes, any bytes are a
        // valid `T`, and the borrow of the buffer keeps the reference alone.
        unsafe { &mut *self.start.cast::<T>() }
    }

    /// Gives the value back such that the verifier no longer knows it: what follows is then checked
    /// once, not once for each value that it could have.
    #[inline(always)]
    pub(crate) fn forget(&mut self, value: u32) -> u32 {
        // SAFETY: the last word of the place, which no record reaches.
        unsafe {
            let word = self.start.add(SCRATCH_BYTES - 4).cast::<u32>();
            core::ptr::write_volatile(word, value);
            core::ptr::read_volatile(word)
        }
    }

    #[inline(always)]
    fn part(&mut self, start: u32) -> *mut u8 {
        // The compiler must not see the bound, or it would drop the mask that the verifier needs.
        let start = black_box(start) & START_MASK;
        // SAFETY: the mask keeps it inside the place.
        unsafe { self.start.add(start as usize) }
    }

    /// Puts a name with its length in front at `start`; tells where it ends.
    #[inline(always)]
    pub(crate) fn put_name(&mut self, start: u32, name: *const u8, len: u32) -> u32 {
        let len = black_box(len) & 0xff;
        let part = self.part(start);
        // SAFETY: the largest start leaves room for 4096 bytes.
        let copied = unsafe {
            *part = len as u8;
            read::copy_kernel(part.add(1), len, name)
        };
        if copied { start + 1 + len } else { start }
    }

    /// Puts a string of the kernel's at `start`, without its NUL; tells where it ends.
    #[inline(always)]
    pub(crate) fn put_string<const MAX: u32>(&mut self, start: u32, string: *const u8) -> u32 {
        const { assert!(MAX <= 4096) };
        match read::copy_kernel_string(self.part(start), MAX, string) {
            len @ 1.. => start + len as u32 - 1,
            _ => start,
        }
    }

    /// Puts a string of the process's at `start`, without its NUL; tells where it ends.
    #[inline(always)]
    pub(crate) fn put_user_string<const MAX: u32>(&mut self, start: u32, string: u64) -> u32 {
        const { assert!(MAX <= 4096) };
        match read::copy_user_string(self.part(start), MAX, string) {
            len @ 1.. => start + (len as u32 & 0x1fff) - 1,
            _ => start,
        }
    }

    /// Puts up to 4095 bytes of the process's memory at `start`; tells where they end.
    #[inline(always)]
    pub(crate) fn put_user(&mut self, start: u32, from: u64, len: u64) -> u32 {
        let len = (black_box(len) & 0xfff) as u32;
        if read::copy_user(self.part(start), len, from) {
            start + len
        } else {
            start
        }
    }

    /// Lets `fill` write up to `MAX` bytes at `start`; tells where they end.
    #[inline(always)]
    pub(crate) fn put_with<const MAX: usize>(
        &mut self,
        start: u32,
        fill: impl FnOnce(*mut u8, usize) -> i64,
    ) -> u32 {
        match fill(self.part(start), MAX) {
            len @ 1.. => start + (len as u32 & 0xfff),
            _ => start,
        }
    }

    /// Sends the first `len` bytes, and wakes the daemon unless it was woken just now: it looks
    /// again for 10 ms after each time.
    #[inline(always)]
    pub(crate) fn send(self, len: u32, now_ns: u64) {
        let mut flags = BPF_RB_NO_WAKEUP;
        if let Some(settings) = SETTINGS.get_ptr_mut(0) {
            // SAFETY: a plain number; two CPUs that write at once wake the daemon twice.
            let woken_at = unsafe { &mut (*settings).woken_at_ns };
            if now_ns - *woken_at > 4_000_000 {
                *woken_at = now_ns;
                flags = BPF_RB_FORCE_WAKEUP;
            }
        }
        self.output(len, flags);
    }

    /// Sends the first `len` bytes without waking the daemon, unless a quarter of the ring is full.
    #[inline(always)]
    pub(crate) fn send_quietly(self, len: u32) {
        let full = RECORDS.query(u64::from(BPF_RB_AVAIL_DATA)) > u64::from(RING_BYTES / 4);
        self.output(
            len,
            if full {
                BPF_RB_FORCE_WAKEUP
            } else {
                BPF_RB_NO_WAKEUP
            },
        );
    }

    #[inline(always)]
    fn output(self, len: u32, flags: u32) {
        let len = black_box(len) as usize;
        if len > SCRATCH_BYTES {
            return count_lost(self.probe);
        }
        // SAFETY: the place has that many bytes, all of them initialised since the map was made.
        let bytes = unsafe { core::slice::from_raw_parts(self.start, len) };
        if RECORDS.output::<[u8]>(bytes, u64::from(flags)).is_err() {
            count_lost(self.probe);
        }
    }
}
