//! The addresses of a Gateway in a cluster: which Services ask for them, and what became of that (`GatewaySpec.Addresses`, GEP-5093).
//!
//! In: what a Gateway asks for; its Services as they are stored, and what went wrong with them. Out: the Services to have, and the
//! fact that the compiler is told. Whether an answer satisfies a request is core's to say.
//!
//! Invariants: each entry of `spec.addresses` has a Service of its own, or a reason why it has none, and keeps it while it stands.

use std::net::IpAddr;

use gateway_core::compile::{AddressValue, Addresses, Answer, Given, Outcome};
use gateway_core::resource::{AddressType, Gateway, GatewayAddress};
use serde_json::Value;

use super::provision::short_hash;

/// How one request for an address is put.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asking {
    /// What tells the Service from the others of the Gateway; nothing for the one that has the Gateway's own name.
    pub(crate) suffix: Option<String>,
    /// The entry of `spec.addresses`; `None` where nothing is asked for.
    pub(crate) entry: Option<GatewayAddress>,
    pub(crate) means: Means,
}

/// By what an address comes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Means {
    /// A Service of type LoadBalancer, or of what type parameters state, with the address it asks for.
    LoadBalancer(Option<IpAddr>),
    /// A Service of type ClusterIP, with the address it asks for.
    ClusterIp(Option<IpAddr>),
    /// None; why.
    None(&'static str),
}

/// What a Gateway asks for.
pub(crate) fn ask(gateway: &Gateway) -> Vec<Asking> {
    let stated = &gateway.spec.addresses;
    if stated.is_empty() {
        return vec![Asking { suffix: None, entry: None, means: Means::LoadBalancer(None) }];
    }
    let mut asking: Vec<Asking> = Vec::new();
    for entry in stated {
        let same = asking.iter().filter(|other| other.entry.as_ref() == Some(entry)).count();
        let routability = entry.routability.as_deref().unwrap_or("");
        let told = format!("{}|{}|{routability}|{same}", entry.address_type, entry.value);
        // Any address at the load balancer is what the Gateway had before it asked.
        let is_plain = entry.value.is_empty() && routability.is_empty() && same == 0;
        let suffix = (!is_plain || entry.address_type != AddressType::IpAddress).then(|| short_hash(&told));
        asking.push(Asking { suffix, means: means(entry, routability), entry: Some(entry.clone()) });
    }
    asking
}

fn means(entry: &GatewayAddress, routability: &str) -> Means {
    let is_within = match routability {
        "" | SENTINEL => false,
        CLUSTER => true,
        _ => return Means::None("no address of this routability is given out here"),
    };
    match (&entry.address_type, is_within) {
        (AddressType::IpAddress, _) => {
            let address = match (entry.value.as_str(), entry.value.parse()) {
                ("", _) => None,
                (_, Ok(address)) => Some(address),
                (_, Err(_)) => return Means::None("it is not an IP address"),
            };
            if is_within { Means::ClusterIp(address) } else { Means::LoadBalancer(address) }
        }
        (AddressType::Hostname, false) if entry.value.is_empty() => Means::LoadBalancer(None),
        (AddressType::Hostname, _) => Means::None("no host name can be asked for here; leave the value out"),
        (AddressType::NamedAddress | AddressType::Other(_), _) => Means::None("addresses of this type are not given out here"),
    }
}

/// A Service as it is stored, and what went wrong with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held<'a> {
    pub(crate) service: Option<&'a Value>,
    pub(crate) refusal: Option<&'a str>,
}

/// What became of all that is asked for. `left` are Services that are not asked for any more.
pub(crate) fn addresses<'a>(asking: &[(Asking, Held<'a>)], left: impl Iterator<Item = &'a Value>) -> Addresses {
    let mut answers: Vec<Answer> = Vec::new();
    for (asking, held) in asking {
        let values = held.service.map(values).unwrap_or_default();
        let routability = matches!(asking.means, Means::ClusterIp(_)).then(|| CLUSTER.into());
        let given = |value: &AddressValue| Outcome::Given(Given { value: value.clone(), routability: routability.clone() });
        match &asking.entry {
            None if !values.is_empty() => answers.extend(values.iter().map(|value| Answer { to: None, outcome: given(value) })),
            entry => {
                let wanted = entry.as_ref().map_or("IPAddress", |entry| match entry.address_type {
                    AddressType::Hostname => "Hostname",
                    AddressType::IpAddress | AddressType::NamedAddress | AddressType::Other(_) => "IPAddress",
                });
                let found = values.iter().find(|value| value.kind() == wanted).or_else(|| values.first());
                let outcome = match (&asking.means, found, held.refusal.map(str::to_owned).or_else(|| unmet(held.service))) {
                    (Means::None(why), ..) => Outcome::Refused((*why).into()),
                    (_, Some(value), _) => given(value),
                    (_, None, Some(why)) => Outcome::Refused(why.into()),
                    (_, None, None) => Outcome::Pending,
                };
                answers.push(Answer { to: entry.clone(), outcome });
            }
        }
    }
    for value in left.flat_map(values) {
        answers.push(Answer { to: None, outcome: Outcome::Given(Given { value, routability: None }) });
    }
    let ip = |answer: &Answer| match &answer.outcome {
        Outcome::Given(Given { value: AddressValue::Ip(address), .. }) => Some(Some(*address)),
        Outcome::Given(_) | Outcome::Refused(_) | Outcome::Pending => None,
    };
    let mut listen: Vec<Option<IpAddr>> = answers.iter().filter_map(ip).collect();
    listen.sort_unstable();
    listen.dedup();
    if listen.is_empty() {
        listen.push(None);
    }
    Addresses { listen, answers }
}

/// Whether all that is asked for was given as asked.
pub(crate) fn is_satisfied(addresses: &Addresses) -> bool {
    addresses.answers.iter().all(|answer| match (&answer.to, &answer.outcome) {
        (Some(entry), Outcome::Given(given)) => entry.value.is_empty() || entry.value == given.value.to_string(),
        (None, Outcome::Given(_)) => true,
        (_, Outcome::Refused(_) | Outcome::Pending) => false,
    })
}

/// The addresses that a Service has.
fn values(service: &Value) -> Vec<AddressValue> {
    // One on the ports of nodes has no address of its own outside.
    if matches!(service.pointer("/spec/type").and_then(Value::as_str), Some("ClusterIP" | "NodePort")) {
        let addresses = service.pointer("/spec/clusterIPs").and_then(Value::as_array).into_iter().flatten();
        return addresses.filter_map(|address| address.as_str()?.parse().ok()).map(AddressValue::Ip).collect();
    }
    let entries = service.pointer("/status/loadBalancer/ingress").and_then(Value::as_array).into_iter().flatten();
    let value = |entry: &Value| {
        let ip = entry.get("ip").and_then(Value::as_str).and_then(|ip| ip.parse().ok()).map(AddressValue::Ip);
        ip.or_else(|| Some(AddressValue::Hostname(entry.get("hostname")?.as_str()?.to_ascii_lowercase().into())))
    };
    entries.filter_map(value).collect()
}

/// What a condition of a Service says against its address.
fn unmet(service: Option<&Value>) -> Option<String> {
    let conditions = service?.pointer("/status/conditions")?.as_array()?;
    let failed = conditions.iter().find(|one| one.get("status").and_then(Value::as_str) == Some("False"))?;
    let text = |field: &str| failed.get(field).and_then(Value::as_str).unwrap_or_default();
    Some(format!("{}: {}", text("reason"), text("message")))
}

/// Reachable in the cluster.
const CLUSTER: &str = "Cluster";
/// A scope that promises nothing.
const SENTINEL: &str = "testing.x-k8s.io/sentinel";

#[cfg(test)]
mod tests {
    use gateway_core::resource::{Object, Reader, Reading, read};
    use serde_json::json;

    use super::*;

    fn gateway(addresses: &Value) -> std::sync::Arc<Gateway> {
        let value = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"gatewayClassName": "pingora", "addresses": addresses, "listeners": [{"name": "a", "protocol": "HTTP", "port": 80}]},
        });
        match read(value, &Reader::default()) {
            Ok(Reading::Object { object: Object::Gateway(gateway), .. }) => gateway,
            other => panic!("{other:?}"),
        }
    }

    fn balanced(ip: &str) -> Value {
        json!({"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": [{"ip": ip}]}}})
    }

    #[test]
    fn each_entry_is_asked_for_by_a_service_of_its_own_which_it_keeps() {
        let asking = ask(&gateway(&json!([{"value": "10.0.0.1"}, {"value": ""}, {"value": ""}])));
        let suffixes: Vec<_> = asking.iter().map(|one| one.suffix.clone()).collect();
        assert!(suffixes[1].is_none() && suffixes[2].is_some() && suffixes[0] != suffixes[2], "{suffixes:?}");
        assert_eq!(asking[0].means, Means::LoadBalancer("10.0.0.1".parse().ok()));
        let other = ask(&gateway(&json!([{"value": "10.0.0.2"}, {"value": "10.0.0.1"}])));
        assert_eq!(other[1].suffix, suffixes[0], "whatever else is asked for");
    }

    #[test]
    fn what_cannot_be_asked_for_is_refused_at_once() {
        let stated = json!([{"type": "Hostname", "value": "a.example"}, {"value": "10.0.0.1", "routability": "example.com/x"}]);
        let asking = ask(&gateway(&stated));
        assert!(asking.iter().all(|one| matches!(one.means, Means::None(_))), "{asking:?}");
        let held: Vec<_> = asking.into_iter().map(|one| (one, Held { service: None, refusal: None })).collect();
        let told = addresses(&held, std::iter::empty());
        assert!(told.answers.iter().all(|answer| matches!(answer.outcome, Outcome::Refused(_))));
        assert!(!is_satisfied(&told));
    }

    #[test]
    fn an_answer_is_what_the_service_has_or_why_it_has_nothing() {
        let asking = ask(&gateway(&json!([{"value": "10.0.0.1"}]))).remove(0);
        let (given, other) = (balanced("10.0.0.1"), balanced("10.0.0.9"));
        let failed = json!({"spec": {"type": "LoadBalancer"}, "status": {"conditions": [
            {"type": "x", "status": "False", "reason": "NotInPool", "message": "no"},
        ]}});
        let of = |service: Option<&Value>, refusal: Option<&str>| {
            let told = addresses(&[(asking.clone(), Held { service, refusal })], std::iter::empty());
            (format!("{:?}", told.answers[0].outcome), is_satisfied(&told), told.listen)
        };
        assert!(of(Some(&given), Some("old news")).1);
        assert_eq!(of(Some(&given), None).2, ["10.0.0.1".parse().ok()]);
        assert!(!of(Some(&other), None).1);
        assert!(of(Some(&failed), None).0.contains("NotInPool: no"));
        assert!(of(None, Some("AllocationFailed")).0.contains("AllocationFailed"));
        assert_eq!(of(None, None), ("Pending".to_owned(), false, vec![None]));
    }
}
