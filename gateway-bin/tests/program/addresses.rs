//! Which addresses Gateways listen on.

use std::process::Stdio;

use crate::scene::{Folder, GATEWAY, ask, fresh_address, route, run, start};

fn two_gateways() -> Folder {
    let folder = Folder::new();
    let other = GATEWAY.replace("name: web,", "name: other,");
    let route_of_other = route("o", "/", "other").replace("name: web}", "name: other}");
    folder.write("all.yaml", format!("{GATEWAY}---\n{other}---\n{}---\n{route_of_other}", route("w", "/", "web")));
    folder
}

#[test]
fn of_several_addresses_each_gateway_takes_one() {
    let folder = two_gateways();
    let second = fresh_address();
    let running = start(&[folder.root(), "--address", &second.to_string()], Stdio::null());
    let body = |address| ask((address, 8080).into(), "GET", "/", &[]).map(|answer| answer.body).unwrap_or_default();
    running.until("both serve", || !body(second).is_empty() && !body(running.address).is_empty());
    // By name, in the order the addresses are given: the flags of the test come first.
    assert_eq!((body(second).as_str(), body(running.address).as_str()), ("other", "web"));
    folder.write("third.yaml", GATEWAY.replace("name: web,", "name: third,"));
    running.until_said("+ Gateway x/third");
    running.until_said("no address is free for this Gateway");
    assert_eq!(body(second), "other", "nobody loses what it holds");
}

#[test]
fn on_one_shared_address_the_first_by_name_has_the_port() {
    let folder = two_gateways();
    let running = start(&[folder.root()], Stdio::null());
    running.until_body("/", "other");
    running.until_said("Gateway x/web: listener http: not accepted: ");
}

#[test]
fn where_streams_and_datagrams_share_a_port_number_each_listener_is_told_with_its_own_socket() {
    let folder = Folder::new();
    let more = "  - {name: bytes, port: 8053, protocol: TCP}\n  - {name: names, port: 8053, protocol: UDP}\n";
    folder.write("all.yaml", format!("{GATEWAY}{more}"));
    let running = run(&[folder.root()]);
    running.until_said("names");
    let said = running.said();
    let row = |name: &str| -> Vec<_> {
        let mut rows = said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        rows.find(|row| row.first() == Some(&name)).unwrap_or_default()
    };
    let socket = format!("{}:8053", running.address);
    assert_eq!(row("bytes")[..4], ["bytes", "TCP", &socket, "any"], "{said}");
    assert_eq!(row("names")[..4], ["names", "UDP", &format!("{socket}/udp"), "any"], "{said}");
}
