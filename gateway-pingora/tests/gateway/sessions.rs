//! Session persistence: clients that stay with an endpoint, what carries their sessions, and what ends them (GEP-1619).

use std::collections::BTreeSet;
use std::net::SocketAddr;

use gateway_core::name::Kind;
use gateway_pingora::SessionKey;
use rcgen::PKCS_ECDSA_P256_SHA256;

use crate::backend::{Backend, Reply};
use crate::calls::{call, grpc_route};
use crate::client::{Client, Response};
use crate::protocols::{ask as ask_h2, h2};
use crate::tls;
use crate::world::{World, gateway, route, run, service};

const COOKIE: &str = "{cookie: {name: sid}}";

async fn three() -> [Backend; 3] {
    [Backend::echo("a").await, Backend::echo("b").await, Backend::echo("c").await]
}

fn addresses(backends: &[Backend]) -> Vec<SocketAddr> {
    backends.iter().map(|backend| backend.address).collect()
}

/// A rule that keeps sessions of the Service `web`.
fn keeping(persistence: &str, endpoints: &[SocketAddr]) -> String {
    let rules = format!("[{{sessionPersistence: {persistence}, backendRefs: [{{name: web, port: 80}}]}}]");
    gateway("") + &route("all", &rules) + &service("web", endpoints)
}

/// Asks on a connection of its own, with fields as they are written.
async fn ask(world: &World, fields: &str) -> Response {
    ask_for(world, "/", fields).await
}

async fn ask_for(world: &World, path: &str, fields: &str) -> Response {
    let mut client = Client::connect(world.at(80)).await;
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
    client.response().await
}

fn named(response: &Response) -> String {
    response.json()["backend"].as_str().unwrap().to_owned()
}

/// The cookies that a response sets, as a client sends them back.
fn pairs(response: &Response) -> Vec<String> {
    let set = response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    set.map(|(_, value)| value.split(';').next().unwrap().to_owned()).collect()
}

fn cookie(response: &Response) -> String {
    let pairs = pairs(response);
    assert_eq!(pairs.len(), 1, "a session begins: {response:?}");
    format!("Cookie: theme=dark; {}\r\n", pairs[0])
}

/// Asks without a session until it is this backend that answers.
async fn first_of(world: &World, name: &str) -> Response {
    for _ in 0..200 {
        let response = ask(world, "").await;
        if named(&response) == name {
            return response;
        }
    }
    panic!("{name} is never asked")
}

/// §9 item 65: "cookie attributes"; "the gateway's own cookie SHOULD be forwarded".
#[test]
fn a_session_stays_with_its_endpoint_and_its_cookie_is_http_only_and_same_site_strict() {
    run(async {
        let backends = three().await;
        let world = World::of(&keeping(COOKIE, &addresses(&backends))).await;
        let first = ask(&world, "").await;
        let said = first.header("set-cookie");
        assert!(said.starts_with("sid=") && said.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{said}");
        assert!(!said.contains("127.0.0.1") && !said.contains("Max-Age") && !said.contains("Secure"), "{said}");
        for _ in 0..20 {
            let again = ask(&world, &cookie(&first)).await;
            assert_eq!((named(&again), again.has("set-cookie")), (named(&first), false));
            assert_eq!(again.echoed("cookie"), cookie(&first)["Cookie: ".len()..].trim_end(), "the backend sees all of them");
        }
        let mut seen = BTreeSet::new();
        until_all(&world, &mut seen).await;
    });
}

/// Who has no session is shared among all.
async fn until_all(world: &World, seen: &mut BTreeSet<String>) {
    for _ in 0..200 {
        seen.insert(named(&ask(world, "").await));
        if seen.len() == 3 {
            return;
        }
    }
    panic!("only {seen:?} are asked")
}

/// "Secure SHOULD be set where possible": over TLS, and where a trusted proxy says that its client came so.
#[test]
fn the_cookie_is_secure_where_the_client_came_over_https() {
    run(async {
        let [backend, ..] = three().await;
        let (_, secret) = tls::secret("a", &["a.example"], &PKCS_ECDSA_P256_SHA256);
        let rules = format!("[{{sessionPersistence: {COOKIE}, backendRefs: [{{name: web, port: 80}}]}}]");
        let https = tls::gateway(&[("a", "a.example", &["a"])]) + &secret + &route("all", &rules);
        let world = World::of(&(https + &service("web", &[backend.address]))).await;
        let stream = tls::connect(&world, "a.example", tls::Offer::default()).await.unwrap();
        let response = Client::over(stream).get("a.example", "/").await;
        assert!(response.header("set-cookie").ends_with("; Path=/; Secure; HttpOnly; SameSite=Strict"), "{response:?}");

        for (trusted, is_secure) in [("127.0.0.0/8", true), ("10.0.0.0/8", false)] {
            let settings = gateway(&format!("  trustedProxies: [{trusted}]\n"));
            let world = World::of(&(settings + &route("all", &rules) + &service("web", &[backend.address]))).await;
            let response = ask(&world, "X-Forwarded-Proto: https\r\n").await;
            assert_eq!(response.header("set-cookie").contains("; Secure"), is_secure, "{trusted}");
        }
    });
}

#[test]
fn a_header_carries_a_session_as_well() {
    run(async {
        let backends = three().await;
        let persistence = "{type: Header, header: {name: X-Session}, absoluteTimeout: 1h}";
        let world = World::of(&keeping(persistence, &addresses(&backends))).await;
        let first = ask(&world, "").await;
        assert!(!first.has("set-cookie"));
        let token = first.header("x-session").to_owned();
        for _ in 0..20 {
            let again = ask(&world, &format!("X-Session: {token}\r\n")).await;
            assert_eq!((named(&again), again.has("x-session")), (named(&first), false));
        }
    });
}

#[test]
fn calls_keep_their_sessions_too() {
    run(async {
        let backends = [Backend::h2c("a").await, Backend::h2c("b").await, Backend::h2c("c").await];
        let rules = "[{sessionPersistence: {type: Header, header: {name: x-session}}, backendRefs: [{name: web, port: 80}]}]";
        let world = World::of(&(gateway("") + &grpc_route("all", rules) + &service("web", &addresses(&backends)))).await;
        let send = h2(world.at(80)).await;
        let backend = |body: &[u8]| serde_json::from_slice::<serde_json::Value>(body).unwrap()["backend"].to_string();
        let (head, body, _) = ask_h2(&send, call("/s.S/M")).await.unwrap();
        let first = backend(&body);
        for _ in 0..20 {
            let mut again = call("/s.S/M");
            again.headers_mut().insert("x-session", head.headers["x-session"].clone());
            let (head, body, _) = ask_h2(&send, again).await.unwrap();
            assert_eq!((backend(&body), head.headers.contains_key("x-session")), (first.clone(), false));
        }
    });
}

/// "Endpoint gone or not serving → SHOULD fall back to normal balancing and issue a new session"; "never trust client-supplied
/// addresses"; "several cookies in one request must be coped with".
#[test]
fn a_session_that_nobody_sealed_or_whose_endpoint_is_gone_begins_anew() {
    run(async {
        let backends = three().await;
        let mut world = World::of(&keeping(COOKIE, &addresses(&backends))).await;
        let first = ask(&world, "").await;
        let altered = cookie(&first).replace("sid=", "sid=x");
        for bad in [&*altered, "Cookie: sid=127.0.0.1:80\r\n", "Cookie: sid=\r\n", "Cookie: sid=%00\r\nCookie: =;;=\r\n"] {
            let response = ask(&world, bad).await;
            assert_eq!((response.status, pairs(&response).len()), (200, 1), "{bad}");
        }
        let both = format!("{}; {}\r\n", altered.trim_end(), pairs(&first)[0]);
        assert_eq!(named(&ask(&world, &both).await), named(&first), "the good one of two counts");
        let index = ["a", "b", "c"].iter().position(|name| *name == named(&first)).unwrap();
        world.remove(Kind::EndpointSlice, &format!("web-{index}")).await;
        let second = ask(&world, &cookie(&first)).await;
        assert_ne!(named(&second), named(&first));
        let kept = ask(&world, &cookie(&second)).await;
        assert_eq!((named(&kept), kept.has("set-cookie")), (named(&second), false));
    });
}

/// "Endpoint gone or not serving": without a retry of its rule, too.
#[test]
fn a_session_moves_when_its_endpoint_cannot_be_reached() {
    run(async {
        let [one, two, _] = three().await;
        let world = World::of(&keeping(COOKIE, &[one.address, two.address])).await;
        let first = first_of(&world, "a").await;
        one.stop().await;
        let second = ask(&world, &cookie(&first)).await;
        assert_eq!((second.status, named(&second).as_str()), (200, "b"));
        let kept = ask(&world, &cookie(&second)).await;
        assert_eq!((named(&kept).as_str(), kept.has("set-cookie")), ("b", false));
    });
}

/// Retries and sessions together: the endpoint of the session is asked first, and the session is that of who answered.
#[test]
fn a_retry_asks_another_endpoint_and_the_session_moves_there() {
    run(async {
        let (bad, good) = (Backend::answering(|_| Reply::status(503)).await, Backend::echo("good").await);
        let rules = format!(
            "[{{sessionPersistence: {COOKIE}, retry: {{attempts: 1, codes: [503]}}, backendRefs: [{{name: web, port: 80}}]}}]"
        );
        let of = |endpoint| gateway("") + &route("all", &rules) + &service("web", &[endpoint]);
        let mut world = World::of(&of(bad.address)).await;
        let first = ask(&world, "").await;
        assert_eq!(first.status, 503, "the last answer is the client's, and the session is of who gave it");
        world.put(&service("web", &[bad.address, good.address])).await;
        let asked = bad.asked();
        let second = ask(&world, &cookie(&first)).await;
        assert_eq!((second.status, named(&second).as_str(), bad.asked()), (200, "good", asked + 1));
        assert_eq!(named(&ask(&world, &cookie(&second)).await), "good");
        assert_eq!(bad.asked(), asked + 1, "it is not asked again");
    });
}

/// "`absoluteTimeout` then enforced inside the value".
#[test]
fn a_session_is_over_after_its_absolute_timeout_whatever_the_client_sends() {
    run(async {
        let backends = three().await;
        let permanent = "{absoluteTimeout: 1s, cookie: {name: sid, path: /shop, lifetimeType: Permanent}}";
        for (persistence, attributes) in [
            (permanent, "; Path=/shop; Max-Age=1; HttpOnly; SameSite=Strict"),
            ("{absoluteTimeout: 1s, cookie: {name: sid}}", "; Path=/; HttpOnly; SameSite=Strict"),
        ] {
            let world = World::of(&keeping(persistence, &addresses(&backends))).await;
            let first = ask(&world, "").await;
            assert!(first.header("set-cookie").ends_with(attributes), "{}", first.header("set-cookie"));
            let began = std::time::Instant::now();
            while !ask(&world, &cookie(&first)).await.has("set-cookie") {
                assert!(began.elapsed().as_secs() < 10, "it is never over");
                tokio::task::yield_now().await;
            }
        }
    });
}

/// §9 item 65: "weights first, one session per backend".
#[test]
fn weights_come_first_and_a_client_has_a_session_of_each_backend() {
    run(async {
        let backends = three().await;
        let other = Backend::answering(|_| Reply::text("{\"backend\": \"other\"}")).await;
        let rules =
            format!("[{{sessionPersistence: {COOKIE}, backendRefs: [{{name: web, port: 80}}, {{name: other, port: 80}}]}}]");
        let services = service("web", &addresses(&backends)) + &service("other", &[other.address]);
        let world = World::of(&(gateway("") + &route("all", &rules) + &services)).await;
        let (mut held, mut seen) = (Vec::new(), Vec::new());
        for _ in 0..20 {
            let fields = if held.is_empty() { String::new() } else { format!("Cookie: {}\r\n", held.join("; ")) };
            let response = ask(&world, &fields).await;
            held.append(&mut pairs(&response));
            seen.push(named(&response));
        }
        assert_eq!(held.len(), 2, "one for each backend: {held:?}");
        assert_eq!(seen.iter().filter(|name| *name == "other").count(), 10, "{seen:?}");
        assert_eq!(seen.iter().filter(|name| *name != "other").collect::<BTreeSet<_>>().len(), 1, "{seen:?}");
    });
}

/// A token is good for the backend it was made for: under the same name it opens nothing else.
#[test]
fn a_session_of_one_backend_is_none_of_another() {
    run(async {
        let (one, two) = (Backend::echo("one").await, Backend::echo("two").await);
        // Both have the same endpoints, and could be mistaken for each other.
        let at = [one.address, two.address];
        let rule = |path: &str, name: &str| {
            format!(
                "{{sessionPersistence: {{cookie: {{name: sid, path: {path}}}}}, matches: [{{path: {{value: {path}}}}}], \
                 backendRefs: [{{name: {name}, port: 80}}]}}"
            )
        };
        let rules = format!("[{}, {}]", rule("/one", "one"), rule("/two", "two"));
        let world = World::of(&(gateway("") + &route("all", &rules) + &service("one", &at) + &service("two", &at))).await;
        let first = ask_for(&world, "/one", "").await;
        assert!(!ask_for(&world, "/one", &cookie(&first)).await.has("set-cookie"));
        assert!(ask_for(&world, "/two", &cookie(&first)).await.has("set-cookie"));
    });
}

/// `XBackendTrafficPolicy.spec.sessionPersistence`: for all routes to the Service.
#[test]
fn a_policy_keeps_sessions_of_the_services_it_names() {
    run(async {
        let backends = three().await;
        let policy = "
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: {name: p, namespace: default}
spec:
  targetRefs: [{group: '', kind: Service, name: web}]
  sessionPersistence: {cookie: {name: kept}}";
        let rules = "[{backendRefs: [{name: web, port: 80}]}]";
        let yaml = gateway("") + &route("all", rules) + &service("web", &addresses(&backends)) + policy;
        let world = World::of(&yaml).await;
        let first = ask(&world, "").await;
        assert!(first.header("set-cookie").starts_with("kept="), "{first:?}");
        for _ in 0..20 {
            assert_eq!(named(&ask(&world, &cookie(&first)).await), named(&first));
        }
    });
}

/// Application cookies stay untouched, on the way back too.
#[test]
fn cookies_of_the_backend_stay_beside_that_of_the_session() {
    run(async {
        let reply = "HTTP/1.1 200 OK\r\nSet-Cookie: app=1; Path=/\r\nSet-Cookie: cart=2\r\nContent-Length: 0\r\n\r\n";
        let backend = Backend::answering(move |_| Reply::Bytes(reply.into())).await;
        let world = World::of(&keeping(COOKIE, &[backend.address])).await;
        let set = pairs(&ask(&world, "").await);
        assert_eq!((set.len(), &*set[0], &*set[1]), (3, "app=1", "cart=2"));
    });
}

#[test]
fn replicas_with_the_same_keys_honour_each_others_sessions_and_a_key_is_replaced_without_losing_any() {
    run(async {
        let backends = three().await;
        let yaml = keeping(COOKIE, &addresses(&backends));
        let keys = |secrets: &'static [u8]| secrets.iter().map(|secret| SessionKey::new(&[*secret; 32]));
        let (one, other, alone) = (World::of(&yaml).await, World::of(&yaml).await, World::of(&yaml).await);
        one.gateway.seal_sessions(keys(&[1]));
        other.gateway.seal_sessions(keys(&[1, 2]));
        let first = ask(&one, "").await;
        let honours = async |world: &World, response: &Response| {
            let again = ask(world, &cookie(response)).await;
            !again.has("set-cookie") && named(&again) == named(response)
        };
        assert!(honours(&other, &first).await && honours(&one, &first).await);
        assert!(!honours(&alone, &first).await, "it has a key of its own");
        one.gateway.seal_sessions(keys(&[2, 1]));
        let second = ask(&one, "").await;
        assert!(honours(&other, &second).await && honours(&one, &first).await);
        other.gateway.seal_sessions(keys(&[2]));
        assert!(!honours(&other, &first).await, "the former key is gone");
    });
}
