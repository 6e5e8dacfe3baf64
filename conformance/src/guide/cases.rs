//! What is expected of each numbered file of a guide.
//!
//! In: the guide and the file. Out: nothing, or the first expectation that does not hold. Names, paths and weights come from the
//! file's objects, so a guide may call its things as it likes; what is odd about a file is what its number stands for.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Guide;
use super::scene::{Labels, NAME, Scene, Served};
use crate::echo::Heard;
use crate::http::{Request, Response};
use crate::manifest::{Manifest, is_route, kind, list, name, namespace, parents, referred, services, text};

/// How a file is judged.
pub(super) type Check = fn(&Guide, &Manifest) -> Result<()>;

/// The cases by number.
pub(super) const CASES: &[(&str, Check)] = &[
    ("01", class_with_unknown_parameters),
    ("02", listener_without_its_secret),
    ("03", plain_route),
    ("04", bytes),
    ("05", tls_passed_through),
    ("06", datagrams),
    ("07", calls),
    ("08", weights),
    ("09", header_rule_beside_path_rule),
    ("10", route_from_another_namespace),
    ("11", header_edits_with_objects_to_remove),
    ("12", prefix_replaced_by_root),
    ("13", direct_response),
    ("14", labels_on_routes_instead_of_namespaces),
    ("15", canary_by_header_then_by_weight),
    ("16", routes_from_elsewhere_on_a_gateway_for_its_own),
];

/// The class reports its parameters as invalid; Gateways of it are served all the same.
fn class_with_unknown_parameters(guide: &Guide, file: &Manifest) -> Result<()> {
    let class = first(file, "GatewayClass")?;
    let scene = Scene::of(guide.base_and(file)).start()?;
    let message =
        scene.expect_condition(("GatewayClass", &name(class)), "/conditions", ("Accepted", "False", "InvalidParameters"))?;
    let parameters = text(class, "/spec/parametersRef/kind");
    ensure!(message.contains(parameters), "the message does not name the parameters' kind {parameters}: {message}");
    scene.expect_said(&[&name(class), parameters])?;
    for gateway in guide.base().iter().flat_map(|file| &file.objects).filter(|object| kind(object) == "Gateway") {
        scene.expect_status(&name(gateway), &Request::get("nobody.example", "/"), 404)?;
    }
    Ok(())
}

/// The listener whose Secret is missing says so; the others serve, and once it is there so does that one.
fn listener_without_its_secret(guide: &Guide, file: &Manifest) -> Result<()> {
    let gateway = first(file, "Gateway")?;
    let full = name(gateway);
    let scene = Scene::of(guide.base_and(file)).start()?;
    for (at, listener) in list(gateway, "/spec/listeners").iter().enumerate() {
        let conditions = format!("/listeners/{at}/conditions");
        if text(listener, "/protocol") == "HTTPS" {
            let message =
                scene.expect_condition(("Gateway", &full), &conditions, ("ResolvedRefs", "False", "InvalidCertificateRef"))?;
            let secret = text(listener, "/tls/certificateRefs/0/name");
            ensure!(message.contains(secret), "the message does not name the Secret {secret}: {message}");
        } else {
            scene.expect_condition(("Gateway", &full), &conditions, ("Programmed", "True", "Programmed"))?;
        }
    }
    scene.expect_status(&full, &Request::get("nobody.example", "/"), 404)?;
    drop(scene);

    let whole = Scene::of(guide.base_and(file)).with_secrets().start()?;
    for at in 0..list(gateway, "/spec/listeners").len() {
        let conditions = format!("/listeners/{at}/conditions");
        whole.expect_condition(("Gateway", &full), &conditions, ("Programmed", "True", "Programmed"))?;
    }
    let answer = whole.send_tls(&full, &Request::get(NAME, "/"))?;
    ensure!(answer.status == 404, "over TLS it answered {}", answer.status);
    Ok(())
}

/// One path prefix of one host goes to one backend, and nothing else does.
fn plain_route(guide: &Guide, file: &Manifest) -> Result<()> {
    let route = Route::first(file)?;
    let scene = Scene::of(guide.base_and(file)).labelled(Labels::AsSelected).start()?;
    route.expect_attached(&scene)?;
    let (rule, path) = (route.rule(0)?, route.path(0)?);
    let expected = route.backend(rule, 0)?;
    for target in [path.to_owned(), format!("{path}/"), format!("{path}/42?a=b")] {
        let heard = scene.heard(&route.gateway, &route.get(&target))?;
        ensure!(heard.backend == expected, "{target} went to {} instead of {expected}", heard.backend);
        ensure!(heard.target == target, "{target} arrived as {}", heard.target);
    }
    for target in [format!("{path}-and-more"), "/".to_owned()] {
        scene.expect_status(&route.gateway, &route.get(&target), 404)?;
    }
    scene.expect_status(&route.gateway, &Request::get("nobody.example", path), 404)
}

/// Bytes reach the Service behind the port; here they happen to be of HTTP.
fn bytes(guide: &Guide, file: &Manifest) -> Result<()> {
    let (parent, (service, port)) = ends(first(file, "TCPRoute")?)?;
    let scene = Scene::of(guide.base_and(file)).with_missing_gateways().start()?;
    let answer = scene.send_to(&parent, port, &Request::get("any.example", "/bytes"))?;
    let heard = Heard::read(&answer).context("no backend was met")?;
    ensure!(heard.backend == service, "{} answered instead of {service}", heard.backend);
    Ok(())
}

/// TLS reaches the Service by the name that the client asks for, and ends there; for other names there is nobody.
fn tls_passed_through(guide: &Guide, file: &Manifest) -> Result<()> {
    let route = first(file, "TLSRoute")?;
    let alone = Scene::of(guide.base_and(file)).start()?;
    alone.expect_said(&[last(&name(route)), last(&ends(route)?.0)])?;
    drop(alone);

    let (parent, (service, _)) = ends(route)?;
    let scene = Scene::of(guide.base_and(file)).with_missing_gateways().start()?;
    let host = list(route, "/spec/hostnames").first().and_then(Value::as_str).context("the route names a host")?;
    let answer = scene.send_tls(&parent, &Request::get(host, "/bytes"))?;
    let heard = Heard::read(&answer).context("no backend was met")?;
    ensure!(heard.backend == service, "{} answered instead of {service}", heard.backend);
    ensure!(scene.send_tls(&parent, &Request::get("nobody.example", "/")).is_err(), "somebody answers for nobody.example");
    Ok(())
}

/// The call that is matched reaches its Service; other methods, services and hosts are served by nobody.
fn calls(guide: &Guide, file: &Manifest) -> Result<()> {
    let route = first(file, "GRPCRoute")?;
    let (parent, (backend, _)) = ends(route)?;
    let scene = Scene::of(guide.base_and(file)).labelled(Labels::AsSelected).start()?;
    let host = list(route, "/spec/hostnames").first().and_then(Value::as_str).context("the route names a host")?;
    let asked = list(route, "/spec/rules").first().and_then(|rule| rule.pointer("/matches/0/method"));
    let asked = asked.context("the first rule matches by method")?;
    let (service, method) = (text(asked, "/service"), text(asked, "/method"));
    let path = format!("/{service}/{method}");
    let called = scene.call(&parent, host, &path)?;
    ensure!(called.status == "0" && called.said == format!("{backend} {path}"), "{path} met {called:?}");
    let others = [(host, format!("/{service}/Another")), (host, format!("/Another/{method}")), ("nobody.example", path.clone())];
    for (host, path) in others {
        let called = scene.call(&parent, host, &path)?;
        ensure!(called.status == "12", "{path} of {host} met {called:?}");
    }
    Ok(())
}

/// Datagrams reach the Service behind the port, and what it answers comes back from there.
fn datagrams(guide: &Guide, file: &Manifest) -> Result<()> {
    let (parent, (service, port)) = ends(first(file, "UDPRoute")?)?;
    let scene = Scene::of(guide.base_and(file)).with_missing_gateways().start()?;
    let answer = scene.datagram(&parent, port, b"who is there")?;
    let expected = format!("{service} who is there");
    ensure!(answer == expected.as_bytes(), "{:?} came back instead of {expected:?}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// The Gateway that a route names, and the Service that it forwards to.
fn ends(route: &Value) -> Result<(String, (String, u16))> {
    let parent = parents(route).into_iter().next().context("the route names no Gateway")?;
    let service = services(route).into_iter().next().context("the route names no Service")?;
    Ok((parent, service))
}

/// Shares are exact over any window as long as the sum of the weights, counted in their smallest terms.
fn weights(guide: &Guide, file: &Manifest) -> Result<()> {
    let route = Route::first(file)?;
    let scene = Scene::of(guide.base_and(file)).labelled(Labels::AsSelected).start()?;
    let (rule, path) = (route.rule(0)?, route.path(0)?);
    route.expect_shares(&scene, rule, path)
}

/// Across rules a longer path beats a header; within a path the header decides.
fn header_rule_beside_path_rule(guide: &Guide, file: &Manifest) -> Result<()> {
    let route = Route::first(file)?;
    let scene = Scene::of(guide.base_and(file)).labelled(Labels::AsSelected).start()?;
    let header = list(route.rule(0)?, "/matches/0/headers").first().context("the first rule matches by header")?;
    let (header, value) = (text(header, "/name"), text(header, "/value"));
    let path = route.path(1)?;
    let (by_header, by_path) = (route.backend(route.rule(0)?, 0)?, route.backend(route.rule(1)?, 0)?);
    let with = |target: &str| route.get(target).with(&header.to_lowercase(), value);
    let rows = [
        (route.get(path), Some(&by_path)),
        (route.get(&format!("{path}/x")), Some(&by_path)),
        (with(path), Some(&by_path)),
        (with("/elsewhere"), Some(&by_header)),
        (route.get("/elsewhere").with(header, "another"), None),
        (route.get("/elsewhere"), None),
    ];
    for (request, expected) in rows {
        match expected {
            Some(expected) => {
                let heard = scene.heard(&route.gateway, &request)?;
                let Request { target, headers, .. } = &request;
                ensure!(heard.backend == *expected, "{target} {headers:?} went to {} instead of {expected}", heard.backend);
            }
            None => scene.expect_status(&route.gateway, &request, 404)?,
        }
    }
    Ok(())
}

/// A route needs no grant for its parent, nor for a backend beside it. While its Gateway is missing, that is said.
fn route_from_another_namespace(guide: &Guide, file: &Manifest) -> Result<()> {
    let route = Route::first(file)?;
    let alone = Scene::of(guide.base_and(file)).start()?;
    alone.expect_said(&[last(&route.name), last(&route.gateway)])?;
    drop(alone);

    let scene = Scene::of(guide.base_and(file)).with_missing_gateways().start()?;
    route.expect_attached(&scene)?;
    let heard = scene.heard(&route.gateway, &route.get(route.path(0)?))?;
    let expected = route.backend(route.rule(0)?, 0)?;
    ensure!(heard.backend == expected, "went to {} instead of {expected}", heard.backend);
    Ok(())
}

/// Headers are added, set and removed. Names to remove that are written as objects are understood, and corrected.
fn header_edits_with_objects_to_remove(guide: &Guide, file: &Manifest) -> Result<()> {
    let route = Route::first(file)?;
    let scene = Scene::of(guide.base_and(file)).labelled(Labels::AsSelected).start()?;
    let edits = route.rule(0)?.pointer("/filters/0/requestHeaderModifier").context("the first filter edits request headers")?;
    let removed: Vec<_> = list(edits, "/remove").iter().map(|name| text(name, "/name")).collect();
    ensure!(!removed.contains(&""), "the names to remove are written as objects");

    let mut request = route.get(route.path(0)?);
    let touched = list(edits, "/add").iter().chain(list(edits, "/set")).map(|edit| text(edit, "/name"));
    for name in touched.chain(removed.iter().copied()) {
        request = request.with(name, "the client's");
    }
    let heard = scene.heard(&route.gateway, &request)?;
    let values = |name: &str| heard.values(name).iter().flat_map(|value| value.split(',')).map(str::trim).collect::<Vec<_>>();
    for edit in list(edits, "/add") {
        let (name, value) = (text(edit, "/name"), text(edit, "/value"));
        ensure!(values(name) == ["the client's", value], "{name} added to gives {:?}", values(name));
    }
    for edit in list(edits, "/set") {
        let (name, value) = (text(edit, "/name"), text(edit, "/value"));
        ensure!(values(name) == [value], "{name} set gives {:?}", values(name));
    }
    for name in removed {
        ensure!(values(name).is_empty(), "{name} removed gives {:?}", values(name));
        scene.expect_said(&["remove", name])?;
    }
    Ok(())
}

/// The prefix becomes the root; what follows it stays, and so does the query.
fn prefix_replaced_by_root(guide: &Guide, file: &Manifest) -> Result<()> {
    let route = Route::first(file)?;
    let scene = Scene::of(guide.base_and(file)).labelled(Labels::AsSelected).start()?;
    let path = route.path(0)?;
    let rows = [("", "/"), ("/", "/"), ("/x", "/x"), ("/x/y?a=b", "/x/y?a=b"), ("?a=b", "/?a=b")];
    for (rest, expected) in rows {
        let heard = scene.heard(&route.gateway, &route.get(&format!("{path}{rest}")))?;
        ensure!(heard.target == expected, "{path}{rest} arrived as {} instead of {expected}", heard.target);
    }
    scene.expect_status(&route.gateway, &route.get(&format!("{path}0")), 404)
}

/// The gateway answers by itself, for the exact path only.
fn direct_response(guide: &Guide, file: &Manifest) -> Result<()> {
    let route = Route::first(file)?;
    let scene = Scene::of(guide.base_and(file)).labelled(Labels::AsSelected).start()?;
    let path = route.path(0)?;
    let response = route.rule(0)?.pointer("/filters/0/directResponse").context("the first filter answers directly")?;
    let (status, body) = (response.get("statusCode").and_then(Value::as_u64), text(response, "/body"));
    let answer = scene.send(&route.gateway, &route.get(path))?;
    ensure!(Some(u64::from(answer.status)) == status, "{path} answered {}", answer.status);
    ensure!(answer.text() == body, "{path} answered {:?}", answer.text());
    scene.expect_status(&route.gateway, &route.get(&format!("{path}/more")), 404)?;
    scene.expect_status(&route.gateway, &route.get("/"), 404)
}

/// A Gateway whose class nobody defines is served. A selector looks at Namespaces: while they lack the label the routes are refused,
/// in words that lead out; once they have it, all works.
fn labels_on_routes_instead_of_namespaces(guide: &Guide, file: &Manifest) -> Result<()> {
    let gateway = first(file, "Gateway")?;
    let selected = gateway.pointer("/spec/listeners/0/allowedRoutes/namespaces/selector/matchLabels").and_then(Value::as_object);
    let label = selected.and_then(|labels| labels.keys().next()).context("the listener selects by a label")?;
    let routes = Route::all(file)?;

    let bare = Scene::of(guide.base_and(file)).start()?;
    for route in &routes {
        let refusal = ("Accepted", "False", "NotAllowedByListeners");
        let message = bare.expect_condition(("HTTPRoute", &route.name), "/parents/0/conditions", refusal)?;
        for word in ["Namespace", route.namespace, label, "does not count"] {
            ensure!(message.contains(word), "the message does not say {word:?}: {message}");
        }
        bare.expect_status(&route.gateway, &route.get(route.path(0)?), 404)?;
    }
    drop(bare);

    let labelled = Scene::of(guide.base_and(file)).labelled(Labels::AsSelected).start()?;
    for route in &routes {
        route.expect_attached(&labelled)?;
        let expected = route.backend(route.rule(0)?, 0)?;
        let heard = labelled.heard(&route.gateway, &route.get(route.path(0)?))?;
        ensure!(heard.backend == expected, "{} went to {} instead of {expected}", route.name, heard.backend);
    }
    Ok(())
}

/// On one path a header rule goes first, weights share out the rest.
fn canary_by_header_then_by_weight(guide: &Guide, file: &Manifest) -> Result<()> {
    let route = Route::first(file)?;
    let alone = Scene::of(guide.base_and(file)).start()?;
    alone.expect_said(&[last(&route.name), last(&route.gateway)])?;
    drop(alone);

    let scene = Scene::of(guide.base_and(file)).with_missing_gateways().start()?;
    let header = list(route.rule(0)?, "/matches/0/headers").first().context("the first rule matches by header")?;
    let canary = route.get("/x").with(text(header, "/name"), text(header, "/value"));
    let expected = route.backend(route.rule(0)?, 0)?;
    for _ in 0..20 {
        let heard = scene.heard(&route.gateway, &canary)?;
        ensure!(heard.backend == expected, "a canary went to {}", heard.backend);
    }
    route.expect_shares(&scene, route.rule(1)?, route.path(1)?)
}

/// Without `namespaces`, a listener takes routes of its Gateway's namespace only; the refusals say so. Once open to all, requests, bytes
/// and datagrams are served side by side.
fn routes_from_elsewhere_on_a_gateway_for_its_own(guide: &Guide, file: &Manifest) -> Result<()> {
    let route = Route::first(file)?;
    let closed = Scene::of(guide.base_and(file)).start()?;
    let refusal = ("Accepted", "False", "NotAllowedByListeners");
    for refused in file.objects.iter().filter(|object| is_route(object)) {
        let message = closed.expect_condition((kind(refused), &name(refused)), "/parents/0/conditions", refusal)?;
        for word in ["own namespace", namespace(refused), "All"] {
            ensure!(message.contains(word), "the message does not say {word:?}: {message}");
        }
    }
    closed.expect_status(&route.gateway, &route.get("/"), 404)?;
    drop(closed);

    let open = Scene::of(guide.base_and(file)).with_open_listeners().start()?;
    for route in file.objects.iter().filter(|object| is_route(object)) {
        expect_served(&open, route, &services(route))?;
    }
    Ok(())
}

/// What a route of any kind is for reaches one of its Services. Requests that an HTTPRoute matches may be of other routes too: of these
/// one with one of `services` answers.
pub(super) fn expect_served(scene: &Served, route: &Value, services: &BTreeSet<(String, u16)>) -> Result<()> {
    let gateway = parents(route).into_iter().next().context("the route names no Gateway")?;
    let host = list(route, "/spec/hostnames").first().and_then(Value::as_str).unwrap_or("any.example");
    let port = || ends(route).map(|(_, (_, port))| port);
    let backend = match kind(route) {
        "TCPRoute" => met(&scene.send_to(&gateway, port()?, &Request::get(host, "/bytes"))?)?,
        "TLSRoute" => met(&scene.send_tls(&gateway, &Request::get(host, "/bytes"))?)?,
        "UDPRoute" => String::from_utf8_lossy(&scene.datagram(&gateway, port()?, b"?")?).trim_end_matches(" ?").to_owned(),
        "GRPCRoute" => {
            let asked = list(route, "/spec/rules").first().and_then(|rule| rule.pointer("/matches/0/method"));
            let asked = asked.context("the first rule matches by method")?;
            let path = format!("/{}/{}", text(asked, "/service"), text(asked, "/method"));
            scene.call(&gateway, host, &path)?.said.trim_end_matches(&path).trim_end().to_owned()
        }
        _ => {
            let route = Route::new(route)?;
            let rule = route.rule(0)?;
            let path = Some(text(rule, "/matches/0/path/value")).filter(|path| !path.is_empty()).unwrap_or("/");
            let headers = list(rule, "/matches/0/headers").iter().map(|header| (text(header, "/name"), text(header, "/value")));
            let request = headers.fold(route.get(path), |request, (name, value)| request.with(name, value));
            if let Some(status) = rule.pointer("/filters/0/directResponse/statusCode").and_then(Value::as_u64) {
                let answer = scene.send(&gateway, &request)?;
                ensure!(u64::from(answer.status) == status, "{} answered {}", route.name, answer.status);
                return Ok(());
            }
            scene.heard(&gateway, &request)?.backend
        }
    };
    let is_expected = services.iter().any(|(service, _)| *service == backend);
    ensure!(is_expected, "{} {} is served by {backend:?} instead of one of {services:?}", kind(route), name(route));
    Ok(())
}

/// The backend that an answer is of.
fn met(answer: &Response) -> Result<String> {
    Ok(Heard::read(answer).context("no backend was met")?.backend)
}

/// An HTTPRoute as the cases look at it.
struct Route<'a> {
    object: &'a Value,
    name: String,
    namespace: &'a str,
    gateway: String,
}

impl<'a> Route<'a> {
    fn all(file: &'a Manifest) -> Result<Vec<Self>> {
        file.objects.iter().filter(|object| is_route(object) && kind(object) == "HTTPRoute").map(Self::new).collect()
    }

    fn first(file: &'a Manifest) -> Result<Self> {
        Self::new(first(file, "HTTPRoute")?)
    }

    fn new(object: &'a Value) -> Result<Self> {
        let gateway = parents(object).into_iter().next().context("the route has a parent")?;
        Ok(Self { object, name: name(object), namespace: namespace(object), gateway })
    }

    /// A request for the route's first host, or any when it names none.
    fn get(&self, target: &str) -> Request {
        let host = list(self.object, "/spec/hostnames").first().and_then(Value::as_str).unwrap_or("any.example");
        Request::get(host, target)
    }

    fn rule(&self, at: usize) -> Result<&'a Value> {
        list(self.object, "/spec/rules").get(at).with_context(|| format!("{} has a rule {at}", self.name))
    }

    /// The path that a rule matches first.
    fn path(&self, at: usize) -> Result<&'a str> {
        let path = text(self.rule(at)?, "/matches/0/path/value");
        ensure!(!path.is_empty(), "rule {at} of {} matches a path", self.name);
        Ok(path)
    }

    fn backend(&self, rule: &Value, at: usize) -> Result<String> {
        let reference =
            list(rule, "/backendRefs").get(at).with_context(|| format!("a rule of {} has a backend {at}", self.name))?;
        Ok(referred(self.object, reference))
    }

    fn expect_attached(&self, scene: &Served) -> Result<()> {
        let object = ("HTTPRoute", self.name.as_str());
        scene.expect_condition(object, "/parents/0/conditions", ("Accepted", "True", "Accepted"))?;
        scene.expect_condition(object, "/parents/0/conditions", ("ResolvedRefs", "True", "ResolvedRefs"))?;
        Ok(())
    }

    /// Three windows of requests, each sharing them out exactly by weight.
    fn expect_shares(&self, scene: &Served, rule: &Value, target: &str) -> Result<()> {
        let mut weights = BTreeMap::new();
        for (at, reference) in list(rule, "/backendRefs").iter().enumerate() {
            weights.insert(self.backend(rule, at)?, reference.get("weight").and_then(Value::as_u64).unwrap_or(1));
        }
        let unit = weights.values().copied().fold(0, gcd).max(1);
        let window: u64 = weights.values().map(|weight| weight / unit).sum();
        for round in 0..3 {
            let mut counts: BTreeMap<_, _> = weights.keys().map(|backend| (backend.clone(), 0)).collect();
            for _ in 0..window {
                *counts.entry(scene.heard(&self.gateway, &self.get(target))?.backend).or_default() += unit;
            }
            ensure!(counts == weights, "window {round} of {window} requests was shared out as {counts:?} instead of {weights:?}");
        }
        Ok(())
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn first<'a>(file: &'a Manifest, wanted: &str) -> Result<&'a Value> {
    file.objects.iter().find(|object| kind(object) == wanted).with_context(|| format!("{} has a {wanted}", file.file))
}

/// The name without its namespace.
fn last(full: &str) -> &str {
    full.rsplit('/').next().unwrap_or(full)
}
