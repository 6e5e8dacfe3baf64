//! Requests through the whole program: one connection of one client, one backend on loopback, one request after another.
//!
//! In: the program. Out: the instructions that each request takes in it, the system's own not counted.

use std::fmt;
use std::fs;
use std::io::{BufRead as _, BufReader, Error, Read as _, Result, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use benches::process::{ask, free_ports};
use rustix::process::{Pid, Signal, kill_process};

use crate::valgrind::Valgrind;

/// What is spoken with the gateway.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    /// HTTP/1.1 both ways, connections kept.
    Http1,
}

impl Protocol {
    pub(crate) const ALL: &[Self] = &[Self::Http1];
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http1 => f.write_str("proxied/h1"),
        }
    }
}

/// The instructions of one request.
pub(crate) fn count(valgrind: &Valgrind, gateway: &Path, protocol: Protocol) -> Result<u64> {
    let backend = backend()?;
    valgrind.difference(&protocol.to_string(), TIMES, |times, out| {
        let [port] = free_ports()?;
        let manifest = valgrind.folder().join("gateway.yaml");
        fs::write(&manifest, MANIFEST.replace("@PORT@", &port.to_string()))?;
        let mut command = valgrind.command(gateway, out);
        command.arg("run").arg(&manifest).args(["--backend", &format!("test/backend:80=127.0.0.1:{backend}"), "--admin", "off"]);
        let running = Running(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        running.await_answer(port)?;
        match protocol {
            Protocol::Http1 => http1(port, times)?,
        }
        running.stop()
    })
}

/// So many requests on one connection.
fn http1(port: u16, times: usize) -> Result<()> {
    let mut writing = connected(port)?;
    let mut reading = BufReader::new(writing.try_clone()?);
    for _ in 0..times {
        let head = format!("GET {PATH} HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n");
        write!(writing, "{head}Accept: text/html,*/*;q=0.8\r\nAccept-Encoding: gzip, br\r\nCookie: session=0123456789\r\n\r\n")?;
        let mut length = 0;
        let mut line = String::new();
        reading.read_line(&mut line)?;
        if !line.starts_with("HTTP/1.1 200") {
            return Err(Error::other(format!("answered {line:?}")));
        }
        while line.trim() != "" {
            if let Some(found) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = found.trim().parse().map_err(Error::other)?;
            }
            line.clear();
            reading.read_line(&mut line)?;
        }
        reading.read_exact(&mut vec![0; length])?;
    }
    Ok(())
}

/// A backend that answers whatever comes with a small text, on as many connections as there are, and ends with this process. Its port.
fn backend() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    Ok(port)
}

fn answer(mut stream: TcpStream) -> Result<()> {
    let mut reading = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while reading.read_line(&mut line)? > 0 {
        if line == "\r\n" {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nServer: small\r\nContent-Length: 24\r\n\r\nthe backend's small text")?;
        }
        line.clear();
    }
    Ok(())
}

fn connected(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A program that ends with this value.
struct Running(Child);

impl Running {
    fn await_answer(&self, port: u16) -> Result<()> {
        let start = Instant::now();
        while !matches!(ask((Ipv4Addr::LOCALHOST, port).into(), HOST, PATH), Ok(200)) {
            if start.elapsed() > PATIENCE {
                return Err(Error::other("the gateway does not answer"));
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn stop(mut self) -> Result<()> {
        if let Some(id) = Pid::from_raw(self.0.id().cast_signed()) {
            kill_process(id, Signal::TERM)?;
        }
        let start = Instant::now();
        while self.0.try_wait()?.is_none() {
            if start.elapsed() > PATIENCE {
                return Err(Error::other("the gateway does not end"));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

const HOST: &str = "shop.test";
const PATH: &str = "/catalog/items/7";
const TIMES: usize = 300;
const PATIENCE: Duration = Duration::from_secs(60);

const MANIFEST: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: test}
spec:
  gatewayClassName: pingora
  listeners: [{name: h1, protocol: HTTP, port: @PORT@}]
---
apiVersion: v1
kind: Service
metadata: {name: backend, namespace: test}
spec: {ports: [{port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: test}
spec:
  parentRefs: [{name: web}]
  hostnames: [shop.test]
  rules:
    - matches: [{path: {value: /catalog}}]
      filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Shop, value: \"1\"}]}}]
      backendRefs: [{name: backend, port: 80}]
";
