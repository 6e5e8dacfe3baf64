//! The gateway program as a library, so that it can be had with one's own filters: [`run`] is all of it.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! fn main() -> ExitCode {
//!     gateway_bin::run(gateway_pingora::Gateway::builder()) // .filter(…) adds one's own
//! }
//! ```

#![deny(unsafe_code)]

mod access;
mod addresses;
mod admin;
mod applying;
mod args;
mod board;
mod cluster;
mod controller;
mod descriptors;
mod ending;
mod files;
mod memory;
mod proxy;
mod question;
mod run;
mod serve;
mod session_keys;
mod setup;
mod state;
mod target;
mod tools;
mod unserved;
mod wire;

use std::process::ExitCode;

use gateway_pingora::Builder;
use tracing_subscriber::EnvFilter;

use args::{Command, Mode};

/// The whole program: reads the command line, does what it says, and returns the status to exit with. `builder` brings the filters;
/// its port map and its receiver of records are the program's own to set.
pub fn run(builder: Builder) -> ExitCode {
    let command = match Command::read() {
        Ok(command) => command,
        Err(err) => return args::refuse(&err),
    };
    let filter = EnvFilter::builder().with_env_var("GATEWAY_LOG").try_from_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    let done = match &command.mode {
        Mode::Run(flags) => run::run(flags, builder),
        Mode::Controller(flags) => controller::run(flags, builder),
        Mode::Proxy(flags) => proxy::run(flags, builder),
        Mode::Validate(flags) => tools::validate::validate(flags, builder),
        Mode::Explain(flags) => tools::explain::explain(flags, builder),
        Mode::Diff(flags) => tools::diff::diff(flags, builder),
    };
    done.unwrap_or_else(|err| {
        eprintln!("error: {err:#}");
        match &command.mode {
            Mode::Run(_) | Mode::Controller(_) | Mode::Proxy(_) | Mode::Validate(_) | Mode::Explain(_) => ExitCode::FAILURE,
            Mode::Diff(_) => ExitCode::from(tools::diff::TROUBLE),
        }
    })
}
