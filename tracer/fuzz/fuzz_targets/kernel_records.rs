//! Feeds any bytes to `tracer::fuzz::kernel_records`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tracer::fuzz::kernel_records(bytes));
