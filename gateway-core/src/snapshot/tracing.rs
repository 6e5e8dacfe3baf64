//! Which requests of a Gateway become spans, what those hold and where they go (XTelemetryPolicy, GEP-4768).
//!
//! In: what the policy of a Gateway asks for. Out: for each request whether it is sampled, and all that an exporter has to know, as
//! data. Nothing here is needed to answer a request: a collector that is missing or down costs spans and nothing else.

mod attribute;

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use super::backend::BackendId;

pub use attribute::{AttributeKey, AttributeValue, SpanAttribute};

/// What becomes of the requests of a Gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tracing {
    /// No span is made of any, whatever the data plane does where nothing is said.
    Disabled,
    /// Spans are made of those that are sampled.
    Enabled(Spans),
}

/// Spans, and where they go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spans {
    /// Who receives them; `None` where the reference leads nowhere, so that nothing is exported.
    pub collector: Option<BackendId>,
    /// How they are sent there.
    pub protocol: ExportProtocol,
    /// Added to every request that carries spans, in this order. They may hold secrets: nobody prints them.
    pub headers: ExportHeaders,
    /// Which requests are sampled.
    pub sampling: Sampling,
    /// `service.name` of the resource; the data plane's own when absent.
    pub service_name: Option<Arc<str>>,
    /// What each span is called; up to the data plane when absent.
    pub span_name: Option<Arc<str>>,
    /// What each span holds beside what the data plane writes of itself, in the order of the policy.
    pub attributes: Box<[SpanAttribute]>,
}

/// How spans are sent (OTLP).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExportProtocol {
    /// gRPC: `opentelemetry.proto.collector.trace.v1.TraceService/Export`.
    Grpc,
    /// HTTP: POST to `/v1/traces`, Protobuf in binary form.
    Http,
}

/// Headers of the requests that carry spans. Prints names alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ExportHeaders(pub Box<[(HeaderName, HeaderValue)]>);

impl std::fmt::Debug for ExportHeaders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Which requests are sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// Of requests whose own decision counts: those that begin a trace, and all where parents do not count.
    pub own: Rate,
    /// Of requests whose parent was sampled; those whose parent was not never are. `None` where parents do not count.
    pub parents: Option<Rate>,
}

impl Sampling {
    /// Whether a request is sampled. `parent` is the sampled flag of the span it came with (`traceparent`), where it came with one.
    /// `number` is even over all of `u64`: taken from the end of the trace's id, it gives the same answer to all that share a rate,
    /// and whoever has a greater one samples at least the same.
    ///
    /// ```
    /// use gateway_core::snapshot::{Rate, Sampling};
    ///
    /// let sampling = Sampling { own: Rate::new(1, 4), parents: Some(Rate::ALL) };
    /// assert!(sampling.takes(Some(true), u64::MAX));
    /// assert!(!sampling.takes(Some(false), 0));
    /// assert!(!sampling.takes(None, u64::MAX / 2), "half of the way is beyond a quarter");
    /// ```
    pub fn takes(&self, parent: Option<bool>, number: u64) -> bool {
        match (parent, self.parents) {
            (Some(is_sampled), Some(rate)) => is_sampled && rate.has(number),
            (Some(_), None) | (None, _) => self.own.has(number),
        }
    }
}

/// So many of so many, exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    numerator: u32,
    denominator: u32,
}

impl Rate {
    /// All of them.
    pub const ALL: Self = Self { numerator: 1, denominator: 1 };

    /// `numerator` of `denominator`. More than all are all, and all are of no number at all.
    pub const fn new(numerator: u32, denominator: u32) -> Self {
        if numerator >= denominator { Self::ALL } else { Self { numerator, denominator } }
    }

    /// How many of how many.
    pub const fn fraction(self) -> (u32, u32) {
        (self.numerator, self.denominator)
    }

    /// Whether the one with this number is among them, where numbers are even over all of `u64`.
    pub const fn has(self, number: u64) -> bool {
        // number / 2^64 < numerator / denominator, without rounding.
        number as u128 * (self.denominator as u128) < (self.numerator as u128) << 64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn none_is_never_sampled_and_all_always_are() {
        for number in [0, 1, u64::MAX / 2, u64::MAX] {
            assert!(!Rate::new(0, 100).has(number));
            for all in [Rate::new(100, 100), Rate::new(7, 3), Rate::new(0, 0), Rate::ALL] {
                assert!(all.has(number));
            }
        }
    }

    #[test]
    fn a_parent_is_followed_where_it_counts() {
        let (never, always) = (Rate::new(0, 1), Rate::ALL);
        let rows = [
            // own, parents, parent, sampled
            (never, Some(always), Some(true), true),
            (always, Some(always), Some(false), false),
            (always, Some(never), Some(true), false),
            (always, Some(never), None, true),
            (never, Some(always), None, false),
            (never, None, Some(true), false),
            (always, None, Some(false), true),
        ];
        for (own, parents, parent, is_sampled) in rows {
            assert_eq!(Sampling { own, parents }.takes(parent, 1 << 40), is_sampled, "{own:?} {parents:?} {parent:?}");
        }
    }

    #[test]
    fn headers_print_no_value() {
        let header = (HeaderName::from_static("api-key"), HeaderValue::from_static("secret"));
        assert_eq!(format!("{:?}", ExportHeaders(Box::new([header]))), "[\"api-key\"]");
    }

    proptest! {
        #[test]
        fn a_rate_takes_its_part_of_numbers_evenly_spread(part in 0_u32..64, shift in 0_u32..16, parts in 64_u64..4096) {
            let rate = Rate::new(part << shift, 64 << shift);
            let taken = (0..64_u64).filter(|turn| rate.has(turn << 58)).count();
            prop_assert_eq!(taken, part as usize);
            let step = u64::MAX / parts;
            let taken = (0..parts).filter(|turn| rate.has(turn * step)).count() as f64;
            let share = f64::from(part) / 64.0;
            prop_assert!((taken - share * parts as f64).abs() <= 1.0, "{} of {}", taken, parts);
        }

        #[test]
        fn a_greater_rate_takes_at_least_the_same(a in 0_u32..1000, b in 0_u32..1000, number: u64) {
            let (less, more) = (Rate::new(a.min(b), 1000), Rate::new(a.max(b), 1000));
            prop_assert!(!less.has(number) || more.has(number));
        }
    }
}
