//! Sessions of clients: keys that replicas share, and that are replaced while they serve.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use crate::scene::{Folder, GATEWAY, Running, output, replace, run};

const KEYS: [&str; 2] = ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "//////////////////////////////////////////8="];

const KEPT: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: kept, namespace: x}
spec:
  parentRefs: [{name: web}]
  rules: [{sessionPersistence: {cookie: {name: sid}}, backendRefs: [{name: cart, port: 80}]}]
";

/// Answers every request with its own address.
fn backend() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut head = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            while head.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
                line.clear();
            }
            let body = address.to_string();
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    address
}

/// A folder of manifests, and the flag that says where their Service is.
fn scene() -> (Folder, String) {
    let folder = Folder::new();
    folder.write("m/gateway.yaml", GATEWAY).write("m/kept.yaml", KEPT);
    (folder, format!("x/cart:80={},{},{}", backend(), backend(), backend()))
}

/// A new session: its cookie as it is written, and who answered.
fn begin(running: &Running) -> (String, String) {
    let mut stream = TcpStream::connect((running.address, 8080)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let at = text.find("sid=").expect("a session begins");
    let cookie = text[at..].split(';').next().unwrap().to_owned();
    (cookie, text.rsplit("\r\n\r\n").next().unwrap().to_owned())
}

fn honours(running: &Running, (cookie, body): &(String, String)) -> bool {
    let answer = running.get_with("/", &[("Cookie", cookie)]);
    assert_eq!(answer.status, 200);
    !answer.head.contains("set-cookie") && answer.body == *body
}

#[test]
fn replicas_share_the_keys_of_a_file_and_follow_it() {
    let (folder, cart) = scene();
    folder.write("keys", KEYS[0]).write("new", format!("{}\n", KEYS[1]));
    let manifests = folder.path("m");
    let serve = |keys: &str| {
        let path = folder.path(keys);
        run(&[manifests.to_str().unwrap(), "--backend", &cart, "--session-key-file", path.to_str().unwrap()])
    };
    let (one, other, later) = (serve("keys"), serve("keys"), serve("new"));
    let first = begin(&one);
    assert!(honours(&one, &first) && honours(&other, &first));
    assert!(!honours(&later, &first), "it has other keys");
    fs::write(folder.path("keys"), "no key").unwrap();
    one.until_said("stay as they were: line 1 is not 32 bytes in base64");
    assert!(honours(&one, &first));
    replace(&folder.path("keys"), &format!("# from now on\n{}\n{}\n", KEYS[1], KEYS[0]));
    one.until("it seals with the new key", || honours(&later, &begin(&one)));
    assert!(honours(&one, &first), "what the former key sealed is good");
}

#[test]
fn without_a_file_sessions_are_of_the_process_which_says_so_once() {
    let (folder, cart) = scene();
    let serve = || run(&[folder.path("m").to_str().unwrap(), "--backend", &cart]);
    let (one, other) = (serve(), serve());
    assert!(!one.said().contains("sessions are sealed"), "nobody has one yet");
    let first = begin(&one);
    assert!(honours(&one, &first) && !honours(&other, &first));
    begin(&one);
    one.until_said("sessions are sealed with a key of this process alone");
    assert_eq!(one.said().matches("sessions are sealed").count(), 1);
}

#[test]
fn a_file_without_good_keys_ends_the_program_and_tells_nothing_of_it() {
    let (folder, _) = scene();
    folder.write("bad", format!("{}\nhunter2\n", KEYS[0])).write("empty", "# none\n");
    for (name, expected) in [("bad", "line 2 is not 32 bytes in base64"), ("empty", "it holds no key"), ("none", "cannot read")] {
        let path = folder.path(name);
        let (status, _, stderr) =
            output(&["run", folder.path("m").to_str().unwrap(), "--admin", "off", "--session-key-file", path.to_str().unwrap()]);
        assert_eq!(status, 1, "{stderr}");
        assert!(stderr.contains(expected) && stderr.contains(path.to_str().unwrap()), "{stderr}");
        assert!(!stderr.contains("hunter2") && !stderr.contains(KEYS[0]), "{stderr}");
    }
}
