//! Giving memory back that is used for a while only: at start, when the kernel's types are read, and
//! in a burst. And keeping the C library from holding on to it.
#![cfg_attr(
    target_env = "gnu",
    expect(unsafe_code, reason = "a call of the C library")
)]

/// Keeps the heap from growing beyond what is in use: what is larger than this is given back when it is
/// freed, and threads share two heaps, as most of what one of them allocates another one frees.
/// glibc otherwise raises the first by itself, up to 32 MB, and has eight heaps a processor
/// (`mallopt(3)`).
pub(super) fn bound() {
    #[cfg(target_env = "gnu")]
    for (parameter, value) in [
        (nix::libc::M_MMAP_THRESHOLD, 256 * 1024),
        (nix::libc::M_TRIM_THRESHOLD, 256 * 1024),
        (nix::libc::M_ARENA_MAX, 2),
    ] {
        // SAFETY: it takes two numbers and locks what it works on.
        let is_set = unsafe { nix::libc::mallopt(parameter, value) };
        if is_set == 0 {
            tracing::debug!("the C library does not know the parameter {parameter} of its heap");
        }
    }
}

/// Gives back the pages of the heap that nothing uses. glibc keeps them otherwise, scattered between
/// what is used, however many there are (`malloc_trim(3)`).
pub(super) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes a number and locks what it works on.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
