//! How old an object is, for the tie-breaks of the specification.
//!
//! In: metadata. Out: a value that sorts older first. A stated `creationTimestamp` counts, none is youngest; the annotation
//! `pingora-gateway.dev/order` goes before ages, smaller first, and counts 0 where it is missing.

use crate::resource::Meta;
use crate::snapshot::matching::Age;

/// The age of an object.
pub(super) fn age(meta: &Meta) -> Age {
    let order = meta.annotations.get(ORDER_ANNOTATION).and_then(|order| order.parse().ok());
    Age::new(order, meta.created)
}

const ORDER_ANNOTATION: &str = "pingora-gateway.dev/order";
