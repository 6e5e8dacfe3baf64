//! Small configurations for tests, written into a snapshot without objects.

use std::sync::Arc;

use super::matching::{Age, CallPattern, Expression, HeaderMatch, Match, PathPattern, QueryMatch, ValuePattern};
use super::{
    Action, CertificateSet, Fingerprint, Listener, ListenerId, Place, Protocol, Rule, RuleId, Settings, Snapshot, Socket,
    Transport, Writer,
};
use crate::name::{Kind, ObjectId, ObjectName};

/// Port `port` of all addresses.
pub(crate) fn socket(port: u16) -> Socket {
    Socket { address: None, port, transport: Transport::Tcp }
}

/// The id of a listener of the one Gateway.
pub(crate) fn listener_id(name: &str) -> ListenerId {
    ListenerId { parent: ObjectId::new(Kind::Gateway, gateway()), name: name.into() }
}

fn gateway() -> ObjectName {
    ObjectName::new("test", "gateway")
}

/// A listener in clear on port 80.
pub(crate) fn listener(name: &str, hostname: Option<&str>) -> Listener {
    Listener {
        id: listener_id(name),
        gateway: gateway(),
        hostname: hostname.map(Into::into),
        protocol: Protocol::Http,
        port: 80,
        certificates: Ok(None),
        validation: None,
        filters: Ok(Arc::default()),
        tls: crate::snapshot::TlsOptions::default(),
        client_certificate: None,
        tracing: None,
        settings: Arc::new(Settings::default()),
    }
}

/// A listener that ends TLS on port 443.
pub(crate) fn tls_listener(name: &str, hostname: Option<&str>) -> Listener {
    let set = CertificateSet { certificates: Box::default(), fingerprint: Fingerprint::of([b"1"]) };
    let certificates = Ok(Some(Arc::new(set)));
    Listener { protocol: Protocol::Https, port: 443, certificates, ..listener(name, hostname) }
}

/// A listener for TLS that is passed on, on port 443.
pub(crate) fn passthrough_listener(name: &str, hostname: Option<&str>) -> Listener {
    Listener { protocol: Protocol::TlsPassthrough, port: 443, ..listener(name, hostname) }
}

/// A listener for TLS that ends here and carries bytes, on port 443.
pub(crate) fn terminate_listener(name: &str, hostname: Option<&str>) -> Listener {
    Listener { protocol: Protocol::TlsTerminate, ..tls_listener(name, hostname) }
}

/// A listener for bytes.
pub(crate) fn tcp_listener(name: &str, port: u16) -> Listener {
    Listener { protocol: Protocol::Tcp, port, ..listener(name, None) }
}

/// A listener for datagrams.
pub(crate) fn udp_listener(name: &str, port: u16) -> Listener {
    Listener { protocol: Protocol::Udp, port, ..listener(name, None) }
}

/// The socket of a listener.
pub(crate) fn socket_of(listener: &Listener) -> Socket {
    let transport = if listener.protocol == Protocol::Udp { Transport::Udp } else { Transport::Tcp };
    Socket { transport, ..socket(listener.port) }
}

/// A snapshot of listeners, each on the socket of its port, and routes.
pub(crate) fn snapshot(
    listeners: impl IntoIterator<Item = Listener>,
    routes: impl IntoIterator<Item = (Place, Arc<Match>)>,
) -> Arc<Snapshot> {
    let mut writer = Writer::new(1);
    for listener in listeners {
        let socket = socket_of(&listener);
        writer.put_listener(Arc::new(listener), &[socket]);
    }
    routes.into_iter().for_each(|(place, candidate)| writer.add(place, candidate));
    writer.commit()
}

/// The id of an HTTPRoute.
pub(crate) fn route(name: &str) -> ObjectId {
    ObjectId::new(Kind::HttpRoute, ObjectName::new("test", name))
}

/// A rule of a route.
pub(crate) fn rule(name: &str, index: usize, action: Action) -> Rule {
    Rule::new(RuleId { route: route(name), index, name: None }, Box::new([]), action)
}

/// A rule that only fails: its name is what tests look at.
pub(crate) fn marker(name: &str) -> Arc<Rule> {
    Arc::new(rule(name, 0, Action::Fail("a marker".into())))
}

/// A match of a rule with nothing but a path: `=/exact`, `~expression` or a prefix.
pub(crate) fn path(written: &str, rule: &Arc<Rule>) -> Match {
    let path = match written.split_at(1) {
        ("=", path) => PathPattern::exact(path),
        ("~", pattern) => PathPattern::Expression(Arc::new(Expression::new(pattern).unwrap())),
        _ => PathPattern::prefix(written),
    };
    let (headers, queries) = (Box::default(), Box::default());
    Match { path, method: None, headers, queries, age: Age::default(), index: 0, rule: Arc::clone(rule) }
}

/// A match of a rule with nothing but a call: `service/method`, either of them empty for any, or each an `~expression`.
pub(crate) fn call(written: &str, rule: &Arc<Rule>) -> Match {
    let (service, method) = written.split_once('/').unwrap();
    let some = |part| Some(part).filter(|part: &&str| !part.is_empty());
    let pattern = match written.contains('~') {
        false => CallPattern::exact(some(service), some(method)),
        true => {
            let expression = |part: &str| part.strip_prefix('~').map(|pattern| Arc::new(Expression::new(pattern).unwrap()));
            CallPattern::Expressions { service: expression(service), method: expression(method) }
        }
    };
    Match { path: PathPattern::Call(pattern), ..path("/", rule) }
}

/// The match of a rule that takes connections as they come.
pub(crate) fn stream(rule: &Arc<Rule>) -> Match {
    Match { path: PathPattern::Stream, ..path("/", rule) }
}

/// `value`, or `~expression`.
pub(crate) fn value(written: &str) -> ValuePattern {
    match written.strip_prefix('~') {
        Some(pattern) => ValuePattern::Expression(Arc::new(Expression::new(pattern).unwrap())),
        None => ValuePattern::Exact(written.into()),
    }
}

impl Match {
    pub(crate) fn with_method(mut self, method: &str) -> Self {
        self.method = Some(method.parse().unwrap());
        self
    }

    pub(crate) fn with_header(mut self, name: &str, written: &str) -> Self {
        let header = HeaderMatch { name: name.parse().unwrap(), value: value(written) };
        self.headers = self.headers.into_iter().chain([header]).collect();
        self
    }

    pub(crate) fn with_query(mut self, name: &str, written: &str) -> Self {
        let query = QueryMatch { name: name.into(), value: value(written) };
        self.queries = self.queries.into_iter().chain([query]).collect();
        self
    }

    pub(crate) fn with_age(mut self, created: i64) -> Self {
        self.age = Age::new(None, Some(created));
        self
    }

    /// Where the match stands under a host name.
    pub(crate) fn at(self, listener: &str, host: Option<&str>) -> (Place, Arc<Self>) {
        let place = Place { listener: listener_id(listener), host: host.map(Into::into), path: self.path.clone() };
        (place, Arc::new(self))
    }
}
