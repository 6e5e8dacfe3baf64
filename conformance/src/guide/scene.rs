//! One program serving some files of a guide, with all that the guide leaves out made up around them.
//!
//! In: files, and how far the missing things are to be supplied. Out: a running program with an echo behind every Service that the
//! files' routes name, to be asked through the Gateways that they name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use rcgen::CertifiedKey;
use rustls::RootCertStore;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::call::{self, CallEcho, Called};
use crate::datagram::{self, DatagramEcho};
use crate::echo::{Echo, Heard};
use crate::http::{Connection, Request, Response, ask};
use crate::manifest::{
    self, Manifest, a_gateway, a_namespace, a_secret, a_service_over, is_route, kind, list, listener_for, name, namespace,
    parents, referred, services, text,
};
use crate::program::{Program, Running};

/// Whom certificates that are made up are for.
pub(super) const NAME: &str = "made-up.example";

/// Which labels the Namespaces get that the files' routes are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Labels {
    /// None.
    Bare,
    /// Those that the Gateways' listeners select by.
    AsSelected,
}

/// What is to be served.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    files: Vec<&'a Manifest>,
    labels: Labels,
    gateways: bool,
    secrets: bool,
    open: bool,
}

impl<'a> Scene<'a> {
    /// These files, with Services and bare Namespaces.
    pub(super) fn of(files: Vec<&'a Manifest>) -> Self {
        Self { files, labels: Labels::Bare, gateways: false, secrets: false, open: false }
    }

    /// Labels the Namespaces.
    pub(super) fn labelled(mut self, labels: Labels) -> Self {
        self.labels = labels;
        self
    }

    /// Adds the Gateways that routes name and no file has.
    pub(super) fn with_missing_gateways(mut self) -> Self {
        self.gateways = true;
        self
    }

    /// Adds the Secrets that listeners name, each with a certificate for [`NAME`].
    pub(super) fn with_secrets(mut self) -> Self {
        self.secrets = true;
        self
    }

    /// Opens every listener to routes of all namespaces, as one would who follows the advice of a refusal.
    pub(super) fn with_open_listeners(mut self) -> Self {
        self.open = true;
        self
    }

    fn objects(&self) -> impl Iterator<Item = &Value> {
        self.files.iter().flat_map(|file| &file.objects)
    }

    /// Starts the program and waits until it is ready.
    pub(super) fn start(self) -> Result<Served> {
        let folder = TempDir::new()?;
        for file in &self.files {
            let text = if self.open { opened(&file.objects)? } else { file.text.clone() };
            fs::write(folder.path().join(&file.file), text)?;
        }
        let mut made_up = self.namespaces();
        let (mut backends, mut roots) = (Vec::new(), RootCertStore::empty());
        let mut known = BTreeSet::new();
        for route in self.objects().filter(|object| is_route(object)) {
            for (service, port) in services(route).into_iter().filter(|service| known.insert(service.clone())) {
                let (backend, transport) = match kind(route) {
                    "UDPRoute" => (Backend::Datagrams(DatagramEcho::start(&service)?), "UDP"),
                    "GRPCRoute" => (Backend::Calls(CallEcho::start(&service)?), "TCP"),
                    "TLSRoute" => {
                        let hosts = list(route, "/spec/hostnames").iter().filter_map(Value::as_str).map(str::to_owned);
                        let (echo, certificate) = Echo::start_tls(&service, &hosts.collect::<Vec<_>>())?;
                        roots.add(certificate)?;
                        (Backend::Bytes(echo), "TCP")
                    }
                    _ => (Backend::Bytes(Echo::start(&service)?), "TCP"),
                };
                made_up.extend(a_service_over(transport, &service, port, &[backend.address()]));
                backends.push(backend);
            }
        }
        let shown: BTreeSet<_> = self.objects().filter(|object| kind(object) == "Gateway").map(name).collect();
        let mut missing = BTreeMap::<_, BTreeSet<_>>::new();
        if self.gateways {
            for route in self.objects().filter(|object| is_route(object)) {
                for parent in parents(route).into_iter().filter(|parent| !shown.contains(parent)) {
                    missing.entry(parent).or_default().insert(listener_for(route));
                }
            }
        }
        made_up.extend(missing.iter().map(|(parent, listeners)| a_gateway(parent, listeners)));
        if self.secrets {
            for secret in self.secrets_named() {
                let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
                roots.add(cert.der().clone())?;
                made_up.push(a_secret(&secret, &cert.pem(), &signing_key.serialize_pem()));
            }
        }
        fs::write(folder.path().join("made-up.yaml"), manifest::file_of(&made_up))?;

        let of_missing = missing.values().flatten().map(|(_, port)| *port);
        let ports: BTreeSet<u16> = self.objects().flat_map(listener_ports).chain(of_missing).chain([80]).collect();
        let ports: Vec<_> = ports.into_iter().collect();
        let running = Program::serving(&[folder.path()]).addresses(shown.len() + missing.len()).ports(&ports).start()?;
        Ok(Served { running, roots, _backends: backends, _folder: folder })
    }

    fn secrets_named(&self) -> BTreeSet<String> {
        let gateways = self.objects().filter(|object| kind(object) == "Gateway");
        let named = gateways.flat_map(|gateway| {
            let listeners = list(gateway, "/spec/listeners").iter();
            let references = listeners.flat_map(|listener| list(listener, "/tls/certificateRefs"));
            references.map(|reference| referred(gateway, reference))
        });
        named.collect()
    }

    fn namespaces(&self) -> Vec<Value> {
        let mut selected = BTreeMap::new();
        if self.labels == Labels::AsSelected {
            for listener in self.objects().flat_map(|object| list(object, "/spec/listeners")) {
                let labels = listener.pointer("/allowedRoutes/namespaces/selector/matchLabels").and_then(Value::as_object);
                for (key, value) in labels.into_iter().flatten() {
                    selected.insert(key.clone(), value.as_str().unwrap_or_default().to_owned());
                }
            }
        }
        let inhabited: BTreeSet<_> = self.objects().filter(|object| is_route(object)).map(namespace).collect();
        inhabited.into_iter().map(|name| a_namespace(name, &selected)).collect()
    }
}

/// The objects with every listener open to all namespaces.
fn opened(objects: &[Value]) -> Result<String> {
    let mut objects = objects.to_vec();
    for object in &mut objects {
        let listeners = object.pointer_mut("/spec/listeners").and_then(Value::as_array_mut);
        for listener in listeners.into_iter().flatten().filter_map(Value::as_object_mut) {
            let routes = listener.entry("allowedRoutes").or_insert_with(|| json!({}));
            routes.as_object_mut().context("allowedRoutes is an object")?.insert("namespaces".into(), json!({"from": "All"}));
        }
    }
    Ok(manifest::file_of(&objects))
}

fn listener_ports(gateway: &Value) -> impl Iterator<Item = u16> {
    list(gateway, "/spec/listeners").iter().filter_map(|listener| listener.get("port")?.as_u64()?.try_into().ok())
}

/// A scene that is being served.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) running: Running,
    /// What those backends show that end TLS themselves, and listeners whose Secrets were made up.
    roots: RootCertStore,
    _backends: Vec<Backend>,
    _folder: TempDir,
}

/// What stands behind a Service.
#[derive(Debug)]
enum Backend {
    Bytes(Echo),
    Calls(CallEcho),
    Datagrams(DatagramEcho),
}

impl Backend {
    fn address(&self) -> SocketAddr {
        match self {
            Self::Bytes(echo) => echo.address(),
            Self::Calls(echo) => echo.address(),
            Self::Datagrams(echo) => echo.address(),
        }
    }
}

impl Served {
    /// Sends a GET to port 80 of a Gateway.
    pub(super) fn get(&self, gateway: &str, host: &str, target: &str) -> Result<Response> {
        self.send(gateway, &Request::get(host, target))
    }

    /// Sends a request to port 80 of a Gateway.
    pub(super) fn send(&self, gateway: &str, request: &Request) -> Result<Response> {
        self.send_to(gateway, 80, request)
    }

    /// Sends a request to a port of a Gateway.
    pub(super) fn send_to(&self, gateway: &str, port: u16, request: &Request) -> Result<Response> {
        let socket = self.running.socket_of(gateway, port)?;
        ask(socket, request).with_context(|| format!("{} {} on {gateway} at {socket}", request.method, request.target))
    }

    /// Sends a request that a backend must answer, and returns what this one heard.
    pub(super) fn heard(&self, gateway: &str, request: &Request) -> Result<Heard> {
        let answer = self.send(gateway, request)?;
        let Request { host, target, headers, .. } = request;
        match Heard::read(&answer) {
            Some(heard) if answer.status == 200 => Ok(heard),
            Some(_) | None => bail!("{host}{target} {headers:?} met no backend but {} {:?}", answer.status, answer.text()),
        }
    }

    /// Sends a request over TLS to port 443 of a Gateway, for whoever proves to be the request's host by a certificate of a backend.
    pub(super) fn send_tls(&self, gateway: &str, request: &Request) -> Result<Response> {
        let socket = self.running.socket_of(gateway, 443)?;
        let mut connection = Connection::open_tls(socket, &request.host, self.roots.clone())
            .with_context(|| format!("TLS with {} at {gateway}", request.host))?;
        Ok(connection.exchange(request)?)
    }

    /// Makes a call on port 80 of a Gateway.
    pub(super) fn call(&self, gateway: &str, host: &str, path: &str) -> Result<Called> {
        let socket = self.running.socket_of(gateway, 80)?;
        call::call(socket, host, path).with_context(|| format!("{path} on {gateway} at {socket}"))
    }

    /// Sends a datagram to a port of a Gateway, and returns what came back.
    pub(super) fn datagram(&self, gateway: &str, port: u16, datagram: &[u8]) -> Result<Vec<u8>> {
        let socket = self.running.socket_of(gateway, port)?;
        datagram::ask(socket, datagram).with_context(|| format!("a datagram to {gateway} at {socket}"))
    }

    /// Expects a status from the gateway itself.
    pub(super) fn expect_status(&self, gateway: &str, request: &Request, status: u16) -> Result<()> {
        let answer = self.send(gateway, request)?;
        let Request { host, target, .. } = request;
        ensure!(answer.status == status, "{host}{target} answered {} instead of {status}: {:?}", answer.status, answer.text());
        Ok(())
    }

    /// Expects a condition among those at a pointer into an object's status, and returns its message.
    pub(super) fn expect_condition(&self, object: (&str, &str), at: &str, expected: (&str, &str, &str)) -> Result<String> {
        let ((kind, name), (wanted, status, reason)) = (object, expected);
        let statuses = self.running.statuses()?;
        let found = statuses.of(kind, name).with_context(|| format!("{kind} {name} has no status in {}", statuses.text()))?;
        let condition = list(found, at).iter().find(|condition| text(condition, "/type") == wanted);
        let condition = condition.with_context(|| format!("{kind} {name} has no {wanted} at {at}: {found}"))?;
        let given = (text(condition, "/status"), text(condition, "/reason"));
        ensure!(given == (status, reason), "{kind} {name} is {wanted} {given:?} instead of {:?}: {condition}", (status, reason));
        Ok(text(condition, "/message").to_owned())
    }

    /// Expects that the program says all of these words together: of one object, or in one line that it printed.
    pub(super) fn expect_said(&self, words: &[&str]) -> Result<()> {
        let statuses = self.running.statuses()?;
        let printed = self.running.printed();
        let mut sayings = statuses.entries().iter().map(Value::to_string).chain(printed.lines().map(str::to_owned));
        let together = sayings.any(|saying| words.iter().all(|word| saying.contains(word)));
        ensure!(together, "nothing says {words:?} in {}\n{printed}", statuses.text());
        Ok(())
    }
}
