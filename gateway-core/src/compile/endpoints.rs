//! Where the endpoints of a backend are.
//!
//! In: EndpointSlices, or what a host name resolves to. Out: addresses, each once, sorted: those that are ready, or else those that still
//! serve while they terminate. Of a host name's addresses those are left out that only the gateway could reach, unless it is told not to
//! care.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::resource::{Endpoint, EndpointAddressType, EndpointSlice, ServicePort};
use crate::snapshot::Network;

use super::ExternalNames;
use super::objects::Facts;

/// How the port of an endpoint is found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Port<'a> {
    /// The slice's port of this name and protocol.
    Named(&'a ServicePort),
    /// This number.
    Number(u16),
}

/// The endpoints in slices that may serve.
pub(super) fn in_slices<'s>(port: Port<'_>, slices: impl Iterator<Item = &'s Arc<EndpointSlice>> + Clone) -> Arc<[SocketAddr]> {
    let ready = collect(port, slices.clone(), |endpoint| endpoint.conditions.is_ready());
    if !ready.is_empty() {
        return ready.into();
    }
    collect(port, slices, |endpoint| endpoint.conditions.is_draining()).into()
}

fn collect<'s>(
    port: Port<'_>,
    slices: impl Iterator<Item = &'s Arc<EndpointSlice>>,
    serves: impl Fn(&Endpoint) -> bool,
) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for slice in slices.filter(|slice| slice.address_type != EndpointAddressType::Fqdn) {
        let number = match port {
            Port::Number(number) => Some(number),
            Port::Named(port) => {
                let named = slice.ports.iter().find(|stated| stated.name == port.name && stated.protocol == port.protocol);
                named.and_then(|stated| stated.port)
            }
        };
        let Some(number) = number else { continue };
        let addresses = slice.endpoints.iter().filter(|endpoint| serves(endpoint)).flat_map(|endpoint| &endpoint.addresses);
        let addresses = addresses.filter_map(|address| address.parse::<IpAddr>().ok());
        found.extend(addresses.map(|address| SocketAddr::new(address, number)));
    }
    in_order(found)
}

/// Addresses that are stated one by one.
pub(super) fn stated(addresses: &[String], port: u16) -> Arc<[SocketAddr]> {
    let addresses = addresses.iter().filter_map(|address| address.parse::<IpAddr>().ok());
    in_order(addresses.map(|address| SocketAddr::new(address, port)).collect()).into()
}

/// What a host name resolves to, as far as it may be used.
pub(super) fn behind_name(host: &str, port: u16, facts: &Facts, names: ExternalNames) -> Arc<[SocketAddr]> {
    let addresses = facts.resolved.get(host).map_or(&[][..], |found| &**found);
    let may_be_used = |address: &&IpAddr| match names {
        ExternalNames::Anywhere => true,
        ExternalNames::Refused | ExternalNames::Elsewhere => is_elsewhere(**address, facts.service_ranges.as_deref()),
    };
    let addresses = addresses.iter().filter(may_be_used);
    in_order(addresses.map(|address| SocketAddr::new(address.to_canonical(), port)).collect()).into()
}

/// Whether an address is neither loopback nor link-local, nor of a Service of the cluster.
pub(super) fn is_elsewhere(address: IpAddr, services: Option<&[Network]>) -> bool {
    let address = address.to_canonical();
    let is_here = match address {
        IpAddr::V4(it) => it.is_loopback() || it.is_link_local() || it.is_multicast() || it.is_broadcast() || it.octets()[0] == 0,
        IpAddr::V6(it) => it.is_loopback() || it.is_unspecified() || it.is_multicast() || it.is_unicast_link_local(),
    };
    !is_here && !services.is_some_and(|ranges| ranges.iter().any(|range| range.contains(address)))
}

fn in_order(mut found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_only_the_gateway_could_reach_are_not_elsewhere() {
        let services = [Network::parse("10.96.0.0/12").unwrap(), Network::parse("fd00:10::/112").unwrap()];
        for here in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::ffff:127.0.0.1",
            "169.254.169.254",
            "fe80::1",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "10.96.0.1",
            "::ffff:10.96.0.1",
            "fd00:10::a",
        ] {
            assert!(!is_elsewhere(here.parse().unwrap(), Some(&services)), "{here}");
        }
        for elsewhere in ["192.0.2.1", "10.0.0.1", "192.168.1.1", "2001:db8::1", "fd00:11::1"] {
            assert!(is_elsewhere(elsewhere.parse().unwrap(), Some(&services)), "{elsewhere}");
        }
        assert!(is_elsewhere("10.96.0.1".parse().unwrap(), None), "nobody knows where Services are");
    }
}
