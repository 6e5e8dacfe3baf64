//! Traces (XTelemetryPolicy, GEP-4768, GEP-5253; W3C Trace Context; OTLP), on sockets. What the collectors here get is read by the
//! project's own messages.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use crate::authority::Authority;
use crate::backend::{Asked, Backend, Reply};
use crate::calls::{answered, call, grpc_route};
use crate::client::Client;
use crate::protocols::h2;
use crate::world::{World, gateway, route, run, service, speaking, until};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A policy for the Gateway `gw`; `fields` are those of `tracing` beside mode and provider.
fn policy(fields: &str) -> String {
    stating(&format!("{{mode: Enabled, provider: {{backendRef: {{name: otel, port: 80}}}}, {fields}}}"))
}

fn stating(tracing: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XTelemetryPolicy
metadata: {{name: traces, namespace: default}}
spec:
  targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: gw}}]
  tracing: {tracing}"
    )
}

/// A collector, and what it got.
struct Collector {
    backend: Backend,
    got: Arc<Mutex<Vec<Got>>>,
}

struct Got {
    /// Headers of the call; of one over gRPC the path, too.
    headers: Vec<(String, String)>,
    request: ExportTraceServiceRequest,
}

impl Collector {
    /// Over HTTP.
    async fn http() -> Self {
        Self::answering(|_| Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into())).await
    }

    /// The same, where the answer to a call with this number is another.
    async fn answering(answer: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let got: Arc<Mutex<Vec<Got>>> = Arc::default();
        let kept = Arc::clone(&got);
        let backend = Backend::answering(move |Asked { method, target, mut headers, body, .. }| {
            assert_eq!((method.as_str(), target.as_str()), ("POST", "/v1/traces"));
            headers.iter_mut().for_each(|(name, _)| name.make_ascii_lowercase());
            let request = ExportTraceServiceRequest::decode(&body[..]).unwrap();
            let mut kept = kept.lock().unwrap();
            kept.push(Got { headers, request });
            answer(kept.len())
        });
        Self { backend: backend.await, got }
    }

    /// Over gRPC.
    async fn grpc() -> Self {
        let got: Arc<Mutex<Vec<Got>>> = Arc::default();
        let kept = Arc::clone(&got);
        let backend = Backend::answering_calls(move |head, message| {
            let fields = head.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
            let headers = fields.chain([(":path".to_owned(), head.uri.path().to_owned())]).collect();
            kept.lock().unwrap().push(Got { headers, request: ExportTraceServiceRequest::decode(message).unwrap() });
            (ExportTraceServiceResponse::default().encode_to_vec(), "0")
        });
        Self { backend: backend.await, got }
    }

    fn address(&self) -> SocketAddr {
        self.backend.address
    }

    fn spans(&self) -> Vec<Span> {
        let got = self.got.lock().unwrap();
        let scopes = got.iter().flat_map(|got| &got.request.resource_spans).flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    /// Its spans, once there are so many, as they began: a response is with its client before its span ends, so they may end out of
    /// order.
    async fn has(&self, count: usize) -> Vec<Span> {
        until("spans", || self.spans().len() >= count).await;
        let mut spans = self.spans();
        spans.sort_by_key(|span| span.start_time_unix_nano);
        assert_eq!(spans.len(), count, "{spans:#?}");
        spans
    }

    fn header(&self, name: &str) -> Option<String> {
        let got = self.got.lock().unwrap();
        got[0].headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    fn resource(&self) -> BTreeMap<String, String> {
        let got = self.got.lock().unwrap();
        told(&got[0].request.resource_spans[0].resource.as_ref().unwrap().attributes)
    }
}

/// Attributes, their values as text.
fn told(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    fn text(value: &AnyValue) -> String {
        if let Some(Value::StringValue(text)) = &value.value {
            text.clone()
        } else if let Some(Value::IntValue(number)) = &value.value {
            format!("#{number}")
        } else if let Some(Value::ArrayValue(list)) = &value.value {
            format!("{:?}", list.values.iter().map(text).collect::<Vec<_>>())
        } else {
            panic!("{value:?}")
        }
    }
    let all: BTreeMap<_, _> = attributes.iter().map(|one| (one.key.clone(), text(one.value.as_ref().unwrap()))).collect();
    assert_eq!(all.len(), attributes.len(), "each key once: {attributes:?}");
    all
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn rows(rows: &[(&str, &str)]) -> BTreeMap<String, String> {
    rows.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A Gateway that forwards all to `web` and is traced by a collector over HTTP, its policy as given.
async fn world(policy: &str, web: &Backend, collector: &Collector) -> World {
    let rules = "
  - {matches: [{path: {value: /shop}}], backendRefs: [{name: web, port: 80}]}
  - {matches: [{path: {value: /empty}}], backendRefs: [{name: empty, port: 80}]}
  - matches: [{path: {value: /moved}}]
    filters: [{type: RequestRedirect, requestRedirect: {hostname: b.example}}]";
    let services = service("web", &[web.address]) + &service("empty", &[]) + &speaking("otel", "http", &[collector.address()]);
    World::of(&(gateway("  trustedProxies: [127.0.0.0/8]") + &route("all", rules) + &services + policy)).await
}

#[test]
fn each_sampled_request_is_one_span_of_a_server_which_its_backend_is_told_of() {
    run(async {
        let (web, collector) = (Backend::echo("web").await, Collector::http().await);
        let world = world(&policy(""), &web, &collector).await;
        let mut client = Client::connect(world.at(80)).await;
        client
            .send("GET /shop/%61?q=1&sig=secret HTTP/1.1\r\nHost: a.example\r\nUser-Agent: curl/8\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n")
            .await;
        let answer = client.response().await;
        assert_eq!(answer.status, 200);
        let span = collector.has(1).await.remove(0);
        let expected = format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id));
        assert_eq!(answer.echoed("traceparent"), expected);
        assert_eq!((span.kind, span.name.as_str(), span.parent_span_id.len()), (2, "GET /shop", 0));
        assert!(span.end_time_unix_nano > span.start_time_unix_nano && span.status.is_none());
        let peer = world.record(1).await.peer.port();
        let expected = rows(&[
            ("http.request.method", "GET"),
            ("http.response.status_code", "#200"),
            ("http.route", "/shop"),
            ("url.scheme", "http"),
            ("url.path", "/shop/%61"),
            ("url.query", "q=1&sig=REDACTED"),
            ("user_agent.original", "curl/8"),
            ("client.address", "192.0.2.9"),
            ("server.address", "a.example"),
            ("server.port", "#80"),
            ("network.peer.address", "127.0.0.1"),
            ("network.peer.port", &format!("#{peer}")),
            ("network.protocol.version", "1.1"),
        ]);
        assert_eq!(told(&span.attributes), expected);
        assert_eq!(collector.resource(), rows(&[("service.name", "pingora-gateway")]));
        assert_eq!(collector.header("content-type").as_deref(), Some("application/x-protobuf"));
        until("they are counted", || world.gateway.counters().spans_exported() == 1).await;
    });
}

#[test]
fn spans_go_over_grpc_with_the_names_and_headers_of_the_policy() {
    run(async {
        let (web, collector) = (Backend::echo("web").await, Collector::grpc().await);
        let tracing = "{mode: Enabled, serviceName: shop, spanName: ingress, provider: {backendRef: {name: otel, port: 80}, headers: [{name: X-Key, value: k}, {name: Host, value: otel.example}]}}";
        let rules = "[{backendRefs: [{name: web, port: 80}]}]";
        let services = service("web", &[web.address]) + &service("otel", &[collector.address()]);
        let world = World::of(&(gateway("") + &route("all", rules) + &services + &stating(tracing))).await;
        let mut client = Client::connect(world.at(80)).await;
        for _ in 0..3 {
            assert_eq!(client.get("a.example", "/").await.status, 200);
        }
        let spans = collector.has(3).await;
        assert!(spans.iter().all(|span| span.name == "ingress"));
        assert_eq!(collector.resource(), rows(&[("service.name", "shop")]));
        let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
        let expected = [(":path", path), ("content-type", "application/grpc"), ("te", "trailers"), ("x-key", "k")];
        for (name, value) in expected {
            assert_eq!(collector.header(name).as_deref(), Some(value), "{name}");
        }
    });
}

#[test]
fn a_trace_goes_on_with_our_span_between_its_parent_and_the_backend() {
    run(async {
        let (web, collector) = (Backend::echo("web").await, Collector::http().await);
        let world = world(&policy("parentBasedSampling: {mode: Enabled}"), &web, &collector).await;
        let mut client = Client::connect(world.at(80)).await;
        let head = format!(
            "GET /shop HTTP/1.1\r\nHost: a\r\nTraceparent: 00-{TRACE}-{PARENT}-03\r\nTracestate: a=1\r\nTracestate: b=2\r\n\r\n"
        );
        client.send(&head).await;
        let answer = client.response().await;
        let span = collector.has(1).await.remove(0);
        assert_eq!((hex(&span.trace_id), hex(&span.parent_span_id)), (TRACE.to_owned(), PARENT.to_owned()));
        assert_eq!(answer.echoed("traceparent"), format!("00-{TRACE}-{}-03", hex(&span.span_id)));
        assert_eq!((answer.echoed("tracestate"), span.trace_state.as_str()), ("a=1|b=2".into(), "a=1,b=2"));
        assert_eq!(span.flags, 0x303, "it was sampled, its id is random, its parent is somebody else's");
    });
}

#[test]
fn what_is_no_traceparent_begins_a_new_trace_and_its_state_ends() {
    run(async {
        let (web, collector) = (Backend::echo("web").await, Collector::http().await);
        let world = world(&policy(""), &web, &collector).await;
        let mut client = Client::connect(world.at(80)).await;
        let good = format!("00-{TRACE}-{PARENT}-01");
        for bad in [format!("Traceparent: ff{}", &good[2..]), format!("Traceparent: {good}\r\nTraceparent: {good}")] {
            client.send(&format!("GET /shop HTTP/1.1\r\nHost: a\r\n{bad}\r\nTracestate: a=1\r\n\r\n")).await;
            let answer = client.response().await;
            let sent = answer.echoed("traceparent");
            assert!(sent.len() == good.len() && !sent.contains(TRACE), "{sent}");
            assert_eq!(answer.echoed("tracestate"), "");
        }
        let spans = collector.has(2).await;
        assert!(spans.iter().all(|span| span.parent_span_id.is_empty() && span.trace_state.is_empty()));
    });
}

/// §9 item 67: "sampling 0 and 100 %, parent decisions".
#[test]
fn requests_are_sampled_as_rates_and_parents_say_and_backends_are_told() {
    run(async {
        let (web, collector) = (Backend::echo("web").await, Collector::http().await);
        let mut world = world(&policy("samplingRate: {numerator: 0}"), &web, &collector).await;
        let mut client = Client::connect(world.at(80)).await;
        let parent = |flags: &str| format!("Traceparent: 00-{TRACE}-{PARENT}-{flags}\r\n");
        let cases = [
            // own rate of 0: nothing, and parents do not count
            ("samplingRate: {numerator: 0}", ["00", "00", "00"]),
            ("samplingRate: {numerator: 100}", ["01", "01", "01"]),
            ("samplingRate: {numerator: 0}, parentBasedSampling: {mode: Enabled}", ["00", "01", "00"]),
            ("parentBasedSampling: {mode: Enabled, samplingRate: {numerator: 0}}", ["01", "00", "00"]),
            ("samplingRate: {numerator: 0}, parentBasedSampling: {mode: Disabled}", ["00", "00", "00"]),
        ];
        let mut sampled = 0;
        for (fields, expected) in cases {
            world.put(&policy(fields)).await;
            for (stated, flags) in ["", &parent("01"), &parent("00")].into_iter().zip(expected) {
                client.send(&format!("GET /shop HTTP/1.1\r\nHost: a\r\n{stated}\r\n")).await;
                let sent = client.response().await.echoed("traceparent");
                assert!(sent.ends_with(&format!("-{flags}")), "{fields}; {stated}: {sent}");
                assert!(!sent.contains(PARENT), "who decides anew is a span of its own");
                assert_eq!(sent.contains(TRACE), !stated.is_empty());
                sampled += usize::from(flags == "01");
            }
        }
        assert_eq!(sampled, 5);
        collector.has(5).await;
    });
}

/// §9 item 67: "attributes".
#[test]
fn spans_hold_what_the_policy_asks_for_and_an_empty_text_for_what_is_not_known() {
    run(async {
        let (web, collector) = (Backend::echo("web").await, Collector::http().await);
        let attributes = "attributes: [
            {name: user, sourceType: Header, headerName: X-User}, {name: nobody, sourceType: Header, headerName: X-None},
            {name: env, sourceType: Literal, literalValue: prod}, {name: http.route, sourceType: Literal, literalValue: mine},
            {name: url, sourceType: Attribute, attributeKey: url.full},
            {name: fragment, sourceType: Attribute, attributeKey: url.fragment},
            {name: code, sourceType: Attribute, attributeKey: http.response.status_code},
            {name: asked, sourceType: Attribute, attributeKey: http.request.header.x-user},
            {name: backend, sourceType: Attribute, attributeKey: http.response.header.x-backend},
            {name: none, sourceType: Attribute, attributeKey: http.response.header.x-none},
            {name: error, sourceType: Attribute, attributeKey: error.type},
            {name: original, sourceType: Attribute, attributeKey: http.request.method_original},
            {name: type, sourceType: Attribute, attributeKey: network.type},
            {name: transport, sourceType: Attribute, attributeKey: network.transport},
            {name: protocol, sourceType: Attribute, attributeKey: network.protocol.name}]";
        let world = world(&policy(attributes), &web, &collector).await;
        let mut client = Client::connect(world.at(80)).await;
        client.send("BREW /shop?a=b HTTP/1.1\r\nHost: a.example:8080\r\nX-User: ann\r\nX-User: bob\r\n\r\n").await;
        assert_eq!(client.response().await.status, 200);
        let span = collector.has(1).await.remove(0);
        let found = told(&span.attributes);
        let expected = [
            ("user", "ann, bob"),
            ("nobody", ""),
            ("env", "prod"),
            ("http.route", "mine"),
            ("url", "http://a.example:8080/shop?a=b"),
            ("fragment", ""),
            ("code", "#200"),
            ("asked", "[\"ann\", \"bob\"]"),
            ("backend", "[\"web\"]"),
            ("none", ""),
            ("error", ""),
            ("original", "BREW"),
            ("type", "ipv4"),
            ("transport", "tcp"),
            ("protocol", "http"),
            ("http.request.method", "_OTHER"),
            ("http.request.method_original", "BREW"),
            ("server.address", "a.example"),
            ("server.port", "#8080"),
        ];
        for (name, value) in expected {
            assert_eq!(found.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert_eq!(span.name, "HTTP /shop");
    });
}

#[test]
fn what_the_gateway_itself_answers_is_told_too_and_failures_as_such() {
    run(async {
        let (web, collector) = (Backend::echo("web").await, Collector::http().await);
        let world = world(&policy(""), &web, &collector).await;
        let mut client = Client::connect(world.at(80)).await;
        let rows = [("/moved", 302, None), ("/nowhere", 404, None), ("/empty", 503, Some("503"))];
        for (path, status, _) in rows {
            assert_eq!(client.get("a", path).await.status, status, "{path}");
        }
        let spans = collector.has(3).await;
        for ((path, status, error), span) in rows.into_iter().zip(spans) {
            let found = told(&span.attributes);
            assert_eq!(found["http.response.status_code"], format!("#{status}"), "{path}");
            assert_eq!(found.get("error.type").map(String::as_str), error, "{path}");
            assert_eq!(span.status.map(|status| status.code), error.map(|_| 2), "{path}");
            assert_eq!(found.get("http.route").map(String::as_str), (path != "/nowhere").then_some(path));
        }
    });
}

#[test]
fn calls_are_told_in_the_words_of_grpc_and_fail_by_their_status() {
    run(async {
        let (web, collector) = (
            Backend::answering_calls(|head, _| (Vec::new(), if head.uri.path() == "/shop.Cart/Add" { "0" } else { "5" })).await,
            Collector::http().await,
        );
        let rules = "
  - {matches: [{method: {service: shop.Cart}}], backendRefs: [{name: web, port: 80}]}
  - {matches: [{method: {service: shop.Gone}}], backendRefs: [{name: empty, port: 80}]}";
        let services =
            service("web", &[web.address]) + &service("empty", &[]) + &speaking("otel", "http", &[collector.address()]);
        let world = World::of(&(gateway("") + &grpc_route("calls", rules) + &services + &policy(""))).await;
        let send = h2(world.at(80)).await;
        let cases = [
            ("shop.Cart/Add", "0", "OK", None),
            ("shop.Cart/Find", "5", "NOT_FOUND", None),
            ("shop.Gone/Add", "14", "UNAVAILABLE", Some("UNAVAILABLE")),
        ];
        for (name, status, ..) in cases {
            assert_eq!(answered(&send, call(&format!("/{name}"))).await.1, status, "{name}");
        }
        for ((name, _, code, error), span) in cases.into_iter().zip(collector.has(3).await) {
            let found = told(&span.attributes);
            let expected = [
                ("rpc.system.name", Some("grpc")),
                ("rpc.method", Some(name)),
                ("rpc.response.status_code", Some(code)),
                ("error.type", error),
                ("network.protocol.version", Some("2")),
                ("http.route", Some(if name.contains("Gone") { "/shop.Gone/*" } else { "/shop.Cart/*" })),
            ];
            for (key, value) in expected {
                assert_eq!(found.get(key).map(String::as_str), value, "{name}: {key}");
            }
            assert_eq!((span.name.as_str(), span.status.map(|status| status.code)), (name, error.map(|_| 2)));
        }
    });
}

/// §9 item 67: "Disabled stops export".
#[test]
fn disabled_and_absent_policies_make_no_span_and_leave_traces_alone() {
    run(async {
        let (web, collector) = (Backend::echo("web").await, Collector::http().await);
        let mut world = world(&policy(""), &web, &collector).await;
        let mut client = Client::connect(world.at(80)).await;
        let traceparent = format!("00-{TRACE}-{PARENT}-01");
        let mut sent = async || {
            client.send(&format!("GET /shop HTTP/1.1\r\nHost: a\r\nTraceparent: {traceparent}\r\n\r\n")).await;
            client.response().await.echoed("traceparent")
        };
        assert_ne!(sent().await, traceparent);
        collector.has(1).await;
        for tracing in ["{mode: Disabled}", "{}"] {
            world.put(&stating(tracing)).await;
            assert_eq!(sent().await, traceparent, "{tracing}");
        }
        world.put(&policy("")).await;
        assert_ne!(sent().await, traceparent);
        collector.has(2).await;
    });
}

/// §9 item 67: "collector down never hurts traffic".
#[test]
fn a_collector_that_hangs_delays_no_request_and_what_is_too_much_for_it_is_dropped() {
    run(async {
        let web = Backend::echo("web").await;
        let collector = Collector::answering(|_| Reply::Hang).await;
        let world = world(&policy(""), &web, &collector).await;
        let mut client = Client::connect(world.at(80)).await;
        // Spans of these are about nine kilobytes, so that some hundred fill what may wait.
        let long = "u".repeat(5000);
        let head = format!("GET /shop/{long} HTTP/1.1\r\nHost: a\r\nUser-Agent: {long}\r\n\r\n");
        for _ in 0..800 {
            let asked = Instant::now();
            client.send(&head).await;
            assert_eq!(client.response().await.status, 200);
            assert!(asked.elapsed() < Duration::from_secs(5));
        }
        until("some are dropped", || world.gateway.counters().spans_dropped() > 0).await;
        assert_eq!((collector.backend.asked(), world.gateway.counters().spans_exported()), (1, 0), "one call at a time");
    });
}

#[test]
fn a_collector_that_is_down_costs_spans_alone() {
    run(async {
        let (web, collector) = (Backend::echo("web").await, Collector::http().await);
        let mut world = world(&policy(""), &web, &collector).await;
        collector.backend.stop().await;
        let mut client = Client::connect(world.at(80)).await;
        assert_eq!(client.get("a", "/shop").await.status, 200);
        // Nobody to send to at all: what waits goes when the pause of the failed attempt is over.
        world.remove(gateway_core::name::Kind::Service, "otel").await;
        assert_eq!(client.get("a", "/shop").await.status, 200);
        until("they are dropped", || world.gateway.counters().spans_dropped() == 1).await;
    });
}

#[test]
fn a_collector_that_is_busy_is_asked_again_when_it_says_and_one_that_refuses_is_not() {
    run(async {
        let web = Backend::echo("web").await;
        let busy = "HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n";
        let partial = ExportTracePartialSuccess { rejected_spans: 1, error_message: "no".into() };
        let partial = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
        let collector = Collector::answering(move |number| match number {
            1 | 2 => Reply::Bytes(busy.into()),
            3 => Reply::status(200),
            4 => Reply::status(400),
            _ => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", partial.len());
                Reply::Bytes([head.as_bytes(), &partial].concat())
            }
        })
        .await;
        let world = world(&policy(""), &web, &collector).await;
        let mut client = Client::connect(world.at(80)).await;
        let counters = world.gateway.counters();
        let sent = |count: usize| collector.got.lock().unwrap().len() == count;
        assert_eq!(client.get("a", "/shop").await.status, 200);
        until("it is taken", || counters.spans_exported() == 1).await;
        assert!(sent(3));
        assert_eq!(client.get("a", "/shop").await.status, 200);
        until("it is refused", || counters.spans_failed() == 1).await;
        assert!(sent(4));
        assert_eq!(client.get("a", "/shop").await.status, 200);
        until("it is refused in a partial success", || counters.spans_failed() == 2).await;
        assert_eq!((sent(5), counters.spans_exported(), counters.spans_dropped()), (true, 1, 0));
    });
}

#[test]
fn the_calls_that_carry_spans_make_none_be_the_collector_behind_the_gateway_itself() {
    run(async {
        let (web, collector) = (Backend::echo("web").await, Collector::http().await);
        let rules = "
  - {matches: [{path: {value: /v1/traces}}], backendRefs: [{name: real, port: 80}]}
  - {backendRefs: [{name: web, port: 80}]}";
        let services = service("web", &[web.address]) + &service("real", &[collector.address()]) + &speaking("otel", "http", &[]);
        let mut world = World::of(&(gateway("") + &route("all", rules) + &services + &policy(""))).await;
        let itself = world.at(80);
        world.put(&speaking("otel", "http", &[itself])).await;
        let mut client = Client::connect(world.at(80)).await;
        for count in 1..=3 {
            assert_eq!(client.get("a", "/shop").await.status, 200);
            let spans = collector.has(count).await;
            assert!(spans.iter().all(|span| told(&span.attributes)["url.path"] == "/shop"));
        }
        // A client's own call of this kind, with no word of a trace, is a request like any other.
        client.send("POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(client.response().await.status, 200);
        let spans = collector.has(4).await;
        assert_eq!(told(&spans[3].attributes)["url.path"], "/v1/traces");
    });
}

#[test]
fn a_policy_for_tls_holds_for_the_collector() {
    run(async {
        let (web, authority) = (Backend::echo("web").await, Authority::new("ca"));
        let good = Backend::tls("otel", authority.sign(&["otel.example"]).server(&["http/1.1"])).await;
        let bad = Backend::tls("otel", authority.sign(&["other.example"]).server(&["http/1.1"])).await;
        let tls = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: otel, namespace: default}
spec:
  targetRefs: [{group: '', kind: Service, name: otel}]
  validation: {hostname: otel.example, caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}";
        let rules = "[{backendRefs: [{name: web, port: 80}]}]";
        let services = service("web", &[web.address]) + &speaking("otel", "http", &[bad.address]);
        let yaml = gateway("") + &route("all", rules) + &services + &authority.config_map("ca") + tls + &policy("");
        let mut world = World::of(&yaml).await;
        let mut client = Client::connect(world.at(80)).await;
        assert_eq!(client.get("a", "/").await.status, 200);
        until("it is tried", || world.gateway.counters().upstream_connects_failed() > 0).await;
        assert_eq!(bad.asked(), 0, "who does not prove who it is gets nothing");
        world.put(&speaking("otel", "http", &[good.address])).await;
        // The one that failed is sent again.
        until("it is taken", || world.gateway.counters().spans_exported() == 1).await;
        assert_eq!(good.asked(), 1);
    });
}

#[test]
fn what_waits_is_sent_before_the_gateway_ends() {
    run(async {
        let (web, collector) = (Backend::echo("web").await, Collector::http().await);
        let world = world(&policy(""), &web, &collector).await;
        let mut client = Client::connect(world.at(80)).await;
        assert_eq!(client.get("a", "/shop").await.status, 200);
        drop(client);
        assert_eq!(world.gateway.drain(Duration::from_secs(10)).await, 0);
        assert_eq!(world.gateway.counters().spans_exported(), 1);
        assert_eq!(collector.spans().len(), 1);
    });
}
