//! What the program says about itself once it serves.
//!
//! In: objects, conditions and sockets as they are. Out: plain text for a person: what listens where, how many routes, what is
//! refused and why, which Services nobody serves and the flag that would, and requests to try.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use gateway_core::compile::Bound;
use gateway_core::name::{Kind, ObjectId, ObjectName};
use gateway_core::resource::{Gateway, HttpMatch, HttpRoute, Listener, ListenerSet, Object, PathMatchType, Protocol};
use gateway_core::snapshot::{Socket, Transport};

use crate::board::{Board, Verdict, attaches, is_route};
use crate::files::Files;
use crate::unserved::unserved;

/// Everything the summary speaks of.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) files: &'a Files,
    pub(crate) board: &'a Board,
    pub(crate) sockets: &'a BTreeMap<Socket, Bound>,
    pub(crate) ports: &'a BTreeMap<u16, u16>,
    /// Gateways that got no address, and why.
    pub(crate) homeless: Vec<(ObjectName, String)>,
    pub(crate) admin: Option<SocketAddr>,
    /// Services without EndpointSlices are found by their names.
    pub(crate) by_name: bool,
}

impl Scene<'_> {
    /// The text, ending with a line break.
    pub(crate) fn summary(&self) -> String {
        let mut text = String::new();
        self.gateways(&mut text);
        self.routes(&mut text);
        self.refused(&mut text);
        self.unserved(&mut text);
        self.files(&mut text);
        self.try_out(&mut text);
        if let Some(admin) = self.admin {
            let _ = writeln!(text, "\nadmin: http://{admin}/status (also /healthz /readyz /explain /metrics)");
        }
        text
    }

    fn objects(&self) -> &HashMap<ObjectId, Object> {
        self.files.in_force()
    }

    fn all_gateways(&self) -> Vec<&Gateway> {
        let mut gateways: Vec<&Gateway> = self
            .objects()
            .values()
            .filter_map(|object| if let Object::Gateway(gateway) = object { Some(&**gateway) } else { None })
            .collect();
        gateways.sort_by_key(|gateway| &gateway.meta.name);
        gateways
    }

    fn gateways(&self, text: &mut String) {
        let gateways = self.all_gateways();
        if gateways.is_empty() {
            let _ = writeln!(text, "no Gateway is given: nothing listens");
        }
        for gateway in gateways.iter().take(MOST_GATEWAYS) {
            let _ = writeln!(text, "Gateway {} (class {})", gateway.meta.name, gateway.spec.gateway_class_name);
            self.listeners(text, gateway, &Kind::Gateway, &gateway.meta.name, &gateway.spec.listeners);
            let sets = self.sets_of(gateway);
            for set in sets.iter().take(MOST_GATEWAYS) {
                let _ = writeln!(text, "ListenerSet {} (of Gateway {})", set.meta.name, gateway.meta.name);
                self.listeners(text, gateway, &Kind::ListenerSet, &set.meta.name, &set.spec.listeners);
            }
            more(text, sets.len(), MOST_GATEWAYS, "ListenerSets");
        }
        more(text, gateways.len(), MOST_GATEWAYS, "Gateways");
    }

    fn sets_of(&self, gateway: &Gateway) -> Vec<&ListenerSet> {
        let is_of = |set: &ListenerSet| {
            set.spec.parent_ref.is_gateway() && set.spec.parent_ref.target(set.meta.name.namespace()) == gateway.meta.name
        };
        let sets = self.objects().values();
        let sets = sets.filter_map(|object| if let Object::ListenerSet(set) = object { Some(&**set) } else { None });
        let mut sets: Vec<&ListenerSet> = sets.filter(|set| is_of(set)).collect();
        sets.sort_by_key(|set| &set.meta.name);
        sets
    }

    /// The listeners of a Gateway or ListenerSet; `gateway` is the one they belong to.
    fn listeners(&self, text: &mut String, gateway: &Gateway, kind: &Kind, holder: &ObjectName, listeners: &[Listener]) {
        let id = ObjectId::new(kind.clone(), holder.clone());
        let rows: Vec<_> = listeners.iter().take(MOST_LISTENERS).map(|listener| self.listener(gateway, &id, listener)).collect();
        text.push_str(&indented(&crate::board::table(&rows)));
        more(text, listeners.len(), MOST_LISTENERS, "listeners");
    }

    fn listener(&self, gateway: &Gateway, holder: &ObjectId, listener: &Listener) -> [String; 5] {
        let mut doors = Vec::new();
        for (socket, bound) in self.sockets_of(gateway, listener) {
            doors.push(match bound {
                Bound::Yes => self.real(socket),
                Bound::Refused(reason) => format!("{} refused: {reason}", self.real(socket)),
            });
        }
        if doors.is_empty() {
            doors.push(format!("port {} not open", listener.port));
        }
        let hostname = listener.hostname.as_deref().unwrap_or("any host").to_owned();
        let routes = match self.board.attached_routes(holder, &listener.name) {
            1 => "1 route".to_owned(),
            count => format!("{count} routes"),
        };
        [listener.name.clone(), listener.protocol.to_string(), doors.join(", "), hostname, routes]
    }

    /// The sockets of a listener on the addresses of its Gateway.
    fn sockets_of(&self, gateway: &Gateway, listener: &Listener) -> impl Iterator<Item = (&Socket, &Bound)> {
        let transport = if listener.protocol == Protocol::Udp { Transport::Udp } else { Transport::Tcp };
        let port = listener.port;
        let id = ObjectId::new(Kind::Gateway, gateway.meta.name.clone());
        let shown = self.board.addresses(&id);
        self.sockets.iter().filter(move |(socket, _)| {
            (socket.port, socket.transport) == (port, transport)
                && socket.address.is_none_or(|address| shown.contains(&address.to_string()))
        })
    }

    /// A socket with the port that is bound for it.
    fn real(&self, socket: &Socket) -> String {
        let mapped = Socket { port: self.ports.get(&socket.port).copied().unwrap_or(socket.port), ..*socket };
        if mapped == *socket { socket.to_string() } else { format!("{mapped} (for port {})", socket.port) }
    }

    fn routes(&self, text: &mut String) {
        let mut counts: BTreeMap<&Kind, (usize, usize)> = BTreeMap::new();
        for id in self.objects().keys().filter(|id| is_route(&id.kind)) {
            let (all, accepted) = counts.entry(&id.kind).or_default();
            *all += 1;
            *accepted += usize::from(self.board.verdict(id) == Some(Verdict::Accepted));
        }
        for (kind, (all, accepted)) in counts {
            let _ = writeln!(text, "{kind}s: {accepted} of {all} in order");
        }
    }

    fn refused(&self, text: &mut String) {
        let faulty: Vec<_> = self.faults().collect();
        if faulty.is_empty() && self.homeless.is_empty() {
            return;
        }
        let _ = writeln!(text, "\nnot as asked for:");
        for (name, reason) in &self.homeless {
            let _ = writeln!(text, "  Gateway {name}: {reason}");
        }
        for (id, faults) in faulty.iter().take(MOST_FAULTS) {
            for fault in faults {
                let _ = writeln!(text, "  {id}: {fault}");
            }
        }
        more(text, faulty.len(), MOST_FAULTS, "objects");
    }

    fn faults(&self) -> impl Iterator<Item = (ObjectId, Vec<String>)> {
        let mut ids: Vec<_> = self.board.objects().into_iter().cloned().collect();
        ids.extend(self.objects().keys().filter(|id| attaches(&id.kind)).cloned());
        ids.sort();
        ids.dedup();
        ids.into_iter().filter_map(|id| match self.board.verdict(&id) {
            Some(Verdict::Faulty(faults)) => Some((id, faults)),
            Some(Verdict::Accepted) | None => None,
        })
    }

    fn unserved(&self, text: &mut String) {
        let unserved = unserved(self.objects(), self.by_name);
        if unserved.is_empty() {
            return;
        }
        let _ = writeln!(text, "\nwithout endpoints; each flag would serve one:");
        for backend in unserved.iter().take(MOST_FAULTS) {
            let _ = writeln!(text, "  Service {}: {}", backend.service, backend.flag());
        }
        more(text, unserved.len(), MOST_FAULTS, "Services");
    }

    fn files(&self, text: &mut String) {
        let problems = self.files.problems();
        if !problems.is_empty() {
            let _ = writeln!(text, "\nin the files:");
        }
        for problem in problems.iter().take(MOST_FAULTS) {
            let _ = writeln!(text, "  {problem}");
        }
        more(text, problems.len(), MOST_FAULTS, "problems");
        let foreign = self.files.foreign();
        if !foreign.is_empty() {
            let kinds: Vec<_> = foreign.iter().map(|(kind, count)| format!("{count} {}", kind.kind)).collect();
            let _ = writeln!(text, "\nobjects of other kinds, passed over: {}", kinds.join(", "));
        }
    }

    /// Requests that meet the first rules of accepted routes.
    fn try_out(&self, text: &mut String) {
        let mut routes: Vec<&HttpRoute> = self
            .objects()
            .values()
            .filter_map(|object| if let Object::HttpRoute(route) = object { Some(&**route) } else { None })
            .collect();
        routes.retain(|route| {
            self.board.verdict(&ObjectId::new(Kind::HttpRoute, route.meta.name.clone())) == Some(Verdict::Accepted)
        });
        routes.sort_by_key(|route| &route.meta.name);
        let lines: Vec<_> = routes.into_iter().flat_map(|route| self.curls(route)).take(MOST_CURLS).collect();
        if !lines.is_empty() {
            let _ = writeln!(text, "\ntry:");
        }
        for line in lines {
            let _ = writeln!(text, "  {line}");
        }
    }

    fn curls(&self, route: &HttpRoute) -> Vec<String> {
        let Some((base, host)) = self.entrance(route) else { return Vec::new() };
        let matches = route.spec.rules.iter().filter_map(|rule| rule.matches.first());
        matches.map(|wanted| curl(&base, host.as_deref(), wanted)).collect()
    }

    /// Where a route is reached in clear: the URL without its path, and the host to name where it is not that of the URL.
    fn entrance(&self, route: &HttpRoute) -> Option<(String, Option<String>)> {
        for parent in &route.spec.parent_refs {
            let holder = parent.holder(route.meta.name.namespace()).and_then(|holder| self.objects().get(&holder));
            let Some((gateway, listeners)) = holder.and_then(|holder| self.held(holder)) else { continue };
            let fits = |listener: &&Listener| {
                listener.protocol == Protocol::Http
                    && parent.section_name.as_ref().is_none_or(|section| *section == listener.name)
                    && parent.port.is_none_or(|port| port == listener.port)
            };
            for listener in listeners.iter().filter(fits) {
                let open = self.sockets_of(gateway, listener).find(|(_, bound)| **bound == Bound::Yes);
                let Some((socket, _)) = open else { continue };
                let address = socket.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
                let port = self.ports.get(&socket.port).copied().unwrap_or(socket.port);
                let host = route.spec.hostnames.first().or(listener.hostname.as_ref());
                let host = host.map(|host| host.replacen("*.", "www.", 1));
                return Some((format!("http://{}", SocketAddr::new(address, port)), host));
            }
        }
        None
    }

    /// The listeners of a Gateway or ListenerSet, and the Gateway they belong to.
    fn held<'o>(&'o self, holder: &'o Object) -> Option<(&'o Gateway, &'o [Listener])> {
        if let Object::Gateway(gateway) = holder {
            return Some((gateway, &gateway.spec.listeners));
        }
        let Object::ListenerSet(set) = holder else { return None };
        let name = set.spec.parent_ref.target(set.meta.name.namespace());
        let gateway = self.objects().get(&ObjectId::new(Kind::Gateway, name))?;
        if let Object::Gateway(gateway) = gateway { Some((gateway, &set.spec.listeners)) } else { None }
    }
}

fn curl(base: &str, host: Option<&str>, wanted: &HttpMatch) -> String {
    let mut line = String::from("curl -i");
    if let Some(method) = &wanted.method {
        let _ = write!(line, " -X {}", method.as_str());
    }
    if let Some(host) = host {
        let _ = write!(line, " -H 'Host: {host}'");
    }
    for header in &wanted.headers {
        let _ = write!(line, " -H '{}: {}'", header.name, header.value.replace('\'', "'\\''"));
    }
    let path = if wanted.path.match_type == PathMatchType::RegularExpression { "/" } else { &wanted.path.value };
    let query: Vec<_> = wanted.query_params.iter().map(|query| format!("{}={}", query.name, query.value)).collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    let url = format!("{base}{path}{query}");
    let plain = url.bytes().all(|c| c.is_ascii_alphanumeric() || b":/.-_~[]%".contains(&c));
    let _ = if plain { write!(line, " {url}") } else { write!(line, " '{}'", url.replace('\'', "%27")) };
    line
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

fn more(text: &mut String, all: usize, shown: usize, what: &str) {
    if all > shown {
        let _ = writeln!(text, "  … and {} more {what}", all - shown);
    }
}

const MOST_GATEWAYS: usize = 20;
const MOST_LISTENERS: usize = 20;
const MOST_FAULTS: usize = 20;
const MOST_CURLS: usize = 8;
