//! The examples, run.

#![expect(clippy::duplicate_mod, reason = "each example stands alone, its reading of folders included")]

use std::path::{Path, PathBuf};

#[path = "../examples/lint.rs"]
#[expect(dead_code, reason = "its main is for those who run it alone")]
mod lint;
#[path = "../examples/migrate.rs"]
#[expect(dead_code, reason = "its main is for those who run it alone")]
mod migrate;
#[path = "../examples/proxy.rs"]
#[expect(dead_code, reason = "its main is for those who run it alone")]
mod proxy;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/manifests").join(name)
}

#[test]
fn lint_lists_every_condition() {
    let lines = lint::run(&folder("old")).unwrap();
    let expected = [
        "Gateway shop/web listener http: Accepted is True (Accepted): the listener is accepted",
        "HTTPRoute shop/cart Gateway web: ResolvedRefs is False (BackendNotFound): Service shop/gone does not exist",
        "HTTPRoute shop/copied Gateway web: ResolvedRefs is True (ResolvedRefs): all references are resolved",
    ];
    for line in expected {
        assert!(lines.iter().any(|found| found.contains(line)), "{line:?} is not in {lines:#?}");
    }
}

#[test]
fn a_migration_tells_which_requests_are_answered_differently() {
    let difference = migrate::run(&folder("old"), &folder("new")).unwrap();
    let text = difference.to_string();
    assert!(text.contains("GET http://shop.example.com/basket"), "{text}");
    assert!(text.contains("before: 404: no rule matches"), "{text}");
    assert!(migrate::run(&folder("old"), &folder("old")).unwrap().is_empty());
}

#[test]
fn a_proxy_performs_what_it_supports_and_refuses_the_rest() {
    let urls = [
        "http://shop.example.com/cart/1",
        "http://shop.example.com/",
        "http://shop.example.com/gone",
        "http://copied.example.com/",
    ];
    let lines = proxy::run(&folder("old"), &urls).unwrap();
    let expected = [
        "http://shop.example.com/cart/1: forwarded to shop/cart:80 at 10.0.0.1:8080 after 1 tasks",
        "http://shop.example.com/: 404 no rule matches",
        "http://shop.example.com/gone: 500 the backend reference is invalid: Service shop/gone does not exist (BackendNotFound)",
        "http://copied.example.com/: 500 filter RequestMirror is not performed by this data plane",
    ];
    assert_eq!(lines, expected);
}
