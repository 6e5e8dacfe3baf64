//! Requests and their listeners: heads in, listeners, refusals and paths in normal form out.

use http::{Request, Version};

use super::*;
use crate::admit::fixture::{arrival, head, tls_arrival};
use crate::snapshot::Settings;
use crate::snapshot::fixture::{listener, snapshot, socket, tls_listener};

fn on_port_80(hostnames: &[Option<&str>]) -> Arc<Snapshot> {
    let listeners = hostnames.iter().enumerate().map(|(n, hostname)| listener(&format!("listener-{n}"), *hostname));
    snapshot(listeners, [])
}

fn admitted_path(snapshot: &Arc<Snapshot>, target: &str) -> Result<String, Reason> {
    let head = Request::get(target).header("host", "example.com").body(()).unwrap().into_parts().0;
    admit(snapshot, &arrival(), &head).map(|admitted| admitted.path(&head).to_owned()).map_err(|refusal| refusal.reason)
}

#[test]
fn the_listener_with_the_most_specific_host_name_answers_alone() {
    let snapshot = on_port_80(&[None, Some("*.example.com"), Some("*.foo.example.com"), Some("abc.foo.example.com")]);
    let rows = [
        ("bar.com", "listener-0"),
        ("example.com", "listener-0"),
        ("bar.example.com", "listener-1"),
        ("BAR.Example.com.:1234", "listener-1"),
        ("bar.foo.example.com", "listener-2"),
        ("a.b.foo.example.com", "listener-2"),
        ("abc.foo.example.com", "listener-3"),
        ("10.0.0.1", "listener-0"),
        ("[::1]:80", "listener-0"),
    ];
    for (host, expected) in rows {
        let head = head(&format!("GET {host}/"));
        let admitted = admit(&snapshot, &arrival(), &head).unwrap();
        assert_eq!(&*admitted.listener().id.name, expected, "{host}");
    }
}

#[test]
fn without_a_listener_for_the_host_the_answer_is_404() {
    let snapshot = on_port_80(&[Some("a.example"), Some("*.b.example")]);
    for host in ["c.example", "b.example", "x.a.example", "10.0.0.1"] {
        let refusal = admit(&snapshot, &arrival(), &head(&format!("GET {host}/"))).unwrap_err();
        assert_eq!((refusal.reason.status().as_u16(), refusal.reason), (404, Reason::NoListener), "{host}");
    }
    let elsewhere = Arrival { socket: socket(81), tls: None };
    assert_eq!(admit(&snapshot, &elsewhere, &head("GET a.example/")).unwrap_err().reason, Reason::NoListener);
}

#[test]
fn a_request_for_another_listeners_host_on_this_connection_is_misdirected() {
    let listeners = [None, Some("second-example.org"), Some("*.wildcard.org"), Some("fourth-example.wildcard.org")];
    let listeners = listeners.into_iter().enumerate().map(|(n, hostname)| tls_listener(&format!("listener-{n}"), hostname));
    let snapshot = snapshot(listeners, []);
    let rows = [
        ("example.org", "example.org", Ok(0)),
        ("example.org", "second-example.org", Err(421)),
        ("example.org", "unknown-example.org", Ok(0)),
        ("second-example.org", "second-example.org", Ok(1)),
        ("second-example.org", "Second-Example.ORG.:443", Ok(1)),
        ("second-example.org", "example.org", Err(421)),
        ("second-example.org", "unknown-example.org", Err(421)),
        ("third-example.wildcard.org", "third-example.wildcard.org", Ok(2)),
        ("third-example.wildcard.org", "fith-example.wildcard.org", Ok(2)),
        ("third-example.wildcard.org", "fourth-example.wildcard.org", Err(421)),
        ("third-example.wildcard.org", "second-example.org", Err(421)),
        ("third-example.wildcard.org", "unknown-example.org", Err(421)),
        ("fourth-example.wildcard.org", "fourth-example.wildcard.org", Ok(3)),
        ("fourth-example.wildcard.org", "fith-example.wildcard.org", Err(421)),
        ("unknown-example.org", "example.org", Ok(0)),
        ("unknown-example.org", "unknown-example.org", Ok(0)),
    ];
    for (server_name, host, expected) in rows {
        let found = admit(&snapshot, &tls_arrival(Some(server_name)), &head(&format!("GET {host}/")));
        let found = found.map(|admitted| admitted.listener().id.name.to_string());
        let expected = expected.map(|n| format!("listener-{n}"));
        assert_eq!(found.map_err(|refusal| refusal.reason.status().as_u16()), expected, "{server_name} asks for {host}");
    }
}

#[test]
fn a_host_that_no_listener_matches_is_404_over_tls_too() {
    let snapshot = snapshot([tls_listener("a", Some("a.example")), tls_listener("b", Some("b.example"))], []);
    let found = |server_name, host: &str| {
        let refused = admit(&snapshot, &tls_arrival(server_name), &head(&format!("GET {host}/")));
        refused.err().map(|refusal| refusal.reason.status().as_u16())
    };
    assert_eq!(found(Some("a.example"), "a.example"), None);
    assert_eq!(found(Some("a.example"), "b.example"), Some(421));
    assert_eq!(found(Some("a.example"), "c.example"), Some(404));
    assert_eq!(found(None, "a.example"), Some(421), "without a server name only a listener without host name would answer");
}

#[test]
fn a_closed_listener_keeps_its_name() {
    let closed = Listener { certificates: Err("no Secret".into()), ..tls_listener("closed", Some("a.example")) };
    let snapshot = snapshot([tls_listener("any", None), closed], []);
    let status = |server_name| {
        let refused = admit(&snapshot, &tls_arrival(Some(server_name)), &head("GET a.example/"));
        refused.unwrap_err().reason.status().as_u16()
    };
    assert_eq!((status("other.example"), status("a.example")), (421, 404));
}

#[test]
fn a_connection_in_clear_never_meets_a_tls_listener_nor_the_reverse() {
    let snapshot = snapshot([tls_listener("tls", None), listener("clear", None)], []);
    let reversed = [Arrival { tls: None, ..tls_arrival(None) }, Arrival { socket: socket(80), ..tls_arrival(None) }];
    for arrival in reversed {
        assert_eq!(admit(&snapshot, &arrival, &head("GET a.example/")).unwrap_err().reason, Reason::Misdirected);
    }
}

#[test]
fn the_path_is_put_into_normal_form() {
    let snapshot = on_port_80(&[None]);
    assert_eq!(admitted_path(&snapshot, "/a/b"), Ok("/a/b".to_owned()));
    assert_eq!(admitted_path(&snapshot, "/a//./x/%2e%2E/%62?q=/../"), Ok("/a/b".to_owned()));
    for target in ["/a%00", "/a\\b", "/a%2", "/a%zz"] {
        assert_eq!(admitted_path(&snapshot, target), Err(Reason::BadTarget), "{target}");
    }
}

#[test]
fn empty_segments_stay_where_settings_say_so() {
    let settings = Arc::new(Settings { merge_slashes: false, ..Settings::default() });
    let snapshot = snapshot([Listener { settings, ..listener("a", None) }], []);
    assert_eq!(admitted_path(&snapshot, "/a//b/./c"), Ok("/a//b/c".to_owned()));
}

#[test]
fn targets_are_a_path_or_for_options_an_asterisk() {
    let snapshot = on_port_80(&[None]);
    let reason = |method: &str, target: &str| {
        let head = Request::builder().method(method).uri(target).header("host", "example.com").body(()).unwrap().into_parts().0;
        admit(&snapshot, &arrival(), &head).err().map(|refusal| refusal.reason)
    };
    assert_eq!(reason("OPTIONS", "*"), None, "no rule will match it");
    assert_eq!(reason("GET", "*"), Some(Reason::BadTarget));
    assert_eq!(reason("GET", "example.com:80"), Some(Reason::BadTarget));
    assert_eq!(reason("GET", "http://example.com/a"), None);
    assert_eq!(reason("GET", "http://example.com"), None);
    assert_eq!(reason("GET", "http://other.example/a"), Some(Reason::BadHost));
    assert_eq!(reason("CONNECT", "example.com:80"), Some(Reason::MethodNotServed));
    assert_eq!(reason("TRACE", "/"), Some(Reason::MethodNotServed));
    assert_eq!(admitted_path(&snapshot, "http://example.com/a/../b"), Ok("/b".to_owned()));
}

#[test]
fn http_1_0_without_host_meets_only_the_listener_without_host_name() {
    let head = Request::get("/").version(Version::HTTP_10).body(()).unwrap().into_parts().0;
    assert!(admit(&on_port_80(&[None, Some("a.example")]), &arrival(), &head).is_ok());
    let refusal = admit(&on_port_80(&[Some("a.example")]), &arrival(), &head).unwrap_err();
    assert_eq!(refusal.reason, Reason::NoListener);
}
