//! Backends that are found by name, and endpoints that are selected by label.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use crate::scene::{Folder, GATEWAY, run};

/// A backend on 127.0.0.1, where `localhost` leads, that answers everything with a text. Returns its port.
pub(crate) fn backend(text: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // All of a GET comes at once, and what comes does not matter.
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}", text.len());
        }
    });
    port
}

fn route(backend: &str) -> String {
    format!(
        "{GATEWAY}---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: r, namespace: x}}
spec: {{parentRefs: [{{name: web}}], rules: [{{backendRefs: [{{{backend}}}]}}]}}
---
"
    )
}

#[test]
fn a_service_without_slices_is_reached_by_the_name_that_the_template_gives_it() {
    let (folder, port) = (Folder::new(), backend("by name"));
    let service =
        format!("apiVersion: v1\nkind: Service\nmetadata: {{name: cart, namespace: x}}\nspec: {{ports: [{{port: {port}}}]}}\n");
    folder.write("a.yaml", route(&format!("name: cart, port: {port}")) + &service);
    let template = ["--resolve-services", "{name}.localhost"];
    let refused = run(&[folder.root(), template[0], template[1]]);
    refused.until_said("cart.localhost leads to 127.0.0.1");
    refused.until_said("--external-names anywhere");
    refused.until_status("/", 503);
    let running = run(&[folder.root(), template[0], template[1], "--external-names", "anywhere"]);
    running.until_body("/", "by name");
    running.until_said("HTTPRoutes: 1 of 1 in order");
    let said = running.said();
    assert!(!said.contains("without endpoints") && !said.contains("leads to"), "{said}");
    let elsewhere = "apiVersion: v1\nkind: Service\nmetadata: {name: cart, namespace: x}\nspec: {type: ExternalName, externalName: gone.invalid}\n";
    folder.write("a.yaml", route(&format!("name: cart, port: {port}")) + elsewhere);
    running.until_status("/", 503);
    let again = elsewhere.replace("gone.invalid", "localhost");
    folder.write("a.yaml", route(&format!("name: cart, port: {port}")) + &again);
    running.until_body("/", "by name");
}

#[test]
fn an_xbackend_selects_endpoint_slices_by_their_labels() {
    let (folder, port) = (Folder::new(), backend("selected"));
    let backend = |selector: &str| {
        let spec = format!("type: EndpointSelector, endpointSelector: {{matchLabels: {{{selector}}}}}, port: {{number: {port}}}");
        format!(
            "apiVersion: gateway.networking.x-k8s.io/v1alpha1\nkind: XBackend\nmetadata: {{name: b, namespace: x}}\nspec: {{{spec}}}\n---\n"
        )
    };
    let slice = |labels: &str| {
        format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: pods, namespace: x, labels: {{{labels}}}}}
addressType: IPv4\nports: []\nendpoints: [{{addresses: ['127.0.0.1']}}]\n"
        )
    };
    let to = route("group: gateway.networking.x-k8s.io, kind: XBackend, name: b");
    folder.write("a.yaml", to.clone() + &backend("app: a, tier: web") + &slice("app: a, tier: web, more: x"));
    let running = run(&[folder.root()]);
    running.until_body("/", "selected");
    folder.write("a.yaml", to.clone() + &backend("app: a, tier: web") + &slice("app: a"));
    running.until_status("/", 503);
    folder.write("a.yaml", to.clone() + &backend("app: a") + &slice("app: a"));
    running.until_body("/", "selected");
    folder.write("a.yaml", to);
    running.until_status("/", 500);
}
