//! The writer: edits in, snapshots out, and what these share with the ones before.

use super::*;
use crate::snapshot::fixture::{listener, listener_id, marker, path, route, socket};
use crate::snapshot::{BackendId, BackendName, BackendProtocol, Protocol};

impl Writer {
    /// Whether nothing is remembered of what was removed.
    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty() && self.settings.is_empty() && self.snapshot.sockets.is_empty()
    }
}

fn with_one_route() -> Writer {
    let mut writer = Writer::new(1);
    writer.put_listener(Arc::new(listener("a", None)), &[socket(80)]);
    let (place, candidate) = path("/a", &marker("one")).at("a", Some("example.com"));
    writer.add(place, candidate);
    writer
}

#[test]
fn a_transaction_that_changes_nothing_leaves_the_snapshot() {
    let mut writer = with_one_route();
    let before = writer.commit();
    assert!(Arc::ptr_eq(&before, &writer.commit()));
    writer.put_listener(Arc::new(listener("a", None)), &[socket(80), socket(80)]);
    writer.put_settings(socket(80), Some(Arc::default()));
    writer.put_settings(socket(9999), None);
    let (place, candidate) = path("/a", &marker("one")).at("a", Some("example.com"));
    writer.remove(place.clone(), &route("one"));
    writer.remove(place.clone(), &route("another"));
    writer.add(place, candidate);
    assert!(Arc::ptr_eq(&before, &writer.commit()), "what was removed came back equal");
    writer.remove_listener(&listener_id("a"));
    writer.put_listener(Arc::new(listener("a", None)), &[socket(80)]);
    assert!(Arc::ptr_eq(&before, &writer.commit()));
}

#[test]
fn a_listener_keeps_its_routes_while_it_stands_nowhere() {
    let mut writer = with_one_route();
    let before = writer.commit();
    writer.remove_listener(&listener_id("a"));
    let between = writer.commit();
    assert!(between.outline().is_empty(), "a socket without listeners vanishes");
    writer.put_listener(Arc::new(listener("a", None)), &[socket(80)]);
    assert_eq!(writer.commit().outline(), before.outline());
}

#[test]
fn routes_come_and_go_while_their_listener_stands_nowhere_and_nothing_is_kept_of_them() {
    let mut writer = with_one_route();
    let before = writer.commit();
    writer.remove_listener(&listener_id("a"));
    let between = writer.commit();
    let (place, _) = path("/a", &marker("one")).at("a", Some("example.com"));
    writer.remove(place, &route("one"));
    assert!(Arc::ptr_eq(&between, &writer.commit()), "traffic does not see it");
    assert!(writer.is_empty());
    assert!(!before.outline().is_empty(), "an old snapshot is untouched");
}

#[test]
fn listeners_swap_names_within_a_transaction() {
    let mut writer = Writer::new(1);
    writer.put_listener(Arc::new(listener("a", Some("a.example"))), &[socket(80)]);
    writer.put_listener(Arc::new(listener("b", Some("b.example"))), &[socket(80), socket(81)]);
    writer.commit();
    writer.put_listener(Arc::new(listener("a", Some("b.example"))), &[socket(80)]);
    writer.put_listener(Arc::new(listener("b", Some("a.example"))), &[socket(80)]);
    let snapshot = writer.commit();
    assert!(snapshot.listeners(&socket(81)).is_none());
    let listeners = snapshot.listeners(&socket(80)).unwrap();
    assert_eq!(listeners.find(Some("b.example")).unwrap().id, listener_id("a"));
    assert_eq!(listeners.find(Some("a.example")).unwrap().id, listener_id("b"));
    assert_eq!(listeners.iter().map(|listener| &*listener.id.name).collect::<Vec<_>>(), ["a", "b"]);
    assert!(!listeners.is_tls());
}

#[test]
fn expressions_of_one_host_are_told_apart_when_a_route_is_replaced() {
    let mut writer = Writer::new(1);
    writer.put_listener(Arc::new(listener("a", None)), &[socket(80)]);
    let at = |pattern: &str| path(pattern, &marker("one")).at("a", None);
    for pattern in ["~/a+", "~/b+", "~/cc+"] {
        let (place, candidate) = at(pattern);
        writer.add(place, candidate);
    }
    writer.commit();
    // The places of the old version go one by one, the new one's come between.
    writer.remove(at("~/a+").0, &route("one"));
    let (place, candidate) = at("~/d+");
    writer.add(place, candidate);
    writer.remove(at("~/b+").0, &route("one"));
    let outline = writer.commit().outline().join("\n");
    let found = ["/a+", "/b+", "/cc+", "/d+"].map(|pattern| outline.contains(&format!("expression {pattern}:")));
    assert_eq!(found, [false, false, true, true], "{outline}");
    assert!(outline.find("/cc+") < outline.find("/d+"), "longer ones go first");
}

fn backend(id: u32, endpoints: &[&str]) -> Arc<Backend> {
    let endpoints = endpoints.iter().map(|endpoint| endpoint.parse().unwrap()).collect();
    Arc::new(Backend {
        id: BackendId(id),
        name: BackendName::service(crate::name::ObjectName::new("test", "one"), 80),
        protocol: BackendProtocol::Http1,
        security: crate::snapshot::Security::Clear,
        endpoints,
        persistence: None,
        retry_budget: None,
    })
}

#[test]
fn the_backends_that_differ_between_two_snapshots_are_told_with_both_of_their_forms() {
    let changed = |former: &Snapshot, snapshot: &Snapshot| {
        let form = |backend: Option<&Arc<Backend>>| backend.map(|backend| (backend.id.0, backend.endpoints.len()));
        snapshot.changed_backends(former).map(|(old, new)| (form(old), form(new))).collect::<Vec<_>>()
    };
    let mut writer = Writer::new(1);
    (0..1000).for_each(|id| writer.put_backend(backend(id, &["10.0.0.1:80"])));
    let before = writer.commit();
    assert_eq!(changed(&before, &before), []);
    assert_eq!(changed(&Snapshot::empty(1), &before).len(), 1000);
    writer.remove_backend(BackendId(7));
    writer.put_backend(backend(500, &["10.0.0.1:80", "10.0.0.2:80"]));
    writer.put_backend(backend(600, &["10.0.0.1:80"]));
    writer.put_backend(backend(1000, &[]));
    let after = writer.commit();
    let expected = [(Some((7, 1)), None), (Some((500, 1)), Some((500, 2))), (None, Some((1000, 0)))];
    assert_eq!(changed(&before, &after), expected, "an equal one is the same one");
    assert_eq!(changed(&after, &before).len(), 3);
    // As of a compiler made anew.
    let mut another = Writer::new(1);
    (0..1000).for_each(|id| another.put_backend(backend(id, &["10.0.0.1:80"])));
    assert_eq!(changed(&before, &another.commit()).len(), 1000, "equal ones of two compilers are two");
}

#[test]
fn backends_are_told_by_name() {
    let mut writer = Writer::new(1);
    writer.put_backend(backend(3, &["10.0.0.1:80"]));
    let before = writer.commit();
    writer.put_backend(backend(3, &["10.0.0.1:80"]));
    assert!(Arc::ptr_eq(&before, &writer.commit()));
    writer.remove_backend(BackendId(3));
    writer.put_backend(backend(4, &["10.0.0.1:80"]));
    let after = writer.commit();
    assert_eq!(after.outline(), before.outline());
    assert!(after.backend(BackendId(3)).is_none() && after.backend(BackendId(4)).is_some());
}

#[test]
fn a_roster_stays_while_only_routes_and_settings_change() {
    let mut writer = with_one_route();
    let roster = |writer: &mut Writer| writer.commit().listeners(&socket(80)).unwrap().roster().clone();
    let first = roster(&mut writer);
    let (place, candidate) = path("/b", &marker("two")).at("a", None);
    writer.add(place, candidate);
    writer.put_settings(socket(80), Some(Arc::new(Settings { merge_slashes: false, ..Settings::default() })));
    let settings = Arc::new(Settings { merge_slashes: false, ..Settings::default() });
    writer.put_listener(Arc::new(Listener { settings, ..listener("a", None) }), &[socket(80)]);
    assert!(roster(&mut writer) == first);
    writer.put_listener(Arc::new(Listener { protocol: Protocol::Tcp, ..listener("a", None) }), &[socket(80)]);
    let second = roster(&mut writer);
    assert!(second != first, "another protocol");
    writer.put_listener(Arc::new(listener("b", Some("b.example"))), &[socket(80)]);
    let third = roster(&mut writer);
    assert!(third != second, "one came");
    writer.remove_listener(&listener_id("b"));
    assert!(roster(&mut writer) != third, "one went");
}
