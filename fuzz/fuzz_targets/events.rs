//! See `switchboard_fuzz::events`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::events(data));
