//! An API server that refuses, forgets or stores what cannot be read: what was there stays, and what is to be done is done in the end.

use std::net::{Ipv4Addr, TcpListener};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::{CLASSES, GATEWAYS, RESPONSES, Scene, free_port};

const CRDS: &str = "apiextensions.k8s.io/customresourcedefinitions";
const CHILDREN: [&str; 4] = ["/services", "/configmaps", "/serviceaccounts", "apps/deployments"];
const NAME: &str = "shop/web-pingora";

impl Scene {
    fn has_children(&self) -> bool {
        CHILDREN.iter().all(|resource| self.server.get(resource, NAME).is_some())
    }

    fn until_made(&self) {
        self.controller.until("what the Gateway needs is made", || self.has_children());
    }

    fn set_port(&self, port: Value) {
        self.server.change(GATEWAYS, "shop/web", |gateway| gateway["spec"]["listeners"][0]["port"] = port);
    }

    /// A listener more.
    fn listen(&self, listener: &Value) {
        self.server.change(GATEWAYS, "shop/web", |gateway| {
            gateway["spec"]["listeners"].as_array_mut().unwrap().push(listener.clone());
        });
    }

    /// Another controller in the place of the one that was.
    fn restart_controller(&mut self) {
        self.controller.signal("TERM");
        self.controller.ended();
        self.controller = Self::start_controller(&self.folder, self.wire);
    }

    /// Whether the proxy keeps an object.
    fn is_kept(&self, key: &str) -> bool {
        let files = std::fs::read_dir(self.folder.path("kept")).unwrap();
        files.filter_map(|file| std::fs::read(file.unwrap().path()).ok()).any(|file| file.starts_with(key.as_bytes()))
    }

    /// A condition of the second listener: its status and reason.
    fn of_listener(&self, kind: &str) -> String {
        let gateway = self.server.get(GATEWAYS, "shop/web").unwrap_or_default();
        let conditions = gateway["status"]["listeners"][1]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.into_iter().find(|one| one["type"] == kind).unwrap_or_default();
        format!("{} {}", found["status"].as_str().unwrap_or(""), found["reason"].as_str().unwrap_or(""))
    }

    fn service_port(&self) -> Value {
        self.server.get("/services", NAME).unwrap_or_default()["spec"]["ports"][0]["port"].clone()
    }
}

#[test]
fn what_an_api_server_refuses_is_told_and_made_once_it_permits_it() {
    let scene = Scene::start();
    scene.until_made();
    for code in [403, 422] {
        scene.server.refuse("PATCH", "/services/web-pingora", code);
        scene.server.delete("/services", NAME);
        let condition = || scene.server.get(GATEWAYS, "shop/web").unwrap_or_default()["status"]["conditions"].to_string();
        scene.controller.until("its condition says why", || condition().contains("PATCH /api/v1/namespaces/shop/services"));
        scene.server.permit();
        scene.controller.until("the Service is made after all", || scene.server.get("/services", NAME).is_some());
        scene.controller.until("its condition is as before", || !condition().contains("PATCH"));
    }
}

#[test]
fn an_object_that_was_in_the_way_is_followed_by_ours() {
    let scene = Scene::start();
    scene.until_made();
    scene.server.change("/services", NAME, |service| {
        service["metadata"]["labels"] = Value::Null;
        service["metadata"]["annotations"] = Value::Null;
    });
    scene.controller.until_said("that is not ours");
    scene.server.delete("/services", NAME);
    scene.controller.until("the Service is made", || scene.server.get("/services", NAME).is_some());
}

#[test]
fn a_kind_that_an_api_server_does_not_show_though_its_crd_is_there_is_not_gone() {
    let scene = Scene::start();
    scene.until_made();
    scene.server.hide(Some("gateway.networking.k8s.io"));
    let looks = || scene.server.asked("GET", "/apis");
    let before = looks();
    scene.server.change(CRDS, "gateways.gateway.networking.k8s.io", |crd| crd["metadata"]["labels"] = json!({"a": "b"}));
    // One look asks up to three times.
    scene.controller.until("it looked, and looked again", || looks() >= before + 5);
    scene.set_port(json!(81));
    scene.controller.until("the Gateway is followed all the while", || scene.service_port() == 81);
    assert!(scene.has_children(), "nothing was taken away");
    scene.server.hide(None);
    let before = looks();
    scene.controller.until("it looked once more", || looks() >= before + 3);
    scene.set_port(json!(82));
    scene.controller.until("it is followed as before", || scene.service_port() == 82);
    assert!(scene.has_children());
    scene.server.delete(CRDS, "gateways.gateway.networking.k8s.io");
    scene.server.hide(Some("gateway.networking.k8s.io"));
    scene
        .controller
        .until("what was made goes with the kind", || CHILDREN.iter().all(|one| scene.server.get(one, NAME).is_none()));
}

#[test]
fn a_gateway_that_cannot_be_read_keeps_what_it_has_also_under_a_new_controller() {
    let mut scene = Scene::start();
    let proxy = scene.start_proxy();
    scene.until_programmed(&proxy);
    let listeners = scene.server.get(GATEWAYS, "shop/web").unwrap()["spec"]["listeners"].clone();
    scene.server.change(GATEWAYS, "shop/web", |gateway| gateway["spec"]["listeners"] = json!("none"));
    let told = || {
        let events = scene.server.all("/events");
        events.iter().filter(|event| event["reason"] == "CannotBeRead" && event["involvedObject"]["name"] == "web").count()
    };
    scene.controller.until("people are told", || told() > 0);
    assert!(scene.has_children());
    assert_eq!(scene.ask(), "one");
    scene.restart_controller();
    scene.controller.until_said("Own");
    scene.server.delete("/services", NAME);
    // Nobody knows any more what it was to be; what is made for others is.
    scene.server.put(GATEWAYS, json!({"metadata": {"name": "next", "namespace": "shop"}, "spec": {"gatewayClassName": "pingora", "listeners": listeners}}));
    scene.controller.until("the other Gateway has its Service", || scene.server.get("/services", "shop/next-pingora").is_some());
    assert!(CHILDREN[1..].iter().all(|resource| scene.server.get(resource, NAME).is_some()), "what is there stays");
    assert_eq!(scene.ask(), "one");
    scene.server.change(GATEWAYS, "shop/web", |gateway| gateway["spec"]["listeners"] = listeners.clone());
    scene.until_made();
    scene.server.change(GATEWAYS, "shop/web", |gateway| gateway["spec"]["listeners"] = json!("none"));
    scene.server.delete(GATEWAYS, "shop/web");
    scene.controller.until("it goes with its Gateway", || CHILDREN.iter().all(|one| scene.server.get(one, NAME).is_none()));
}

#[test]
fn a_finalizer_that_could_not_be_written_is_written_later() {
    let scene = Scene::start();
    let finalizers = || scene.server.get(CLASSES, "pingora").unwrap()["metadata"]["finalizers"].as_array().map_or(0, Vec::len);
    scene.controller.until("the class is kept while it is used", || finalizers() == 1);
    scene.server.refuse("PATCH", "/gatewayclasses/pingora", 500);
    scene.server.delete(GATEWAYS, "shop/web");
    let tried = || scene.server.asked("PATCH", "/gatewayclasses/pingora");
    let before = tried();
    scene.controller.until("it was tried", || tried() > before);
    scene.server.permit();
    scene.controller.until("the class is free", || finalizers() == 0);
}

#[test]
fn a_secret_that_cannot_be_fetched_holds_up_nobody_else_and_is_asked_for_again() {
    let scene = Scene::start();
    scene.until_made();
    scene.server.refuse("GET", "/secrets/cert", 500);
    let certificate = json!({"certificateRefs": [{"name": "cert"}]});
    let listener = json!({"name": "https", "protocol": "HTTPS", "port": 443, "tls": certificate});
    let spec = json!({"gatewayClassName": "pingora", "listeners": [listener]});
    scene.server.put(GATEWAYS, json!({"metadata": {"name": "other", "namespace": "shop"}, "spec": spec}));
    let asked = || scene.server.asked("GET", "/secrets/cert");
    scene.controller.until("it is asked for a second time", || asked() >= 2);
    scene.server.change(GATEWAYS, "shop/web", |gateway| gateway["spec"]["listeners"][0]["name"] = json!("renamed"));
    let names = || scene.server.get(GATEWAYS, "shop/web").unwrap()["status"]["listeners"][0]["name"].clone();
    scene.controller.until("others' statuses are written", || names() == "renamed");
    assert!(asked() <= 4, "asked {} times: there is no pause between them", asked());
    scene.server.permit();
    let before = asked();
    scene.controller.until("it is asked for once more", || asked() > before);
}

#[test]
fn a_new_controller_that_cannot_fetch_a_secret_takes_it_from_no_proxy_and_says_nothing_of_it() {
    let mut scene = Scene::start();
    let key = rcgen::generate_simple_self_signed(["web.example".to_owned()]).unwrap();
    let encoded = |pem: String| BASE64_STANDARD.encode(pem);
    let data = json!({"tls.crt": encoded(key.cert.pem()), "tls.key": encoded(key.signing_key.serialize_pem())});
    scene
        .server
        .put("/secrets", json!({"metadata": {"name": "cert", "namespace": "shop"}, "type": "kubernetes.io/tls", "data": data}));
    let tls = json!({"certificateRefs": [{"name": "cert"}]});
    scene.listen(&json!({"name": "https", "protocol": "HTTPS", "port": free_port(), "tls": tls}));
    let proxy = scene.start_proxy();
    scene.until_programmed(&proxy);
    assert!(scene.is_kept("|Secret|shop/cert"));
    let writes = scene.server.writes(GATEWAYS, "shop/web");
    scene.server.refuse("GET", "/secrets/cert", 500);
    let before = scene.server.asked("GET", "/secrets/cert");
    scene.restart_controller();
    scene.controller.until("it asks for the Secret again and again", || scene.server.asked("GET", "/secrets/cert") > before + 2);
    scene.server.permit();
    scene.server.change(RESPONSES, "shop/hello", |response| response["spec"]["body"] = json!("two"));
    proxy.until("the new controller is followed", || scene.ask() == "two");
    assert!(scene.is_kept("|Secret|shop/cert"));
    assert_eq!(scene.server.writes(GATEWAYS, "shop/web"), writes, "nothing was said anew");
}

#[test]
fn a_port_that_a_proxy_could_not_open_stays_so_under_a_new_controller() {
    let mut scene = Scene::start();
    let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    scene.listen(&json!({"name": "taken", "protocol": "HTTP", "port": taken.local_addr().unwrap().port()}));
    let proxy = scene.start_proxy();
    proxy.until("the listener says so", || scene.of_listener("Accepted") == "False PortUnavailable");
    proxy.until("the other is served", || scene.ask() == "one");
    let writes = scene.server.writes(GATEWAYS, "shop/web");
    let said = scene.server.get(GATEWAYS, "shop/web").unwrap()["status"].clone();
    scene.restart_controller();
    scene.server.change(RESPONSES, "shop/hello", |response| response["spec"]["body"] = json!("two"));
    proxy.until("the new controller is followed", || scene.ask() == "two");
    assert_eq!(scene.server.get(GATEWAYS, "shop/web").unwrap()["status"], said);
    assert_eq!(scene.server.writes(GATEWAYS, "shop/web"), writes, "nothing was said anew");
}

#[test]
fn a_status_that_is_refused_is_tried_again_after_pauses_and_nobody_is_told_of_it_before_it_is_written() {
    let scene = Scene::start();
    scene.until_made();
    scene.server.refuse("PATCH", "/gateways/web/status", 422);
    let tls = json!({"certificateRefs": [{"name": "nowhere"}]});
    scene.listen(&json!({"name": "https", "protocol": "HTTPS", "port": 443, "tls": tls}));
    let tried = || scene.server.asked("PATCH", "/gateways/web/status");
    let before = tried();
    scene.controller.until("it was tried three times", || tried() >= before + 3);
    let is_told = || scene.server.all("/events").iter().any(|event| event["message"].to_string().contains("nowhere"));
    assert!(!is_told());
    scene.server.permit();
    scene.controller.until("people are told once it is written", is_told);
}
