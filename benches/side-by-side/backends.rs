//! Who answers behind all contestants, on the core of the load: nginx for HTTP, and three of our own in this process.
//!
//! In: the tools. Out: their ports. They live as long as the value.

mod calls;
mod echo;

use std::fs;
use std::io::Result;
use std::net::Ipv4Addr;
use std::path::Path;
use std::thread;

use benches::process::{Process, free_ports};
use tokio::net::TcpListener;

use crate::contestant::{BULK, BULK_BYTES, HOST, PATH, fill};
use crate::load::runtime;
use crate::template;
use crate::tools::Tools;

pub(crate) use echo::{FLOOD, WORD};

/// The backends.
#[derive(Debug)]
pub(crate) struct Backends {
    /// HTTP/1: a small text, and a large file.
    pub(crate) http: u16,
    /// gRPC in clear: the message comes back.
    pub(crate) calls: u16,
    /// TCP: the first bytes come back, or a flood comes.
    pub(crate) streams: u16,
    /// UDP: what comes goes back.
    pub(crate) datagrams: u16,
    nginx: Process,
}

impl Backends {
    /// Starts all of them.
    pub(crate) fn start(tools: &Tools, folder: &Path, core: usize) -> Result<Self> {
        let [http] = free_ports()?;
        fs::write(folder.join(BULK.trim_start_matches('/')), vec![b'x'; BULK_BYTES])?;
        let config = folder.join("backend.conf");
        let ports = [("@FOLDER@", folder.display().to_string()), ("@BACKEND@", http.to_string())];
        fs::write(&config, fill(&template("backend.conf")?, &ports))?;
        let arguments = ["-c".to_owned(), config.display().to_string()];
        let mut nginx = Process::start("backend", core, &tools.nginx, &arguments, folder)?;
        nginx.await_answer((Ipv4Addr::LOCALHOST, http).into(), HOST, PATH, 200)?;

        let runtime = runtime()?;
        let [calls, streams] = [(); 2].map(|()| runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))));
        let (calls, streams) = (calls?, streams?);
        let ports = (calls.local_addr()?.port(), streams.local_addr()?.port());
        thread::spawn(move || {
            runtime.block_on(async { tokio::join!(calls::serve(calls), echo::streams(streams)) });
        });
        let datagrams = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = datagrams.local_addr()?.port();
        thread::spawn(move || echo::datagrams(&datagrams));
        Ok(Self { http, calls: ports.0, streams: ports.1, datagrams: port, nginx })
    }

    /// Ends nginx; the others end with the process.
    pub(crate) fn stop(self) -> Result<()> {
        self.nginx.stop()
    }
}
