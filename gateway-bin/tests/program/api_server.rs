//! As much of a Kubernetes API server as a controller needs: objects stored, listed, watched, patched, and tokens reviewed.
//!
//! It keeps versions and refuses writes of outdated ones; it does not validate, prune or default.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// The server.
#[derive(Clone)]
pub(crate) struct ApiServer {
    pub(crate) address: SocketAddr,
    store: Arc<Store>,
}

#[derive(Default)]
struct Store {
    state: Mutex<State>,
    changed: Condvar,
    trouble: Mutex<Trouble>,
}

/// What it does not do as it should, and what it was asked.
#[derive(Default)]
struct Trouble {
    /// Requests that are refused: method, end of the path, with which status.
    refused: Vec<(&'static str, &'static str, u16)>,
    /// A group that discovery leaves out.
    hidden: Option<&'static str>,
    /// Method and path of every request but watches.
    asked: Vec<(String, String)>,
}

#[derive(Default)]
struct State {
    version: u64,
    /// By `group/plural`, then `namespace/name`.
    objects: BTreeMap<String, BTreeMap<String, Value>>,
    /// What happened, for watches: version, `group/plural`, what, object.
    log: Vec<(u64, String, &'static str, Value)>,
}

/// The kinds that are installed: group, version, kind, plural, namespaced.
const INSTALLED: [(&str, &str, &str, &str, bool); 10] = [
    ("gateway.networking.k8s.io", "v1", "GatewayClass", "gatewayclasses", false),
    ("gateway.networking.k8s.io", "v1", "Gateway", "gateways", true),
    ("gateway.networking.k8s.io", "v1", "ListenerSet", "listenersets", true),
    ("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes", true),
    ("gateway.networking.k8s.io", "v1", "GRPCRoute", "grpcroutes", true),
    ("gateway.networking.k8s.io", "v1", "ReferenceGrant", "referencegrants", true),
    ("gateway.networking.k8s.io", "v1", "BackendTLSPolicy", "backendtlspolicies", true),
    ("gateway.networking.x-k8s.io", "v1alpha1", "XBackend", "xbackends", true),
    ("pingora-gateway.dev", "v1alpha1", "DirectResponse", "directresponses", true),
    ("pingora-gateway.dev", "v1alpha1", "GatewayParameters", "gatewayparameters", true),
];

impl ApiServer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = Self { address: listener.local_addr().unwrap(), store: Arc::default() };
        let serving = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let serving = serving.clone();
                thread::spawn(move || serving.converse(&stream));
            }
        });
        server
    }

    /// A file by which clients find it.
    pub(crate) fn kubeconfig(&self) -> String {
        let cluster = json!([{"name": "c", "cluster": {"server": format!("http://{}", self.address)}}]);
        let context = json!([{"name": "c", "context": {"cluster": "c", "user": "u"}}]);
        json!({"apiVersion": "v1", "kind": "Config", "clusters": cluster, "contexts": context, "users": [{"name": "u", "user": {}}], "current-context": "c"}).to_string()
    }

    /// Stores an object, as `kubectl apply` would.
    pub(crate) fn put(&self, resource: &str, object: Value) {
        let key = key_of(&object);
        self.store.write(resource, &key, |_| Ok(object)).unwrap();
    }

    /// Changes an object.
    pub(crate) fn change(&self, resource: &str, key: &str, change: impl FnOnce(&mut Value)) {
        let changed = self.store.write(resource, key, |old| {
            let mut object = old.unwrap();
            change(&mut object);
            Ok(object)
        });
        changed.unwrap();
    }

    pub(crate) fn delete(&self, resource: &str, key: &str) {
        self.store.delete(resource, key);
    }

    /// An object as it is now.
    pub(crate) fn get(&self, resource: &str, key: &str) -> Option<Value> {
        self.store.state.lock().unwrap().objects.get(resource)?.get(key).cloned()
    }

    /// From now on refuses requests whose path ends like this.
    pub(crate) fn refuse(&self, method: &'static str, path: &'static str, code: u16) {
        self.store.trouble.lock().unwrap().refused.push((method, path, code));
    }

    /// Refuses nothing any more.
    pub(crate) fn permit(&self) {
        self.store.trouble.lock().unwrap().refused.clear();
    }

    /// Leaves a group out of what it says is installed, as it does for a moment after it was started.
    pub(crate) fn hide(&self, group: Option<&'static str>) {
        self.store.trouble.lock().unwrap().hidden = group;
    }

    /// How often it was asked this.
    pub(crate) fn asked(&self, method: &str, path: &str) -> usize {
        let trouble = self.store.trouble.lock().unwrap();
        trouble.asked.iter().filter(|(how, what)| how == method && what.ends_with(path)).count()
    }

    /// All objects of a resource.
    pub(crate) fn all(&self, resource: &str) -> Vec<Value> {
        let state = self.store.state.lock().unwrap();
        state.objects.get(resource).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    /// How often an object was written.
    pub(crate) fn writes(&self, resource: &str, key: &str) -> usize {
        let state = self.store.state.lock().unwrap();
        state.log.iter().filter(|(_, of, _, object)| of == resource && key_of(object) == key).count()
    }

    fn converse(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        let mut writer = stream;
        loop {
            let (mut head, mut length) = (String::new(), 0);
            if reader.read_line(&mut head).is_ok_and(|bytes| bytes == 0) {
                return;
            }
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).map_or(true, |bytes| bytes <= 2) {
                    break;
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap_or(0);
                }
            }
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_err() {
                return;
            }
            let mut words = head.split(' ');
            let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            if query.contains("watch=true") {
                return self.watch(path, query, writer);
            }
            let (code, answer) = match self.answer(method, path, query, &body) {
                Ok(answer) => (200, answer),
                Err(code) => {
                    let reason = match code {
                        403 => "Forbidden",
                        404 => "NotFound",
                        409 => "Conflict",
                        _ => "InternalError",
                    };
                    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": format!("{method} {path}"), "reason": reason, "code": code});
                    (code, status)
                }
            };
            let answer = answer.to_string();
            let head = format!("HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", answer.len());
            if writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(answer.as_bytes())).is_err() {
                return;
            }
        }
    }

    fn answer(&self, method: &str, path: &str, query: &str, body: &[u8]) -> Result<Value, u16> {
        let hidden = {
            let mut trouble = self.store.trouble.lock().unwrap();
            trouble.asked.push((method.to_owned(), path.to_owned()));
            let refusal = trouble.refused.iter().find(|(how, what, _)| *how == method && path.ends_with(what));
            if let Some((_, _, code)) = refusal {
                return Err(*code);
            }
            trouble.hidden
        };
        if let Some(discovered) = discovery(path, hidden) {
            return Ok(discovered);
        }
        let Place { namespace, resource, key, part } = Place::read(path).ok_or(404_u16)?;
        let mut sent: Value = serde_json::from_slice(body).unwrap_or_default();
        if sent.is_object() && !namespace.is_empty() {
            sent["metadata"]["namespace"] = json!(namespace);
        }
        match (method, key) {
            ("POST", _) if resource.ends_with("/tokenreviews") => Ok(reviewed(sent)),
            ("POST", _) => {
                let key = key_of(&sent);
                self.store.write(&resource, &key, |old| if old.is_some() { Err(409) } else { Ok(sent) })
            }
            ("GET", Some(key)) => self.get(&resource, &key).ok_or(404),
            ("GET", None) => {
                let state = self.store.state.lock().unwrap();
                let items = state.objects.get(&resource).into_iter().flat_map(BTreeMap::values);
                let items: Vec<&Value> = items.filter(|object| is_selected(object, query)).collect();
                Ok(
                    json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": state.version.to_string()}, "items": items}),
                )
            }
            ("PUT" | "PATCH", Some(key)) => self.store.write(&resource, &key, |old| {
                let is_apply = query.contains("fieldManager");
                if old.is_none() && !is_apply {
                    return Err(404);
                }
                let mut object = old.unwrap_or_else(|| json!({"metadata": {"uid": format!("uid-{key}")}}));
                let stated = &sent["metadata"]["resourceVersion"];
                if !stated.is_null() && *stated != object["metadata"]["resourceVersion"] {
                    return Err(409);
                }
                match (method, part.as_deref()) {
                    ("PUT", _) => Ok(sent),
                    (_, Some("status")) => {
                        merge(&mut object["status"], &sent["status"]);
                        Ok(object)
                    }
                    _ => {
                        merge(&mut object, &sent);
                        Ok(object)
                    }
                }
            }),
            ("DELETE", Some(key)) => self.store.delete(&resource, &key).ok_or(404),
            _ => Err(405),
        }
    }

    fn watch(&self, path: &str, query: &str, mut writer: &TcpStream) {
        let from = query.split('&').find_map(|pair| pair.strip_prefix("resourceVersion=")).and_then(|text| text.parse().ok());
        let (mut from, resource) = (from.unwrap_or(0_u64), Place::read(path).unwrap().resource);
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut is_open = writer.write_all(head.as_bytes()).is_ok();
        let mut state = self.store.state.lock().unwrap();
        while is_open {
            let news = state.log.iter().filter(|(version, of, ..)| *version > from && *of == resource);
            let lines: Vec<String> = news
                .filter(|(_, _, _, object)| is_selected(object, query))
                .map(|(_, _, kind, object)| format!("{}\n", json!({"type": kind, "object": object})))
                .collect();
            from = state.version;
            drop(state);
            for line in lines {
                is_open = is_open && writer.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes()).is_ok();
            }
            state = self.store.state.lock().unwrap();
            if state.version == from {
                state = self.store.changed.wait_timeout(state, Duration::from_secs(1)).unwrap().0;
            }
        }
    }
}

impl Store {
    /// Replaces an object by what becomes of it.
    fn write(&self, resource: &str, key: &str, change: impl FnOnce(Option<Value>) -> Result<Value, u16>) -> Result<Value, u16> {
        let mut state = self.state.lock().unwrap();
        let old = state.objects.get(resource).and_then(|objects| objects.get(key)).cloned();
        let mut new = change(old.clone())?;
        if old.as_ref() == Some(&new) {
            return Ok(new);
        }
        state.version += 1;
        let metadata = &mut new["metadata"];
        metadata["resourceVersion"] = json!(state.version.to_string());
        if metadata["uid"].is_null() {
            metadata["uid"] = json!(format!("uid-{}", state.version));
        }
        let generation = old.as_ref().and_then(|old| old["metadata"]["generation"].as_i64());
        let is_other = old.as_ref().is_none_or(|old| old["spec"] != new["spec"]);
        new["metadata"]["generation"] = json!(generation.unwrap_or(0) + i64::from(is_other));
        state.objects.entry(resource.into()).or_default().insert(key.into(), new.clone());
        let entry = (state.version, resource.to_owned(), if old.is_some() { "MODIFIED" } else { "ADDED" }, new.clone());
        state.log.push(entry);
        self.changed.notify_all();
        Ok(new)
    }

    fn delete(&self, resource: &str, key: &str) -> Option<Value> {
        let mut state = self.state.lock().unwrap();
        let old = state.objects.get_mut(resource)?.remove(key)?;
        state.version += 1;
        let entry = (state.version, resource.to_owned(), "DELETED", old.clone());
        state.log.push(entry);
        self.changed.notify_all();
        Some(old)
    }
}

/// What a path names.
struct Place {
    /// Empty where it names none.
    namespace: String,
    resource: String,
    key: Option<String>,
    part: Option<String>,
}

impl Place {
    fn read(path: &str) -> Option<Self> {
        let mut parts = path.trim_start_matches('/').split('/');
        let group = match parts.next()? {
            "api" => "",
            _ => parts.next()?,
        };
        let rest: Vec<&str> = parts.skip(1).collect();
        let (namespace, rest) = match rest[..] {
            ["namespaces", namespace, plural, ..] if plural != "status" => (namespace, &rest[2..]),
            _ => ("", &rest[..]),
        };
        let key = rest.get(1).map(|name| if namespace.is_empty() { (*name).to_owned() } else { format!("{namespace}/{name}") });
        Some(Self {
            namespace: namespace.to_owned(),
            resource: format!("{group}/{}", rest.first()?),
            key,
            part: rest.get(2).map(|part| (*part).to_owned()),
        })
    }
}

/// What is installed, for paths that ask for it.
fn discovery(path: &str, hidden: Option<&str>) -> Option<Value> {
    let installed = INSTALLED.iter().filter(|(group, ..)| Some(*group) != hidden);
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts[..] {
        ["apis"] => {
            let mut groups: Vec<(&str, &str)> = installed.map(|(group, version, ..)| (*group, *version)).collect();
            groups.dedup();
            let group = |(name, version): (&str, &str)| {
                let version = json!({"groupVersion": format!("{name}/{version}"), "version": version});
                json!({"name": name, "versions": [version], "preferredVersion": version})
            };
            Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups.into_iter().map(group).collect::<Vec<_>>()}))
        }
        ["apis", group, version] => {
            let of_group = installed.filter(|(of, ..)| *of == group);
            let resource = |(_, _, kind, plural, namespaced): &(&str, &str, &str, &str, bool)| json!({"name": plural, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["get", "list", "watch", "patch"]});
            let resources: Vec<Value> = of_group.map(resource).collect();
            Some(
                json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("{group}/{version}"), "resources": resources}),
            )
        }
        _ => None,
    }
}

/// A token says itself whose it is: `namespace:name`.
fn reviewed(mut review: Value) -> Value {
    let token = review["spec"]["token"].as_str().unwrap_or_default().to_owned();
    let status = match token.split_once(':') {
        Some((namespace, name)) => {
            let user = json!({"username": format!("system:serviceaccount:{namespace}:{name}")});
            json!({"authenticated": true, "audiences": review["spec"]["audiences"], "user": user})
        }
        None => json!({"authenticated": false}),
    };
    review["status"] = status;
    review
}

fn is_selected(object: &Value, query: &str) -> bool {
    if let Some((_, name)) = query.split_once("fieldSelector=metadata.name%3D") {
        return object["metadata"]["name"] == name.split('&').next().unwrap_or_default();
    }
    !query.contains("labelSelector=") || object["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "pingora-gateway"
}

fn key_of(object: &Value) -> String {
    let (namespace, name) = (object["metadata"]["namespace"].as_str(), object["metadata"]["name"].as_str().unwrap_or_default());
    namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"))
}

/// A JSON merge patch.
fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (field, value) in fields {
        if value.is_null() {
            into.as_object_mut().unwrap().remove(field);
        } else {
            merge(&mut into[field], value);
        }
    }
}
