//! How one process takes over from another.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::scene::{Folder, GATEWAY, PATIENCE, Running, SlowBackend, ask, fresh_address, replace, route, run, start_at};

/// The program on an address, serving a folder, with a place for successors outside of it.
fn generation(address: Ipv4Addr, folder: &Folder, place: &Folder, extra: &[&str]) -> Running {
    let socket = place.path("upgrade.sock");
    let mut args = vec![folder.root(), "--upgrade-socket", socket.to_str().unwrap()];
    args.extend(extra);
    start_at(address, &args, Stdio::null())
}

fn first(folder: &Folder, place: &Folder, extra: &[&str]) -> Running {
    let running = generation(fresh_address(), folder, place, extra);
    running.until("ready", || running.admin("/readyz").starts_with("ready"));
    running.until("it waits for a successor", || place.path("upgrade.sock").exists());
    running
}

/// Gateways with this many listeners of HTTP, from port 8080 on.
fn gateways(listeners: u16) -> String {
    let ports: Vec<u16> = (8080..8080 + listeners).collect();
    let gateway = |(number, ports): (usize, &[u16])| {
        let listeners: String =
            ports.iter().map(|port| format!("  - {{name: p{port}, port: {port}, protocol: HTTP}}\n")).collect();
        let name = if number == 0 { "web".to_owned() } else { format!("web-{number}") };
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: {name}, namespace: x}}\n\
             spec:\n  gatewayClassName: any\n  listeners:\n{listeners}"
        )
    };
    ports.chunks(60).enumerate().map(gateway).collect()
}

/// Asks again and again until told to stop; counts what was answered, and fails at the first request that was not.
fn keep_asking(
    to: SocketAddr,
    on_one_connection: bool,
    stop: &Arc<AtomicBool>,
    answered: &Arc<AtomicUsize>,
) -> thread::JoinHandle<()> {
    let (stop, answered) = (Arc::clone(stop), Arc::clone(answered));
    thread::spawn(move || {
        let mut kept = None;
        while !stop.load(Ordering::Relaxed) {
            if on_one_connection {
                let mut stream = kept.take().unwrap_or_else(|| TcpStream::connect(to).unwrap());
                let (body, closes) = ask_on(&mut stream);
                assert!(body == "one" || body == "two", "{body}");
                kept = (!closes).then_some(stream);
            } else {
                let answer = ask(to, "GET", "/", &[]).expect("a request was lost");
                assert_eq!(answer.status, 200);
            }
            answered.fetch_add(1, Ordering::Relaxed);
        }
    })
}

/// One request on a connection that stays: its body, and whether the answer says that it was the last.
fn ask_on(stream: &mut TcpStream) -> (String, bool) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let (mut text, mut bytes) = (String::new(), [0; 1024]);
    loop {
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "the connection ended within an answer: {text:?}");
        text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        // Every body of these tests has three bytes.
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && body.len() == 3
        {
            return (body.to_owned(), head.to_ascii_lowercase().contains("connection: close"));
        }
    }
}

#[test]
fn a_new_process_takes_over_all_sockets_and_no_request_is_lost() {
    let (folder, place) = (Folder::new(), Folder::new());
    folder.write("gateway.yaml", gateways(300)).write("r.yaml", route("r", "/", "one"));
    let mut old = first(&folder, &place, &[]);
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let to: SocketAddr = (old.address, 8080).into();
    let askers: Vec<_> = [false, false, true, true].map(|kept| keep_asking(to, kept, &stop, &answered)).into();
    old.until("requests are answered", || answered.load(Ordering::Relaxed) > 50);

    // What the old process does not see is what the new one reads at its start.
    let mut new = generation(old.address, &folder, &place, &[]);
    assert_eq!(old.ended().code(), Some(0));
    new.until("ready", || new.admin("/readyz").starts_with("ready"));
    let so_far = answered.load(Ordering::Relaxed);
    new.until("the new one answers", || answered.load(Ordering::Relaxed) > so_far + 50);
    stop.store(true, Ordering::Relaxed);
    for asker in askers {
        asker.join().unwrap();
    }
    assert!(new.child.try_wait().unwrap().is_none());
    assert!(old.said().contains("takes over 301 sockets"), "{}", old.said());
    // Those of the other Gateways went along.
    assert_eq!(ask((new.address, 8379).into(), "GET", "/", &[]).unwrap().status, 404);
    // The new one follows its files, and gives way in its turn.
    replace(&folder.path("r.yaml"), &route("r", "/", "two"));
    new.until_body("/", "two");
    let third = generation(new.address, &folder, &place, &[]);
    assert_eq!(new.ended().code(), Some(0));
    third.until_body("/", "two");
}

const DATAGRAMS: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: x}
spec:
  gatewayClassName: any
  listeners: [{name: names, port: 5353, protocol: UDP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: UDPRoute
metadata: {name: r, namespace: x}
spec:
  parentRefs: [{name: web}]
  rules: [{backendRefs: [{name: names, port: 53}]}]
";

#[test]
fn a_socket_for_datagrams_moves_and_none_of_them_is_lost() {
    let (folder, place) = (Folder::new(), Folder::new());
    folder.write("all.yaml", DATAGRAMS);
    let backend = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let flag = format!("x/names:53={}", backend.local_addr().unwrap());
    thread::spawn(move || {
        let mut bytes = [0; 64];
        while let Ok((count, from)) = backend.recv_from(&mut bytes) {
            backend.send_to(&bytes[..count], from).unwrap();
        }
    });
    let mut old = first(&folder, &place, &["--backend", &flag]);
    let client = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    client.connect((old.address, 5353)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let ask = |number: u32| {
        client.send(&number.to_be_bytes()).unwrap();
        let mut bytes = [0; 64];
        let count = client.recv(&mut bytes).expect("a datagram was lost");
        assert_eq!(bytes[..count], number.to_be_bytes());
    };
    ask(0);
    let new = generation(old.address, &folder, &place, &["--backend", &flag]);
    for number in 1.. {
        ask(number);
        if old.child.try_wait().unwrap().is_some() {
            break;
        }
    }
    assert_eq!(old.ended().code(), Some(0));
    ask(0);
    drop(new);
}

#[test]
fn a_request_under_way_is_finished_by_the_process_that_took_it() {
    let (folder, place) = (Folder::new(), Folder::new());
    folder.write("gateway.yaml", GATEWAY).write(
        "r.yaml",
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r, namespace: x}\nspec:\n  parentRefs: [{name: web}]\n  rules:\n  - backendRefs: [{name: slow, port: 80}]\n",
    );
    let slow = SlowBackend::start();
    let flag = format!("x/slow:80={}", slow.address);
    let mut old = first(&folder, &place, &["--backend", &flag]);
    let to: SocketAddr = (old.address, 8080).into();
    let asking = thread::spawn(move || ask(to, "GET", "/", &[]));
    old.until("the request is under way", || slow.waiting() == 1);
    let new = generation(old.address, &folder, &place, &["--backend", &flag]);
    old.until_said("has taken over");
    let asking_new = thread::spawn(move || ask(to, "GET", "/", &[]));
    new.until("the new one has its own", || slow.waiting() == 2);
    assert!(old.child.try_wait().unwrap().is_none(), "it waits for its request");
    slow.answer();
    assert_eq!(asking.join().unwrap().unwrap().body, "done");
    assert_eq!(asking_new.join().unwrap().unwrap().body, "done");
    assert_eq!(old.ended().code(), Some(0));
}

#[test]
fn a_successor_that_fails_changes_nothing() {
    let (folder, place, broken) = (Folder::new(), Folder::new(), Folder::new());
    folder.write("gateway.yaml", GATEWAY).write("r.yaml", route("r", "/", "one"));
    broken.write("gateway.yaml", GATEWAY).write("r.yaml", "kind: [");
    let old = first(&folder, &place, &[]);
    let mut new = generation(old.address, &broken, &place, &[]);
    assert_eq!(new.ended().code(), Some(1));
    new.until_said("not taking over");
    old.until_said("did not");
    // Nor does somebody who only connects, or speaks another language.
    drop(UnixStream::connect(place.path("upgrade.sock")).unwrap());
    let mut stranger = UnixStream::connect(place.path("upgrade.sock")).unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    old.until_said("another language");
    assert_eq!(old.get("/").body, "one");
    assert_eq!(old.admin("/readyz").trim(), "ready");
    // It still gives way to one that works.
    let third = generation(old.address, &folder, &place, &[]);
    third.until_body("/", "one");
    old.until_said("has taken over");
}

#[test]
fn only_its_own_user_can_ask_and_a_path_left_behind_is_taken() {
    let (folder, place) = (Folder::new(), Folder::new());
    folder.write("gateway.yaml", GATEWAY).write("r.yaml", route("r", "/", "one"));
    let mut old = first(&folder, &place, &[]);
    let mode = place.path("upgrade.sock").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    old.child.kill().unwrap();
    old.child.wait().unwrap();
    assert!(place.path("upgrade.sock").exists(), "nobody removed it");
    let mut next = generation(old.address, &folder, &place, &[]);
    next.until_body("/", "one");
    next.until("it waits for a successor", || UnixStream::connect(place.path("upgrade.sock")).is_ok());
    next.signal("TERM");
    assert_eq!(next.ended().code(), Some(0));
    assert!(!place.path("upgrade.sock").exists(), "it frees the path at its end");
}

#[test]
fn a_path_where_no_socket_can_be_is_an_error_at_the_start() {
    let folder = Folder::new();
    folder.write("gateway.yaml", GATEWAY).write("no-socket", "");
    let path = folder.path("missing/upgrade.sock");
    let mut running = start_at(fresh_address(), &[folder.root(), "--upgrade-socket", path.to_str().unwrap()], Stdio::null());
    assert_eq!(running.ended().code(), Some(1));
    running.until_said("successors cannot be waited for at");
    drop(run(&[folder.root()]));
}
