//! Who is measured: how each is configured, started and asked for its version.
//!
//! In: where its program is. Out: a process that answers. The configurations stand in `config/`; here ports and folders are put in.

use std::fs;
use std::io::{Error, Result};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use benches::page::first_line;
use benches::process::{Process, free_ports};

use crate::template;
use crate::tools::Tools;

/// The host that is asked.
pub(crate) const HOST: &str = "shop.test";
/// The path that is asked.
pub(crate) const PATH: &str = "/catalog/items/7";

/// One who is measured.
#[derive(Debug)]
pub(crate) struct Contestant {
    pub(crate) name: String,
    program: PathBuf,
    template: &'static str,
    /// With `@CONFIG@` for its configuration.
    arguments: &'static [&'static str],
    version: &'static str,
}

/// Where contestants work.
#[derive(Debug)]
pub(crate) struct Place {
    folder: PathBuf,
    backend: u16,
    h1: u16,
    h2c: u16,
}

impl Place {
    /// With fresh ports.
    pub(crate) fn new(folder: &Path, backend: u16) -> Result<Self> {
        let [h1, h2c] = free_ports()?;
        Ok(Self { folder: folder.to_owned(), backend, h1, h2c })
    }

    /// Where HTTP/1 is spoken.
    pub(crate) fn h1(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.h1).into()
    }

    /// Where HTTP/2 is spoken, in clear.
    pub(crate) fn h2c(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.h2c).into()
    }

    /// A file for what a tool writes.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn configure(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.display().to_string();
        let text = template(name)?
            .replace("@FOLDER@", &folder)
            .replace("@BACKEND@", &self.backend.to_string())
            .replace("@H1@", &self.h1.to_string())
            .replace("@H2C@", &self.h2c.to_string());
        let path = self.folder.join(name);
        fs::write(&path, text)?;
        Ok(path)
    }
}

impl Contestant {
    /// Starts it alone on one core, and waits until it answers.
    pub(crate) fn start(&self, place: &Place, core: usize) -> Result<Process> {
        let config = place.configure(self.template)?.display().to_string();
        let backend = format!("127.0.0.1:{}", place.backend);
        let filled = |argument: &&str| argument.replace("@CONFIG@", &config).replace("@BACKEND@", &backend);
        let arguments: Vec<_> = self.arguments.iter().map(filled).collect();
        let mut process = Process::start(&self.name, core, &self.program, &arguments, &place.folder)?;
        process.await_answer(place.h1(), HOST, PATH, 200)?;
        // What is not routed must not be, and the other routes are there.
        for (host, path, status) in [(HOST, "/nothing", 404), ("a.blog.test", "/", 200), (HOST, "/about", 200)] {
            process.await_answer(place.h1(), host, path, status)?;
        }
        Ok(process)
    }

    /// What it says of its version.
    pub(crate) fn version(&self) -> String {
        first_line(Command::new(&self.program).arg(self.version))
    }
}

/// nginx, HAProxy and Envoy, with one worker each.
pub(crate) fn rivals(tools: &Tools) -> Vec<Contestant> {
    let rival = |name: &str, program: &Path, template, arguments, version| Contestant {
        name: name.to_owned(),
        program: program.to_owned(),
        template,
        arguments,
        version,
    };
    vec![
        rival("nginx", &tools.nginx, "nginx.conf", &["-c", "@CONFIG@"], "-v"),
        rival("haproxy", &tools.haproxy, "haproxy.cfg", &["-db", "-f", "@CONFIG@"], "-v"),
        rival(
            "envoy",
            &tools.envoy,
            "envoy.yaml",
            &["-c", "@CONFIG@", "--concurrency", "1", "--disable-hot-restart", "-l", "warn"],
            "--version",
        ),
    ]
}

/// A build of the gateway, given as `NAME=PROGRAM`.
pub(crate) fn gateway(named: &str) -> Result<Contestant> {
    let (name, program) = named.split_once('=').unwrap_or(("gateway", named));
    if !name.starts_with("gateway") {
        return Err(Error::other(format!("{name}: names of builds begin with `gateway`")));
    }
    if !Path::new(program).is_file() {
        return Err(Error::other(format!("{program} is not there; cargo build --release -p gateway-bin")));
    }
    Ok(Contestant {
        name: name.to_owned(),
        program: program.into(),
        template: "gateway.yaml",
        arguments: &["run", "@CONFIG@", "--backend", "test/backend:80=@BACKEND@", "--admin", "off", "--log-format", "text"],
        version: "--version",
    })
}

/// The backend of all: nginx, which answers a small text.
pub(crate) fn start_backend(tools: &Tools, folder: &Path, port: u16, core: usize) -> Result<Process> {
    let place = Place { folder: folder.to_owned(), backend: port, h1: 0, h2c: 0 };
    let config = place.configure("backend.conf")?.display().to_string();
    let mut process = Process::start("backend", core, &tools.nginx, &["-c".to_owned(), config], folder)?;
    process.await_answer((Ipv4Addr::LOCALHOST, port).into(), HOST, PATH, 200)?;
    Ok(process)
}
