//! Feeds any bytes to `tracer::fuzz::bus_message`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tracer::fuzz::bus_message(bytes));
