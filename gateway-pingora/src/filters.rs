//! The filters that come with the gateway: one file per kind.

mod request_id;

pub use request_id::RequestId;

/// The API group of our own kinds.
pub(crate) const GROUP: &str = "pingora-gateway.dev";
