//! The targets hold on what is known and on a few thousand inputs drawn anew from fixed seeds, without a fuzzer.

use gateway_core_fuzz::{manifests, requests, streams};

/// Bytes that depend on nothing but the seed.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Asks a target each input that is kept of it: those of a fuzzer's run that reach most of the code.
fn replay(target: &str, mut ask: impl FnMut(&[u8])) {
    let folder = format!("{}/known/{target}", env!("CARGO_MANIFEST_DIR"));
    let known: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(known.len() > 10, "{target}: {} inputs", known.len());
    for path in known {
        ask(&std::fs::read(path).unwrap());
    }
}

#[test]
fn what_is_kept_of_former_runs_breaks_no_law() {
    replay("manifests", manifests);
    replay("requests", |bytes| drop(requests(bytes)));
    replay("streams", |bytes| drop(streams(bytes)));
}

#[test]
fn the_world_as_written_is_compiled() {
    manifests(include_bytes!("../world.yaml"));
    manifests(b"{\"apiVersion\": \"v1\", \"kind\": \"Service\", \"metadata\": {\"name\": \"a\"}, \"spec\": {}}");
    manifests(b"");
    manifests(b"!");
}

#[test]
fn scripts_drawn_at_random_break_no_law() {
    for seed in 0..400 {
        let mut script = bytes(seed, 16 + seed as usize % 200);
        script.insert(0, b'!');
        manifests(&script);
    }
}

/// What becomes of a request on the socket with this number, in clear.
fn outcome(socket: u8, head: &str) -> String {
    format!("{:?}", requests(&[&[socket, 0xff], head.as_bytes()].concat()))
}

#[test]
fn the_world_forwards_answers_and_refuses() {
    let mut found = String::new();
    for socket in 0..8 {
        for path in ["/exact", "/old/x", "/fixed", "/moved/x", "/a/1", "/broken", "/inline"] {
            found += &outcome(socket, &format!("GET\n{path}\nhost: a.example.com"));
        }
    }
    for part in ["status: 308", "status: 418", "status: 200", "status: 500", "Forward"] {
        assert!(found.contains(part), "{part}: {found}");
    }
}

#[test]
fn requests_of_all_sorts_break_no_law() {
    for head in [
        "GET\n/exact\nhost: a.example.com",
        "GET\n/a/1?q=1&q=2\nhost: a.example.com\nx-version: v1",
        "POST\n/?q=1\nhost: A.EXAMPLE.com:80\nx-user: me",
        "GET\n/old/x?y\nhost: b.example.com",
        "GET\n/moved/x/../y//z/%2e%2e/%2f\nhost: a.example.com",
        "OPTIONS\n/shared\nhost: a.example.com\norigin: https://x.example.com\naccess-control-request-method: PUT",
        "GET\n/fixed\nhost: a.example.com",
        "POST\n/users.v1.Users/Get\nhost: a.example.com\ncontent-type: application/grpc",
        "POST\n/orders.v1.Orders/GetAll\nhost: a.example.com\ncontent-type: application/grpc+proto",
        "OPTIONS\n*\nhost: a.example.com",
        "GET\nhttp://a.example.com/exact\nhost: b.example.com",
        "CONNECT\na.example.com:443\nhost: a.example.com",
        "GET\n/%00\nhost: a.example.com",
        "GET\n/\nhost: [::1]:80",
    ] {
        for socket in 0..8 {
            for name in [0, 2, 4, 0xff] {
                requests(&[&[socket, name], head.as_bytes()].concat());
            }
        }
    }
    for seed in 0..4000 {
        requests(&bytes(seed, seed as usize % 120));
    }
}

#[test]
fn connections_of_all_sorts_break_no_law() {
    let mut found = String::new();
    for socket in 0..8 {
        for name in ["db.other.org", "shop.example.com", "OTHER.ORG.", "", "10.0.0.1", "*.other.org", "a..b", "\u{e9}"] {
            found += &format!("{:?}", streams(&[&[socket, 1], name.as_bytes()].concat()));
        }
        found += &format!("{:?}", streams(&[socket]));
    }
    for part in ["Http", "Forward", "Refuse"] {
        assert!(found.contains(part), "{part}: {found}");
    }
    for seed in 0..2000 {
        streams(&bytes(seed, seed as usize % 60));
    }
}
