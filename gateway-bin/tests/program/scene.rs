//! What every test needs: a folder, the program running on a loopback address of its own, a backend, requests, and patience.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The program.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    command.stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub(crate) fn output(args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = program().args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// A folder of manifests.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn root(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    /// Writes a file in place, its folders included.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }
}

/// A loopback address nobody else has. Each address has all ports to itself, so none needs to be looked for.
pub(crate) fn fresh_address() -> Ipv4Addr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let id = std::process::id();
    Ipv4Addr::new(127, 100 + (id / 250 % 100) as u8, (id % 250) as u8 ^ high, low)
}

/// The program, serving.
pub(crate) struct Running {
    pub(crate) address: Ipv4Addr,
    pub(crate) child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
}

/// Starts `gateway run` on an address of its own, and waits until it is ready.
pub(crate) fn run(args: &[&str]) -> Running {
    let running = start(args, Stdio::null());
    running.until("ready", || running.admin("/readyz").starts_with("ready"));
    running
}

/// Starts `gateway run` on an address of its own.
pub(crate) fn start(args: &[&str], stdin: Stdio) -> Running {
    start_at(fresh_address(), args, stdin)
}

/// Starts `gateway run` on an address.
pub(crate) fn start_at(address: Ipv4Addr, args: &[&str], stdin: Stdio) -> Running {
    let mut command = program();
    command.arg("run").args(args).args(["--address", &address.to_string()]);
    start_program(command, address, stdin)
}

/// Starts the program in any mode that serves, with an admin server at an address.
pub(crate) fn start_program(mut command: Command, address: Ipv4Addr, stdin: Stdio) -> Running {
    let mut child = command
        .args(["--admin", &format!("{address}:9901")])
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (stdout, stderr) = (gather(child.stdout.take().unwrap()), gather(child.stderr.take().unwrap()));
    Running { address, child, stdout, stderr }
}

/// Gathers lines as they come.
fn gather(from: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let gathered = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&gathered);
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut kept = kept.lock().unwrap();
            kept.push_str(&line);
            kept.push('\n');
        }
    });
    gathered
}

impl Running {
    /// All it said so far.
    pub(crate) fn said(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// The access log so far.
    pub(crate) fn logged(&self) -> String {
        self.stdout.lock().unwrap().clone()
    }

    /// What the admin server answers; empty when it does not.
    pub(crate) fn admin(&self, path: &str) -> String {
        ask((self.address, 9901).into(), "GET", path, &[]).map(|answer| answer.body).unwrap_or_default()
    }

    /// What is answered on port 8080.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[])
    }

    /// The same with headers.
    pub(crate) fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        ask((self.address, 8080).into(), "GET", path, headers).unwrap_or_default()
    }

    /// Waits until something is so.
    pub(crate) fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}\nit said:\n{}", self.said());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until a path is answered with this body.
    pub(crate) fn until_body(&self, path: &str, body: &str) {
        self.until(&format!("{path} answers {body:?}"), || self.get(path).body.trim() == body);
    }

    /// Waits until a path is answered with this status.
    pub(crate) fn until_status(&self, path: &str, status: u16) {
        self.until(&format!("{path} answers {status}"), || self.get(path).status == status);
    }

    /// Waits until nobody listens on port 8080.
    pub(crate) fn until_closed(&self) {
        self.until("the port is closed", || TcpStream::connect((self.address, 8080)).is_err());
    }

    /// Waits until it said this.
    pub(crate) fn until_said(&self, text: &str) {
        self.until(&format!("says {text:?}"), || self.said().contains(text));
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end; it said:\n{}", self.said());
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("it said:\n{}", self.said());
        }
    }
}

/// An HTTP response.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Asks once, on a connection of its own.
pub(crate) fn ask(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Option<Answer> {
    let mut stream = TcpStream::connect(to).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_str(&format!("Host: {to}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
}

/// A backend that waits before it answers, and tells how many requests it has.
pub(crate) struct SlowBackend {
    pub(crate) address: SocketAddr,
    waiting: Arc<Mutex<Vec<TcpStream>>>,
}

impl SlowBackend {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let waiting: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let kept = Arc::clone(&waiting);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut head = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                while head.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
                    line.clear();
                }
                kept.lock().unwrap().push(stream);
            }
        });
        Self { address, waiting }
    }

    /// How many requests wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.lock().unwrap().len()
    }

    /// Answers them all.
    pub(crate) fn answer(&self) {
        for mut stream in self.waiting.lock().unwrap().drain(..) {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").unwrap();
        }
    }
}

/// A Gateway `x/web` with one HTTP listener on port 8080.
pub(crate) const GATEWAY: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: x}
spec:
  gatewayClassName: any
  listeners:
  - {name: http, port: 8080, protocol: HTTP}
";

/// A route of `x/web` that answers a path with a text.
pub(crate) fn route(name: &str, path: &str, body: &str) -> String {
    format!(
        "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: x}}
spec:
  parentRefs: [{{name: web}}]
  rules:
  - matches: [{{path: {{value: {path}}}}}]
    filters:
    - type: ExtensionRef
      extensionRef: {{group: pingora-gateway.dev, kind: DirectResponse, name: {name}}}
---
apiVersion: pingora-gateway.dev/v1alpha1
kind: DirectResponse
metadata: {{name: {name}, namespace: x}}
spec: {{body: \"{body}\"}}
"
    )
}

/// Puts text into a file as many editors do: written beside it, then moved over it.
pub(crate) fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("tmp");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, path).unwrap();
}

/// How long anything may take. Far more than it does.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
