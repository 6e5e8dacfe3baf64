//! What a data plane performs, and which features of the Gateway API may be claimed for it.
//!
//! In: the capabilities a data plane states. Out: a yes or no for the judges, and the sorted names for
//! `GatewayClass.status.supportedFeatures` (GEP-2162). What is not supported gets its condition, so nothing is accepted and ignored.
//!
//! Invariants: a feature is claimed only when every capability it needs is there.

use crate::name::Kind;

/// One thing a data plane can perform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Capability {
    /// HTTP listeners with HTTPRoutes: matching, header edits on requests, redirects, weights.
    Http,
    /// HTTPS listeners that end TLS.
    Https,
    /// 421 for requests that reached the wrong HTTPS listener.
    DetectMisdirected,
    /// `ResponseHeaderModifier`.
    EditResponse,
    /// `URLRewrite`.
    Rewrite,
    /// Filters on a backendRef: header modifiers and `URLRewrite`.
    BackendFilters,
    /// `DirectResponse`, inline and by reference.
    DirectResponse,
    /// `kubernetes.io/h2c` backends.
    H2c,
    /// WebSocket upgrades.
    WebSocket,
    /// GRPCRoutes.
    Grpc,
    /// TLS listeners that pass connections through (TLSRoute).
    TlsPassthrough,
    /// TLS listeners that end TLS (TLSRoute).
    TlsTerminate,
    /// TCP listeners (TCPRoute).
    Tcp,
    /// UDP listeners (UDPRoute).
    Udp,
    /// `RequestMirror`.
    Mirror,
    /// `CORS`.
    Cors,
    /// `ExternalAuth` over HTTP.
    AuthHttp,
    /// `ExternalAuth` over gRPC (`ext_authz`).
    AuthGrpc,
    /// `timeouts.request`.
    RequestTimeout,
    /// `timeouts.backendRequest`.
    BackendTimeout,
    /// `retry`.
    Retry,
    /// Retry budgets of an XBackendTrafficPolicy.
    RetryBudget,
    /// Session persistence by cookie or header.
    SessionPersistence,
    /// TLS to backends (BackendTLSPolicy).
    BackendTls,
    /// Subject alternative names in place of the host name of a BackendTLSPolicy.
    BackendTlsNames,
    /// Client certificates of Gateways presented to backends.
    BackendClientCertificate,
    /// Client certificates checked on HTTPS listeners.
    ClientValidation,
    /// `AllowInsecureFallback`.
    InsecureFallback,
    /// Filters on listeners, before routes.
    ListenerFilters,
    /// Host names of backends resolved: ExternalName Services and XBackends of type ExternalHostname.
    ExternalNames,
    /// XBackends, and the protocols they name.
    XBackend,
    /// ServiceImports.
    ServiceImport,
    /// Traces exported as an XTelemetryPolicy says.
    Tracing,
    /// The TLS versions and suites of `tls.options` under our domain.
    TlsOptions,
    /// The PROXY protocol on ports that GatewayParameters name.
    ProxyProtocol,
    /// Whoever deploys the data plane gives Gateways the addresses they ask for.
    StaticAddresses,
    /// Whoever deploys the data plane gives an address where a request states only its type.
    AddressEmpty,
    /// Whoever deploys the data plane tells the scope of each address (GEP-5093).
    Routability,
    /// The same, for addresses within the cluster.
    RoutabilityCluster,
    /// Whoever deploys the data plane copies `spec.infrastructure` onto what it makes.
    Infrastructure,
}

/// The capabilities of a data plane, and how far they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Support {
    performs: u64,
    forwarded_body: u32,
}

impl Support {
    /// Performs nothing: every object is judged, none can be served.
    pub const NONE: Self = Self::performing(0);

    /// Performs all that this crate can decide: for tools that judge manifests without a data plane.
    pub const ALL: Self = Self::performing(u64::MAX);

    /// Performs these.
    pub const fn of(capabilities: &[Capability]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < capabilities.len() {
            bits |= 1 << capabilities[at] as u8;
            at += 1;
        }
        Self::performing(bits)
    }

    const fn performing(performs: u64) -> Self {
        Self { performs, forwarded_body: u32::MAX }
    }

    /// Performs these too: what whoever deploys a data plane adds to it.
    #[must_use]
    pub const fn and(self, more: Self) -> Self {
        let forwarded_body = if self.forwarded_body < more.forwarded_body { self.forwarded_body } else { more.forwarded_body };
        Self { performs: self.performs | more.performs, forwarded_body }
    }

    /// Forwards no more than so many bytes of a body to an external authorization (`forwardBody.maxSize`).
    #[must_use]
    pub const fn forwarding(self, most: u32) -> Self {
        Self { forwarded_body: most, ..self }
    }

    /// How many bytes of a body it forwards to an external authorization at most.
    pub const fn most_forwarded(self) -> u32 {
        self.forwarded_body
    }

    /// Whether it performs this.
    pub const fn has(self, capability: Capability) -> bool {
        self.performs & (1 << capability as u8) != 0
    }

    /// Whether routes of this kind can be served at all.
    pub fn serves(self, kind: &Kind) -> bool {
        ROUTES.iter().any(|(route, needs)| route == kind && needs.iter().any(|need| self.has(*need)))
    }

    /// The names to claim in `supportedFeatures` where this is installed, sorted.
    pub fn features(self, installed: Installed) -> impl Iterator<Item = &'static str> {
        let claimed =
            move |feature: &&Feature| feature.scope.holds(installed) && feature.needs.iter().all(|need| self.has(*need));
        FEATURES.iter().filter(claimed).map(|feature| feature.name)
    }
}

/// The kinds of route; each is served where any of these is performed.
const ROUTES: [(Kind, &[Capability]); 5] = [
    (Kind::HttpRoute, &[Capability::Http]),
    (Kind::GrpcRoute, &[Capability::Grpc]),
    (Kind::TlsRoute, &[Capability::TlsPassthrough, Capability::TlsTerminate]),
    (Kind::TcpRoute, &[Capability::Tcp]),
    (Kind::UdpRoute, &[Capability::Udp]),
];

/// A feature with what it takes.
struct Feature {
    name: &'static str,
    needs: &'static [Capability],
    scope: Scope,
}

/// A version of the API, 1.`minor`.`patch`.
type Version = (u32, u32);

/// Where a name may be claimed: in bundles whose registry has it, as far as they have the fields for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Scope {
    from: Version,
    /// Exclusive.
    until: Version,
    fields: Fields,
}

/// Where the fields of a feature are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fields {
    /// In both channels.
    Standard,
    /// In the experimental CRDs; others drop them.
    Experimental,
    /// Where the cluster serves ClusterTrustBundles.
    TrustBundles,
}

/// What is installed, as far as it decides which names may be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The minor version of the bundle.
    pub minor: u32,
    /// The patch of that.
    pub patch: u32,
    /// Whether its CRDs have the experimental fields.
    pub experimental: bool,
    /// Whether ClusterTrustBundles are served.
    pub trust_bundles: bool,
}

impl Installed {
    /// All that this crate was written for.
    pub const NEWEST: Self = Self { minor: 7, patch: 0, experimental: true, trust_bundles: true };

    /// Whether addresses have the field `routability` (GEP-5093): elsewhere a server drops what is written there.
    pub fn has_routability(self) -> bool {
        since(7).experimental().holds(self)
    }
}

impl Scope {
    const fn until(self, until: Version) -> Self {
        Self { until, ..self }
    }

    const fn experimental(self) -> Self {
        Self { fields: Fields::Experimental, ..self }
    }

    const fn trust_bundles(self) -> Self {
        Self { fields: Fields::TrustBundles, ..self }
    }

    fn holds(self, installed: Installed) -> bool {
        let version = (installed.minor, installed.patch);
        let has_fields = match self.fields {
            Fields::Standard => true,
            Fields::Experimental => installed.experimental,
            Fields::TrustBundles => installed.trust_bundles,
        };
        has_fields && self.from <= version && version < self.until
    }
}

/// In the bundles of a minor version and later.
const fn since(minor: u32) -> Scope {
    Scope { from: (minor, 0), until: (u32::MAX, 0), fields: Fields::Standard }
}

const fn feature(name: &'static str, needs: &'static [Capability]) -> Feature {
    Feature { name, needs, scope: since(0) }
}

const fn scoped(name: &'static str, scope: Scope, needs: &'static [Capability]) -> Feature {
    Feature { name, needs, scope }
}

/// Every name we may claim, in ASCII order. HTTPRouteRetryBackendTimeout of 1.6 is not among them: it stands for repeating every
/// request whose backend was too slow, and one that may have been processed is repeated only where 504 is among the codes.
const FEATURES: &[Feature] = {
    use Capability::{
        AddressEmpty, BackendClientCertificate, BackendFilters, BackendTimeout, BackendTls, BackendTlsNames, ClientValidation,
        Cors, DetectMisdirected, EditResponse, Grpc, H2c, Http, Https, Infrastructure, InsecureFallback, ListenerFilters, Mirror,
        RequestTimeout, Retry, Rewrite, Routability, RoutabilityCluster, StaticAddresses, Tcp, TlsPassthrough, TlsTerminate, Udp,
        WebSocket,
    };
    &[
        feature("BackendTLSPolicy", &[BackendTls]),
        feature("BackendTLSPolicySANValidation", &[BackendTls, BackendTlsNames]),
        scoped("ClusterTrustBundle", since(7).trust_bundles(), &[BackendTls, ClientValidation]),
        feature("GRPCRoute", &[Grpc]),
        feature("GRPCRouteNamedRouteRule", &[Grpc]),
        scoped("GRPCRouteRequestHeaderModifier", since(7), &[Grpc]),
        feature("Gateway", &[Http]),
        feature("GatewayAddressEmpty", &[AddressEmpty]),
        scoped("GatewayAddressRoutability", since(7).experimental(), &[Routability]),
        scoped("GatewayAddressRoutabilityCluster", since(7).experimental(), &[Routability, RoutabilityCluster]),
        feature("GatewayBackendClientCertificate", &[BackendTls, BackendClientCertificate]),
        feature("GatewayFrontendClientCertificateValidation", &[Https, ClientValidation]),
        feature("GatewayFrontendClientCertificateValidationInsecureFallback", &[Https, ClientValidation, InsecureFallback]),
        feature("GatewayHTTPListenerIsolation", &[Http]),
        feature("GatewayHTTPSListenerDetectMisdirectedRequests", &[Https, DetectMisdirected]),
        scoped("GatewayInfrastructure", RENAMED, &[Infrastructure]),
        scoped("GatewayInfrastructurePropagation", since(0).until(RENAMED.from), &[Infrastructure]),
        scoped("GatewayListenerFilters", since(7).experimental(), &[ListenerFilters]),
        feature("GatewayPort8080", &[Http]),
        scoped("GatewayRouteHostnameIntersectionPrecedence", since(7), &[Http]),
        feature("GatewayStaticAddresses", &[StaticAddresses]),
        feature("HTTPRoute", &[Http, Https]),
        feature("HTTPRoute303RedirectStatusCode", &[Http]),
        feature("HTTPRoute307RedirectStatusCode", &[Http]),
        feature("HTTPRoute308RedirectStatusCode", &[Http]),
        feature("HTTPRouteBackendProtocolH2C", &[H2c]),
        feature("HTTPRouteBackendProtocolWebSocket", &[WebSocket]),
        feature("HTTPRouteBackendRequestHeaderModification", &[BackendFilters]),
        feature("HTTPRouteBackendTimeout", &[BackendTimeout]),
        scoped("HTTPRouteBackendURLRewrite", since(7), &[BackendFilters, Rewrite]),
        feature("HTTPRouteCORS", &[Cors]),
        feature("HTTPRouteDestinationPortMatching", &[Http]),
        feature("HTTPRouteHostRewrite", &[Rewrite]),
        feature("HTTPRouteMethodMatching", &[Http]),
        feature("HTTPRouteNamedRouteRule", &[Http]),
        feature("HTTPRouteParentRefPort", &[Http]),
        feature("HTTPRoutePathRedirect", &[Http]),
        feature("HTTPRoutePathRewrite", &[Rewrite]),
        feature("HTTPRoutePortRedirect", &[Http]),
        feature("HTTPRouteQueryParamMatching", &[Http]),
        feature("HTTPRouteRequestMirror", &[Mirror]),
        feature("HTTPRouteRequestMultipleMirrors", &[Mirror]),
        feature("HTTPRouteRequestPercentageMirror", &[Mirror]),
        feature("HTTPRouteRequestTimeout", &[RequestTimeout]),
        feature("HTTPRouteResponseHeaderModification", &[EditResponse]),
        scoped("HTTPRouteRetry", since(6).until((7, 0)).experimental(), &[Retry]),
        scoped("HTTPRouteRetryCodes", since(7), &[Retry]),
        scoped("HTTPRouteRetryConnectionError", since(6).until((7, 0)).experimental(), &[Retry]),
        scoped("HTTPRouteRetryConnectionError", since(7), &[Retry]),
        feature("HTTPRouteSchemeRedirect", &[Http]),
        feature("ListenerSet", &[Http]),
        feature("ReferenceGrant", &[Http]),
        scoped("TCPRoute", since(6), &[Tcp]),
        feature("TLSRoute", &[TlsPassthrough]),
        feature("TLSRouteModeMixed", &[TlsPassthrough, TlsTerminate]),
        feature("TLSRouteModeTerminate", &[TlsTerminate]),
        scoped("UDPRoute", since(5).until((6, 0)).experimental(), &[Udp]),
        scoped("UDPRoute", since(6), &[Udp]),
    ]
};

/// Where a name was given to the whole stanza that another had named in part.
const RENAMED: Scope = Scope { from: (6, 3), until: (u32::MAX, 0), fields: Fields::Standard };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_sorted_and_need_their_capabilities() {
        let all: Vec<_> = Support::ALL.features(Installed::NEWEST).collect();
        assert!(all.is_sorted());
        assert_eq!(all.len(), 54, "all of the registry's at v1.7.0 but those of meshes");
        assert_eq!(Support::NONE.features(Installed::NEWEST).count(), 0);
        let plain: Vec<_> = Support::of(&[Capability::Http]).features(Installed::NEWEST).collect();
        assert!(plain.contains(&"HTTPRouteMethodMatching") && !plain.contains(&"HTTPRoute"), "core HTTPRoute needs HTTPS too");
    }

    #[test]
    fn a_name_is_claimed_only_where_what_is_installed_has_it() {
        let claims = |installed, name: &str| Support::ALL.features(installed).any(|claimed| claimed == name);
        let newest = Installed::NEWEST;
        let (standard, without) = (Installed { experimental: false, ..newest }, Installed { trust_bundles: false, ..newest });
        for name in ["GatewayListenerFilters", "GatewayAddressRoutability", "GatewayAddressRoutabilityCluster"] {
            assert!(!claims(standard, name), "{name} has no field in the standard channel");
        }
        assert!(claims(standard, "ClusterTrustBundle") && !claims(without, "ClusterTrustBundle"));
        assert!(claims(standard, "HTTPRouteRetryConnectionError"));
    }

    #[test]
    fn names_are_those_of_the_installed_bundles_registry() {
        let names = |minor, patch, experimental| {
            let installed = Installed { minor, patch, experimental, trust_bundles: true };
            Support::ALL.features(installed).collect::<Vec<_>>()
        };
        let new = [
            "ClusterTrustBundle",
            "GRPCRouteRequestHeaderModifier",
            "GatewayAddressRoutability",
            "GatewayAddressRoutabilityCluster",
            "GatewayListenerFilters",
            "GatewayRouteHostnameIntersectionPrecedence",
            "HTTPRouteBackendURLRewrite",
            "HTTPRouteRetryCodes",
        ];
        let (seven, six, five) = (names(7, 0, true), names(6, 1, true), names(5, 1, true));
        assert!(new.iter().all(|name| seven.contains(name) && !six.contains(name) && !five.contains(name)));
        // All of the registry's but HTTPRouteRetryBackendTimeout, which is not what we do.
        assert_eq!((six.len(), five.len()), (47, 44));
        assert!(six.contains(&"HTTPRouteRetry") && !seven.contains(&"HTTPRouteRetry"));
        assert!(six.contains(&"GatewayInfrastructurePropagation") && !six.contains(&"GatewayInfrastructure"));
        let renamed = names(6, 3, true);
        assert!(!renamed.contains(&"GatewayInfrastructurePropagation") && renamed.contains(&"GatewayInfrastructure"));
        assert!(five.contains(&"UDPRoute") && !five.contains(&"TCPRoute"));
        let standard = names(6, 1, false);
        assert!(["HTTPRouteRetry", "HTTPRouteRetryConnectionError"].iter().all(|name| !standard.contains(name)), "no field");
        assert!(!names(5, 1, false).contains(&"UDPRoute"));
        assert!([seven, six, five].iter().all(|names| names.is_sorted_by(|one, other| one < other)), "each once, in order");
    }
}
