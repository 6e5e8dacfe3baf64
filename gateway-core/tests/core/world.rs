//! A compiler with manifests in it, asked questions in the words of the tests.
//!
//! In: YAML of many documents. Out: conditions as `Reason` or `!Reason`, and answers to requests as one line.

use std::sync::Arc;

use gateway_core::admit::{Admitted, Arrival, Handshake, Refusal, admit};
use gateway_core::compile::{Bound, Change, Compiler, Fact, Options, Update};
use gateway_core::condition::{Condition, Truth};
use gateway_core::decide::{Answer, Decision, Forward, Task, decide};
use gateway_core::explain::{Explanation, explain};
use gateway_core::name::{GroupKind, Kind, ObjectId, ObjectName};
use gateway_core::resource::{self, FieldValidation, Object, Reader, Reading};
use gateway_core::snapshot::filters::Handle;
use gateway_core::snapshot::{Snapshot, Socket, Transport, Turn};
use gateway_core::status::Part;
use gateway_core::support::Support;
use http::request::Parts;
use serde_json::{Value, json};

/// A compiler and the snapshot it made.
pub(crate) struct World {
    pub(crate) compiler: Compiler,
    pub(crate) snapshot: Arc<Snapshot>,
}

/// The objects of a YAML text; every one must be valid.
pub(crate) fn objects(yaml: &str) -> Vec<Object> {
    let reader = Reader {
        validation: FieldValidation::Strict,
        lenient_forms: true,
        extensions: vec![GroupKind::new("example.com", "Sign")],
    };
    let documents =
        yaml.split("\n---").filter(|document| document.lines().any(|line| !line.trim().is_empty() && !line.starts_with('#')));
    documents
        .map(|document| {
            let value: Value = serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{error}\n{document}"));
            match resource::read_stored(value, &reader) {
                Ok(Reading::Object { object, .. }) => object,
                Ok(Reading::Foreign { kind, name }) => panic!("{kind} {name} is not read"),
                Err(invalid) => panic!("{invalid:?}\n{document}"),
            }
        })
        .collect()
}

/// What tests compile with.
pub(crate) fn options() -> Options {
    Options { support: Support::ALL, seed: 7, ..Options::default() }
}

/// The same with a kind of extension filter, `Sign.example.com`.
pub(crate) fn signing() -> Options {
    let mut options = options();
    let builder = |object: &Value| -> Result<Handle, String> {
        if object["spec"]["broken"].is_null() { Ok(Arc::new(())) } else { Err("it is broken".to_owned()) }
    };
    options.extensions.insert(GroupKind::new("example.com", "Sign"), Arc::new(builder));
    options
}

/// An extension filter of that kind, `infra/name`; one whose name is `broken` cannot be built.
pub(crate) fn sign(name: &str) -> Change {
    let spec = if name == "broken" { json!({"broken": true}) } else { json!({}) };
    let object =
        json!({"apiVersion": "example.com/v1", "kind": "Sign", "metadata": {"name": name, "namespace": "infra"}, "spec": spec});
    let reader = Reader { extensions: vec![GroupKind::new("example.com", "Sign")], ..Reader::default() };
    let Ok(Reading::Object { object, .. }) = resource::read(object, &reader) else { panic!("it is read") };
    Change::Put(object)
}

impl World {
    /// Compiles manifests, with every socket bound.
    pub(crate) fn of(yaml: &str) -> Self {
        Self::with(options(), yaml)
    }

    /// The same with other options.
    pub(crate) fn with(options: Options, yaml: &str) -> Self {
        let mut compiler = Compiler::new(options);
        let update = compiler.apply(objects(yaml).into_iter().map(Change::Put));
        let mut world = Self { compiler, snapshot: update.snapshot };
        world.bind();
        world
    }

    /// Reports every socket as bound.
    pub(crate) fn bind(&mut self) {
        let sockets: Vec<Socket> = self.snapshot.sockets().map(|(socket, _)| *socket).collect();
        let facts = sockets.into_iter().map(|socket| Change::Fact(Fact::Socket(socket, Some(Bound::Yes))));
        self.apply(facts);
    }

    pub(crate) fn apply(&mut self, changes: impl IntoIterator<Item = Change>) -> Update {
        let update = self.compiler.apply(changes);
        self.snapshot = update.snapshot.clone();
        update
    }

    /// Puts more manifests.
    pub(crate) fn put(&mut self, yaml: &str) -> Update {
        self.apply(objects(yaml).into_iter().map(Change::Put))
    }

    /// Removes an object, named as `HTTPRoute ns/name`.
    pub(crate) fn remove(&mut self, what: &str) -> Update {
        self.apply([Change::Remove(id(what))])
    }

    /// A condition of an object, `Reason` where it holds, `!Reason` where it does not. `what` is `Kind ns/name`, with `#listener`
    /// for a listener, `#parent` or `#section` for a route's parent, `#ns/gateway` for a policy's ancestor; without, the first.
    pub(crate) fn condition(&self, what: &str, kind: &str) -> String {
        self.find(what, kind).map_or_else(
            || "absent".to_owned(),
            |condition| match condition.status {
                Truth::True => condition.reason.to_string(),
                Truth::False => format!("!{}", condition.reason),
                Truth::Unknown => format!("?{}", condition.reason),
            },
        )
    }

    /// The message of a condition.
    pub(crate) fn message(&self, what: &str, kind: &str) -> String {
        self.find(what, kind).map_or_else(String::new, |condition| condition.message.clone())
    }

    /// How many routes a listener of a Gateway carries.
    pub(crate) fn attached(&self, gateway: &str, listener: &str) -> usize {
        self.attached_to(&format!("Gateway {gateway}"), listener)
    }

    /// How many routes a listener of `Kind ns/name` carries.
    pub(crate) fn attached_to(&self, parent: &str, listener: &str) -> usize {
        let status = self.compiler.statuses().get(&id(parent)).unwrap_or_else(|| panic!("{parent} has no status"));
        status.listeners().iter().find(|found| found.name == listener).map_or(0, |found| found.attached_routes)
    }

    fn find(&self, what: &str, kind: &str) -> Option<&Condition> {
        let (object, wanted) = what.split_once('#').map_or((what, None), |(object, wanted)| (object, Some(wanted)));
        let parts = self.compiler.statuses().get(&id(object))?.parts();
        let is_wanted = |part: Part<'_>| match (part, wanted) {
            (Part::Whole, None) => true,
            (Part::Listener(name), Some(wanted)) => name == wanted,
            (Part::Parent(parent), Some(wanted)) => {
                parent.name == wanted || parent.section_name.as_deref().is_some_and(|section| section == wanted)
            }
            (Part::Ancestor(gateway), Some(wanted)) => format!("{}/{}", gateway.namespace, gateway.name) == wanted,
            (Part::Parent(_) | Part::Ancestor(_), None) => true,
            (Part::Whole, Some(_)) | (Part::Listener(_), None) => false,
        };
        let (_, conditions) = parts.into_iter().find(|(part, _)| is_wanted(*part))?;
        conditions.iter().find(|condition| condition.kind.as_str() == kind)
    }

    /// What happens to a GET. `url` is `http://host:port/path` or `https://…`, where the name of the host is the server name too;
    /// headers are `Name: value`.
    pub(crate) fn get(&self, url: &str, headers: &[&str]) -> String {
        self.request("GET", url, headers)
    }

    /// What happens to a request: `namespace/service:port path [edits]`, `302 location`, `200 body`, or a status code.
    pub(crate) fn request(&self, method: &str, url: &str, headers: &[&str]) -> String {
        let (scheme, authority, path) = taken_apart(url);
        self.over(method, scheme, name_of(authority), authority, path, headers)
    }

    /// What is decided of a request that its listener admits.
    pub(crate) fn decision(&self, method: &str, url: &str, headers: &[&str]) -> Decision {
        let (scheme, authority, path) = taken_apart(url);
        let head = head(method, path, authority, headers);
        decide(&self.admitted(scheme, name_of(authority), authority, &head).expect("it is admitted"), &head, Turn::take)
    }

    /// The same of one that is forwarded.
    pub(crate) fn forwarded(&self, method: &str, url: &str, headers: &[&str]) -> Forward {
        let decision = self.decision(method, url, headers);
        let Decision::Forward(forward) = decision else { panic!("{method} {url} is not forwarded: {decision:?}") };
        forward
    }

    /// The same of one that is answered without a backend.
    pub(crate) fn answered(&self, method: &str, url: &str, headers: &[&str]) -> Answer {
        let decision = self.decision(method, url, headers);
        let Decision::Answer(answer) = decision else { panic!("{method} {url} is not answered: {decision:?}") };
        answer
    }

    /// What is explained of a request that its listener admits.
    pub(crate) fn explained(&self, method: &str, url: &str, headers: &[&str]) -> Explanation {
        let (scheme, authority, path) = taken_apart(url);
        let head = head(method, path, authority, headers);
        explain(&self.admitted(scheme, name_of(authority), authority, &head).expect("it is admitted"), &head)
    }

    /// What becomes of a head at its listener.
    pub(crate) fn admitted(&self, scheme: &str, name: &str, authority: &str, head: &Parts) -> Result<Admitted, Refusal> {
        let default = if scheme == "https" { 443 } else { 80 };
        let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(default);
        let tls = (scheme == "https").then(|| Handshake { server_name: Some(name.into()), validation: None });
        let socket = Socket { address: None, port, transport: Transport::Tcp };
        admit(&self.snapshot, &Arrival { socket, tls }, head)
    }

    /// The same over a connection whose server name is `name`.
    pub(crate) fn over(&self, method: &str, scheme: &str, name: &str, authority: &str, path: &str, headers: &[&str]) -> String {
        let head = head(method, path, authority, headers);
        let admitted = match self.admitted(scheme, name, authority, &head) {
            Ok(admitted) => admitted,
            Err(refusal) => return refusal.reason.status().as_u16().to_string(),
        };
        match decide(&admitted, &head, Turn::take) {
            Decision::Refuse(refusal) => refusal.reason.status().as_u16().to_string(),
            Decision::Answer(answer) => {
                let location = answer.headers.iter().find(|(name, _)| name == http::header::LOCATION);
                match location {
                    Some((_, location)) => format!("{} {}", answer.status.as_u16(), location.to_str().expect("visible ASCII")),
                    None => format!("{} {}", answer.status.as_u16(), String::from_utf8_lossy(&answer.body)),
                }
            }
            Decision::Forward(forward) => {
                let (mut path, mut prefix) = (admitted.path(&head).to_owned(), forward.matched_prefix);
                let mut edits = String::new();
                for task in forward.tasks() {
                    match task {
                        Task::Rewrite(rewrite) => {
                            if let Some(host) = &rewrite.hostname {
                                edits.push_str(&format!(" host={}", host.to_str().expect("visible ASCII")));
                            }
                            if let Some(rewrite) = &rewrite.path {
                                (path, prefix) = rewrite.apply(&path, prefix);
                            }
                        }
                        Task::EditRequest(header) => header.set.iter().for_each(|edit| {
                            edits.push_str(&format!(" {}={}", edit.name, edit.value.to_str().expect("visible ASCII")))
                        }),
                        Task::EditResponse(_) => edits.push_str(" response"),
                        Task::Mirror(_, backend) => edits.push_str(&format!(" mirror={}", backend.name)),
                        Task::Cors(..) => edits.push_str(" cors"),
                        Task::Auth(_, backend) => edits.push_str(&format!(" auth={}", backend.name)),
                        Task::Extension(extension) => edits.push_str(&format!(" {}", extension.id)),
                    }
                }
                format!("{} {path}{edits}", forward.backend.name)
            }
        }
    }
}

/// Scheme, authority and path of a URL.
fn taken_apart(url: &str) -> (&str, &str, &str) {
    let (scheme, rest) = url.split_once("://").expect("a scheme");
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    (scheme, authority, path)
}

fn name_of(authority: &str) -> &str {
    authority.split(':').next().unwrap_or(authority)
}

/// A request head.
pub(crate) fn head(method: &str, path: &str, authority: &str, headers: &[&str]) -> Parts {
    let mut builder = http::Request::builder().method(method).uri(path).header("host", authority);
    for header in headers {
        let (name, value) = header.split_once(": ").expect("Name: value");
        builder = builder.header(name, value);
    }
    builder.body(()).expect("a request head").into_parts().0
}

/// An object's id from `Kind ns/name`.
pub(crate) fn id(what: &str) -> ObjectId {
    let (kind, name) = what.split_once(' ').expect("Kind name");
    let groups = [
        "gateway.networking.k8s.io",
        "gateway.networking.x-k8s.io",
        "",
        "discovery.k8s.io",
        "certificates.k8s.io",
        "multicluster.x-k8s.io",
        "pingora-gateway.dev",
    ];
    let extension = || (kind == "Sign").then(|| Kind::Extension(Box::new(GroupKind::new("example.com", "Sign"))));
    let kind = groups.iter().find_map(|group| Kind::named(group, kind)).or_else(extension).expect("a kind");
    let name =
        name.split_once('/').map_or_else(|| ObjectName::cluster(name), |(namespace, name)| ObjectName::new(namespace, name));
    ObjectId::new(kind, name)
}

/// A Service `ns/name:port` with one endpoint.
pub(crate) fn service(namespace: &str, name: &str, address: &str) -> String {
    format!(
        "
---
{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: {namespace}}}, spec: {{ports: [{{port: 80}}]}}}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-1, namespace: {namespace}, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
endpoints: [{{addresses: [{address}]}}]
ports: [{{port: 8080}}]
"
    )
}
