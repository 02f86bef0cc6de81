//! The programs' root: what the kernel runs. Off bpf it is empty, so that `cargo test --workspace`
//! can compile the package.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]
#![cfg_attr(
    target_arch = "bpf",
    expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_ptr_alignment,
        clippy::cast_sign_loss,
        reason = "registers have 64 bits, the kernel's fields their own size, and offsets are aligned"
    ),
    expect(
        clippy::inline_always,
        reason = "the verifier follows typed pointers and frozen constants only within a program"
    ),
    expect(
        clippy::needless_pass_by_value,
        reason = "the macros of aya hand over contexts by value"
    )
)]

#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod path;
#[cfg(target_arch = "bpf")]
mod probes;
#[cfg(target_arch = "bpf")]
mod read;

/// Loops, so that the verifier refuses a program that could panic.
#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The kernel gives its own helpers only to programs that are under the GPL.
#[cfg(target_arch = "bpf")]
#[expect(
    unsafe_code,
    reason = "the section's name is how the loader finds the licence"
)]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";

#[cfg(not(target_arch = "bpf"))]
fn main() {}
