//! See `switchboard_fuzz::twilio_answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::twilio_answer(data));
