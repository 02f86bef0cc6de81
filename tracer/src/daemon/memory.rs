//! Giving memory back that is used for a while only: at start, when the kernel's types are read, and
//! in a burst.
#![cfg_attr(
    target_env = "gnu",
    expect(unsafe_code, reason = "a call of the C library")
)]

/// Gives back the pages of the heap that nothing uses. glibc keeps them otherwise, scattered between
/// what is used, however many there are (malloc_trim(3)).
pub(super) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes a number and locks what it works on.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
