//! XBackends that select their endpoints by labels of pods.

use serde_json::{Value, json};

use super::{ROUTES, Scene};
use crate::names::backend;

const XBACKENDS: &str = "gateway.networking.x-k8s.io/xbackends";

impl Scene {
    /// An XBackend, and what leads to it.
    fn select(&self, name: &str, port: u16) {
        let spec =
            json!({"type": "EndpointSelector", "endpointSelector": {"matchLabels": {"app": "web"}}, "port": {"number": port}});
        self.server.put(XBACKENDS, json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec}));
        self.server.change(ROUTES, "shop/hello", |route| {
            let reference = json!({"group": "gateway.networking.x-k8s.io", "kind": "XBackend", "name": name});
            route["spec"]["rules"] = json!([{"backendRefs": [reference]}]);
        });
    }

    fn headless(&self) -> Option<Value> {
        self.server.all("/services").into_iter().find(|service| service["spec"]["clusterIP"] == "None")
    }
}

#[test]
fn an_xbackend_that_selects_endpoints_has_a_headless_service_while_it_is_needed() {
    let scene = Scene::start();
    let proxy = scene.start_proxy();
    scene.until_programmed(&proxy);
    let port = backend("selected");
    scene.select("pods", port);
    scene.controller.until("a headless Service is made", || scene.headless().is_some());
    let service = scene.headless().unwrap();
    assert_eq!(service["spec"]["selector"], json!({"app": "web"}));
    assert_eq!(service["spec"]["ports"][0]["targetPort"], port);
    let owner = &service["metadata"]["ownerReferences"][0];
    assert_eq!((&owner["kind"], &owner["name"], owner["uid"].is_string()), (&json!("XBackend"), &json!("pods"), true));
    // What an API server's own controllers do.
    let slice = json!({
        "metadata": {"name": "pods-1", "namespace": "shop", "labels": service["metadata"]["labels"]},
        "addressType": "IPv4", "endpoints": [{"addresses": ["127.0.0.1"]}], "ports": [{"name": "endpoints", "port": port, "protocol": "TCP"}],
    });
    scene.server.put("discovery.k8s.io/endpointslices", slice);
    proxy.until("the selected endpoint answers", || scene.ask() == "selected");
    scene
        .server
        .change(XBACKENDS, "shop/pods", |backend| backend["spec"]["endpointSelector"]["matchLabels"] = json!({"app": "other"}));
    scene
        .controller
        .until("the Service follows", || scene.headless().is_some_and(|one| one["spec"]["selector"]["app"] == "other"));
    scene.server.delete(ROUTES, "shop/hello");
    scene.controller.until("nobody needs the Service any more", || scene.headless().is_none());
}

#[test]
fn an_xbackend_whose_name_fits_into_no_label_has_an_event_that_says_so() {
    let scene = Scene::start();
    scene.controller.until("a Service is made", || scene.server.get("/services", "shop/web-pingora").is_some());
    scene.select(&"x".repeat(64), 80);
    let is_told =
        |event: &Value| event["involvedObject"]["kind"] == "XBackend" && event["message"].to_string().contains("shorter");
    scene.controller.until("people are told", || scene.server.all("/events").iter().any(is_told));
    assert!(scene.headless().is_none());
}
