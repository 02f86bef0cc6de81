//! Feeds any bytes to `tracer::fuzz::store_blobs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tracer::fuzz::store_blobs(bytes));
