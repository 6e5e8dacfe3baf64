//! An API server that refuses, forgets or stores what cannot be read: what was there stays, and what is to be done is done in the end.

use serde_json::{Value, json};

use super::{CLASSES, GATEWAYS, Scene};

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
    scene.controller.signal("TERM");
    scene.controller.ended();
    scene.controller = Scene::start_controller(&scene.folder, scene.wire);
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
