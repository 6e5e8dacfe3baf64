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

    /// The names to claim in `supportedFeatures`, sorted.
    pub fn features(self) -> impl Iterator<Item = &'static str> {
        FEATURES.iter().filter(move |(_, needs)| needs.iter().all(|need| self.has(*need))).map(|(name, _)| *name)
    }
}

/// Every name we may claim with what it takes, in ASCII order.
const FEATURES: &[(&str, &[Capability])] = {
    use Capability::{BackendFilters, DetectMisdirected, EditResponse, H2c, Http, Https, Rewrite, WebSocket};
    &[
        ("Gateway", &[Http]),
        ("GatewayHTTPListenerIsolation", &[Http]),
        ("GatewayHTTPSListenerDetectMisdirectedRequests", &[Https, DetectMisdirected]),
        ("GatewayPort8080", &[Http]),
        ("GatewayRouteHostnameIntersectionPrecedence", &[Http]),
        ("HTTPRoute", &[Http, Https]),
        ("HTTPRoute303RedirectStatusCode", &[Http]),
        ("HTTPRoute307RedirectStatusCode", &[Http]),
        ("HTTPRoute308RedirectStatusCode", &[Http]),
        ("HTTPRouteBackendProtocolH2C", &[H2c]),
        ("HTTPRouteBackendProtocolWebSocket", &[WebSocket]),
        ("HTTPRouteBackendRequestHeaderModification", &[BackendFilters]),
        ("HTTPRouteBackendURLRewrite", &[BackendFilters, Rewrite]),
        ("HTTPRouteHostRewrite", &[Rewrite]),
        ("HTTPRouteMethodMatching", &[Http]),
        ("HTTPRouteNamedRouteRule", &[Http]),
        ("HTTPRouteParentRefPort", &[Http]),
        ("HTTPRoutePathRedirect", &[Http]),
        ("HTTPRoutePathRewrite", &[Rewrite]),
        ("HTTPRoutePortRedirect", &[Http]),
        ("HTTPRouteQueryParamMatching", &[Http]),
        ("HTTPRouteResponseHeaderModification", &[EditResponse]),
        ("HTTPRouteSchemeRedirect", &[Http]),
        ("ReferenceGrant", &[Http]),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_sorted_and_need_their_capabilities() {
        let all: Vec<_> = Support::ALL.features().collect();
        assert!(all.is_sorted());
        assert_eq!(Support::NONE.features().count(), 0);
        let plain: Vec<_> = Support::of(&[Capability::Http]).features().collect();
        assert!(plain.contains(&"HTTPRouteMethodMatching") && !plain.contains(&"HTTPRoute"), "core HTTPRoute needs HTTPS too");
    }
}
