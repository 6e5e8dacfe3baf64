//! Addresses of Gateways (`GatewaySpec.Addresses`) and from where they can be reached (GEP-5093).

use gateway_core::compile::{AddressValue, Addresses, Answer, Bundle, Change, Fact, Given, Options, Outcome, Proof};
use gateway_core::name::ObjectName;
use gateway_core::resource::Object;
use gateway_core::snapshot::Network;
use gateway_core::status::{Status, merge};
use gateway_core::support::{Capability, Support};

use super::world::{World, id, objects, options};

fn gateway(addresses: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: infra}}
spec:
  gatewayClassName: c
  listeners: [{{name: http, port: 8080, protocol: HTTP}}]
  addresses: {addresses}
"
    )
}

/// A world where nobody tells from where addresses can be reached.
fn plain(addresses: &str) -> World {
    let support = Support::of(&[Capability::Http, Capability::StaticAddresses, Capability::AddressEmpty]);
    World::with(Options { support, ..options() }, &gateway(addresses))
}

/// The answers to the entries of `addresses`, each `value`, `value scope`, `!` for a refusal or `?` for none yet. What is in
/// brackets was not asked for.
fn answer(world: &mut World, addresses: &str, answers: &[&str]) {
    let [Object::Gateway(stated)] = &*objects(&gateway(addresses)) else { panic!("one Gateway") };
    let mut entries = stated.spec.addresses.iter();
    let answers: Vec<Answer> = answers
        .iter()
        .map(|text| {
            let unasked = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
            let to = if unasked.is_some() { None } else { entries.next().cloned() };
            let text = unasked.unwrap_or(text);
            let (value, scope) = text.split_once(' ').map_or((text, None), |(value, scope)| (value, Some(scope)));
            let outcome = match value {
                "!" => Outcome::Refused("it is somebody else's".into()),
                "?" => Outcome::Pending,
                value => {
                    let value = value.parse().map_or_else(|_| AddressValue::Hostname(value.into()), AddressValue::Ip);
                    Outcome::Given(Given { value, routability: scope.map(Into::into) })
                }
            };
            Answer { to, outcome }
        })
        .collect();
    let listen = answers.iter().filter_map(|answer| match &answer.outcome {
        Outcome::Given(Given { value: AddressValue::Ip(ip), .. }) => Some(Some(*ip)),
        Outcome::Given(_) => Some(None),
        Outcome::Refused(_) | Outcome::Pending => None,
    });
    let addresses = Addresses { listen: listen.collect(), answers };
    world.apply([Change::Fact(Fact::Addresses(ObjectName::new("infra", "gw"), Some(addresses)))]);
    world.bind();
}

/// `type value` of each address shown, with `@scope` where the status has one.
fn shown(world: &World) -> Vec<String> {
    let Some(Status::Gateway(status)) = world.compiler.statuses().get(&id("Gateway infra/gw")) else { panic!("no status") };
    let text = |address: &gateway_core::status::StatusAddress| {
        let scope = address.routability.as_ref().map_or_else(String::new, |scope| format!(" @{scope}"));
        format!("{} {}{scope}", address.kind, address.value)
    };
    status.addresses.iter().map(text).collect()
}

fn state(world: &World) -> [String; 3] {
    ["Accepted", "Programmed", "AddressesAssigned"].map(|kind| world.condition("Gateway infra/gw", kind))
}

#[test]
fn gateway_static_addresses_of_an_unsupported_type_of_an_unusable_and_of_a_usable_value() {
    let all = "[{type: test/fake-invalid-type, value: x}, {value: 10.0.0.1}, {value: 10.0.0.2}]";
    let mut world = plain(all);
    assert_eq!(state(&world), ["!UnsupportedAddress", "!Invalid", "absent"]);
    let two = "[{value: 10.0.0.1}, {value: 10.0.0.2}]";
    world.put(&gateway(two));
    assert_eq!(state(&world), ["Accepted", "!AddressNotAssigned", "absent"], "nobody answered yet");
    answer(&mut world, two, &["!", "10.0.0.2"]);
    assert_eq!(state(&world), ["Accepted", "!AddressNotUsable", "absent"]);
    assert_eq!(
        world.message("Gateway infra/gw", "Programmed"),
        "IPAddress 10.0.0.1: it is somebody else's",
        "it names the address and the reason"
    );
    let one = "[{value: 10.0.0.2}]";
    world.put(&gateway(one));
    answer(&mut world, one, &["10.0.0.2"]);
    assert_eq!(state(&world), ["Accepted", "Programmed", "absent"]);
    assert_eq!(shown(&world), ["IPAddress 10.0.0.2"]);
}

#[test]
fn types_nobody_supports_are_unsupported_addresses_whatever_their_value() {
    for entry in ["{type: NamedAddress, value: front}", "{type: example.com/vip}", "{value: 10.0.0.1, routability: Cluster}"] {
        let world = plain(&format!("[{entry}]"));
        assert_eq!(world.condition("Gateway infra/gw", "Accepted"), "!UnsupportedAddress", "{entry}");
        assert_eq!(world.snapshot.sockets().count(), 0);
    }
    assert_eq!(plain("[{value: 10.0.0.1, routability: ''}]").condition("Gateway infra/gw", "Accepted"), "Accepted");
}

/// § 2.4.
#[test]
fn invalid_parameters_go_before_unsupported_addresses_and_these_before_listeners_not_valid() {
    let broken = gateway("[{type: NamedAddress, value: front}]").replace("protocol: HTTP}", "protocol: ODD}");
    let parameters = broken.replace(
        "  listeners:",
        "  infrastructure: {parametersRef: {group: pingora-gateway.dev, kind: GatewayParameters, name: none}}\n  listeners:",
    );
    let listeners = broken.replace("NamedAddress, value: front", "IPAddress");
    for (yaml, reason) in [(parameters, "!InvalidParameters"), (broken, "!UnsupportedAddress"), (listeners, "!ListenersNotValid")]
    {
        assert_eq!(World::of(&yaml).condition("Gateway infra/gw", "Accepted"), reason);
    }
}

#[test]
fn gateway_optional_address_value_is_satisfied_by_any_address_of_the_type_and_no_two_by_the_same() {
    let two = "[{type: IPAddress}, {type: Hostname}]";
    let mut world = plain(two);
    answer(&mut world, two, &["10.0.0.1", "front.example.com"]);
    assert_eq!(state(&world), ["Accepted", "Programmed", "absent"]);
    assert_eq!(shown(&world), ["IPAddress 10.0.0.1", "Hostname front.example.com"]);
    answer(&mut world, two, &["10.0.0.1", "10.0.0.2"]);
    assert_eq!(state(&world)[1], "!AddressNotAssigned", "another type does not satisfy it");
    let same = "[{type: IPAddress}, {type: IPAddress}]";
    world.put(&gateway(same));
    answer(&mut world, same, &["10.0.0.1", "10.0.0.1"]);
    assert_eq!(state(&world)[1], "!AddressNotAssigned");
    assert_eq!(shown(&world), ["IPAddress 10.0.0.1"]);
    answer(&mut world, same, &["10.0.0.1", "10.0.0.2"]);
    assert_eq!(state(&world)[1], "Programmed");
}

/// § 9, item 40.
#[test]
fn hostnames_several_addresses_both_families_and_their_removal_are_shown_as_they_are() {
    let all =
        "[{type: Hostname, value: Front.example.com}, {value: '2001:DB8:0::1'}, {value: 10.0.0.1}]".replace("Front", "front");
    let mut world = plain(&all);
    answer(&mut world, &all, &["front.example.com", "2001:db8::1", "10.0.0.1"]);
    assert_eq!(state(&world), ["Accepted", "Programmed", "absent"]);
    assert_eq!(
        shown(&world),
        ["Hostname front.example.com", "IPAddress 2001:DB8:0::1", "IPAddress 10.0.0.1"],
        "a value is shown as it was asked for"
    );
    let fewer = "[{value: 10.0.0.1}]";
    world.put(&gateway(fewer));
    assert_eq!(shown(&world), ["IPAddress 10.0.0.1"], "answers to older requests are not taken for answers to these");
    world.put(&gateway("[]"));
    assert_eq!(shown(&world).len(), 3, "without requests all that it has is shown");
    answer(&mut world, "[]", &["[2001:db8::7]", "[10.0.0.7]"]);
    assert_eq!(shown(&world), ["IPAddress 2001:db8::7", "IPAddress 10.0.0.7"]);
}

/// § 9, item 50.
#[test]
fn a_gateway_that_got_no_address_says_what_is_missing() {
    let mut world = plain("[]");
    assert_eq!(state(&world)[1], "Programmed", "all of the machine's");
    answer(&mut world, "[]", &["[!]"]);
    assert_eq!(state(&world)[1], "!AddressNotAssigned");
    assert_eq!(world.message("Gateway infra/gw", "Programmed"), "it is somebody else's");
    assert_eq!(world.condition("Gateway infra/gw#http", "Programmed"), "!Pending");
    let one = "[{type: IPAddress}]";
    world.put(&gateway(one));
    answer(&mut world, one, &["?"]);
    assert_eq!(state(&world)[1], "!AddressNotAssigned");
    assert_eq!(world.message("Gateway infra/gw", "Programmed"), "IPAddress any: not assigned yet");
}

#[test]
fn an_address_that_could_not_be_given_up_yet_is_shown_until_all_that_is_asked_for_is_there() {
    let one = "[{value: 10.0.0.9}]";
    let mut world = plain(one);
    answer(&mut world, one, &["?", "[10.0.0.1]"]);
    assert_eq!(shown(&world), ["IPAddress 10.0.0.1"]);
    assert_eq!(state(&world)[1], "!AddressNotAssigned", "it satisfies nothing");
    answer(&mut world, one, &["10.0.0.9", "[10.0.0.1]"]);
    assert_eq!(shown(&world), ["IPAddress 10.0.0.9"]);
    assert_eq!(state(&world)[1], "Programmed");
}

/// A world whose addresses have scopes, with Services in 10.96.0.0/12.
fn scoped(addresses: &str) -> World {
    let mut world = World::of(&gateway(addresses));
    world.apply([Change::Fact(Fact::ServiceRanges(Some(vec![Network::parse("10.96.0.0/12").expect("a range")])))]);
    world
}

/// § 9, item 63.
#[test]
fn addresses_assigned_is_absent_before_addresses_were_reconciled_and_then_tells_all_some_or_none() {
    let two = "[{routability: Cluster}, {type: IPAddress}]";
    let mut world = scoped(two);
    assert_eq!(state(&world), ["Accepted", "!AddressNotAssigned", "absent"]);
    answer(&mut world, two, &["?", "?"]);
    assert_eq!(state(&world), ["Accepted", "!AddressNotAssigned", "!NotAssigned"]);
    answer(&mut world, two, &["!", "203.0.113.1"]);
    assert_eq!(state(&world), ["Accepted", "Programmed", "!PartiallyAssigned"], "it is programmed on the rest");
    let message = world.message("Gateway infra/gw", "AddressesAssigned");
    assert_eq!(message, "IPAddress any of routability Cluster: it is somebody else's");
    assert_eq!(shown(&world), ["IPAddress 203.0.113.1 @"], "the empty scope is told too");
    answer(&mut world, two, &["10.96.0.7 Cluster", "203.0.113.1"]);
    assert_eq!(state(&world), ["Accepted", "Programmed", "AddressesAssigned"]);
    assert_eq!(shown(&world), ["IPAddress 10.96.0.7 @Cluster", "IPAddress 203.0.113.1 @"], "both stand side by side");
}

/// § 10, row 19.
#[test]
fn the_true_reason_of_addresses_assigned_is_that_of_the_constant() {
    let mut world = scoped("[]");
    answer(&mut world, "[]", &["[203.0.113.1]"]);
    assert_eq!(state(&world)[2], "AddressesAssigned", "default selection is done");
    answer(&mut world, "[]", &["[!]"]);
    assert_eq!(state(&world)[2], "!NotAssigned");
}

#[test]
fn cluster_is_an_address_within_the_service_ranges_and_nothing_else() {
    let one = "[{routability: Cluster}]";
    let mut world = scoped(one);
    for (given, assigned) in [
        ("10.96.0.7 Cluster", "AddressesAssigned"),
        ("10.96.0.7", "AddressesAssigned"),
        ("192.168.0.7 Cluster", "!NotAssigned"),
        ("192.168.0.7", "!NotAssigned"),
        ("10.96.0.7 example.com/vpc", "!NotAssigned"),
    ] {
        answer(&mut world, one, &[given]);
        assert_eq!(state(&world)[2], assigned, "{given}");
        let programmed = if assigned.starts_with('!') { "!AddressNotAssigned" } else { "Programmed" };
        assert_eq!(state(&world)[1], programmed, "{given}");
    }
    let fixed = "[{value: 192.168.0.7, routability: Cluster}]";
    world.put(&gateway(fixed));
    answer(&mut world, fixed, &["192.168.0.7 Cluster"]);
    assert_eq!(state(&world)[2], "!NotAssigned");
    let message = world.message("Gateway infra/gw", "AddressesAssigned");
    assert!(message.ends_with("192.168.0.7 is not within the service ranges of the cluster"), "{message}");
    world.apply([Change::Fact(Fact::ServiceRanges(Some(vec![Network::parse("192.168.0.0/16").unwrap()])))]);
    assert_eq!(state(&world)[2], "AddressesAssigned", "the ranges may be extended");
    world.apply([Change::Fact(Fact::ServiceRanges(None))]);
    assert_eq!(state(&world)[2], "AddressesAssigned", "where nobody knows the ranges, whoever gave the address is believed");
}

#[test]
fn an_entry_without_routability_takes_an_address_of_no_promise_or_of_the_cluster() {
    let one = "[{type: IPAddress}]";
    let mut world = scoped(one);
    answer(&mut world, one, &["10.96.0.7"]);
    assert_eq!(shown(&world), ["IPAddress 10.96.0.7 @Cluster"], "told even if not asked for");
    answer(&mut world, one, &["203.0.113.1 example.com/vpc"]);
    assert_eq!(state(&world)[2], "!NotAssigned", "another scope is never taken for it");
}

#[test]
fn the_sentinel_is_accepted_and_reported_and_its_domain_knows_no_other() {
    let one = "[{routability: testing.x-k8s.io/sentinel}, {routability: testing.x-k8s.io/other}, {routability: example.com/vpc}]";
    let mut world = scoped(one);
    answer(&mut world, one, &["203.0.113.1", "203.0.113.2 testing.x-k8s.io/other", "203.0.113.3 example.com/vpc"]);
    assert_eq!(shown(&world), ["IPAddress 203.0.113.1 @testing.x-k8s.io/sentinel", "IPAddress 203.0.113.3 @example.com/vpc"]);
    assert_eq!(state(&world), ["Accepted", "Programmed", "!PartiallyAssigned"]);
}

#[test]
fn an_unmet_routability_is_address_not_assigned_and_an_unusable_value_address_not_usable() {
    let mixed = "[{value: 203.0.113.1}, {type: IPAddress}]";
    let mut world = scoped(mixed);
    answer(&mut world, mixed, &["!", "203.0.113.2"]);
    assert_eq!(state(&world), ["Accepted", "!AddressNotUsable", "!PartiallyAssigned"]);
    answer(&mut world, mixed, &["203.0.113.9", "203.0.113.2"]);
    assert_eq!(state(&world)[1], "!AddressNotUsable", "nor is another address given instead");
    let unmet = "[{routability: Cluster}]";
    world.put(&gateway(unmet));
    answer(&mut world, unmet, &["203.0.113.2"]);
    assert_eq!(state(&world), ["Accepted", "!AddressNotAssigned", "!NotAssigned"]);
    answer(&mut world, unmet, &["!", "[203.0.113.2]"]);
    assert_eq!(state(&world), ["Accepted", "Programmed", "!NotAssigned"], "an address that is still there serves on");
}

#[test]
fn routability_is_told_only_where_the_installed_addresses_have_the_field() {
    let bundle = |experimental: bool| Change::Fact(Fact::Bundle(Bundle::of("v1.7.0", experimental)));
    let mut world = scoped("[]");
    answer(&mut world, "[]", &["[203.0.113.1]"]);
    world.apply([bundle(false)]);
    assert_eq!(shown(&world), ["IPAddress 203.0.113.1"]);
    assert_eq!(state(&world)[2], "absent");
    let stored = world.compiler.statuses().get(&id("Gateway infra/gw")).and_then(|status| merge(status, None, "t")).unwrap();
    assert!(stored["addresses"][0].get("routability").is_none(), "a server would drop it, and it would be written for ever");
    world.apply([bundle(true)]);
    assert_eq!(shown(&world), ["IPAddress 203.0.113.1 @"]);
    assert_eq!(state(&world)[2], "AddressesAssigned");
}

#[test]
fn without_the_cluster_feature_no_address_is_of_the_cluster() {
    let one = "[{routability: Cluster}, {type: IPAddress}]";
    let support = Support::of(&[Capability::Http, Capability::Routability]);
    let mut world = World::with(Options { support, proof: Proof::Acknowledgement, ..options() }, &gateway(one));
    answer(&mut world, one, &["10.96.0.7 Cluster", "10.96.0.8 Cluster"]);
    assert_eq!(shown(&world), ["IPAddress 10.96.0.8 @"]);
    assert_eq!(state(&world)[2], "!PartiallyAssigned");
}
