//! GRPCRoutes: calls by service, method and metadata, streams both ways, trailers, and errors in the manner of gRPC.

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request, Response, StatusCode};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::backend::Backend;
use crate::client::Client;
use crate::protocols::{ask, h2, request};
use crate::world::{World, gateway, route, run, service, until};

/// A GRPCRoute of the Gateway `gw`; `rules` is the list, as YAML.
pub(crate) fn grpc_route(name: &str, rules: &str) -> String {
    route(name, rules).replace("kind: HTTPRoute", "kind: GRPCRoute")
}

pub(crate) fn call(path: &str) -> Request<&'static [u8]> {
    let call = Request::post(format!("http://a.example{path}")).header("content-type", "application/grpc");
    call.header("te", "trailers").body(&b"abc"[..]).unwrap()
}

/// The gRPC status, from trailers or from a response of trailers only.
fn grpc_status(head: &http::response::Parts, trailers: Option<&HeaderMap>) -> String {
    let said = trailers.and_then(|trailers| trailers.get("grpc-status")).or_else(|| head.headers.get("grpc-status"));
    said.map(|status| status.to_str().unwrap().to_owned()).unwrap_or_default()
}

/// The backend that answered a call, and the gRPC status.
pub(crate) async fn answered(send: &SendRequest<Bytes>, call: Request<&'static [u8]>) -> (String, String) {
    let (head, body, trailers) = ask(send, call).await.unwrap();
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    (json["backend"].as_str().unwrap_or_default().to_owned(), grpc_status(&head, trailers.as_ref()))
}

#[test]
fn calls_are_matched_by_service_method_and_metadata_and_reach_backends_over_http2() {
    run(async {
        let (one, two, three) = (Backend::h2c("one").await, Backend::h2c("two").await, Backend::h2c("three").await);
        let rules = "
  - {matches: [{method: {service: shop.Cart}}], backendRefs: [{name: one, port: 80}]}
  - {matches: [{method: {service: shop.Cart, method: Add}}], backendRefs: [{name: two, port: 80}]}
  - {matches: [{method: {service: shop.Cart, method: Add}, headers: [{name: X-User, value: a}]}], backendRefs: [{name: three, port: 80}]}
  - {matches: [{method: {service: shop.Gone}}], backendRefs: [{name: gone, port: 80}]}
  - {matches: [{method: {service: shop.Empty}}], backendRefs: [{name: empty, port: 80}]}
";
        // Their ports say nothing of HTTP/2: a GRPCRoute speaks it all the same.
        let services = service("one", &[one.address]) + &service("two", &[two.address]) + &service("three", &[three.address]);
        let world = World::of(&(gateway("") + &grpc_route("calls", rules) + &services + &service("empty", &[]))).await;
        let send = h2(world.at(80)).await;
        let row = |backend: &str, status: &str| (backend.to_owned(), status.to_owned());
        assert_eq!(answered(&send, call("/shop.Cart/List")).await, row("one", "0"));
        assert_eq!(answered(&send, call("/shop.Cart/Add")).await, row("two", "0"));
        let mut with_user = call("/shop.Cart/Add");
        with_user.headers_mut().insert("x-user", "a".parse().unwrap());
        assert_eq!(answered(&send, with_user).await, row("three", "0"));
        assert_eq!(answered(&send, call("/shop.Other/Add")).await, row("", "12"));
        assert_eq!(answered(&send, call("/shop.Gone/Add")).await, row("", "14"));
        assert_eq!(answered(&send, call("/shop.Empty/Add")).await, row("", "14"));
        two.stop().await;
        assert_eq!(answered(&send, call("/shop.Cart/Add")).await, row("", "14"), "nobody listens");
        // What is no call is no business of a GRPCRoute.
        assert_eq!(ask(&send, request("http://a.example/shop.Cart/List")).await.unwrap().0.status, 404);
        let mut over_h1 = Client::connect(world.at(80)).await;
        over_h1
            .send("POST /shop.Cart/List HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n")
            .await;
        assert_eq!(over_h1.response().await.status, 415);
    });
}

#[test]
fn calls_go_to_their_routes_and_other_requests_of_the_same_host_to_theirs() {
    run(async {
        let (calls, pages) = (Backend::h2c("calls").await, Backend::echo("pages").await);
        let yaml = gateway("")
            + &grpc_route("calls", "[{backendRefs: [{name: calls, port: 80}]}]")
            + &route("pages", "[{backendRefs: [{name: pages, port: 80}]}]")
            + &service("calls", &[calls.address])
            + &service("pages", &[pages.address]);
        let world = World::of(&yaml).await;
        let send = h2(world.at(80)).await;
        assert_eq!(answered(&send, call("/s.S/M")).await.0, "calls");
        let (_, body, _) = ask(&send, request("http://a.example/s.S/M")).await.unwrap();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["backend"], "pages");
        assert_eq!((calls.asked(), pages.asked()), (1, 1));
    });
}

#[test]
fn filters_edit_the_metadata_of_calls_and_of_responses() {
    run(async {
        let backend = Backend::h2c("one").await;
        let rules = "
  - filters:
    - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-set, value: s}], remove: [x-gone]}}
    - {type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: x-answer, value: r}]}}
    backendRefs:
    - name: one
      port: 80
      filters: [{type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: x-backend, value: b}]}}]
";
        let world = World::of(&(gateway("") + &grpc_route("calls", rules) + &service("one", &[backend.address]))).await;
        let send = h2(world.at(80)).await;
        let mut asked = call("/s.S/M");
        asked.headers_mut().insert("x-gone", "1".parse().unwrap());
        let (head, body, trailers) = ask(&send, asked).await.unwrap();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let fields = json["headers"].to_string();
        assert!(fields.contains(r#"["x-set","s"]"#) && fields.contains(r#"["x-backend","b"]"#), "{fields}");
        assert!(!fields.contains("x-gone") && fields.contains(r#"["te","trailers"]"#), "{fields}");
        assert_eq!(head.headers["x-answer"], "r");
        assert_eq!(grpc_status(&head, trailers.as_ref()), "0");
    });
}

/// A backend that gives back each piece as it comes, and ends with trailers; or is silent but for trailers.
async fn talker(has_body: bool) -> (std::net::SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream, has_body));
        }
    });
    (address, task)
}

async fn talk(stream: TcpStream, has_body: bool) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        tokio::spawn(async move {
            let head = Response::builder().header("content-type", "application/grpc");
            if !has_body {
                let only = head.header("grpc-status", "7").header("grpc-message", "no");
                let _ = respond.send_response(only.body(()).unwrap(), true);
                return;
            }
            let mut out = respond.send_response(head.body(()).unwrap(), false).unwrap();
            let mut body = request.into_body();
            while let Some(Ok(piece)) = body.data().await {
                let _ = body.flow_control().release_capacity(piece.len());
                if out.send_data(piece, false).is_err() {
                    return;
                }
            }
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            trailers.insert("x-last", "word".parse().unwrap());
            let _ = out.send_trailers(trailers);
        });
    }
}

#[test]
fn a_stream_talks_both_ways_piece_by_piece_and_ends_with_trailers() {
    run(async {
        let (address, _talker) = talker(true).await;
        let rules = "[{backendRefs: [{name: one, port: 80}]}]";
        let world = World::of(&(gateway("") + &grpc_route("calls", rules) + &service("one", &[address]))).await;
        let mut send = h2(world.at(80)).await.ready().await.unwrap();
        let (response, mut out) = send.send_request(call("/s.S/Chat").map(|_| ()), false).unwrap();
        let mut body = None;
        let mut response = Some(response);
        for piece in ["one", "two", "three"] {
            out.send_data(Bytes::from(piece), false).unwrap();
            // The head comes with the first piece at the latest; each piece comes back before the next is sent.
            if let Some(response) = response.take() {
                let (head, rest) = response.await.unwrap().into_parts();
                assert_eq!(head.status, StatusCode::OK);
                body = Some(rest);
            }
            let body = body.as_mut().unwrap();
            let back = body.data().await.unwrap().unwrap();
            body.flow_control().release_capacity(back.len()).unwrap();
            assert_eq!(back, piece);
        }
        out.send_data(Bytes::new(), true).unwrap();
        let mut body = body.unwrap();
        assert!(body.data().await.is_none());
        let trailers = body.trailers().await.unwrap().unwrap();
        assert_eq!((&trailers["grpc-status"], &trailers["x-last"]), (&"0".parse().unwrap(), &"word".parse().unwrap()));
    });
}

#[test]
fn a_response_of_trailers_only_stays_one() {
    run(async {
        let (address, _talker) = talker(false).await;
        let rules = "[{backendRefs: [{name: one, port: 80}]}]";
        let world = World::of(&(gateway("") + &grpc_route("calls", rules) + &service("one", &[address]))).await;
        let (head, body, trailers) = ask(&h2(world.at(80)).await, call("/s.S/M")).await.unwrap();
        assert_eq!((head.status.as_u16(), body.len(), trailers), (200, 0, None));
        assert_eq!(
            (&head.headers["grpc-status"], &head.headers["grpc-message"]),
            (&"7".parse().unwrap(), &"no".parse().unwrap())
        );
    });
}

#[test]
fn a_client_that_gives_up_a_call_frees_the_backend_and_its_connection_stays() {
    run(async {
        let (address, _talker) = talker(true).await;
        let rules = "[{backendRefs: [{name: one, port: 80}]}]";
        let world = World::of(&(gateway("") + &grpc_route("calls", rules) + &service("one", &[address]))).await;
        let send = h2(world.at(80)).await;
        let (response, mut out) = send.clone().ready().await.unwrap().send_request(call("/s.S/Chat").map(|_| ()), false).unwrap();
        out.send_data(Bytes::from("one"), false).unwrap();
        let mut body = response.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "one");
        out.send_reset(h2::Reason::CANCEL);
        until("the call is over", || world.gateway.counters().requests_open() == 0).await;
        assert_eq!(world.gateway.counters().connections_open(), 1);
        let (head, _, trailers) = ask(&send, call("/s.S/M")).await.unwrap();
        assert_eq!(grpc_status(&head, trailers.as_ref()), "0");
    });
}
