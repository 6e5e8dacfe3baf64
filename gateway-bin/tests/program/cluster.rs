//! A controller and a proxy of it, as two processes beside an API server of the test's own.

mod selecting;
mod trouble;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::api_server::ApiServer;
use crate::scene::{Folder, Running, ask, fresh_address, program, start_program};

const GATEWAYS: &str = "gateway.networking.k8s.io/gateways";
const ROUTES: &str = "gateway.networking.k8s.io/httproutes";
const CLASSES: &str = "gateway.networking.k8s.io/gatewayclasses";
const RESPONSES: &str = "pingora-gateway.dev/directresponses";

/// A port that is free now.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap().local_addr().unwrap().port()
}

/// A cluster with a class, a Gateway `shop/web` and a route of it, and a controller.
struct Scene {
    server: ApiServer,
    folder: Folder,
    controller: Running,
    wire: SocketAddr,
    port: u16,
}

impl Scene {
    fn start() -> Self {
        let (server, folder) = (ApiServer::start(), Folder::new());
        let (address, port) = (fresh_address(), free_port());
        let wire = SocketAddr::from((address, 9902));
        folder.write("kubeconfig", server.kubeconfig());
        let crd = |name: &str| {
            let annotations =
                json!({"gateway.networking.k8s.io/bundle-version": "v1.7.0", "gateway.networking.k8s.io/channel": "standard"});
            let status = json!({"conditions": [{"type": "Established", "status": "True"}]});
            json!({"metadata": {"name": name, "annotations": annotations}, "spec": {"versions": [{"served": true}]}, "status": status})
        };
        server.put("apiextensions.k8s.io/customresourcedefinitions", crd("gateways.gateway.networking.k8s.io"));
        server.put("/namespaces", json!({"metadata": {"name": "shop"}}));
        let service = json!({"metadata": {"name": "controller", "namespace": "system"}, "spec": {"clusterIP": address.to_string(), "ports": [{"port": 9902}]}});
        server.put("/services", service);
        server
            .put(CLASSES, json!({"metadata": {"name": "pingora"}, "spec": {"controllerName": "pingora-gateway.dev/controller"}}));
        let listener = json!({"name": "http", "protocol": "HTTP", "port": port});
        server.put(GATEWAYS, json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"gatewayClassName": "pingora", "listeners": [listener]}}));
        server.put(RESPONSES, json!({"metadata": {"name": "hello", "namespace": "shop"}, "spec": {"body": "one"}}));
        let filter = json!({"type": "ExtensionRef", "extensionRef": {"group": "pingora-gateway.dev", "kind": "DirectResponse", "name": "hello"}});
        let spec = json!({"parentRefs": [{"name": "web"}], "rules": [{"filters": [filter]}]});
        server.put(ROUTES, json!({"metadata": {"name": "hello", "namespace": "shop"}, "spec": spec}));
        let controller = Self::start_controller(&folder, wire);
        Self { server, folder, controller, wire, port }
    }

    fn start_controller(folder: &Folder, wire: SocketAddr) -> Running {
        let SocketAddr::V4(address) = wire else { unreachable!("it is of version 4") };
        let mut command = program();
        command.env("KUBECONFIG", folder.path("kubeconfig")).env("GATEWAY_LOG", "info");
        command.args(["controller", "--namespace=system", "--proxy-image=gateway:1", &format!("--wire={wire}")]);
        start_program(command, *address.ip(), Stdio::null())
    }

    /// Gives the Gateway's Service its address, and starts a proxy as its Deployment says.
    fn start_proxy(&self) -> Running {
        self.controller.until("a Service is made", || self.server.get("/services", "shop/web-pingora").is_some());
        self.controller.until("a ConfigMap is made", || self.server.get("/configmaps", "shop/web-pingora").is_some());
        self.controller.until("a Deployment is made", || self.server.get("apps/deployments", "shop/web-pingora").is_some());
        self.server.change("/services", "shop/web-pingora", |service| {
            service["status"] = json!({"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}});
        });
        let authority = self.server.get("/configmaps", "shop/web-pingora").unwrap();
        self.folder.write("ca.crt", authority["data"]["ca.crt"].as_str().unwrap());
        self.folder.write("token", "shop:web-pingora");
        let file = |name: &str| self.folder.path(name).to_str().unwrap().to_owned();
        let mut command = program();
        command.args(["proxy", "--gateway=shop/web", &format!("--controller={}", self.wire)]);
        command.args([&format!("--authority={}", file("ca.crt")), &format!("--token={}", file("token"))]);
        command.args([&format!("--keep={}", file("kept"))]).env("GATEWAY_LOG", "info");
        start_program(command, fresh_address(), Stdio::null())
    }

    fn ask(&self) -> String {
        ask((Ipv4Addr::LOCALHOST, self.port).into(), "GET", "/", &[]).map(|answer| answer.body).unwrap_or_default()
    }

    /// A condition of an object as a whole: its status and reason.
    fn condition(&self, kind: &str) -> String {
        let gateway = self.server.get(GATEWAYS, "shop/web").unwrap_or_default();
        let conditions = gateway["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.into_iter().find(|one| one["type"] == kind).unwrap_or_default();
        format!("{} {}", found["status"].as_str().unwrap_or(""), found["reason"].as_str().unwrap_or(""))
    }

    fn until_programmed(&self, proxy: &Running) {
        proxy.until("the Gateway is programmed", || self.condition("Programmed") == "True Programmed");
    }
}

#[test]
fn a_gateway_is_programmed_once_its_proxy_serves_it_and_follows_changes() {
    let scene = Scene::start();
    let proxy = scene.start_proxy();
    scene.until_programmed(&proxy);
    assert_eq!(scene.ask(), "one", "what is programmed is served");
    let gateway = scene.server.get(GATEWAYS, "shop/web").unwrap();
    assert_eq!(gateway["status"]["addresses"], json!([{"type": "IPAddress", "value": "127.0.0.1"}]));
    proxy.until("it is ready", || proxy.admin("/readyz").starts_with("ready"));
    let parent = || scene.server.get(ROUTES, "shop/hello").unwrap()["status"]["parents"][0].clone();
    proxy.until("the route is accepted", || parent()["conditions"][0]["status"] == "True");
    scene.server.change(RESPONSES, "shop/hello", |response| response["spec"]["body"] = json!("two"));
    proxy.until("the change is served", || scene.ask() == "two");
    let class = scene.server.get(CLASSES, "pingora").unwrap();
    let has_feature = |name: &str| class["status"]["supportedFeatures"].as_array().unwrap().contains(&json!({"name": name}));
    assert!(has_feature("GatewayInfrastructure") && has_feature("HTTPRoute"), "{class}");
    scene.controller.until("the class is kept while it is used", || {
        let finalizers = &scene.server.get(CLASSES, "pingora").unwrap()["metadata"]["finalizers"];
        *finalizers == json!(["gateway-exists-finalizer.gateway.networking.k8s.io"])
    });
}

#[test]
fn a_proxy_serves_on_without_its_controller_and_a_new_one_flips_no_status() {
    let mut scene = Scene::start();
    let proxy = scene.start_proxy();
    scene.until_programmed(&proxy);
    scene.controller.signal("KILL");
    scene.controller.ended();
    assert_eq!(scene.ask(), "one");
    let writes = scene.server.writes(GATEWAYS, "shop/web");
    scene.server.change("coordination.k8s.io/leases", "system/pingora-gateway-controller", |lease| {
        lease["spec"]["holderIdentity"] = Value::Null
    });
    scene.controller = Scene::start_controller(&scene.folder, scene.wire);
    scene.server.change(RESPONSES, "shop/hello", |response| response["spec"]["body"] = json!("two"));
    proxy.until("the new controller is followed", || scene.ask() == "two");
    assert_eq!(scene.server.writes(GATEWAYS, "shop/web"), writes, "nothing was said anew");
}

#[test]
fn another_authority_of_the_wire_is_followed_and_the_proxy_serves_all_the_while() {
    let mut scene = Scene::start();
    let proxy = scene.start_proxy();
    scene.until_programmed(&proxy);
    let authority =
        || scene.server.get("/configmaps", "shop/web-pingora").unwrap()["data"]["ca.crt"].as_str().unwrap().to_owned();
    let former = authority();
    scene.controller.signal("TERM");
    scene.controller.ended();
    scene.server.delete("/secrets", "system/pingora-gateway-authority");
    let restarted = Scene::start_controller(&scene.folder, scene.wire);
    restarted.until("the Gateway has the new authority", || authority() != former);
    assert_eq!(scene.ask(), "one");
    // What a kubelet does with the ConfigMap of a pod.
    scene.folder.write("ca.crt", authority());
    scene.controller = restarted;
    scene.server.change(RESPONSES, "shop/hello", |response| response["spec"]["body"] = json!("two"));
    proxy.until("the controller of the new authority is followed", || scene.ask() == "two");
}

#[test]
fn a_restarted_proxy_serves_what_was_kept_though_no_controller_answers() {
    let mut scene = Scene::start();
    let mut proxy = scene.start_proxy();
    scene.until_programmed(&proxy);
    scene.controller.signal("KILL");
    scene.controller.ended();
    proxy.signal("KILL");
    proxy.ended();
    let proxy = scene.start_proxy();
    proxy.until("what was kept is served", || scene.ask() == "one");
    proxy.until("it is ready", || proxy.admin("/readyz").starts_with("ready"));
}

#[test]
fn what_is_made_for_a_gateway_is_put_back_and_goes_with_it() {
    let scene = Scene::start();
    let (services, name) = ("/services", "shop/web-pingora");
    scene.controller.until("a Service is made", || scene.server.get(services, name).is_some());
    let port = || scene.server.get(services, name).map(|service| service["spec"]["ports"][0]["port"].clone());
    scene.server.change(services, name, |service| service["spec"]["ports"][0]["port"] = json!(1));
    scene.controller.until("the port is put back", || port() == Some(json!(scene.port)));
    scene.server.delete(services, name);
    scene.controller.until("the Service is back", || scene.server.get(services, name).is_some());
    scene.server.delete(GATEWAYS, "shop/web");
    for resource in [services, "apps/deployments", "/serviceaccounts", "/configmaps"] {
        scene.controller.until(&format!("{resource} of the Gateway are gone"), || scene.server.get(resource, name).is_none());
    }
    scene.controller.until("the class is free", || {
        let finalizers = scene.server.get(CLASSES, "pingora").unwrap()["metadata"]["finalizers"].clone();
        finalizers.as_array().is_none_or(Vec::is_empty)
    });
}

#[test]
fn an_object_of_the_same_name_that_is_not_ours_is_never_touched() {
    let (server, folder) = (ApiServer::start(), Folder::new());
    folder.write("kubeconfig", server.kubeconfig());
    let address = fresh_address();
    server.put("/services", json!({"metadata": {"name": "controller", "namespace": "system"}, "spec": {"clusterIP": address.to_string(), "ports": [{"port": 9902}]}}));
    server.put(
        "/services",
        json!({"metadata": {"name": "web-pingora", "namespace": "shop"}, "spec": {"type": "ClusterIP", "theirs": true}}),
    );
    server.put(CLASSES, json!({"metadata": {"name": "pingora"}, "spec": {"controllerName": "pingora-gateway.dev/controller"}}));
    let listener = json!({"name": "http", "protocol": "HTTP", "port": 80});
    server.put(GATEWAYS, json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"gatewayClassName": "pingora", "listeners": [listener]}}));
    let controller = Scene::start_controller(&folder, SocketAddr::from((address, 9902)));
    let programmed = || {
        let gateway = server.get(GATEWAYS, "shop/web").unwrap_or_default();
        let conditions = gateway["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.into_iter().find(|one| one["type"] == "Programmed").unwrap_or_default().to_string()
    };
    controller.until("its condition says so", || programmed().contains("not ours"));
    let service = server.get("/services", "shop/web-pingora").unwrap();
    assert_eq!(service["spec"], json!({"type": "ClusterIP", "theirs": true}));
}
