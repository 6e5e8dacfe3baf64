//! How the program ends.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;

use crate::scene::{Folder, GATEWAY, Running, SlowBackend, ask, route, run};

fn with_slow_backend(extra: &[&str]) -> (Folder, SlowBackend, Running) {
    let folder = Folder::new();
    folder.write("gateway.yaml", GATEWAY).write(
        "r.yaml",
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r, namespace: x}\nspec:\n  parentRefs: [{name: web}]\n  rules:\n  - backendRefs: [{name: slow, port: 80}]\n",
    );
    let slow = SlowBackend::start();
    let flag = format!("x/slow:80={}", slow.address);
    let mut args = vec![folder.root(), "--backend", &flag];
    args.extend(extra);
    let running = run(&args);
    (folder, slow, running)
}

#[test]
fn terminating_lets_a_request_finish_and_then_ends() {
    let (_folder, slow, mut running) = with_slow_backend(&[]);
    let to = (running.address, 8080).into();
    let asking = thread::spawn(move || ask(to, "GET", "/", &[]));
    running.until("the request is under way", || slow.waiting() == 1);
    running.signal("TERM");
    running.until_closed();
    assert_eq!(running.admin("/readyz").trim(), "waiting: the program is ending");
    slow.answer();
    assert_eq!(asking.join().unwrap().unwrap().body, "done");
    assert_eq!(running.ended().code(), Some(0));
}

#[test]
fn an_idle_connection_does_not_hold_up_the_end() {
    let folder = Folder::new();
    folder.write("gateway.yaml", GATEWAY).write("r.yaml", route("r", "/", "one"));
    let mut running = run(&[folder.root()]);
    let mut idle = TcpStream::connect((running.address, 8080)).unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    idle.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    running.signal("TERM");
    assert_eq!(running.ended().code(), Some(0));
}

#[test]
fn requests_that_end_with_the_program_are_in_the_access_log() {
    let (_folder, slow, mut running) = with_slow_backend(&[]);
    let to = (running.address, 8080).into();
    let asking: Vec<_> = (0..8).map(|_| thread::spawn(move || ask(to, "GET", "/", &[]))).collect();
    running.until("all are under way", || slow.waiting() == asking.len());
    running.signal("TERM");
    running.until_closed();
    slow.answer();
    let count = asking.into_iter().filter_map(|one| one.join().unwrap()).filter(|answer| answer.body == "done").count();
    assert_eq!((running.ended().code(), count), (Some(0), 8));
    running.until("each has its line", || running.logged().matches("\"status\":200").count() == 8);
}

#[test]
fn a_second_signal_ends_at_once() {
    let (_folder, slow, mut running) = with_slow_backend(&[]);
    let to = (running.address, 8080).into();
    let asking = thread::spawn(move || ask(to, "GET", "/", &[]));
    running.until("the request is under way", || slow.waiting() == 1);
    running.signal("INT");
    running.until_closed();
    running.signal("INT");
    assert_eq!(running.ended().code(), Some(1));
    assert!(asking.join().unwrap().is_none_or(|answer| answer.status != 200));
}

#[test]
fn what_does_not_finish_is_cut_at_the_drain_time() {
    let (_folder, slow, mut running) = with_slow_backend(&["--drain-timeout", "100ms"]);
    let to = (running.address, 8080).into();
    let asking = thread::spawn(move || ask(to, "GET", "/", &[]));
    running.until("the request is under way", || slow.waiting() == 1);
    running.signal("TERM");
    assert_eq!(running.ended().code(), Some(0));
    assert!(asking.join().unwrap().is_none_or(|answer| answer.status != 200));
}

#[test]
fn with_nothing_under_way_it_ends_at_once() {
    let (_folder, _slow, mut running) = with_slow_backend(&[]);
    running.signal("TERM");
    assert_eq!(running.ended().code(), Some(0));
}

#[test]
fn after_sigterm_traffic_comes_in_for_the_delay_while_readiness_says_no() {
    let (_folder, slow, mut running) = with_slow_backend(&["--shutdown-delay", "400ms"]);
    running.signal("TERM");
    running.until("readiness says no", || running.admin("/readyz").starts_with("waiting: the program is ending"));
    let to = (running.address, 8080).into();
    let asking = thread::spawn(move || ask(to, "GET", "/", &[]));
    running.until("a new request is under way", || slow.waiting() == 1);
    running.until_closed();
    slow.answer();
    assert_eq!(asking.join().unwrap().unwrap().body, "done");
    assert_eq!(running.ended().code(), Some(0));
}

#[test]
fn an_interrupt_from_the_keyboard_knows_no_delay() {
    let (_folder, _slow, mut running) = with_slow_backend(&["--shutdown-delay", "10m"]);
    running.signal("INT");
    assert_eq!(running.ended().code(), Some(0));
}
