//! What the schema of Gateway API demands of objects, stated apart from the rows: each demand with the rows that break it.
//!
//! In: nothing. Out: demands by kind, in the order of its fields. What the schema leaves to implementations is among the conditions.
//!
//! A demand that has no row, and a row that no demand names, are both seen.

/// What is demanded of a kind.
pub(super) struct Demand {
    pub(super) kind: &'static str,
    /// The demand in words of the schema.
    pub(super) what: &'static str,
    /// The rows that break it, each by its rule.
    pub(super) rows: &'static [&'static str],
}

const fn demand(kind: &'static str, what: &'static str, rows: &'static [&'static str]) -> Demand {
    Demand { kind, what, rows }
}

const CLASS: &str = "GatewayClass";
const GATEWAY: &str = "Gateway";
const SET: &str = "ListenerSet";
const HTTP: &str = "HTTPRoute";
const GRPC: &str = "GRPCRoute";
const TLS: &str = "TLSRoute";
const TCP: &str = "TCPRoute";
const UDP: &str = "UDPRoute";
const GRANT: &str = "ReferenceGrant";
const BACKEND_TLS: &str = "BackendTLSPolicy";
const TRAFFIC: &str = "XBackendTrafficPolicy";
const TELEMETRY: &str = "XTelemetryPolicy";
const BACKEND: &str = "XBackend";

/// All that is demanded of the kinds of Gateway API.
pub(super) const DEMANDS: &[Demand] = &[
    demand(CLASS, "controllerName: domain/path", &["a controller is a domain and a path", "a class names its controller"]),
    demand(CLASS, "controllerName: at most 253", &["the name of a controller has at most 253 characters"]),
    demand(CLASS, "description: at most 64", &["a description has at most 64 characters"]),
    demand(GATEWAY, "gatewayClassName: required", &["a Gateway has a class"]),
    demand(GATEWAY, "listeners: 1 to 64", &["a Gateway has a listener", "a Gateway has at most 64 listeners"]),
    demand(GATEWAY, "listeners: names distinct", &["names of listeners are distinct"]),
    demand(
        GATEWAY,
        "listeners: port, protocol and hostname distinct",
        &["port, protocol and hostname of listeners are distinct"],
    ),
    demand(
        GATEWAY,
        "listeners: no tls on HTTP, TCP, UDP",
        &["HTTP listeners have no tls", "TCP listeners have no tls", "UDP listeners have no tls"],
    ),
    demand(GATEWAY, "listeners: HTTPS is Terminate", &["HTTPS listeners terminate"]),
    demand(
        GATEWAY,
        "listeners: TLS states its mode",
        &["TLS listeners state a mode", "a TLS listener without a mode terminates"],
    ),
    demand(GATEWAY, "listeners: Terminate has certificateRefs or options", &["what terminates has certificates or options"]),
    demand(GATEWAY, "listeners: no hostname on TCP, UDP", &["TCP listeners have no hostname", "UDP listeners have no hostname"]),
    demand(
        GATEWAY,
        "listeners: hostname with a leading *. alone",
        &["a wildcard is the first label of a hostname", "a wildcard is a whole label", "a wildcard has a domain"],
    ),
    demand(GATEWAY, "listeners: port 1 to 65535", &["a listener has a port", "a port is not 0"]),
    demand(GATEWAY, "listeners: form of the protocol", &["a protocol has the form of one", "an unknown protocol"]),
    demand(GATEWAY, "listeners: known mode of TLS", &["an unknown mode of TLS"]),
    demand(GATEWAY, "certificateRefs: at most 64", &["a listener has at most 64 certificates"]),
    demand(GATEWAY, "tls.options: at most 16, keys", &["a listener has at most 16 options", "options have keys"]),
    demand(GATEWAY, "allowedRoutes.kinds: at most 8", &["a listener admits at most 8 kinds"]),
    demand(GATEWAY, "allowedRoutes.namespaces.from: known", &["unknown namespaces of routes"]),
    demand(GATEWAY, "filters: of HTTP and HTTPS", &["filters are of HTTP and HTTPS listeners"]),
    demand(GATEWAY, "filters.requests: at most 16", &["a listener has at most 16 filters"]),
    demand(
        GATEWAY,
        "filters.requests: the payload of the type and no other",
        &["a filter of a listener has the payload of its type", "a filter of a listener has no other payload"],
    ),
    demand(GATEWAY, "addresses: at most 16", &["a Gateway has at most 16 addresses"]),
    demand(
        GATEWAY,
        "addresses: distinct",
        &["addresses of type IPAddress are distinct", "addresses of type Hostname are distinct"],
    ),
    demand(
        GATEWAY,
        "addresses: of their type",
        &["an IPAddress is an address", "an address of type Hostname is a host name", "an unknown type of address"],
    ),
    demand(
        GATEWAY,
        "addresses.routability: empty, Cluster or domain/path, not of k8s.io",
        &[
            "routability is empty, Cluster or a domain and a path",
            "the domain of a routability is not k8s.io",
            "the domain of a routability is not under k8s.io",
            "a routability has at most 253 characters",
        ],
    ),
    demand(
        GATEWAY,
        "infrastructure.labels: at most 8, keys and values",
        &["infrastructure has at most 8 labels", "labels of infrastructure have keys", "labels of infrastructure have values"],
    ),
    demand(
        GATEWAY,
        "infrastructure.annotations: at most 16, keys",
        &["infrastructure has at most 16 annotations", "annotations of infrastructure have keys"],
    ),
    demand(GATEWAY, "tls.frontend.perPort: ports distinct", &["ports of client validation are distinct"]),
    demand(
        GATEWAY,
        "tls.frontend: no namespace of a ClusterTrustBundle",
        &["a ClusterTrustBundle of client validation is in no namespace"],
    ),
    demand(SET, "parentRef: required", &["a set has a parent"]),
    demand(SET, "listeners: 1 to 64", &["a set has a listener", "a set has at most 64 listeners"]),
    demand(SET, "listeners: port required", &["a listener of a set has a port"]),
    demand(SET, "listeners: names distinct", &["names of a set are distinct"]),
    demand(SET, "listeners: port, protocol and hostname distinct", &["port, protocol and hostname within a set are distinct"]),
    demand(SET, "listeners: HTTPS is Terminate", &["HTTPS listeners of a set terminate"]),
    demand(SET, "listeners: TLS states its mode", &["TLS listeners of a set state a mode"]),
    demand(SET, "listeners: no tls on HTTP", &["HTTP listeners of a set have no tls"]),
    demand(SET, "listeners: no hostname on UDP", &["UDP listeners of a set have no hostname"]),
    demand(HTTP, "parentRefs: at most 32", &["a route has at most 32 parents"]),
    demand(
        HTTP,
        "parentRefs: those to one parent are told apart by sectionName or port",
        &[
            "two references to one parent are told apart",
            "two references to one parent both have a sectionName",
            "two references to one parent both have a port",
            "sectionName and port of one parent are distinct",
        ],
    ),
    demand(HTTP, "hostnames: at most 16", &["a route has at most 16 hostnames"]),
    demand(
        HTTP,
        "hostnames: their form",
        &[
            "a hostname is lower-case",
            "a hostname has no port",
            "a wildcard stands for whole labels",
            "a hostname has at most 253 characters",
        ],
    ),
    demand(HTTP, "rules: 1 to 16", &["a route has a rule", "a route has at most 16 rules"]),
    demand(HTTP, "rules: names distinct", &["names of rules are distinct"]),
    demand(
        HTTP,
        "matches: at most 64 of a rule, 128 of a route",
        &["a rule has at most 64 matches", "a route has at most 128 matches"],
    ),
    demand(HTTP, "filters: at most 16", &["a rule has at most 16 filters", "a backend has at most 16 filters"]),
    demand(HTTP, "backendRefs: at most 16", &["a rule has at most 16 backends"]),
    demand(
        HTTP,
        "backendRefs: a Service has a port, an XBackend none",
        &["a Service has a port", "an XBackend has its own port"],
    ),
    demand(HTTP, "backendRefs: weight 0 to 1000000", &["a weight is at most a million", "a weight is not negative"]),
    demand(
        HTTP,
        "matches: at most 16 headers",
        &["a match has at most 16 headers", "headers of a match are distinct, case and all"],
    ),
    demand(
        HTTP,
        "matches: at most 16 query parameters",
        &["a match has at most 16 query parameters", "query parameters of a match are distinct"],
    ),
    demand(
        HTTP,
        "path: begins with /",
        &["a path begins with a slash", "a path is not empty", "an exact path begins with a slash"],
    ),
    demand(
        HTTP,
        "path: none of // /./ /../ %2f %2F #",
        &[
            "a path has no //",
            "a path has no /./",
            "a path has no /../",
            "a path has no %2f",
            "a path has no %2F",
            "a path has no #",
        ],
    ),
    demand(HTTP, "path: does not end in /. or /..", &["a path does not end in /.", "a path does not end in /.."]),
    demand(
        HTTP,
        "path: characters of RFC 3986, valid triplets",
        &["a path has characters of paths", "a percent sign begins a triplet", "a triplet is hexadecimal"],
    ),
    demand(HTTP, "path: at most 1024", &["a path has at most 1024 characters", "an expression has at most 1024 characters"]),
    demand(
        HTTP,
        "path.type, method, header type: known",
        &["an unknown type of path", "an unknown method", "an unknown type of header match"],
    ),
    demand(
        HTTP,
        "header names: 1 to 256 characters of tokens",
        &[
            "the name of a header is a token",
            "the name of a header is not empty",
            "the name of a header has at most 256 characters",
        ],
    ),
    demand(
        HTTP,
        "header values: 1 to 4096 printable",
        &[
            "the value of a header is not empty",
            "the value of a header is printable",
            "the value of a header has at most 4096 characters",
            "a header is not set to nothing",
        ],
    ),
    demand(
        HTTP,
        "filters: the payload of the type and no other",
        &[
            "a filter has no other payload",
            "RequestHeaderModifier has its payload",
            "ResponseHeaderModifier has its payload",
            "RequestMirror has its payload",
            "RequestRedirect has its payload",
            "URLRewrite has its payload",
            "CORS has its payload",
            "ExternalAuth has its payload",
            "ExtensionRef has its payload",
        ],
    ),
    demand(
        HTTP,
        "filters: once",
        &[
            "RequestHeaderModifier is there once",
            "ResponseHeaderModifier is there once",
            "RequestRedirect is there once",
            "URLRewrite is there once",
            "CORS is there once",
        ],
    ),
    demand(
        HTTP,
        "filters: RequestRedirect and URLRewrite exclude each other",
        &["a rewrite excludes a redirect", "a rewrite of a backend excludes a redirect"],
    ),
    demand(HTTP, "filters: no backendRefs beside RequestRedirect", &["a rule that redirects has no backends"]),
    demand(
        HTTP,
        "filters: ReplacePrefixMatch with one match, of PathPrefix",
        &["a prefix replaced where several matches are", "a prefix replaced where no prefix is matched"],
    ),
    demand(
        HTTP,
        "filters: the replacement of the type of a path modifier",
        &[
            "a full path is replaced by a full path",
            "a full path is not replaced by a prefix",
            "a prefix is replaced by a prefix",
            "an unknown type of path modifier",
        ],
    ),
    demand(HTTP, "requestMirror: percent or fraction", &["percent excludes fraction"]),
    demand(
        HTTP,
        "requestMirror: at most all",
        &["a percentage is at most 100", "a percentage is not negative", "a fraction is at most one", "a denominator is not 0"],
    ),
    demand(HTTP, "cors: * stands alone", &["* is the only origin", "* is the only method", "* is the only header"]),
    demand(
        HTTP,
        "requestRedirect: known status and scheme",
        &["an unknown status of a redirect", "an unknown scheme of a redirect"],
    ),
    demand(HTTP, "timeouts: backendRequest within request", &["an attempt takes no longer than the request"]),
    demand(
        HTTP,
        "durations: up to four groups of one to five digits with h, m, s, ms",
        &[
            "a duration has a unit",
            "a duration has no sign",
            "a duration has no decimals",
            "a duration has units h, m, s and ms",
            "a duration has at most four groups",
            "a group of a duration has at most five digits",
        ],
    ),
    demand(
        HTTP,
        "retry.codes: 400 to 599, distinct",
        &["a status to retry is an error", "a status to retry is one of HTTP", "statuses to retry are distinct"],
    ),
    demand(HTTP, "retry.attempts: 0 or more", &["attempts are not negative"]),
    demand(
        HTTP,
        "sessionPersistence: cookie or header as the type says",
        &[
            "a session by cookie has a cookie",
            "a session by cookie has no header",
            "a session by header has a header",
            "a session by header has no cookie",
            "the header of a session has a name",
        ],
    ),
    demand(HTTP, "sessionPersistence: Permanent has absoluteTimeout", &["a permanent cookie has an end"]),
    demand(
        HTTP,
        "sessionPersistence: names of 1 to 256 characters of tokens",
        &["the name of a cookie is a token", "the name of a cookie has at most 256 characters"],
    ),
    demand(HTTP, "sessionPersistence: cookie.path at most 1024", &["the path of a cookie has at most 1024 characters"]),
    demand(
        HTTP,
        "externalAuth.forwardBody.maxSize: 0 or more, 32 bits",
        &["a body is not negative", "a body is no larger than 32 bits can say"],
    ),
    demand(
        HTTP,
        "externalAuth: the settings of its protocol",
        &[
            "authorization over HTTP has settings of HTTP",
            "authorization over gRPC has settings of gRPC",
            "authorization over HTTP has no settings of gRPC",
        ],
    ),
    demand(GRPC, "hostnames: at most 16", &["a route has at most 16 hostnames"]),
    demand(GRPC, "rules: at most 16, names distinct", &["a route has at most 16 rules", "names of rules are distinct"]),
    demand(
        GRPC,
        "matches: at most 64 of a rule, 128 of a route",
        &["a rule has at most 64 matches", "a route has at most 128 matches"],
    ),
    demand(GRPC, "matches: at most 16 headers", &["a match has at most 16 headers", "headers of a match are distinct"]),
    demand(
        GRPC,
        "method: service or method, and their forms",
        &["a method has a service or a method", "a service has no slash", "a method is one word"],
    ),
    demand(GRPC, "filters: at most 16", &["a rule has at most 16 filters"]),
    demand(
        GRPC,
        "filters: the payload of the type and no other, once",
        &["a filter has the payload of its type", "a filter has no other payload", "RequestHeaderModifier is there once"],
    ),
    demand(GRPC, "backendRefs: at most 16, a Service has a port", &["a rule has at most 16 backends", "a Service has a port"]),
    demand(GRPC, "sessionPersistence: as of an HTTPRoute", &["a session by cookie has a cookie"]),
    demand(TLS, "hostnames: 1 to 1024", &["a route has a hostname", "a route has at most 1024 hostnames"]),
    demand(TLS, "hostnames: no address", &["a hostname is no IPv4 address", "a hostname is no IPv6 address"]),
    demand(TLS, "hostnames: a wildcard as the first label alone", &["a wildcard is the first label"]),
    demand(TLS, "rules: one", STREAM_RULES),
    demand(TCP, "rules: one", STREAM_RULES),
    demand(UDP, "rules: one", STREAM_RULES),
    demand(TLS, "backendRefs: 1 to 16", STREAM_BACKENDS),
    demand(TCP, "backendRefs: 1 to 16", STREAM_BACKENDS),
    demand(UDP, "backendRefs: 1 to 16", STREAM_BACKENDS),
    demand(TLS, "parentRefs: at most 32", &["a route has at most 32 parents"]),
    demand(TCP, "parentRefs: at most 32", &["a route has at most 32 parents"]),
    demand(UDP, "parentRefs: at most 32", &["a route has at most 32 parents"]),
    demand(
        GRANT,
        "from and to: 1 to 16",
        &["a grant is from somewhere", "a grant is to something", "a grant is from at most 16"],
    ),
    demand(
        BACKEND_TLS,
        "validation: caCertificateRefs or wellKnownCACertificates",
        &["a policy has trust anchors", "trust anchors are listed", "trust anchors come from one source"],
    ),
    demand(BACKEND_TLS, "caCertificateRefs: at most 8", &["trust anchors come from at most 8 objects"]),
    demand(BACKEND_TLS, "targetRefs: 1 to 16", &["a policy has a target", "a policy has at most 16 targets"]),
    demand(
        BACKEND_TLS,
        "targetRefs: those to one target are told apart by sectionName",
        &["references to one target both have a sectionName", "sections of one target are distinct"],
    ),
    demand(
        BACKEND_TLS,
        "subjectAltNames: the field of the type and no other",
        &["a name of a host is one", "a name of a URI is one", "a name of a host is no URI", "a name of a URI is no host"],
    ),
    demand(BACKEND_TLS, "subjectAltNames: at most 5", &["there are at most 5 names"]),
    demand(
        BACKEND_TLS,
        "hostname: precise",
        &["a policy has a hostname", "the hostname has no wildcard", "the hostname is no address"],
    ),
    demand(
        TRAFFIC,
        "targetRefs: 1 to 16, distinct",
        &["a policy has a target", "a policy has at most 16 targets", "targets are distinct"],
    ),
    demand(
        TRAFFIC,
        "retryConstraint: percent at most 100, intervals of 1s to 1h",
        &["a budget is at most 100 percent", "a budget is for a second at least", "a budget is for an hour at most"],
    ),
    demand(
        TRAFFIC,
        "minRetryRate: 1 to 1000000, intervals of up to 1h",
        &["a rate is one at least", "a rate is a million at most", "a rate is for some time", "a rate is for an hour at most"],
    ),
    demand(
        TELEMETRY,
        "targetRefs: 1 to 16, distinct",
        &["a policy has a target", "a policy has at most 16 targets", "targets are distinct"],
    ),
    demand(TELEMETRY, "tracing: Enabled has a provider", &["tracing that is on has a provider"]),
    demand(
        TELEMETRY,
        "tracing: nothing else unless Enabled",
        &[
            "tracing that is off has no provider",
            "tracing by default has no provider",
            "tracing by default has no rate",
            "tracing that is off asks no parent",
            "tracing that is off names no service",
            "tracing that is off names no span",
            "tracing that is off has no attributes",
        ],
    ),
    demand(
        TELEMETRY,
        "attributes: names distinct, the field of the source and no other",
        &[
            "attributes are distinct",
            "an attribute from a header has one",
            "an attribute from a text has one",
            "an attribute from an attribute has one",
            "an attribute has no other source",
        ],
    ),
    demand(
        BACKEND,
        "type: its own fields and no other",
        &[
            "a backend has a type",
            "an external host has a host",
            "an external host selects nothing",
            "selected endpoints have a selector",
        ],
    ),
    demand(
        BACKEND,
        "externalHostname: no address, not of the cluster, no wildcard",
        &["an external host is no address", "an external host is not of the cluster", "an external host has no wildcard"],
    ),
    demand(
        BACKEND,
        "protocol: in clear or over TLS as it demands",
        &["H2C is without TLS", "HTTP2 is over TLS", "WSS is over TLS"],
    ),
    demand(
        BACKEND,
        "tls: validation and client certificate as the mode says",
        &[
            "no TLS validates nothing",
            "TLS has a mode",
            "TLS validates",
            "TLS with ClientAndServer presents a certificate",
            "TLS with ServerOnly presents none",
        ],
    ),
];

const STREAM_RULES: &[&str] = &["a route has rules", "a route has one rule", "a route has no second rule"];
const STREAM_BACKENDS: &[&str] = &["a rule has a backend", "a rule has at most 16 backends", "a Service has a port"];
