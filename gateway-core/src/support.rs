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
}

/// The capabilities of a data plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Support(u64);

impl Support {
    /// Performs nothing: every object is judged, none can be served.
    pub const NONE: Self = Self(0);

    /// Performs all that this crate can decide: for tools that judge manifests without a data plane.
    pub const ALL: Self = Self(u64::MAX);

    /// Performs these.
    pub const fn of(capabilities: &[Capability]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < capabilities.len() {
            bits |= 1 << capabilities[at] as u8;
            at += 1;
        }
        Self(bits)
    }

    /// Whether it performs this.
    pub const fn has(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u8) != 0
    }

    /// Whether routes of this kind can be served at all.
    pub fn serves(self, kind: &Kind) -> bool {
        *kind == Kind::HttpRoute && self.has(Capability::Http)
    }

    /// The names to claim in `supportedFeatures` under a bundle of version `v1.minor`, sorted.
    pub fn features(self, minor: u32) -> impl Iterator<Item = &'static str> {
        let claimed = move |feature: &&Feature| feature.since <= minor && feature.needs.iter().all(|need| self.has(*need));
        FEATURES.iter().filter(claimed).map(|feature| feature.name)
    }
}

/// A feature with what it takes.
struct Feature {
    name: &'static str,
    needs: &'static [Capability],
    /// The first minor version whose registry has the name.
    since: u32,
}

const fn feature(name: &'static str, needs: &'static [Capability]) -> Feature {
    Feature { name, needs, since: 0 }
}

const fn since_1_7(name: &'static str, needs: &'static [Capability]) -> Feature {
    Feature { name, needs, since: 7 }
}

/// Every name we may claim, in ASCII order.
const FEATURES: &[Feature] = {
    use Capability::{BackendFilters, DetectMisdirected, EditResponse, H2c, Http, Https, Rewrite, WebSocket};
    &[
        feature("Gateway", &[Http]),
        feature("GatewayHTTPListenerIsolation", &[Http]),
        feature("GatewayHTTPSListenerDetectMisdirectedRequests", &[Https, DetectMisdirected]),
        feature("GatewayPort8080", &[Http]),
        since_1_7("GatewayRouteHostnameIntersectionPrecedence", &[Http]),
        feature("HTTPRoute", &[Http, Https]),
        feature("HTTPRoute303RedirectStatusCode", &[Http]),
        feature("HTTPRoute307RedirectStatusCode", &[Http]),
        feature("HTTPRoute308RedirectStatusCode", &[Http]),
        feature("HTTPRouteBackendProtocolH2C", &[H2c]),
        feature("HTTPRouteBackendProtocolWebSocket", &[WebSocket]),
        feature("HTTPRouteBackendRequestHeaderModification", &[BackendFilters]),
        since_1_7("HTTPRouteBackendURLRewrite", &[BackendFilters, Rewrite]),
        feature("HTTPRouteHostRewrite", &[Rewrite]),
        feature("HTTPRouteMethodMatching", &[Http]),
        feature("HTTPRouteNamedRouteRule", &[Http]),
        feature("HTTPRouteParentRefPort", &[Http]),
        feature("HTTPRoutePathRedirect", &[Http]),
        feature("HTTPRoutePathRewrite", &[Rewrite]),
        feature("HTTPRoutePortRedirect", &[Http]),
        feature("HTTPRouteQueryParamMatching", &[Http]),
        feature("HTTPRouteResponseHeaderModification", &[EditResponse]),
        feature("HTTPRouteSchemeRedirect", &[Http]),
        feature("ReferenceGrant", &[Http]),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_sorted_and_need_their_capabilities() {
        let all: Vec<_> = Support::ALL.features(7).collect();
        assert!(all.is_sorted());
        assert_eq!(Support::NONE.features(7).count(), 0);
        let plain: Vec<_> = Support::of(&[Capability::Http]).features(7).collect();
        assert!(plain.contains(&"HTTPRouteMethodMatching") && !plain.contains(&"HTTPRoute"), "core HTTPRoute needs HTTPS too");
        assert!(
            !Support::ALL.features(6).any(|name| name == "HTTPRouteBackendURLRewrite"),
            "a name of 1.7 is not claimed under 1.6"
        );
    }
}
