//! Headers of the PROXY protocol that nobody has checked, split anyhow.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gateway_pingora_fuzz::headers(bytes));
