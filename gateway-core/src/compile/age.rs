//! How old an object is, for the tie-breaks of the specification.
//!
//! In: metadata. Out: a value that sorts older first, and what is odd about it. A stated `creationTimestamp` counts, none is youngest; the annotation
//! `pingora-gateway.dev/order` goes before ages, smaller first, and counts 0 where it is missing.

use crate::resource::Meta;
use crate::snapshot::matching::Age;

/// The age of an object.
pub(super) fn age(meta: &Meta) -> Age {
    let order = meta.annotations.get(ORDER_ANNOTATION).and_then(|order| order.parse().ok());
    Age::new(order, meta.created)
}

/// What is said of the annotation where it is no number.
pub(super) fn remark(meta: &Meta) -> Option<String> {
    let is_odd = meta.annotations.get(ORDER_ANNOTATION).is_some_and(|order| order.parse::<i64>().is_err());
    is_odd.then(|| format!("metadata.annotations {ORDER_ANNOTATION} has no effect: it is not a whole number"))
}

const ORDER_ANNOTATION: &str = "pingora-gateway.dev/order";
