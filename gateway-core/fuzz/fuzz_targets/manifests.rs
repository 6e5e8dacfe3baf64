//! Manifests nobody has checked, compiled in every order.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gateway_core_fuzz::manifests(bytes));
