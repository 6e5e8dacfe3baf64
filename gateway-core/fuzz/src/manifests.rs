//! Manifests nobody has checked: read, compiled in some order, and their statuses joined with what is stored.
//!
//! Bytes that begin with `!` are a script: which documents of the world to change, put and remove, and which facts to tell, a
//! transaction at a time. Any others are a text of YAML or JSON documents.
//!
//! Laws: reading ends; the compiler takes whatever is read; a status once written is not written again; and what the changes left
//! is what compiling the last of them at once gives.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use gateway_core::compile::{AddressValue, Addresses, Answer, Bound, Bundle, Change, Compiler, Fact, Given, Outcome, Update};
use gateway_core::name::{Kind, ObjectId, ObjectName};
use gateway_core::resource::{GatewayAddress, Object, Reading, read, read_stored, validate};
use gateway_core::snapshot::{Network, Socket, Transport};
use gateway_core::status::merge;
use serde_json::Value;

use crate::input::Input;
use crate::mutation::mutate;
use crate::world::{DOCUMENTS, documents, options, reader, stored};

/// Compiles what the bytes say.
pub fn manifests(bytes: &[u8]) {
    match bytes.split_first() {
        Some((b'!', script)) => follow(Input::new(script)),
        Some(_) => follow_text(&String::from_utf8_lossy(bytes)),
        None => {}
    }
}

fn follow_text(text: &str) {
    let json = serde_json::from_str(text).ok();
    let changes = documents(text).into_iter().chain(json).filter_map(object).map(Change::Put);
    run([changes.collect()]);
}

fn follow(mut input: Input<'_>) {
    let mut transactions = Vec::new();
    let mut changes = Vec::new();
    for _ in 0..MOST_STEPS {
        if input.is_empty() {
            break;
        }
        let step = input.byte();
        changes.extend(change(step % 8, &mut input));
        if step >= 0x80 {
            transactions.push(std::mem::take(&mut changes));
        }
    }
    transactions.push(changes);
    run(transactions);
}

fn change(step: u8, input: &mut Input<'_>) -> Option<Change> {
    let chosen = |input: &mut Input<'_>| DOCUMENTS.get(input.below(DOCUMENTS.len())).cloned();
    match step {
        0..=1 => chosen(input).and_then(object).map(Change::Put),
        2..=4 => {
            let mut document = chosen(input)?;
            for _ in 0..=input.byte() % 4 {
                mutate(&mut document, input);
            }
            object(document).map(Change::Put)
        }
        5 => chosen(input).and_then(object).map(|object| Change::Remove(object.id())),
        6 => Some(Change::Fact(fact(input))),
        // All of them at once is what most changes need to mean something.
        _ => None,
    }
}

fn fact(input: &mut Input<'_>) -> Fact {
    let gateway = ObjectName::new("infra", if input.byte() % 2 == 0 { "edge" } else { "second" });
    match input.byte() % 7 {
        0 => {
            let transport = if input.byte() % 4 == 0 { Transport::Udp } else { Transport::Tcp };
            let port = input.pick(&[80, 443, 8080, 8443, 9000, 53]).unwrap_or(80);
            let bound = match input.byte() % 3 {
                0 => None,
                1 => Some(Bound::Yes),
                _ => Some(Bound::Refused("in use".into())),
            };
            Fact::Socket(Socket { address: None, port, transport }, bound)
        }
        1 => {
            let of = if input.byte() % 2 == 0 { Kind::Gateway } else { Kind::ListenerSet };
            Fact::Acknowledged(ObjectId::new(of, gateway), i64::from(input.byte() % 3))
        }
        2 => Fact::Addresses(gateway, (input.byte() % 4 != 0).then(|| addresses(input))),
        3 => Fact::Time(i64::from(input.byte()) << (input.byte() % 48)),
        4 => {
            let ranges = ["10.9.0.0/16", "2001:db8::/32"].iter().filter(|_| input.byte() % 2 == 0);
            let ranges = ranges.filter_map(|range| Network::parse(range)).collect();
            Fact::ServiceRanges((input.byte() % 4 != 0).then_some(ranges))
        }
        5 => {
            let host = input.pick(&["api.example.net", "dns.example.net", "gone.example.net"]).unwrap_or_default();
            let addresses = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::LOCALHOST].into_iter().filter(|_| input.byte() % 2 == 0);
            let addresses = addresses.map(IpAddr::V4).collect();
            Fact::Resolved(host.into(), (input.byte() % 4 != 0).then_some(addresses))
        }
        _ => {
            let version = input.pick(&["v1.7.0", "v1.6.0", "v1.5.0", "odd"]).unwrap_or_default();
            let bundle = Bundle::of(version, input.byte() % 2 == 0);
            Fact::Bundle(Bundle { trust_bundles: input.byte() % 2 == 0, ..bundle })
        }
    }
}

fn addresses(input: &mut Input<'_>) -> Addresses {
    let address = IpAddr::V4(Ipv4Addr::new(10, 9, 0, input.byte() % 3));
    let mut addresses = Addresses::unasked(address);
    for asked in &*ASKED {
        if input.byte() % 2 == 0 {
            continue;
        }
        let routability = input.pick(&[None, Some("Cluster"), Some("example.com/zone")]).flatten().map(Into::into);
        let outcome = match input.byte() % 3 {
            0 => Outcome::Given(Given { value: AddressValue::Ip(address), routability }),
            1 => Outcome::Refused("none left".into()),
            _ => Outcome::Pending,
        };
        addresses.answers.push(Answer { to: Some(asked.clone()), outcome });
    }
    addresses
}

/// What the second Gateway of the world asks for.
static ASKED: LazyLock<Vec<GatewayAddress>> = LazyLock::new(|| {
    let gateways = DOCUMENTS.iter().filter_map(|document| object(document.clone()));
    let addresses = gateways.filter_map(|object| match object {
        Object::Gateway(gateway) => Some(gateway.spec.addresses.clone()),
        _ => None,
    });
    addresses.flatten().collect()
});

/// The object a document is, if a store could hold it. What a file may hold has nothing to complain about.
fn object(document: Value) -> Option<Object> {
    if let Ok(Reading::Object { object, .. }) = read(document.clone(), &reader()) {
        assert_eq!(validate(&object), [], "what is accepted is valid");
    }
    match read_stored(document, &reader()) {
        Ok(Reading::Object { object, .. }) => Some(object),
        Ok(Reading::Foreign { .. }) | Err(_) => None,
    }
}

fn run(transactions: impl IntoIterator<Item = Vec<Change>>) {
    let mut compiler = Compiler::new(options());
    let mut last = LastWords::default();
    let mut update = compiler.apply([]);
    for changes in transactions {
        changes.iter().for_each(|change| last.hear(change));
        update = compiler.apply(changes);
        write(&update, &last);
    }
    let mut fresh = Compiler::new(options());
    let at_once = fresh.apply(last.into_changes());
    assert_eq!(compiler.statuses(), fresh.statuses(), "statuses are those of the final objects");
    assert_eq!(compiler.problems(), fresh.problems(), "problems are those of the final objects");
    assert_eq!(update.snapshot.outline(), at_once.snapshot.outline(), "traffic is that of the final objects");
}

/// Writes the statuses of an update, over what is stored and over nothing.
fn write(update: &Update, last: &LastWords) {
    for (id, status) in &update.statuses {
        let Some(status) = status else { continue };
        let raw = last.objects.get(id).and_then(stored);
        for raw in [raw, None] {
            if let Some(written) = merge(status, raw, "2026-01-01T00:00:00Z") {
                assert_eq!(merge(status, Some(&written), "2026-02-02T00:00:00Z"), None, "{id} is written twice");
            }
        }
    }
}

/// The last word on each object and fact.
#[derive(Default)]
struct LastWords {
    objects: BTreeMap<ObjectId, Object>,
    facts: BTreeMap<String, Fact>,
}

impl LastWords {
    fn hear(&mut self, change: &Change) {
        match change {
            Change::Put(object) => drop(self.objects.insert(object.id(), object.clone())),
            Change::Remove(id) => drop(self.objects.remove(id)),
            Change::Fact(fact) => {
                let about = match fact {
                    Fact::Socket(socket, _) => format!("socket {socket}"),
                    Fact::Addresses(gateway, _) => format!("addresses {gateway}"),
                    // Acknowledgements prove nothing where sockets do.
                    Fact::Acknowledged(..) => return,
                    Fact::Bundle(_) => "bundle".to_owned(),
                    Fact::ServiceRanges(_) => "ranges".to_owned(),
                    Fact::Time(_) => "time".to_owned(),
                    Fact::Resolved(host, _) => format!("resolved {host}"),
                };
                self.facts.insert(about, fact.clone());
            }
        }
    }

    fn into_changes(self) -> Vec<Change> {
        self.objects.into_values().map(Change::Put).chain(self.facts.into_values().map(Change::Fact)).collect()
    }
}

const MOST_STEPS: usize = 64;
