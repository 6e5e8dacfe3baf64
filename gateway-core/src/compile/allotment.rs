//! What whoever gives out addresses tells of a Gateway.
//!
//! In: nothing. Out: the words of `Fact::Addresses`. Each entry of `spec.addresses` is answered for itself, and named by its
//! content, so that an answer to an older version of the Gateway is not taken for one to the newer.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::resource::GatewayAddress;

/// The addresses of a Gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The addresses to listen on; `None` is all of the machine's.
    pub listen: Vec<Option<IpAddr>>,
    /// One answer for each entry of `spec.addresses`, and one for each other address the Gateway has: given unasked, or asked for
    /// once and still there.
    pub answers: Vec<Answer>,
}

impl Addresses {
    /// One address that was not asked for, and the Gateway listens on it alone.
    pub fn unasked(address: IpAddr) -> Self {
        let given = Given { value: AddressValue::Ip(address), routability: None };
        Self { listen: vec![Some(address)], answers: vec![Answer { to: None, outcome: Outcome::Given(given) }] }
    }
}

/// What became of one request for an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The entry of `spec.addresses`; `None` where nothing was asked for.
    pub to: Option<GatewayAddress>,
    /// What became of it.
    pub outcome: Outcome,
}

/// How a request for an address ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This address is the Gateway's.
    Given(Given),
    /// There will be none until somebody changes something; why.
    Refused(Arc<str>),
    /// There is none yet.
    Pending,
}

/// An address that a Gateway has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The address.
    pub value: AddressValue,
    /// From where it can be reached, where whoever gave it makes a promise (GEP-5093): `Cluster` or `domain/path`.
    pub routability: Option<Arc<str>>,
}

/// An address of a type that is supported.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressValue {
    /// `IPAddress`.
    Ip(IpAddr),
    /// `Hostname`, in lower case.
    Hostname(Arc<str>),
}

impl AddressValue {
    /// The type as statuses name it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Ip(_) => "IPAddress",
            Self::Hostname(_) => "Hostname",
        }
    }
}

impl fmt::Display for AddressValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Hostname(name) => f.write_str(name),
        }
    }
}
