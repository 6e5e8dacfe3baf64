//! The example `own`, run: the whole program with a filter of somebody's own. Started by itself once more, this test is that program.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

#[path = "../../examples/own.rs"]
mod own;

const MANIFESTS: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec: {gatewayClassName: any, listeners: [{name: http, port: 8080, protocol: HTTP}]}
---
apiVersion: example.com/v1
kind: Team
metadata: {name: blue}
spec: {name: blue}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r}
spec:
  parentRefs: [{name: gw}]
  rules:
  - filters:
    - {type: ExtensionRef, extensionRef: {group: example.com, kind: Team, name: blue}}
    - {type: DirectResponse, directResponse: {statusCode: 200, body: hello}}
";

fn main() -> ExitCode {
    if std::env::var_os(IS_PROGRAM).is_some() {
        return own::main();
    }
    the_whole_program_runs_a_filter_of_ones_own();
    a_filters_object_that_cannot_be_read_is_said_by_every_mode();
    println!("own: ok");
    ExitCode::SUCCESS
}

fn the_whole_program_runs_a_filter_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("all.yaml"), MANIFESTS).unwrap();
    // Of process ids that are near each other no two give the same.
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, 201, high, low);
    let (address, admin) = (address.to_string(), format!("{address}:9901"));
    let mut command = program();
    command.arg("run").arg(folder.path()).args(["--address", &address, "--admin", &admin]);
    let _running = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let at: SocketAddr = format!("{address}:8080").parse().unwrap();
    let ends = Instant::now() + Duration::from_secs(20);
    let answer = loop {
        match ask(at) {
            Ok(answer) if !answer.is_empty() => break answer,
            _ => assert!(Instant::now() < ends, "it serves nothing"),
        }
        thread::sleep(Duration::from_millis(10));
    };
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("\r\nx-team: blue\r\n"), "{answer}");
}

fn a_filters_object_that_cannot_be_read_is_said_by_every_mode() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("all.yaml"), MANIFESTS.replace("spec: {name: blue}", "spec: {}")).unwrap();
    let Output { status, stdout, .. } = program().arg("validate").arg(folder.path()).output().unwrap();
    let stdout = String::from_utf8(stdout).unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(stdout.contains("a Team needs a name"), "{stdout}");
}

/// The program, which is this file once more.
fn program() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(IS_PROGRAM, "1").stdin(Stdio::null());
    command
}

fn ask(at: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Ends with its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const IS_PROGRAM: &str = "GATEWAY_TEST_IS_PROGRAM";
