//! Where a Gateway listens (`GatewaySpec.Addresses`).
//!
//! In: the addresses a Gateway asks for and those allotted to it. Out: where it listens, why its request is unsupported, why no
//! address serves it. Allots nothing.

use crate::condition::Reason;
use crate::resource::{AddressType, Gateway};

use super::Addresses;
use super::fault::Fault;
use super::objects::Objects;

/// Where a Gateway listens, why its request is unsupported, and why no address serves it.
pub(super) fn addresses(gateway: &Gateway, objects: &Objects) -> (Addresses, Option<Fault>, Option<Fault>) {
    let everywhere = Addresses { listen: vec![None], shown: Vec::new() };
    let stated = &gateway.spec.addresses;
    for address in stated {
        if !matches!(address.address_type, AddressType::IpAddress | AddressType::Hostname) {
            let message = format!("addresses of type {} are not supported; use IPAddress", address.address_type);
            return (everywhere, Some((Reason::UnsupportedAddress, message)), None);
        }
        if address.routability.is_some() {
            let message = "addresses with routability are not supported".to_owned();
            return (everywhere, Some((Reason::UnsupportedAddress, message)), None);
        }
    }
    let Some(allotted) = objects.facts.addresses.get(&gateway.meta.name) else {
        let pending =
            (!stated.is_empty()).then(|| (Reason::AddressNotAssigned, "the requested addresses are not allotted yet".to_owned()));
        let nowhere = Addresses { listen: Vec::new(), shown: Vec::new() };
        return (if stated.is_empty() { everywhere } else { nowhere }, None, pending);
    };
    if allotted.listen.is_empty() {
        let message = "no address is free for this Gateway; give the program another one".to_owned();
        return (allotted.clone(), None, Some((Reason::AddressNotAssigned, message)));
    }
    let missing = stated.iter().find(|address| !address.value.is_empty() && !allotted.shown.contains(&address.value));
    let fault = missing.map(|address| (Reason::AddressNotUsable, format!("address {} cannot be used here", address.value)));
    (allotted.clone(), None, fault)
}
