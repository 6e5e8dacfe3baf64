//! The quickstart does what its comments say.

use std::path::Path;

use serde_json::Value;

use crate::scene::{ask, output, run};

fn quickstart() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/quickstart").canonicalize().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn the_quickstart_is_sound() {
    let (status, stdout, stderr) = output(&["validate", &quickstart()]);
    assert_eq!((status, stderr.as_str()), (0, ""), "{stdout}");
}

#[test]
fn the_quickstart_answers() {
    let running = run(&[&quickstart(), "--demo-backends"]);
    let mut counts = [0, 0];
    for _ in 0..100 {
        let body = running.get("/").body;
        counts[usize::from(body.contains("\"backend\": \"store-next\""))] += 1;
    }
    assert_eq!(counts, [90, 10], "shares are exact");
    let tester = running.get_with("/", &[("X-Tester", "yes")]).body;
    assert!(tester.contains("\"backend\": \"store-next\""), "{tester}");
    let api = running.get("/api/v1/items?a=b").body;
    assert!(api.contains("\"path\": \"/items?a=b\"") && api.contains("\"x-api-version\": \"v1\""), "{api}");
    let moved = running.get("/shop/items");
    assert_eq!(moved.status, 301);
    assert!(moved.head.contains(&format!("location: http://{}:8080/api/v1/items", running.address)), "{}", moved.head);
    let health = running.get("/health");
    assert_eq!((health.status, health.body.trim()), (200, "all is well"));
    running.until_said("HTTPRoutes: 2 of 2 in order");
    running.until_said(&format!("curl -i http://{}:8080/health", running.address));
    assert!(!running.said().contains("not as asked for"), "{}", running.said());
}

#[test]
fn without_backends_it_says_how_to_serve_them() {
    let running = run(&[&quickstart()]);
    assert_eq!(running.get("/").status, 503);
    running.until_said("Service quickstart/store: --backend quickstart/store:80=127.0.0.1:PORT");
}

#[test]
fn only_trusted_proxies_are_believed() {
    let forwarded = [("X-Forwarded-For", "192.0.2.9")];
    let running = run(&[&quickstart(), "--demo-backends"]);
    let seen = running.get_with("/", &forwarded).body;
    assert!(seen.contains("\"x-forwarded-for\": \"127.0.0.1\""), "{seen}");
    let running = run(&[&quickstart(), "--demo-backends", "--trusted-proxies", "127.0.0.0/8"]);
    let seen = running.get_with("/", &forwarded).body;
    assert!(seen.contains("\"x-forwarded-for\": \"192.0.2.9, 127.0.0.1\""), "{seen}");
}

#[test]
fn each_request_is_a_line_of_the_access_log() {
    for (format, expected) in [
        ("json", "\"status\":200"),
        ("json", "\"path\":\"/api/v1/items\""),
        ("json", "\"route\":\"HTTPRoute quickstart/store\",\"rule\":\"api\""),
        ("text", " GET shop.example/api/v1/items 200 "),
        ("text", " HTTPRoute quickstart/store rule 2 (api) -> quickstart/store:80 127.0.0.1:"),
    ] {
        let running = run(&[&quickstart(), "--demo-backends", "--log-format", format]);
        running.get_with("/api/v1/items?secret=1", &[("Host", "shop.example")]);
        running.until(expected, || running.logged().contains(expected));
        assert!(!running.logged().contains("secret"), "a query may hold secrets");
    }
}

#[test]
fn a_line_of_the_access_log_is_json_with_these_fields_in_this_order() {
    let running = run(&[&quickstart(), "--demo-backends"]);
    running.get_with("/api/v1/items", &[("Host", "shop.example")]);
    running.until("a line", || running.logged().contains("/api/v1/items"));
    let logged = running.logged();
    let line = logged.lines().find(|line| line.contains("/api/v1/items")).unwrap();
    let fields: Value = serde_json::from_str(line).unwrap();
    let names = [
        "time",
        "peer",
        "method",
        "host",
        "path",
        "protocol",
        "status",
        "milliseconds",
        "requestBytes",
        "responseBytes",
        "gateway",
        "listener",
        "route",
        "rule",
        "backend",
        "endpoint",
    ];
    let places: Vec<_> = names.iter().map(|name| line.find(&format!("\"{name}\":"))).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{line}");
    assert_eq!(fields.as_object().unwrap().len(), names.len(), "{line}");
    let said = |name: &str| fields[name].as_str().unwrap_or_default().to_owned();
    let texts = ["method", "host", "path", "protocol", "gateway", "listener", "route", "rule", "backend"].map(said);
    let expected = [
        "GET",
        "shop.example",
        "/api/v1/items",
        "HTTP/1.1",
        "quickstart/web",
        "http",
        "HTTPRoute quickstart/store",
        "api",
        "quickstart/store:80",
    ];
    assert_eq!(texts, expected);
    assert!(said("time").ends_with('Z') && said("time").len() == 24, "{line}");
    assert!(fields["milliseconds"].is_f64() && fields["responseBytes"].as_u64() > Some(0), "{line}");
    assert!(said("peer").starts_with(&format!("{}:", "127.0.0.1")) && said("endpoint").starts_with("127.0.0.1:"), "{line}");
}

#[test]
fn a_port_map_binds_other_ports_and_speaks_of_the_named_ones() {
    let running = run(&[&quickstart(), "--port-map", "8080=18080"]);
    let to = (running.address, 18080).into();
    let moved = ask(to, "GET", "/shop/items", &[("Host", "shop.example")]).unwrap();
    assert!(moved.head.contains("location: http://shop.example:8080/api/v1/items"), "{}", moved.head);
    running.until_said(&format!("{}:18080 (for port 8080)", running.address));
    running.until_said(&format!("curl -i http://{}:18080/health", running.address));
    for port in [8080, 18080] {
        let explained = running.admin(&format!("/explain?url=http://{}:{port}/health&format=text", running.address));
        assert!(explained.contains("(health) match 0, host *, exact /health: wins"), "{explained}");
    }
}
