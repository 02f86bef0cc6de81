//! Feeds any bytes to `tracer::fuzz::rpm_header`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tracer::fuzz::rpm_header(bytes));
