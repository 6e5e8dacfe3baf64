//! What each Gateway's proxies are to have, and how far each of them has come.
//!
//! In: objects as JSON, what Gateways need, what proxies say. Out: steps in the proxies' outboxes, each the difference between what
//! a proxy has and what it should have, and who acknowledged what. One step at a time is under way to a proxy; what changes
//! meanwhile is gathered, so that a slow one is told the latest only. Steps are sent when a turn ends, and at no other time.
//!
//! Invariants: a proxy is told objects that its own Gateway needs and no others; a step is never sent while one is unacknowledged; what
//! is not known yet is not taken from a proxy that holds it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use gateway_core::compile::{Fact, Need};
use gateway_core::name::{GroupKind, Kind, ObjectId, ObjectName};
use gateway_core::resource::Object;
use serde_json::Value;

use crate::wire::serve::{Outbox, ProxyId};
use crate::wire::{Acknowledged, FromController, Held, Put, Step};

/// All Gateways that have proxies or may get some.
#[derive(Debug, Default)]
pub(crate) struct Feeds {
    kept: HashMap<ObjectId, Kept>,
    /// EndpointSlices by what they are endpoints of.
    slices: HashMap<ObjectId, BTreeSet<ObjectId>>,
    users: HashMap<ObjectId, BTreeSet<ObjectName>>,
    feeds: BTreeMap<ObjectName, Feed>,
    proxies: HashMap<ProxyId, ObjectName>,
    /// Gateways for which something changed since the last turn.
    changed: BTreeSet<ObjectName>,
    turn: u64,
}

/// An object as proxies are told it.
#[derive(Debug)]
struct Kept {
    json: Arc<[u8]>,
    version: u64,
    generation: i64,
    /// What an EndpointSlice belongs to.
    owners: Vec<ObjectId>,
}

/// What one Gateway's proxies are told.
#[derive(Debug, Default)]
struct Feed {
    needs: BTreeSet<ObjectId>,
    lines: BTreeMap<ProxyId, Line>,
    /// Ports that proxies could not open when they said so last, and whether over UDP.
    refused: BTreeMap<(u16, bool), String>,
    /// Generations that proxies are to acknowledge, each with the turn that brought it.
    awaited: Vec<(u64, ObjectId, i64)>,
}

/// One proxy.
#[derive(Debug)]
struct Line {
    outbox: Outbox,
    pending: BTreeSet<ObjectId>,
    /// The turn whose step is under way.
    under_way: Option<u64>,
    /// The turn up to which it has everything; none before its first acknowledgement.
    reached: Option<u64>,
    /// Ports it could not open, and whether over UDP.
    refused: BTreeMap<(u16, bool), String>,
}

impl Feeds {
    /// Takes an object in; `document` is the object as it is stored.
    pub(crate) fn put(&mut self, object: &Object, document: &Value) {
        let id = object.id();
        let json = slimmed(document);
        let version = version(&json);
        let before = self.kept.get(&id);
        if before.is_some_and(|kept| kept.version == version) {
            return;
        }
        let owners = owners(object);
        if let Some(before) = before {
            self.disown(&id, &before.owners.clone());
        }
        for owner in &owners {
            self.slices.entry(owner.clone()).or_default().insert(id.clone());
        }
        let generation = object.meta().generation;
        self.kept.insert(id.clone(), Kept { json: json.into(), version, generation, owners });
        self.touch(&id);
        self.await_generation(&id);
    }

    /// Forgets an object.
    pub(crate) fn remove(&mut self, id: &ObjectId) {
        self.touch(id);
        if let Some(kept) = self.kept.remove(id) {
            self.disown(id, &kept.owners);
        }
    }

    /// Takes in what Gateways began and ceased to need.
    pub(crate) fn depend(&mut self, needs: &[Need]) {
        for Need { gateway, object, joined } in needs {
            let feed = self.feeds.entry(gateway.clone()).or_default();
            let users = self.users.entry(object.clone()).or_default();
            if *joined {
                feed.needs.insert(object.clone());
                users.insert(gateway.clone());
            } else {
                feed.needs.remove(object);
                users.remove(gateway);
            }
            let touched: Vec<ObjectId> = self.slices.get(object).into_iter().flatten().chain([object]).cloned().collect();
            for id in touched {
                self.pend(gateway, &id);
            }
            if *joined {
                self.await_generation(object);
            }
            if self.users.get(object).is_some_and(BTreeSet::is_empty) {
                self.users.remove(object);
            }
        }
    }

    /// Whether any Gateway needs an object.
    pub(crate) fn is_needed(&self, id: &ObjectId) -> bool {
        self.users.contains_key(id)
    }

    /// The Gateways that need an object.
    pub(crate) fn users(&self, id: &ObjectId) -> impl Iterator<Item = &ObjectName> {
        self.users.get(id).into_iter().flatten()
    }

    /// Takes note that a Gateway is ours, or ceased to be.
    pub(crate) fn own(&mut self, gateway: &ObjectName, is_ours: bool) {
        let id = ObjectId::new(Kind::Gateway, gateway.clone());
        if is_ours {
            self.feeds.entry(gateway.clone()).or_default();
            self.pend(gateway, &id);
            self.await_generation(&id);
        } else if let Some(feed) = self.feeds.remove(gateway) {
            // Its proxies are told nothing more: the end of their outboxes ends their connections.
            feed.lines.keys().for_each(|proxy| drop(self.proxies.remove(proxy)));
            for object in feed.needs {
                if let Some(users) = self.users.get_mut(&object) {
                    users.remove(gateway);
                }
            }
        }
    }

    /// A proxy came. False when its Gateway is none of ours. `is_unknown` tells of which objects it is not known yet what they are.
    pub(crate) fn join(
        &mut self,
        proxy: ProxyId,
        gateway: &ObjectName,
        held: &[Held],
        is_unknown: impl Fn(&ObjectId) -> bool,
        outbox: Outbox,
    ) -> bool {
        let Some(feed) = self.feeds.get(gateway) else { return false };
        let own = ObjectId::new(Kind::Gateway, gateway.clone());
        let slices = feed.needs.iter().filter_map(|need| self.slices.get(need)).flatten();
        let wanted: BTreeSet<&ObjectId> =
            feed.needs.iter().chain(slices).chain([&own]).filter(|id| self.kept.contains_key(id)).collect();
        let held: HashMap<&str, u64> = held.iter().map(|held| (held.key.as_str(), held.version)).collect();
        let is_there =
            |id: &&&ObjectId| self.kept.get(**id).is_some_and(|kept| held.get(key(id).as_str()) == Some(&kept.version));
        let mut pending: BTreeSet<ObjectId> = wanted.iter().filter(|id| !is_there(id)).map(|id| (*id).clone()).collect();
        let needed = |id: &ObjectId| feed.needs.contains(id) && is_unknown(id);
        pending.extend(held.keys().filter_map(|key| read_key(key)).filter(|id| !wanted.contains(id) && !needed(id)));
        let line = Line { outbox, pending, under_way: None, reached: None, refused: BTreeMap::new() };
        if let Some(feed) = self.feeds.get_mut(gateway) {
            feed.lines.insert(proxy, line);
        }
        self.proxies.insert(proxy, gateway.clone());
        self.changed.insert(gateway.clone());
        true
    }

    /// A proxy went. Returns its Gateway.
    pub(crate) fn leave(&mut self, proxy: ProxyId) -> Option<ObjectName> {
        let gateway = self.proxies.remove(&proxy)?;
        if let Some(feed) = self.feeds.get_mut(&gateway) {
            feed.lines.remove(&proxy);
            feed.gather_refused();
        }
        Some(gateway)
    }

    /// All proxies are to go elsewhere.
    pub(crate) fn dismiss(&mut self) {
        self.proxies.clear();
        self.feeds.values_mut().for_each(|feed| feed.lines.clear());
    }

    /// A proxy acknowledged a step, or tells of its ports again. Returns its Gateway.
    pub(crate) fn acknowledge(&mut self, proxy: ProxyId, told: Acknowledged) -> Option<ObjectName> {
        let gateway = self.proxies.get(&proxy)?.clone();
        let feed = self.feeds.get_mut(&gateway)?;
        let line = feed.lines.get_mut(&proxy)?;
        let port = |port: u32| u16::try_from(port).ok();
        line.refused = told.refused.into_iter().filter_map(|one| Some(((port(one.port)?, one.is_udp), one.why))).collect();
        if line.under_way == Some(told.step) {
            line.under_way = None;
            line.reached = Some(if line.pending.is_empty() { self.turn } else { told.step });
            if !line.pending.is_empty() {
                self.changed.insert(gateway.clone());
            }
        }
        feed.gather_refused();
        Some(gateway)
    }

    /// What is stored of ports that proxies could not open, until they say it themselves.
    pub(crate) fn recall(&mut self, gateway: &ObjectName, refused: BTreeMap<(u16, bool), String>) {
        if let Some(feed) = self.feeds.get_mut(gateway)
            && feed.lines.is_empty()
        {
            feed.refused = refused;
        }
    }

    /// Ends a turn: what changed in it is sent. Returns its number.
    pub(crate) fn turn(&mut self) -> u64 {
        self.turn += 1;
        for gateway in std::mem::take(&mut self.changed) {
            let Some(feed) = self.feeds.get(&gateway) else { continue };
            // Also where nothing is pending: by its first acknowledgement a proxy says which ports are open.
            let is_due = |line: &Line| line.under_way.is_none() && (!line.pending.is_empty() || line.reached.is_none());
            let idle = feed.lines.iter().filter(|(_, line)| is_due(line));
            let idle: Vec<ProxyId> = idle.map(|(proxy, _)| *proxy).collect();
            for proxy in idle {
                self.send(&gateway, proxy, self.turn);
            }
        }
        self.turn
    }

    /// Whether all connected proxies of a Gateway have all that was so in a turn.
    pub(crate) fn has_reached(&self, gateway: &ObjectName, turn: u64) -> bool {
        let Some(feed) = self.feeds.get(gateway) else { return true };
        feed.lines.values().all(|line| line.has_reached(turn))
    }

    /// Generations that all connected proxies of their Gateway serve since this was asked last.
    pub(crate) fn acknowledged(&mut self) -> Vec<Fact> {
        let mut facts = Vec::new();
        for feed in self.feeds.values_mut().filter(|feed| !feed.awaited.is_empty() && !feed.lines.is_empty()) {
            let Feed { lines, awaited, .. } = feed;
            awaited.retain(|(turn, holder, generation)| {
                let is_served = lines.values().all(|line| line.has_reached(*turn));
                if is_served {
                    facts.push(Fact::Acknowledged(holder.clone(), *generation));
                }
                !is_served
            });
        }
        facts
    }

    /// The ports that the proxies of a Gateway could not open, and whether over UDP. While none is there to say, it is as it was.
    pub(crate) fn refused(&self, gateway: &ObjectName) -> BTreeMap<(u16, bool), String> {
        self.feeds.get(gateway).map(|feed| feed.refused.clone()).unwrap_or_default()
    }

    /// Those who are to know that an object changed.
    fn touch(&mut self, id: &ObjectId) {
        let owners = self.kept.get(id).map(|kept| kept.owners.clone()).unwrap_or_default();
        let mut gateways: BTreeSet<ObjectName> = BTreeSet::new();
        for one in owners.iter().chain([id]) {
            gateways.extend(self.users.get(one).into_iter().flatten().cloned());
        }
        if id.kind == Kind::Gateway {
            gateways.insert(id.name.clone());
        }
        for gateway in gateways {
            self.pend(&gateway, id);
        }
    }

    fn pend(&mut self, gateway: &ObjectName, id: &ObjectId) {
        if let Some(feed) = self.feeds.get_mut(gateway) {
            for line in feed.lines.values_mut() {
                line.pending.insert(id.clone());
            }
            self.changed.insert(gateway.clone());
        }
    }

    /// Generations of holders of listeners are to be acknowledged.
    fn await_generation(&mut self, id: &ObjectId) {
        if !matches!(id.kind, Kind::Gateway | Kind::ListenerSet) {
            return;
        }
        let Some(generation) = self.kept.get(id).map(|kept| kept.generation) else { return };
        let mut gateways: Vec<ObjectName> = self.users.get(id).into_iter().flatten().cloned().collect();
        if id.kind == Kind::Gateway {
            gateways.push(id.name.clone());
        }
        for gateway in gateways {
            if let Some(feed) = self.feeds.get_mut(&gateway) {
                feed.awaited.retain(|(_, holder, _)| holder != id);
                feed.awaited.push((self.turn + 1, id.clone(), generation));
            }
        }
    }

    fn disown(&mut self, slice: &ObjectId, owners: &[ObjectId]) {
        // Whoever used it through them is to lose it.
        self.touch(slice);
        for owner in owners {
            if let Some(slices) = self.slices.get_mut(owner) {
                slices.remove(slice);
                if slices.is_empty() {
                    self.slices.remove(owner);
                }
            }
        }
    }

    /// Whether a Gateway's proxies are to have an object.
    fn is_due(&self, feed: &Feed, gateway: &ObjectName, id: &ObjectId, kept: &Kept) -> bool {
        let is_own = id.kind == Kind::Gateway && id.name == *gateway;
        is_own || feed.needs.contains(id) || kept.owners.iter().any(|owner| feed.needs.contains(owner))
    }

    /// Sends all that is pending to a proxy, as one step.
    fn send(&mut self, gateway: &ObjectName, proxy: ProxyId, turn: u64) {
        let Some(mut line) = self.feeds.get_mut(gateway).and_then(|feed| feed.lines.remove(&proxy)) else { return };
        let Some(feed) = self.feeds.get(gateway) else { return };
        let mut parts = Parts { step: Step { number: turn, ..Step::default() }, size: 0, outbox: &line.outbox };
        for id in std::mem::take(&mut line.pending) {
            match self.kept.get(&id).filter(|kept| self.is_due(feed, gateway, &id, kept)) {
                Some(kept) => parts.put(Put { key: key(&id), version: kept.version, object: kept.json.to_vec() }),
                None => parts.step.removed.push(key(&id)),
            }
        }
        parts.end();
        line.under_way = Some(turn);
        if let Some(feed) = self.feeds.get_mut(gateway) {
            feed.lines.insert(proxy, line);
        }
    }
}

impl Feed {
    /// Gathers the ports that proxies could not open. While none is there to say, it is as it was.
    fn gather_refused(&mut self) {
        let mut telling = self.lines.values().filter(|line| line.reached.is_some()).peekable();
        if telling.peek().is_some() {
            self.refused = telling.flat_map(|line| line.refused.clone()).collect();
        }
    }
}

impl Line {
    fn has_reached(&self, turn: u64) -> bool {
        let is_idle = self.under_way.is_none() && self.pending.is_empty();
        self.reached.is_some_and(|reached| is_idle || reached >= turn)
    }
}

/// A step in messages of bounded size.
struct Parts<'a> {
    step: Step,
    size: usize,
    outbox: &'a Outbox,
}

impl Parts<'_> {
    fn put(&mut self, put: Put) {
        if self.size > 0 && self.size + put.object.len() > MESSAGE {
            let next = Step { number: self.step.number, ..Step::default() };
            let full = Step { continues: true, ..std::mem::replace(&mut self.step, next) };
            // Whoever does not listen any more is about to leave.
            let _ = self.outbox.send(FromController::from(full));
            self.size = 0;
        }
        self.size += put.object.len();
        self.step.puts.push(put);
    }

    fn end(self) {
        let _ = self.outbox.send(FromController::from(self.step));
    }
}

/// What an EndpointSlice belongs to.
fn owners(object: &Object) -> Vec<ObjectId> {
    let Object::EndpointSlice(slice) = object else { return Vec::new() };
    let namespace = slice.meta.name.namespace();
    let owners =
        [(Kind::Service, slice.service()), (Kind::ServiceImport, slice.service_import()), (Kind::XBackend, slice.xbackend())];
    owners.into_iter().filter_map(|(kind, name)| Some(ObjectId::new(kind, ObjectName::new(namespace, name?)))).collect()
}

/// An object by the name it has on the wire.
pub(crate) fn key(id: &ObjectId) -> String {
    format!("{}|{}|{}", id.kind.group(), id.kind, id.name)
}

/// The object that has a name on the wire.
pub(crate) fn read_key(key: &str) -> Option<ObjectId> {
    let mut parts = key.splitn(3, '|');
    let (group, kind, name) = (parts.next()?, parts.next()?, parts.next()?);
    let kind = Kind::named(group, kind).unwrap_or_else(|| Kind::Extension(Box::new(GroupKind::new(group, kind))));
    let name =
        name.split_once('/').map_or_else(|| ObjectName::cluster(name), |(namespace, name)| ObjectName::new(namespace, name));
    Some(ObjectId::new(kind, name))
}

/// An object without what matters to no proxy: its status, and what an API server notes for itself.
fn slimmed(document: &Value) -> Vec<u8> {
    let mut slim = document.clone();
    if let Some(fields) = slim.as_object_mut() {
        fields.remove("status");
        if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            for field in ["managedFields", "resourceVersion", "selfLink", "uid", "ownerReferences", "finalizers"] {
                metadata.remove(field);
            }
            if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
                annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
            }
        }
    }
    // A JSON value can always be written.
    serde_json::to_vec(&slim).unwrap_or_default()
}

/// What a content is known by: the same in every process of a release.
fn version(json: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    json.hash(&mut hasher);
    hasher.finish()
}

/// About how large a message may grow.
const MESSAGE: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use gateway_core::resource::{FieldValidation, Reader, Reading, read_stored};
    use serde_json::json;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;

    /// One Gateway, `shop/web`, that needs the Service and the ListenerSet `shop/s`.
    struct Scene {
        feeds: Feeds,
    }

    fn id(kind: Kind, name: &str) -> ObjectId {
        ObjectId::new(kind, ObjectName::new("shop", name))
    }

    fn reader() -> Reader {
        Reader { validation: FieldValidation::Ignore, ..Reader::default() }
    }

    fn web() -> ObjectName {
        ObjectName::new("shop", "web")
    }

    fn document(kind: &Kind, name: &str, generation: i64) -> Value {
        let version = if kind.group().is_empty() { "v1".to_owned() } else { format!("{}/v1", kind.group()) };
        let mut document = json!({
            "apiVersion": version, "kind": kind.as_str(),
            "metadata": {"name": name, "namespace": "shop", "generation": generation, "resourceVersion": "9", "managedFields": []},
            "spec": {}, "status": {"x": 1},
        });
        if *kind == Kind::Gateway {
            document["spec"] = json!({"gatewayClassName": "c", "listeners": [{"name": "a", "protocol": "HTTP", "port": 80}]});
        } else if *kind == Kind::ListenerSet {
            document["spec"] =
                json!({"parentRef": {"name": "web"}, "listeners": [{"name": "b", "protocol": "HTTP", "port": 81}]});
        } else if *kind == Kind::EndpointSlice {
            document["metadata"]["labels"] = json!({"kubernetes.io/service-name": "s"});
            document["addressType"] = json!("IPv4");
            document["endpoints"] = json!([]);
        }
        document
    }

    impl Scene {
        fn new() -> Self {
            let mut scene = Self { feeds: Feeds::default() };
            for kind in [Kind::Gateway, Kind::Service, Kind::ListenerSet] {
                scene.put(&kind, if kind == Kind::Gateway { "web" } else { "s" }, 1);
            }
            scene.put(&Kind::Service, "other", 1);
            scene.feeds.own(&web(), true);
            scene.need(Kind::Service, true);
            scene.need(Kind::ListenerSet, true);
            scene.feeds.turn();
            scene
        }

        fn put(&mut self, kind: &Kind, name: &str, generation: i64) {
            let document = document(kind, name, generation);
            match read_stored(document.clone(), &reader()) {
                Ok(Reading::Object { object, .. }) => self.feeds.put(&object, &document),
                other => panic!("{other:?}"),
            }
        }

        fn need(&mut self, kind: Kind, joined: bool) {
            self.feeds.depend(&[Need { gateway: web(), object: id(kind, "s"), joined }]);
        }

        fn join(&mut self, proxy: ProxyId, held: &[Held]) -> UnboundedReceiver<FromController> {
            let (outbox, told) = unbounded_channel();
            assert!(self.feeds.join(proxy, &web(), held, |_| false, outbox));
            self.feeds.turn();
            told
        }

        fn acknowledge(&mut self, proxy: ProxyId, step: u64) {
            self.feeds.acknowledge(proxy, Acknowledged { step, refused: vec![] });
            self.feeds.turn();
        }
    }

    /// The next step, and what it brings: `+` for what is put, `-` for what is removed.
    fn step(told: &mut UnboundedReceiver<FromController>) -> Option<(u64, Vec<String>)> {
        let step = told.try_recv().ok()?.step?;
        let short = |key: &str| read_key(key).unwrap().to_string();
        let puts = step.puts.iter().map(|put| format!("+{}", short(&put.key)));
        Some((step.number, puts.chain(step.removed.iter().map(|key| format!("-{}", short(key)))).collect()))
    }

    #[test]
    fn a_proxy_gets_the_difference_between_what_it_holds_and_what_its_gateway_needs() {
        let mut scene = Scene::new();
        let mut told = scene.join(1, &[]);
        let (_, all) = step(&mut told).unwrap();
        assert_eq!(all, ["+Gateway shop/web", "+ListenerSet shop/s", "+Service shop/s"], "and not what it does not need");
        let kept = |id: &ObjectId| Held { key: key(id), version: scene.feeds.kept[id].version };
        let held = [
            kept(&id(Kind::Gateway, "web")),
            kept(&id(Kind::Service, "other")),
            Held { version: 1, ..kept(&id(Kind::Service, "s")) },
        ];
        let mut told = scene.join(2, &held);
        assert_eq!(step(&mut told).unwrap().1, ["+ListenerSet shop/s", "+Service shop/s", "-Service shop/other"]);
    }

    #[test]
    fn one_step_is_under_way_at_a_time_and_the_next_brings_only_the_latest() {
        let mut scene = Scene::new();
        let mut told = scene.join(1, &[]);
        let (first, _) = step(&mut told).unwrap();
        scene.put(&Kind::Service, "s", 2);
        let turn = scene.feeds.turn();
        scene.put(&Kind::Service, "s", 3);
        scene.put(&Kind::EndpointSlice, "s-1", 1);
        scene.feeds.turn();
        assert_eq!(step(&mut told), None);
        assert!(!scene.feeds.has_reached(&web(), turn));
        scene.acknowledge(1, first);
        let (second, brought) = step(&mut told).unwrap();
        assert_eq!(brought, ["+Service shop/s", "+EndpointSlice shop/s-1"]);
        scene.acknowledge(1, second);
        assert!(scene.feeds.has_reached(&web(), turn));
        scene.need(Kind::Service, false);
        scene.feeds.turn();
        assert_eq!(step(&mut told).unwrap().1, ["-Service shop/s", "-EndpointSlice shop/s-1"]);
    }

    #[test]
    fn what_is_not_known_yet_is_not_taken_from_a_proxy_that_holds_it() {
        let mut scene = Scene::new();
        let secret = id(Kind::Secret, "s");
        scene.need(Kind::Secret, true);
        let held = [Held { key: key(&secret), version: 1 }, Held { key: key(&id(Kind::Secret, "other")), version: 1 }];
        let (outbox, mut told) = unbounded_channel();
        scene.feeds.join(1, &web(), &held, |id| id.kind == Kind::Secret, outbox);
        assert_eq!(step(&mut told), None, "not before the turn ends");
        scene.feeds.turn();
        let (first, brought) = step(&mut told).unwrap();
        assert!(
            brought.contains(&"-Secret shop/other".to_owned()) && !brought.contains(&"-Secret shop/s".to_owned()),
            "{brought:?}"
        );
        scene.feeds.remove(&secret);
        scene.acknowledge(1, first);
        assert_eq!(step(&mut told).unwrap().1, ["-Secret shop/s"], "now it is known not to be");
    }

    #[test]
    fn a_port_that_could_not_be_opened_stays_so_until_a_proxy_says_otherwise() {
        let mut scene = Scene::new();
        let refused = |scene: &Scene| scene.feeds.refused(&web()).into_keys().collect::<Vec<_>>();
        scene.feeds.recall(&web(), [((81, false), "in use".to_owned())].into());
        assert_eq!(refused(&scene), [(81, false)], "as it is stored");
        let mut told = scene.join(1, &[]);
        let (first, _) = step(&mut told).unwrap();
        assert_eq!(refused(&scene), [(81, false)]);
        let port = crate::wire::Refused { port: 80, is_udp: false, why: "in use".into() };
        scene.feeds.acknowledge(1, Acknowledged { step: first, refused: vec![port] });
        assert_eq!(refused(&scene), [(80, false)]);
        scene.feeds.leave(1);
        scene.feeds.dismiss();
        assert_eq!(refused(&scene), [(80, false)]);
        let mut told = scene.join(2, &[]);
        let (second, _) = step(&mut told).unwrap();
        assert_eq!(refused(&scene), [(80, false)], "it has not said anything yet");
        scene.acknowledge(2, second);
        assert!(refused(&scene).is_empty());
    }

    #[test]
    fn a_port_that_only_a_proxy_could_not_open_that_is_gone_is_open() {
        let mut scene = Scene::new();
        let (mut one, mut two) = (scene.join(1, &[]), scene.join(2, &[]));
        let (first, second) = (step(&mut one).unwrap().0, step(&mut two).unwrap().0);
        let port = crate::wire::Refused { port: 80, is_udp: false, why: "in use".into() };
        scene.feeds.acknowledge(1, Acknowledged { step: first, refused: vec![port] });
        scene.acknowledge(2, second);
        assert_eq!(scene.feeds.refused(&web()).len(), 1);
        scene.feeds.leave(1);
        assert!(scene.feeds.refused(&web()).is_empty());
    }

    #[test]
    fn statuses_and_what_an_api_server_notes_for_itself_are_told_to_nobody() {
        let mut scene = Scene::new();
        let mut told = scene.join(1, &[]);
        let put = told.try_recv().unwrap().step.unwrap().puts.remove(0);
        let text = String::from_utf8(put.object).unwrap();
        assert!(["status", "managedFields", "resourceVersion"].iter().all(|word| !text.contains(word)), "{text}");
    }

    #[test]
    fn a_generation_is_acknowledged_once_every_connected_proxy_has_it() {
        let mut scene = Scene::new();
        assert!(scene.feeds.acknowledged().is_empty(), "nobody is connected");
        let (mut one, mut two) = (scene.join(1, &[]), scene.join(2, &[]));
        let (first, second) = (step(&mut one).unwrap().0, step(&mut two).unwrap().0);
        scene.acknowledge(1, first);
        assert!(scene.feeds.acknowledged().is_empty(), "one is left");
        scene.acknowledge(2, second);
        let holders = [id(Kind::Gateway, "web"), id(Kind::ListenerSet, "s")];
        let mut facts = scene.feeds.acknowledged();
        facts.sort_by_key(|fact| format!("{fact:?}"));
        assert_eq!(facts, holders.clone().map(|holder| Fact::Acknowledged(holder, 1)));
        scene.put(&Kind::Gateway, "web", 2);
        scene.feeds.turn();
        assert!(scene.feeds.acknowledged().is_empty());
        scene.acknowledge(1, step(&mut one).unwrap().0);
        scene.feeds.leave(2);
        assert_eq!(scene.feeds.acknowledged(), [Fact::Acknowledged(holders[0].clone(), 2)], "who left is not waited for");
    }

    #[test]
    fn proxies_of_a_gateway_that_is_not_ours_are_told_nothing() {
        let mut scene = Scene::new();
        let mut told = scene.join(1, &[]);
        step(&mut told);
        scene.feeds.own(&web(), false);
        assert!(matches!(told.try_recv(), Err(tokio::sync::mpsc::error::TryRecvError::Disconnected)));
        let (outbox, _told) = unbounded_channel();
        assert!(!scene.feeds.join(2, &web(), &[], |_| false, outbox));
    }

    #[test]
    fn a_large_step_comes_in_parts() {
        let mut scene = Scene::new();
        for at in 0..4 {
            let mut big = document(&Kind::Service, "s", at);
            big["metadata"]["annotations"] = json!({"x": "y".repeat(700_000)});
            big["metadata"]["name"] = json!(format!("s{at}"));
            let Ok(Reading::Object { object, .. }) = read_stored(big.clone(), &reader()) else { panic!() };
            scene.feeds.put(&object, &big);
            scene.feeds.depend(&[Need { gateway: web(), object: id(Kind::Service, &format!("s{at}")), joined: true }]);
        }
        let mut told = scene.join(1, &[]);
        let mut continues = Vec::new();
        while let Ok(message) = told.try_recv() {
            continues.push(message.step.unwrap().continues);
        }
        assert!(continues.len() > 2 && continues.pop() == Some(false) && continues.iter().all(|continues| *continues));
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        let extension = Kind::Extension(Box::new(GroupKind::new("example.com", "Sign")));
        for id in [id(Kind::HttpRoute, "r"), id(extension, "e"), ObjectId::new(Kind::Namespace, ObjectName::cluster("shop"))] {
            assert_eq!(read_key(&key(&id)), Some(id));
        }
        assert_eq!(read_key("nonsense"), None);
    }
}
