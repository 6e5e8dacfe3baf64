//! What a former leader wrote down and a new one would otherwise say anew: generations that were acknowledged, ports that could not be
//! opened.
//!
//! In: statuses of Gateways and ListenerSets as they are stored. Out: facts for the compiler; ports refused, until proxies say themselves how
//! it is.
//!
//! Invariants: only what was written for the very generation that is there counts.

use std::collections::BTreeMap;

use gateway_core::compile::{Change, Fact};
use gateway_core::name::{Kind, ObjectId, ObjectName};
use serde_json::Value;

use super::apply::Applier;

/// Ports, and whether over UDP, each with why it could not be opened.
type Refused = BTreeMap<(u16, bool), String>;

impl Applier {
    /// Takes up what is stored.
    pub(super) fn recall(&mut self) -> Vec<Change> {
        let gateways = self.gateways.values().map(|gateway| (Kind::Gateway, &gateway.meta, gateway.meta.name.clone()));
        let sets =
            self.sets.values().map(|set| (Kind::ListenerSet, &set.meta, set.spec.parent_ref.target(set.meta.name.namespace())));
        let mut facts = Vec::new();
        let mut refused: BTreeMap<ObjectName, Refused> = BTreeMap::new();
        for (kind, meta, gateway) in gateways.chain(sets) {
            let id = ObjectId::new(kind, meta.name.clone());
            let of_gateway = refused.entry(gateway).or_default();
            let Some(stored) = self.reports.stored(&id) else { continue };
            of_gateway.extend(refused_ports(stored, meta.generation));
            let is_programmed = |one: &Value| {
                one["type"] == "Programmed"
                    && one["status"] == "True"
                    && one["observedGeneration"].as_i64() == Some(meta.generation)
            };
            if list(stored, "conditions").iter().any(is_programmed) {
                facts.push(Change::Fact(Fact::Acknowledged(id, meta.generation)));
            }
        }
        for (gateway, refused) in refused {
            self.feeds.recall(&gateway, refused);
        }
        facts
    }
}

fn refused_ports(stored: &Value, generation: i64) -> Refused {
    let conditions = list(stored, "listeners").iter().flat_map(|entry| list(entry, "conditions"));
    let refusals = conditions.filter(|one| {
        one["type"] == "Accepted" && one["reason"] == "PortUnavailable" && one["observedGeneration"].as_i64() == Some(generation)
    });
    let port = |condition: &Value| {
        // As core says it: the socket, and the system's reason.
        let (socket, why) = condition["message"].as_str()?.split_once(" cannot be listened on: ")?;
        let (address, is_udp) = socket.strip_suffix("/udp").map_or((socket, false), |address| (address, true));
        Some(((address.rsplit_once(':')?.1.parse().ok()?, is_udp), why.to_owned()))
    };
    refusals.filter_map(port).collect()
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}
