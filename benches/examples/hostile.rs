//! What hostile clients get: how long each is borne under the default limits, how it ends, and what idle connections cost.
//!
//! ```sh
//! cargo build --release -p gateway-bin
//! cargo run -p benches --example hostile > benches/results/hostile.md
//! ```
//!
//! In: the program's path (`target/release/gateway` without one). Out: two tables. All clients come at the same time, beside a neighbour
//! that asks ten times a second and is counted too. It takes a minute and a half, and as many open files as connections.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 91, 7, 1);
const GATEWAY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(ADDRESS), 18_080);
const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(ADDRESS), 19_901);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const HEAD: &[u8] = b"\x82\x86\x84\x41\x01a";
const LARGE_HEAD: &[u8] = b"\x82\x86\x44\x06/large\x41\x01a";
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
/// What is said of a client that was not ended.
const NEVER: &str = "never ended";
/// Nobody is borne for longer.
const LONGEST: Duration = Duration::from_secs(150);

fn main() -> io::Result<()> {
    let program = env::args().nth(1).unwrap_or_else(|| "target/release/gateway".to_owned());
    let backend = backend()?;
    println!("# Hostile clients\n");
    println!("{}. Made by `cargo run -p benches --example hostile`, of the program in the release profile.\n", machine());
    println!("## How long they are borne, and how it ends\n");
    println!("Under the default limits, all at the same time.\n");
    println!("| client | ended after | how |\n|---|---|---|");
    let gateway = Gateway::start(&program, "{}", &backend, &["--max-connections", "500"])?;
    let over = Arc::new(AtomicBool::new(false));
    let neighbour = thread::spawn({
        let over = Arc::clone(&over);
        move || neighbour(&over)
    });
    let attacks: Vec<_> = attacks().into_iter().map(|(name, attack)| (name, thread::spawn(move || judge(attack)))).collect();
    let mut unended = 0;
    for (name, attack) in attacks {
        let (passed, how) = attack.join().map_err(|_| io::Error::other("a client panicked"))?;
        println!("| {name} | {:.1} s | {how} |", passed.as_secs_f64());
        unended += u32::from(how.contains(NEVER));
    }
    println!("| 600 connections where 500 may be open | at once | {} |", crowd()?);
    over.store(true, Ordering::Relaxed);
    let neighbour = neighbour.join().map_err(|_| io::Error::other("the neighbour panicked"))?;
    println!("\nThe neighbour meanwhile: {neighbour}.\n\nWhat the program counted:\n");
    for line in admin("/metrics")?.lines().filter(|line| COUNTED.iter().any(|name| line.contains(name)) && !line.starts_with('#'))
    {
        println!("    {line}");
    }
    drop(gateway);

    println!("\n## What idle connections cost\n");
    println!("| connections | how many | resident memory for each |\n|---|---|---|");
    let patient = "{headerTimeout: 10m, idleTimeout: 10m}";
    for (name, count, talk) in [
        ("HTTP/1.1, without a byte", 10_000, None),
        ("HTTP/1.1, after one request", 10_000, Some(GET.to_vec())),
        ("HTTP/1.1, after a path of 60 KB", 2_000, Some(long_path())),
        ("HTTP/2 in clear, after one request", 5_000, Some([PREFACE, &frame(1, 5, 1, HEAD)].concat())),
    ] {
        let gateway = Gateway::start(&program, patient, &backend, &[])?;
        let before = gateway.resident()?;
        let mut open = Vec::new();
        for _ in 0..count {
            let mut stream = TcpStream::connect(GATEWAY)?;
            if let Some(bytes) = &talk {
                stream.write_all(bytes)?;
                answer(&mut stream)?;
            }
            open.push(stream);
        }
        thread::sleep(Duration::from_secs(1));
        let each = (gateway.resident()?.saturating_sub(before)) as f64 / f64::from(count) / 1024.0;
        let mut last = TcpStream::connect(GATEWAY)?;
        let began = Instant::now();
        last.write_all(GET)?;
        answer(&mut last)?;
        println!("| {name} | {count} | {each:.1} KiB (one more is answered in {:.1} ms) |", began.elapsed().as_secs_f64() * 1e3);
    }
    match unended {
        0 => Ok(()),
        unended => Err(io::Error::other(format!("{unended} clients were never ended"))),
    }
}

/// Names of counters that tell of limits.
const COUNTED: [&str; 8] =
    ["heads_too", "bodies_too", "writes_too", "floods", "over_limit", "panics", "connections_accepted", "connections_open"];

/// One kind of hostile client: what it does until it is ended.
type Attack = fn(&mut TcpStream) -> io::Result<()>;

fn attacks() -> Vec<(&'static str, Attack)> {
    vec![
        ("says nothing", |_| Ok(())),
        ("half a head, then nothing", |stream| stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n")),
        ("a head, one byte a second", |stream| {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")?;
            dribble(stream, Duration::from_secs(1))
        }),
        ("a head of 1 MB", |stream| {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nX-Large: ")?;
            (0..1000).try_for_each(|_| stream.write_all(&[b'x'; 1000]))
        }),
        ("a head of 1,000 fields", |stream| {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n")?;
            (0..1000).try_for_each(|at| stream.write_all(format!("X-{at}: 1\r\n").as_bytes()))?;
            stream.write_all(b"\r\n")
        }),
        ("one request, then nothing", |stream| {
            stream.write_all(GET)?;
            answer(stream)
        }),
        ("a body that stops", |stream| stream.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1")),
        ("a body, one byte a second", |stream| {
            stream.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n")?;
            dribble(stream, Duration::from_secs(1))
        }),
        ("asks for much and reads nothing", |stream| {
            stream.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")?;
            // Not read: that would let it go on.
            let began = Instant::now();
            while began.elapsed() < LONGEST {
                if let Some(error) = stream.take_error()? {
                    return Err(error);
                }
                thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        }),
        ("HTTP/2: the preface, then nothing", |stream| stream.write_all(PREFACE)),
        ("HTTP/2: a head without end", |stream| stream.write_all(&[PREFACE, &frame(1, 1, 1, HEAD)].concat())),
        ("HTTP/2: takes no piece of a response", |stream| stream.write_all(&[PREFACE, &frame(1, 5, 1, LARGE_HEAD)].concat())),
        ("HTTP/2: a flood of PING", |stream| flood(stream, &frame(6, 0, 0, b"12345678"))),
        ("HTTP/2: a flood of SETTINGS", |stream| flood(stream, &frame(4, 0, 0, b""))),
        ("HTTP/2: a flood of PRIORITY", |stream| flood(stream, &frame(2, 0, 1, b"\0\0\0\0\x01"))),
        ("HTTP/2: a flood of WINDOW_UPDATE", |stream| flood(stream, &frame(8, 0, 0, b"\0\0\0\x01"))),
        ("HTTP/2: a flood of RST_STREAM", |stream| flood(stream, &frame(3, 0, 1, b"\0\0\0\x08"))),
        ("HTTP/2: a flood of empty DATA", |stream| flood(stream, &frame(0, 0, 1, b""))),
        ("HTTP/2: a flood of CONTINUATION", |stream| {
            stream.write_all(&[PREFACE, &frame(1, 1, 1, HEAD)].concat())?;
            (0..MANY).try_for_each(|_| stream.write_all(&frame(9, 0, 1, b"")))
        }),
        ("HTTP/2: streams opened and reset at once", |stream| {
            stream.write_all(PREFACE)?;
            (0..MANY).try_for_each(|at| {
                let number = at * 2 + 1;
                stream.write_all(&[frame(1, 5, number, HEAD), frame(3, 0, number, b"\0\0\0\x08")].concat())
            })
        }),
    ]
}

const MANY: u32 = 1_000_000;

fn flood(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(&[PREFACE, &frame(1, 4, 1, HEAD)].concat())?;
    (0..MANY).try_for_each(|_| stream.write_all(bytes))
}

fn dribble(stream: &mut TcpStream, pause: Duration) -> io::Result<()> {
    let began = Instant::now();
    stream.set_read_timeout(Some(pause))?;
    while began.elapsed() < LONGEST {
        stream.write_all(b"x")?;
        // Not read yet: what came tells how it ended.
        if stream.peek(&mut [0; 1]).is_ok() {
            return Ok(());
        }
    }
    Ok(())
}

/// Lets a client do its worst, and waits for its end.
fn judge(attack: Attack) -> (Duration, String) {
    let began = Instant::now();
    let Ok(mut stream) = TcpStream::connect(GATEWAY) else { return (Duration::ZERO, "not let in".into()) };
    let mut known = attack(&mut stream).err().map(|error| error.kind());
    // What an error says only after the last bytes were read is not lost.
    let mut came = Vec::new();
    let _ = stream.set_read_timeout(Some(LONGEST));
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(read) if came.len() < 1 << 20 => came.extend_from_slice(&piece[..read]),
            Ok(_) => {}
            Err(error) => {
                known = Some(error.kind());
                break;
            }
        }
    }
    let ending = match known {
        None => Ending::Closed,
        Some(io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ending::Never,
        Some(_) => Ending::Reset,
    };
    (began.elapsed(), told(&came, ending))
}

/// How a connection ended.
#[derive(Clone, Copy)]
enum Ending {
    Closed,
    Reset,
    Never,
}

/// What a client was told last, in words.
fn told(came: &[u8], ending: Ending) -> String {
    let ended = match ending {
        Ending::Closed => "closed",
        Ending::Reset => "reset",
        Ending::Never => NEVER,
    };
    if came.starts_with(b"HTTP/1.1 ") {
        let status = |at: usize| came.get(at + 9..at + 12).map(|code| String::from_utf8_lossy(code).into_owned());
        let last = came.windows(9).rposition(|bytes| bytes == b"HTTP/1.1 ").and_then(status).unwrap_or_default();
        return match (last.as_str(), ending) {
            ("200", _) | (_, Ending::Never) => ended.into(),
            (code, _) => format!("{code}, then closed"),
        };
    }
    let mut rest = came;
    let mut resets = String::new();
    while let Some((header, more)) = rest.split_at_checked(9) {
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        let Some((payload, more)) = more.split_at_checked(length) else { break };
        match (header[3], payload.last()) {
            (7, _) if payload.get(7).is_some_and(|code| *code != 0) => return format!("GOAWAY, error {}", payload[7]),
            (3, Some(code)) => {
                resets.clear();
                let _ = write!(resets, "RST_STREAM, error {code}; then ");
            }
            _ => {}
        }
        rest = more;
    }
    resets + ended
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    [&[a, b, c, kind, flags], &stream.to_be_bytes()[..], payload].concat()
}

fn long_path() -> Vec<u8> {
    format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a/".repeat(30_000)).into_bytes()
}

/// Reads something of an answer, and all that came with it. Over HTTP/1 it must be good.
fn answer(stream: &mut TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut piece = [0; 4096];
    let read = stream.read(&mut piece)?;
    match piece.get(..read).unwrap_or_default() {
        [] => Err(io::ErrorKind::UnexpectedEof.into()),
        head if head.starts_with(b"HTTP/1.1 ") && !head.starts_with(b"HTTP/1.1 200") => Err(io::Error::other("not 200")),
        _ => Ok(()),
    }
}

/// Opens more connections than may be.
fn crowd() -> io::Result<String> {
    let mut open = Vec::new();
    let (mut served, mut refused, mut closed) = (0, 0, 0);
    for _ in 0..600 {
        let mut stream = TcpStream::connect(GATEWAY)?;
        let _ = stream.write_all(GET);
        let mut head = [0; 12];
        match stream.read_exact(&mut head) {
            Ok(()) if head.ends_with(b"200") => served += 1,
            Ok(()) => refused += 1,
            Err(_) => closed += 1,
        }
        open.push(stream);
    }
    Ok(format!("{served} served, {refused} told 503, {closed} closed"))
}

/// A client that does nothing wrong, and how it fared.
fn neighbour(over: &AtomicBool) -> String {
    let mut times = Vec::new();
    let mut failed = 0;
    let mut stream = TcpStream::connect(GATEWAY).ok();
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        let asked = stream.as_mut().map(|stream| stream.write_all(GET).and_then(|()| answer(stream)));
        match asked {
            Some(Ok(())) => times.push(began.elapsed()),
            Some(Err(_)) | None => {
                failed += 1;
                stream = TcpStream::connect(GATEWAY).ok();
            }
        }
        thread::sleep(Duration::from_millis(100));
    }
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).map_or(0.0, |time| time.as_secs_f64() * 1e3);
    format!(
        "{} answers, {failed} failures, half of them within {:.1} ms, 99 in a hundred within {:.1} ms",
        times.len(),
        at(50),
        at(99)
    )
}

/// A backend that answers with a word, or with a quarter of a gigabyte.
fn backend() -> io::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?.to_string();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || drop(converse(stream)));
        }
    });
    Ok(address)
}

fn converse(mut stream: TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    let mut piece = [0; 8192];
    loop {
        let read = stream.read(&mut piece)?;
        if read == 0 {
            return Ok(());
        }
        head.extend_from_slice(&piece[..read]);
        if !head.windows(4).any(|end| end == b"\r\n\r\n") {
            continue;
        }
        if head.starts_with(b"GET /large ") {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 268435456\r\n\r\n")?;
            (0..4096).try_for_each(|_| stream.write_all(&[b'x'; 65536]))?;
        } else if head.starts_with(b"GET ") {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        } else {
            // Waits for a body that never ends.
            while stream.read(&mut piece)? > 0 {}
            return Ok(());
        }
        head.clear();
    }
}

/// The program, serving.
struct Gateway {
    child: Child,
}

impl Gateway {
    fn start(program: &str, limits: &str, backend: &str, more: &[&str]) -> io::Result<Self> {
        let folder = env::temp_dir().join(format!("hostile-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let path = folder.join("all.yaml");
        fs::write(&path, MANIFEST.replace("LIMITS", limits))?;
        let child = Command::new(program)
            .arg("run")
            .arg(&path)
            .args(["--backend", &format!("web:80={backend}"), "--address", &ADDRESS.to_string()])
            .args(["--port-map", &format!("80={}", GATEWAY.port()), "--admin", &ADMIN.to_string()])
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let gateway = Self { child };
        for _ in 0..100 {
            if admin("/readyz").is_ok_and(|answer| answer.contains("ready")) && TcpStream::connect(GATEWAY).is_ok() {
                thread::sleep(Duration::from_millis(500));
                return Ok(gateway);
            }
            thread::sleep(Duration::from_millis(100));
        }
        Err(io::Error::other("the program is not ready"))
    }

    /// Bytes of memory that are its own and resident.
    fn resident(&self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or("0 kB");
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn admin(path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(ADMIN)?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown").trim_start_matches(['\t', ':', ' ']);
    let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {count} processors, Linux {}", kernel.trim())
}

const MANIFEST: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: default}
spec:
  gatewayClassName: pingora
  infrastructure: {parametersRef: {group: pingora-gateway.dev, kind: GatewayParameters, name: limits}}
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: pingora-gateway.dev/v1alpha1
kind: GatewayParameters
metadata: {name: limits, namespace: default}
spec: {limits: LIMITS}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: all, namespace: default}
spec:
  parentRefs: [{name: gw}]
  rules: [{backendRefs: [{name: web, port: 80}]}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {ports: [{port: 80}]}
";
