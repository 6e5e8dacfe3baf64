//! Who is measured: how each is configured, started and asked for its version.
//!
//! In: where its program is. Out: a process that answers. The configurations stand in `config/`; here ports and folders are put in.

use std::fs;
use std::io::{Error, Result};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;

use benches::page::first_line;
use benches::process::{Process, free_ports};
use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::Measure;
use crate::backends::Backends;
use crate::template;
use crate::tools::Tools;

/// The host that is asked.
pub(crate) const HOST: &str = "shop.test";
/// The path that is asked.
pub(crate) const PATH: &str = "/catalog/items/7";
/// Below `/catalog`: a large answer.
pub(crate) const BULK: &str = "/large";
/// Its size.
pub(crate) const BULK_BYTES: usize = 1 << 20;
/// The host that is called by gRPC.
pub(crate) const CALLS: &str = "calls.test";
/// The method that is called.
pub(crate) const CALL: &str = "/shop.Catalog/Find";

/// One who is measured.
#[derive(Debug)]
pub(crate) struct Contestant {
    pub(crate) name: String,
    program: PathBuf,
    template: &'static str,
    /// With `@CONFIG@` for its configuration, and all that stands in configurations.
    arguments: &'static [&'static str],
    version: &'static str,
    /// What it cannot do at all.
    pub(crate) lacks: &'static [Measure],
}

/// Where contestants work.
#[derive(Debug)]
pub(crate) struct Place {
    folder: PathBuf,
    h1: u16,
    h2c: u16,
    https: u16,
    tcp: u16,
    udp: u16,
    /// What is put into configurations.
    filled: Vec<(&'static str, String)>,
}

impl Place {
    /// With fresh ports and a certificate.
    pub(crate) fn new(folder: &Path, backends: &Backends) -> Result<Self> {
        let [h1, h2c, https, tcp] = free_ports()?;
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        // ECDSA on P-256.
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([HOST.to_owned()]).map_err(Error::other)?;
        let (certificate, key) = (folder.join("web.crt"), folder.join("web.key"));
        fs::write(&certificate, cert.pem())?;
        fs::write(&key, signing_key.serialize_pem())?;
        // HAProxy reads both from one file.
        let both = folder.join("web.pem");
        fs::write(&both, cert.pem() + &signing_key.serialize_pem())?;
        let path = |path: &Path| path.display().to_string();
        let filled = vec![
            ("@FOLDER@", path(folder)),
            ("@CERTIFICATE@", path(&certificate)),
            ("@KEY@", path(&key)),
            ("@CERTIFICATE_AND_KEY@", path(&both)),
            ("@BACKEND@", backends.http.to_string()),
            ("@BACKEND_CALLS@", backends.calls.to_string()),
            ("@BACKEND_STREAMS@", backends.streams.to_string()),
            ("@BACKEND_DATAGRAMS@", backends.datagrams.to_string()),
            ("@H1@", h1.to_string()),
            ("@H2C@", h2c.to_string()),
            ("@HTTPS@", https.to_string()),
            ("@TCP@", tcp.to_string()),
            ("@UDP@", udp.to_string()),
        ];
        Ok(Self { folder: folder.to_owned(), h1, h2c, https, tcp, udp, filled })
    }

    /// Where HTTP/1 is spoken, in clear.
    pub(crate) fn h1(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.h1).into()
    }

    /// Where HTTP/2 is spoken, in clear.
    pub(crate) fn h2c(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.h2c).into()
    }

    /// Where both are spoken over TLS.
    pub(crate) fn https(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.https).into()
    }

    /// Where bytes are passed on.
    pub(crate) fn tcp(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.tcp).into()
    }

    /// Where datagrams are passed on.
    pub(crate) fn udp(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.udp).into()
    }

    /// A file for what a tool reads or writes.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// A text with what stands for these names.
pub(crate) fn fill(text: &str, filled: &[(&str, String)]) -> String {
    filled.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
}

impl Contestant {
    /// Starts it alone on one core, and waits until it answers.
    pub(crate) fn start(&self, place: &Place, core: usize) -> Result<Process> {
        let config = place.file(self.template);
        fs::write(&config, fill(&template(self.template)?, &place.filled))?;
        let config = config.display().to_string();
        let filled = |argument: &&str| fill(&argument.replace("@CONFIG@", &config), &place.filled);
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
    let rival = |name: &str, program: &Path, template, arguments, version, lacks| Contestant {
        name: name.to_owned(),
        program: program.to_owned(),
        template,
        arguments,
        version,
        lacks,
    };
    vec![
        rival("nginx", &tools.nginx, "nginx.conf", &["-c", "@CONFIG@"], "-v", &[]),
        rival("haproxy", &tools.haproxy, "haproxy.cfg", &["-db", "-f", "@CONFIG@"], "-v", &[Measure::Udp]),
        rival(
            "envoy",
            &tools.envoy,
            "envoy.yaml",
            &["-c", "@CONFIG@", "--concurrency", "1", "--disable-hot-restart", "-l", "warn"],
            "--version",
            &[],
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
        arguments: &[
            "run",
            "@CONFIG@",
            "--backend=test/backend:80=127.0.0.1:@BACKEND@",
            "--backend=test/calls:80=127.0.0.1:@BACKEND_CALLS@",
            "--backend=test/streams:80=127.0.0.1:@BACKEND_STREAMS@",
            "--backend=test/datagrams:80=127.0.0.1:@BACKEND_DATAGRAMS@",
            "--secret=test/web=@CERTIFICATE@,@KEY@",
            "--admin=off",
        ],
        version: "--version",
        lacks: &[],
    })
}
