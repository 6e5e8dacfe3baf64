//! The gateway program with the filters that come with it.

#![deny(unsafe_code)]

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Pingora allocates much per request and a configuration of thousands of routes much at once; this one is quick at both, and gives
/// back what was freed.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    gateway_bin::run(gateway_pingora::Gateway::builder())
}
