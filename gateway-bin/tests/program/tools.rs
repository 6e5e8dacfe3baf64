//! `validate`, and the admin server's view of the same.

use serde_json::Value;

use crate::scene::{Folder, GATEWAY, output, route, run};

#[test]
fn validate_shows_the_conditions_of_every_object() {
    let folder = Folder::new();
    folder.write("gateway.yaml", GATEWAY).write("r.yaml", route("r", "/", "one"));
    let (status, stdout, stderr) = output(&["validate", folder.root()]);
    assert_eq!((status, stderr.as_str()), (0, ""), "{stdout}");
    let lines: Vec<Vec<&str>> = stdout.lines().map(|line| line.split_whitespace().take(5).collect()).collect();
    assert_eq!(lines[0], ["OBJECT", "PART", "CONDITION", "STATUS", "REASON"]);
    assert_eq!(lines[1], ["Gateway", "x/web", "Accepted", "True", "Accepted"]);
    assert!(stdout.contains("HTTPRoute x/r") && stdout.contains("listener http"), "{stdout}");
    assert!(!stdout.contains("Programmed"), "nobody serves here:\n{stdout}");
}

#[test]
fn validate_writes_statuses_as_yaml() {
    let folder = Folder::new();
    folder.write("gateway.yaml", GATEWAY);
    let (status, stdout, _) = output(&["validate", folder.root(), "-o", "yaml"]);
    assert_eq!(status, 0);
    assert!(
        stdout.contains("kind: List") && stdout.contains("  - lastTransitionTime:") | stdout.contains("type: Accepted"),
        "{stdout}"
    );
}

#[test]
fn validate_fails_when_something_is_not_as_asked_for() {
    let rows = [
        ("nowhere", route("r", "/", "one").replace("name: web}", "name: else}"), "there is no such Gateway"),
        ("no backend", route("r", "/", "one").replace("name: r}\n---", "name: gone}\n---"), "ResolvedRefs"),
        ("unknown field", route("r", "/", "one").replace("rules:", "rulez: []\n  rules:"), "spec.rulez"),
    ];
    for (what, text, expected) in rows {
        let folder = Folder::new();
        folder.write("gateway.yaml", GATEWAY).write("r.yaml", text);
        let (status, stdout, stderr) = output(&["validate", folder.root()]);
        assert_eq!(status, 1, "{what}: {stdout}{stderr}");
        assert!(format!("{stdout}{stderr}").contains(expected), "{what}: {expected:?} is not in\n{stdout}{stderr}");
    }
}

#[test]
fn validation_of_fields_can_be_relaxed() {
    let folder = Folder::new();
    folder.write("gateway.yaml", GATEWAY).write("r.yaml", route("r", "/", "one").replace("rules:", "rulez: []\n  rules:"));
    let (status, _, stderr) = output(&["validate", folder.root(), "--field-validation", "warn"]);
    assert_eq!(status, 0);
    assert!(stderr.contains("r.yaml:6:3: warning: HTTPRoute x/r: spec.rulez: "), "{stderr}");
    let (status, _, stderr) = output(&["validate", folder.root(), "--field-validation", "ignore"]);
    assert_eq!((status, stderr.as_str()), (0, ""));
}

#[test]
fn only_classes_of_the_named_controller_count() {
    let folder = Folder::new();
    let class = "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: any}\nspec: {controllerName: example.com/other}\n";
    folder.write("gateway.yaml", GATEWAY).write("class.yaml", class);
    let (_, stdout, _) = output(&["validate", folder.root(), "--controller-name", "example.com/mine"]);
    assert!(!stdout.contains("Gateway x/web"), "{stdout}");
    let (status, stdout, _) = output(&["validate", folder.root(), "--controller-name", "example.com/other"]);
    assert_eq!(status, 0);
    assert!(stdout.contains("Gateway x/web"), "{stdout}");
}

#[test]
fn the_admin_server_tells_what_became_of_every_object() {
    let folder = Folder::new();
    folder.write("gateway.yaml", GATEWAY).write("r.yaml", route("r", "/", "one")).write("bad.yaml", "{");
    let running = run(&[folder.root()]);
    assert_eq!(running.admin("/healthz").trim(), "ok");
    let status: Value = serde_json::from_str(&running.admin("/status")).unwrap();
    let items = status["items"].as_array().unwrap();
    let kinds: Vec<_> = items.iter().map(|item| item["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Gateway", "HTTPRoute"]);
    assert_eq!(items[0]["status"]["addresses"][0]["value"], running.address.to_string());
    assert_eq!(items[0]["status"]["listeners"][0]["attachedRoutes"], 1);
    assert!(status["problems"][0].as_str().unwrap().contains("bad.yaml:1:"), "{status}");
    assert!(running.admin("/status?format=text").contains("Programmed"));
    assert_eq!(running.get("/").body, "one");
    let metrics = running.admin("/metrics");
    assert!(metrics.contains("\ngateway_responses_2xx_total 1\n"), "{metrics}");
    assert!(metrics.contains("\ngateway_sockets_bound 1\n") && metrics.contains("\ngateway_file_problems 1\n"), "{metrics}");
    assert!(running.admin("/nothing").contains("/metrics"), "what there is instead");
}

#[test]
fn diff_says_which_requests_are_answered_differently_and_which_statuses_change() {
    let (old, new) = (Folder::new(), Folder::new());
    old.write("gateway.yaml", GATEWAY).write("r.yaml", route("r", "/cart", "one"));
    new.write("gateway.yaml", GATEWAY).write("r.yaml", route("r", "/basket", "one"));
    let (status, stdout, stderr) = output(&["diff", old.root(), new.root()]);
    assert_eq!((status, stderr.as_str()), (1, ""), "{stdout}");
    let lines: Vec<_> = stdout.lines().collect();
    let expected = [
        "requests:",
        "  GET http://other.invalid:8080/basket and 1 more",
        "    before: 404: no rule matches",
        "    now:    HTTPRoute x/r rule 0: answered 200, content-type: text/plain; charset=utf-8, \"one\"",
        "  GET http://other.invalid:8080/cart and 1 more",
        "    before: HTTPRoute x/r rule 0: answered 200, content-type: text/plain; charset=utf-8, \"one\"",
        "    now:    404: no rule matches",
    ];
    assert_eq!(lines[..7], expected, "{stdout}");
    assert!(lines[7].ends_with(" requests and connections were compared"), "{stdout}");
    new.write("r.yaml", route("r", "/cart", "one").replace("name: web}", "name: web, sectionName: none}"));
    let (status, stdout, _) = output(&["diff", old.root(), new.root()]);
    assert_eq!(status, 1);
    for expected in
        ["statuses:\n  Gateway x/web\n    listener http, attachedRoutes: 1 → 0\n  HTTPRoute x/r\n", "NoMatchingParent"]
    {
        assert!(stdout.contains(expected), "{expected:?} is not in\n{stdout}");
    }
}

#[test]
fn diff_of_the_same_manifests_is_nothing() {
    let folder = Folder::new();
    folder.write("gateway.yaml", GATEWAY).write("r.yaml", route("r", "/", "one"));
    let (status, stdout, stderr) = output(&["diff", folder.root(), folder.root()]);
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert!(stdout.starts_with("no difference; "), "{stdout}");
    let quickstart = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/quickstart");
    assert_eq!(output(&["diff", quickstart, quickstart]).0, 0);
}

#[test]
fn diff_answers_as_json_and_takes_what_stands_on_both_sides_once() {
    let (both, sides) = (Folder::new(), Folder::new());
    both.write("gateway.yaml", GATEWAY);
    sides.write("old.yaml", route("r", "/", "one")).write("new.yaml", route("r", "/", "two"));
    let (old, new) = (sides.path("old.yaml"), sides.path("new.yaml"));
    let (status, stdout, stderr) =
        output(&["diff", old.to_str().unwrap(), new.to_str().unwrap(), "--both", both.root(), "-o", "json"]);
    assert_eq!((status, stderr.as_str()), (1, ""));
    let json: Value = serde_json::from_str(&stdout).unwrap();
    let change = &json["traffic"][0];
    assert_eq!(
        (&change["before"]["rule"], &change["before"]["shares"][0]["body"]),
        (&"HTTPRoute x/r rule 0".into(), &"one".into())
    );
    assert_eq!(change["after"]["shares"][0]["does"], "answer");
    assert_eq!(change["examples"][0]["probe"]["url"], "http://other.invalid:8080/");
    assert_eq!(json["statuses"], serde_json::json!([]));
}

#[test]
fn diff_of_what_cannot_be_read_ends_with_status_2() {
    let folder = Folder::new();
    folder.write("good.yaml", GATEWAY).write("bad.yaml", "{");
    let (good, bad) = (folder.path("good.yaml"), folder.path("bad.yaml"));
    let rows = [(bad.to_str().unwrap(), "bad.yaml:1:"), (concat!(env!("CARGO_MANIFEST_DIR"), "/nowhere"), "nowhere")];
    for (new, expected) in rows {
        let (status, _, stderr) = output(&["diff", good.to_str().unwrap(), new]);
        assert_eq!(status, 2, "{new}: {stderr}");
        assert!(stderr.contains(expected), "{expected:?} is not in\n{stderr}");
    }
    let (status, _, stderr) = output(&["diff", "-", "-"]);
    assert_eq!((status, stderr.as_str()), (2, "error: standard input can be one side, not both\n"));
}
