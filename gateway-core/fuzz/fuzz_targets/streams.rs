//! Server names nobody has checked, against a rich configuration.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drop(gateway_core_fuzz::streams(bytes)));
