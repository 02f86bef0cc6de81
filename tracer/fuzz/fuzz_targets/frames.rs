//! Feeds any bytes to the collector's reading of frames: packed, and as what is in them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    drop(change::wire::decode(bytes));
    drop(change::wire::Batch::from_unpacked(bytes));
});
