//! `validate`, and the admin server's view of the same.

use serde_json::Value;

use crate::scene::{Folder, GATEWAY, output, route, run};

const OURS: &str = "pingora-gateway.dev/controller";

const EVERY_KIND: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: any}
spec: {controllerName: pingora-gateway.dev/controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: theirs}
spec: {controllerName: example.com/other}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: theirs, namespace: x}
spec: {gatewayClassName: theirs, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: x}
spec:
  gatewayClassName: any
  allowedListeners: {namespaces: {from: Same}}
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: tcp, port: 5432, protocol: TCP}
  - {name: udp, port: 5353, protocol: UDP}
  - {name: tls, port: 8443, protocol: TLS, tls: {mode: Passthrough}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: more, namespace: x}
spec: {parentRef: {name: web}, listeners: [{name: more, port: 8081, protocol: HTTP}]}
---
apiVersion: v1
kind: Service
metadata: {name: http, namespace: x}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: copy, namespace: x}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: tls, namespace: x}
spec: {ports: [{port: 443}]}
---
apiVersion: v1
kind: Service
metadata: {name: tcp, namespace: x}
spec: {ports: [{port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: udp, namespace: x}
spec: {ports: [{port: 53, protocol: UDP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: http, namespace: x}
spec:
  parentRefs: [{name: web}]
  rules:
  - filters: [{type: RequestMirror, requestMirror: {backendRef: {name: copy, port: 80}}}]
    backendRefs: [{name: http, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: grpc, namespace: x}
spec: {parentRefs: [{name: web}], rules: [{backendRefs: [{name: missing, port: 80}]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: tls, namespace: x}
spec: {parentRefs: [{name: web}], hostnames: [a.example], rules: [{backendRefs: [{name: tls, port: 443}]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: tcp, namespace: x}
spec: {parentRefs: [{name: web}], rules: [{backendRefs: [{name: tcp, port: 5432}]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: UDPRoute
metadata: {name: udp, namespace: x}
spec: {parentRefs: [{name: web}], rules: [{backendRefs: [{name: udp, port: 53}]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: tls, namespace: x}
spec: {targetRefs: [{group: '', kind: Service, name: http}], validation: {hostname: s.example, wellKnownCACertificates: System}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: astray, namespace: x}
spec: {targetRefs: [{group: '', kind: Service, name: none}], validation: {hostname: s.example, wellKnownCACertificates: System}}
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: {name: traffic, namespace: x}
spec: {targetRefs: [{group: '', kind: Service, name: http}], retryConstraint: {budget: {percent: 20, interval: 10s}}}
";

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

/// Objects of every kind that has a status, where a Gateway carries all traffic.
fn every_kind() -> Folder {
    let folder = Folder::new();
    folder.write("all.yaml", EVERY_KIND);
    folder
}

#[test]
fn validate_judges_every_kind_that_has_a_status() {
    let folder = every_kind();
    let (status, stdout, stderr) = output(&["validate", folder.root(), "--controller-name", OURS, "--support", "all"]);
    assert_eq!((status, stderr.as_str()), (1, ""), "{stdout}");
    let rows: Vec<Vec<&str>> = stdout.lines().map(|line| line.split("  ").filter(|cell| !cell.is_empty()).collect()).collect();
    let expected: [&[&str]; 12] = [
        &["GatewayClass any", "Accepted", "True", "Accepted"],
        &["Gateway x/web", "Accepted", "True", "Accepted"],
        &[" listener udp", "Accepted", "True", "Accepted"],
        &["ListenerSet x/more", "Accepted", "True", "Accepted"],
        &["HTTPRoute x/http", "Gateway web", "Accepted", "True", "Accepted"],
        &["GRPCRoute x/grpc", "Gateway web", "Accepted", "True", "Accepted"],
        &["Gateway web", "ResolvedRefs", "False", "BackendNotFound", "Service x/missing does not exist"],
        &["TLSRoute x/tls", "Gateway web", "Accepted", "True", "Accepted"],
        &["TCPRoute x/tcp", "Gateway web", "Accepted", "True", "Accepted"],
        &["UDPRoute x/udp", "Gateway web", "Accepted", "True", "Accepted"],
        &["BackendTLSPolicy x/tls", "Gateway x/web", "Accepted", "True", "Accepted"],
        &["XBackendTrafficPolicy x/traffic", "Gateway x/web", "Accepted", "True", "Accepted"],
    ];
    for cells in expected {
        let is_so =
            |row: &Vec<&str>| cells.iter().zip(row).all(|(cell, found)| cell.trim() == found.trim()) && row.len() >= cells.len();
        assert!(rows.iter().any(is_so), "{cells:?} is not in\n{stdout}");
    }
    let (_, end) = stdout.split_once("\n\n").unwrap();
    let expected = "9 of 11 objects are in order
not as asked for:
  GRPCRoute x/grpc: Gateway web: not resolved: Service x/missing does not exist (BackendNotFound)
  BackendTLSPolicy x/astray: Service x/none does not exist
  BackendTLSPolicy x/astray: no Gateway leads to what it targets, so its status is empty
nothing is said of these, which belong to others or are not used:
  GatewayClass theirs
  Gateway x/theirs
";
    assert_eq!(end, expected);
}

#[test]
fn validate_fails_where_the_status_of_a_policy_has_no_room_to_put_it_in_force() {
    let folder = every_kind();
    let entry = |at: usize| format!("{{ancestorRef: {{name: g{at}}}, controllerName: example.com/other, conditions: []}}");
    let full: Vec<String> = (0..16).map(entry).collect();
    let policy = "spec: {targetRefs: [{group: '', kind: Service, name: http}], validation: {hostname: s.example, wellKnownCACertificates: System}}\n";
    let (before, after) = EVERY_KIND.split_once(policy).unwrap();
    folder.write("all.yaml", format!("{before}{policy}status: {{ancestors: [{}]}}\n{after}", full.join(", ")));
    let (status, stdout, _) = output(&["validate", folder.root(), "--controller-name", OURS, "--support", "all"]);
    assert_eq!(status, 1);
    let expected = "  BackendTLSPolicy x/tls: not in force for Gateway x/web: its status has no room to say so, and what it should guard is not served\n";
    assert!(stdout.contains(expected), "{expected:?} is not in\n{stdout}");
}

#[test]
fn validate_judges_for_the_program_or_for_whoever_performs_all() {
    let folder = every_kind();
    let marked = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: marked, namespace: x}
spec:
  gatewayClassName: any
  infrastructure: {labels: {team: a}}
  listeners: [{name: http, port: 8099, protocol: HTTP}]
";
    folder.write("marked.yaml", marked);
    let (status, stdout, _) = output(&["validate", folder.root(), "--controller-name", OURS]);
    assert_eq!(status, 1);
    assert!(stdout.contains("labels and annotations have no effect"), "{stdout}");
    let (_, stdout, _) = output(&["validate", folder.root(), "--controller-name", OURS, "--support", "all"]);
    assert!(!stdout.contains("have no effect") && !stdout.contains("not accepted: "), "{stdout}");
}

#[test]
fn validate_writes_one_json_object() {
    let folder = every_kind();
    folder.write("bad.yaml", "{").write("foreign.yaml", "apiVersion: example.com/v1\nkind: Tree\nmetadata: {name: oak}\n");
    let (status, stdout, _) = output(&["validate", folder.root(), "--controller-name", OURS, "--support", "all", "-o", "json"]);
    assert_eq!(status, 1);
    let json: Value = serde_json::from_str(&stdout).unwrap();
    let kinds: Vec<_> = json["items"].as_array().unwrap().iter().map(|item| item["kind"].as_str().unwrap()).collect();
    for kind in ["Gateway", "ListenerSet", "UDPRoute", "BackendTLSPolicy", "XBackendTrafficPolicy"] {
        assert!(kinds.contains(&kind), "{kind} is not among {kinds:?}");
    }
    let summary = &json["summary"];
    assert_eq!((&summary["isSound"], &summary["judged"]), (&false.into(), &11.into()), "{summary}");
    assert_eq!(summary["faulty"][0]["object"], "GRPCRoute x/grpc");
    assert_eq!(
        summary["faulty"][0]["faults"],
        serde_json::json!(["Gateway web: not resolved: Service x/missing does not exist (BackendNotFound)"])
    );
    assert_eq!(summary["unsaid"], serde_json::json!(["GatewayClass theirs", "Gateway x/theirs"]));
    assert_eq!(summary["passedOver"][0]["count"], 1);
    assert!(summary["problems"][0].as_str().unwrap().contains("bad.yaml:1:"), "{summary}");
    let sound = Folder::new();
    sound.write("gateway.yaml", GATEWAY);
    let (status, stdout, _) = output(&["validate", sound.root(), "-o", "json"]);
    let json: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((status, &json["summary"]["isSound"], &json["summary"]["faulty"]), (0, &true.into(), &serde_json::json!([])));
}

#[test]
fn run_names_the_flag_for_every_backend_nobody_serves_of_whatever_kind_of_route() {
    let folder = every_kind();
    folder.write("all.yaml", EVERY_KIND.replace("port: 80, protocol: HTTP", "port: 8080, protocol: HTTP"));
    let running = run(&[folder.root(), "--backend", "x/tcp:5432=127.0.0.1:9"]);
    running.until_said("without endpoints; each flag would serve one:");
    running.until_said("admin: http");
    let said = running.said();
    for expected in ["http:80", "copy:80", "missing:80", "tls:443", "udp:53"] {
        let expected = format!("--backend x/{expected}=127.0.0.1:PORT");
        assert!(said.contains(&expected), "{expected:?} is not in\n{said}");
    }
    assert!(!said.contains("--backend x/tcp:5432=127.0.0.1:PORT"), "it is served:\n{said}");
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
    assert!(stdout.contains("not used:\n  GatewayClass any\n  Gateway x/web\n"), "{stdout}");
    let (status, stdout, _) = output(&["validate", folder.root(), "--controller-name", "example.com/other"]);
    assert_eq!(status, 0);
    assert!(stdout.contains("Gateway x/web  ") && !stdout.contains("nothing is said"), "{stdout}");
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
