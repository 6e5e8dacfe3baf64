//! What the judge of an audit log complains of, and what it does not.

use conformance::audit::{Complaint, Who, granted, judge, judge_permissions, spared};
use serde_json::{Value, json};

const OWN: &str = "controller";
const WHO: Who<'_> = Who { user: OWN, controller: "ours" };

/// A log of requests, one a second unless told otherwise.
#[derive(Default)]
struct Log {
    lines: Vec<String>,
    second: f64,
}

impl Log {
    fn line(&mut self, user: &str, verb: &str, path: &str, object: Value) -> &mut Self {
        self.second += 1.0;
        let (path, subresource) = path.split_once('/').map_or((path, ""), |(path, sub)| (path, sub));
        let (resource, name) = path.split_once(' ').expect("a resource and a name");
        let (namespace, name) = name.split_once(':').unwrap_or(("", name));
        let group = match resource {
            "services" | "secrets" | "namespaces" | "events" | "endpoints" | "nodes" => "",
            "leases" => "coordination.k8s.io",
            "endpointslices" => "discovery.k8s.io",
            "customresourcedefinitions" => "apiextensions.k8s.io",
            _ => "gateway.networking.k8s.io",
        };
        let mut record = json!({
            "verb": verb, "user": {"username": user}, "responseStatus": {"code": 200},
            "requestReceivedTimestamp": format!("2026-01-01T00:{:02}:{:09.6}Z", self.second as u32 / 60, self.second % 60.0),
            "objectRef": {"apiGroup": group, "resource": resource, "namespace": namespace, "name": name, "subresource": subresource},
        });
        if object != Value::Null {
            record["responseObject"] = object;
            record["responseObject"]["metadata"] = json!({
                "uid": format!("{path}"), "namespace": namespace, "name": name,
                "resourceVersion": (self.lines.len() + 1).to_string(),
                "generation": record["responseObject"]["generation"].as_i64().unwrap_or(1),
            });
        }
        self.lines.push(record.to_string());
        self
    }

    /// Somebody writes something.
    fn wrote(&mut self, path: &str) -> &mut Self {
        self.line("somebody", "patch", path, Value::Null)
    }

    /// Somebody writes an object that says this.
    fn put(&mut self, path: &str, spec: Value) -> &mut Self {
        self.line("somebody", "patch", path, json!({"spec": spec}))
    }

    /// The controller says this of a Gateway's listener.
    fn said(&mut self, value: &str) -> &mut Self {
        self.said_of(1, value)
    }

    fn said_of(&mut self, generation: i64, value: &str) -> &mut Self {
        let second = self.second;
        let status = json!({"listeners": [{"name": "http", "attachedRoutes": 0, "conditions": [
            {"type": "Programmed", "status": value, "reason": "R", "lastTransitionTime": second}]}]});
        self.status("gateways ns:gw/status", generation, status)
    }

    fn status(&mut self, path: &str, generation: i64, status: Value) -> &mut Self {
        self.line(OWN, "patch", path, json!({"spec": {"gatewayClassName": "class"}, "generation": generation, "status": status}))
    }

    fn complaints(&self) -> Vec<String> {
        let judgement = judge(self.lines.join("\n").as_bytes(), &WHO, 0).expect("records");
        judgement.complaints.iter().map(Complaint::to_string).collect()
    }

    #[track_caller]
    fn goes_back(&self) {
        let complaints = self.complaints();
        assert!(complaints.len() == 1 && complaints[0].contains("and back at"), "{complaints:?}");
    }

    #[track_caller]
    fn is_fine(&self) {
        assert_eq!(self.complaints(), [""; 0]);
    }
}

fn log() -> Log {
    Log::default()
}

/// A Gateway, its route, and a route of another one, as somebody wrote them.
fn scene() -> Log {
    let mut log = log();
    log.put(
        "gateways ns:gw",
        json!({"gatewayClassName": "class", "listeners": [{"tls": {"certificateRefs": [{"name": "tls"}]}}]}),
    )
    .put(
        "httproutes ns:route",
        json!({"parentRefs": [{"name": "gw"}], "rules": [{"backendRefs": [{"name": "svc", "namespace": "far"}]}]}),
    )
    .put("httproutes ns:other", json!({"parentRefs": [{"name": "another"}], "rules": [{"backendRefs": [{"name": "svc"}]}]}))
    .put("listenersets ns:set", json!({"parentRef": {"name": "gw"}}))
    .put("httproutes third:of-set", json!({"parentRefs": [{"kind": "ListenerSet", "name": "set", "namespace": "ns"}]}));
    log.second = 60.0;
    log
}

/// The listener of a Gateway goes from what it was and back, with this in between.
fn gateway_with(path: &str) -> Log {
    let mut log = scene();
    log.said("True").said("False");
    log.wrote(path).said("True");
    log
}

/// A route does.
fn route_with(path: &str) -> Log {
    let mut log = scene();
    log.second = 60.0;
    let said = |log: &mut Log, value: &str| {
        let object = json!({
            "spec": {"parentRefs": [{"name": "gw"}], "rules": [{"backendRefs": [{"name": "svc", "namespace": "far"}]}]},
            "status": {"parents": [{"parentRef": {"name": "gw"}, "controllerName": "ours", "conditions": [
                {"type": "ResolvedRefs", "status": value, "lastTransitionTime": log.second}]}]},
        });
        log.line(OWN, "patch", "httproutes ns:route/status", object);
    };
    said(&mut log, "True");
    said(&mut log, "False");
    log.wrote(path);
    said(&mut log, "True");
    log
}

#[test]
fn a_condition_that_goes_back_is_complained_of() {
    let complaints = log().said("True").said("False").said("True").complaints();
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(complaints[0].contains("gateways ns/gw") && complaints[0].contains("Programmed"), "{complaints:?}");
}

#[test]
fn every_former_value_is_remembered() {
    log().said("True").said("False").said("Unknown").said("True").goes_back();
}

#[test]
fn another_generation_begins_anew() {
    log().said_of(1, "True").said_of(1, "False").said_of(2, "True").is_fine();
    log().said_of(1, "True").said_of(2, "True").said_of(2, "False").said_of(2, "True").goes_back();
}

#[test]
fn all_of_a_status_counts_and_not_its_conditions_alone() {
    let gateway = |path: &str, values: [Value; 3]| {
        let mut log = log();
        for value in values {
            let mut status = json!({"listeners": [{"name": "http"}]});
            let within = if path.starts_with("/listeners") { &mut status["listeners"][0] } else { &mut status };
            within[path.rsplit('/').next().expect("a field")] = value;
            log.status("gateways ns:gw/status", 1, status);
        }
        log
    };
    gateway("/listeners/0/attachedRoutes", [0.into(), 1.into(), 0.into()]).goes_back();
    gateway("/listeners/0/attachedRoutes", [0.into(), 1.into(), 2.into()]).is_fine();
    let address = |value: &str| json!([{"type": "IPAddress", "value": value}]);
    gateway("/addresses", [address("10.0.0.1"), address("10.0.0.2"), address("10.0.0.1")]).goes_back();
    let kinds = |kinds: &[&str]| json!(kinds.iter().map(|kind| json!({"group": "g", "kind": kind})).collect::<Vec<_>>());
    gateway("/listeners/0/supportedKinds", [kinds(&["A", "B"]), kinds(&["A"]), kinds(&["A", "B"])]).goes_back();
    let features = |features: &[&str]| json!(features.iter().map(|name| json!({"name": name})).collect::<Vec<_>>());
    gateway("/supportedFeatures", [features(&["A", "B"]), features(&["A"]), features(&["A", "B"])]).goes_back();
    let route = |there: [bool; 3]| {
        let mut log = log();
        for (turn, is_there) in there.into_iter().enumerate() {
            let entry = json!({"parentRef": {"name": "a"}, "controllerName": "ours", "conditions": [
                {"type": "Accepted", "status": "True", "lastTransitionTime": "t"}]});
            let last = json!({"parentRef": {"name": "b"}, "controllerName": "ours", "conditions": [
                {"type": "Accepted", "status": "True", "lastTransitionTime": turn}]});
            let parents = if is_there { vec![entry, last] } else { vec![last] };
            log.status("httproutes ns:route/status", 1, json!({"parents": parents}));
        }
        log
    };
    route([true, false, true]).goes_back();
    route([false, true, false]).goes_back();
    route([true, true, false]).is_fine();
}

#[test]
fn the_message_of_a_condition_counts_and_its_time_does_not() {
    let said = |messages: [&str; 3]| {
        let mut log = log();
        for (turn, message) in messages.into_iter().enumerate() {
            let conditions = json!([{"type": "Accepted", "status": "True", "message": message, "lastTransitionTime": turn}]);
            log.status("gateways ns:gw/status", 1, json!({"conditions": conditions}));
        }
        log
    };
    said(["a, b", "b, a", "a, b"]).goes_back();
    said(["a, b", "a, b", "a, b"]).is_fine();
}

#[test]
fn entries_of_others_are_not_ours() {
    let mut log = log();
    for value in ["True", "False", "True"] {
        let entry = |controller: &str, value: &str| {
            json!({"parentRef": {"name": "gw"}, "controllerName": controller, "conditions": [
                {"type": "Accepted", "status": value, "lastTransitionTime": "t"}]})
        };
        let parents = json!([entry("theirs", value), entry("ours", "True")]);
        log.status("httproutes ns:route/status", 1, json!({"parents": parents}));
    }
    log.is_fine();
}

#[test]
fn what_somebody_wrote_over_may_be_written_again() {
    let status = |value: &str| json!({"conditions": [{"type": "Accepted", "status": value, "lastTransitionTime": "t"}]});
    let mut log = log();
    log.status("gateways ns:gw/status", 1, status("True"));
    log.line("somebody", "update", "gateways ns:gw/status", json!({"status": status("False")}));
    log.status("gateways ns:gw/status", 1, status("True")).is_fine();
}

#[test]
fn who_writes_into_the_status_of_another_object_excuses_nothing() {
    let mut log = scene();
    log.said("True").said("False");
    log.line("somebody", "patch", "httproutes ns:route/status", json!({"spec": {}, "status": {"parents": []}}));
    log.said("True").goes_back();
}

#[test]
fn related_writes_of_others_excuse_a_gateway() {
    for path in [
        "gateways ns:gw",
        "gatewayclasses class",
        "secrets ns:tls",
        "httproutes ns:route",
        "listenersets ns:set",
        "httproutes third:of-set",
        "namespaces ns",
        "namespaces third",
        "referencegrants ns:any",
        "customresourcedefinitions gateways.gateway.networking.k8s.io",
        "httproutes ns:",
    ] {
        gateway_with(path).is_fine();
    }
}

#[test]
fn other_writes_do_not_excuse_a_gateway() {
    for path in [
        "httproutes ns:other",
        "services far:svc",
        "secrets ns:another",
        "secrets far:tls",
        "gateways ns:another",
        "namespaces nowhere",
        "referencegrants nowhere:any",
        "leases ns:gw",
        "events ns:gw",
        "endpointslices far:svc-1",
        "nodes node1/status",
        "httproutes nowhere:",
    ] {
        gateway_with(path).goes_back();
    }
}

#[test]
fn related_writes_of_others_excuse_a_route() {
    for path in [
        "httproutes ns:route",
        "gateways ns:gw",
        "gatewayclasses class",
        "services far:svc",
        "referencegrants far:any",
        "namespaces far",
        "listenersets ns:set",
    ] {
        route_with(path).is_fine();
    }
    for path in ["httproutes ns:other", "services ns:svc", "gateways ns:another", "endpointslices far:svc-1"] {
        route_with(path).goes_back();
    }
}

#[test]
fn what_is_made_for_a_gateway_is_related_to_it() {
    let mut log = scene();
    let owned = json!({"spec": {}, "metadata": {}});
    log.line(OWN, "patch", "services ns:gw-class", owned);
    let line = log.lines.pop().expect("a line");
    let mut line: Value = serde_json::from_str(&line).expect("a record");
    line["responseObject"]["metadata"]["ownerReferences"] = json!([{"kind": "Gateway", "name": "gw"}]);
    log.lines.push(line.to_string());
    log.said("True").said("False").wrote("services ns:gw-class/status").said("True").is_fine();
}

#[test]
fn a_policy_depends_on_the_routes_that_use_its_target() {
    let with = |path: &str| {
        let mut log = scene();
        let said = |log: &mut Log, value: &str| {
            let object = json!({
                "spec": {"targetRefs": [{"kind": "Service", "name": "svc"}]},
                "status": {"ancestors": [{"ancestorRef": {"name": "gw"}, "controllerName": "ours", "conditions": [
                    {"type": "Accepted", "status": value, "lastTransitionTime": "t"}]}]},
            });
            log.line(OWN, "patch", "backendtlspolicies far:policy/status", object);
        };
        said(&mut log, "True");
        said(&mut log, "False");
        log.wrote(path);
        said(&mut log, "True");
        log
    };
    with("httproutes ns:route").is_fine();
    with("gateways ns:gw").is_fine();
    with("httproutes ns:other").goes_back();
}

#[test]
fn a_write_before_a_part_left_its_value_does_not_excuse_its_return() {
    let mut log = scene();
    log.said("True").wrote("httproutes ns:route").said("False").said("True").goes_back();
}

#[test]
fn of_two_writes_at_once_the_second_may_be_carried_out_after_the_first() {
    let mut log = scene();
    log.said("True").wrote("httproutes ns:route").wrote("httproutes ns:route").said("False").said("True").is_fine();
    let mut log = scene();
    log.said("True").wrote("httproutes ns:route").wrote("httproutes ns:route");
    log.second += 10.0;
    log.said("False").said("True").goes_back();
}

#[test]
fn a_write_that_was_only_tried_is_none() {
    let mut log = gateway_with("gateways ns:gw");
    log.is_fine();
    log.lines[7] = log.lines[7].replacen('{', "{\"requestURI\":\"/apis?dryRun=All&force=true\",", 1);
    log.goes_back();
}

#[test]
fn what_the_controller_wrote_is_no_cause() {
    let mut log = scene();
    log.said("True").said("False").line(OWN, "patch", "gateways ns:gw", Value::Null).said("True").goes_back();
}

#[test]
fn a_status_that_was_there_already_is_complained_of() {
    let mut log = log();
    for _ in 0..2 {
        log.status("gateways ns:gw/status", 1, json!({"conditions": []}));
    }
    let complaints = log.complaints();
    assert!(complaints.len() == 1 && complaints[0].contains("there already"), "{complaints:?}");
}

#[test]
fn a_log_without_a_status_is_complained_of() {
    let complaints = log().wrote("gateways ns:gw").complaints();
    assert!(complaints.len() == 1 && complaints[0].contains("not one status"), "{complaints:?}");
}

#[test]
fn what_was_heard_before_is_only_learnt_from() {
    let mut log = scene();
    log.said("True").said("False").said("True");
    let all = log.lines.join("\n");
    let judged = |heard| judge(all.as_bytes(), &WHO, heard).expect("records");
    assert!(judged(all.len()).complaints.is_empty() && judged(all.len()).writes == 3);
    let last = log.lines.last().expect("a line").len();
    assert_eq!(judged(all.len() - last).complaints.len(), 1, "it returned to what it was told before");
}

#[test]
fn a_forbidden_request_is_complained_of_and_uses_no_permission() {
    let mut refused = log();
    refused.said("True");
    let allowed = refused.lines.clone();
    refused.lines[0] = refused.lines[0].replace("\"code\":200", "\"code\":403");
    let judgement = judge(refused.lines[0].as_bytes(), &WHO, 0).expect("records");
    assert!(judgement.complaints.iter().any(|complaint| matches!(complaint, Complaint::Forbidden(_))));
    assert!(judgement.used.is_empty());
    refused.lines.extend(allowed);
    refused.is_fine();
}

#[test]
fn a_permission_is_used_or_spared_for_a_reason() {
    let roles = "{kind: ClusterRole, rules: [{apiGroups: [g], resources: [gateways], verbs: [get, list]}]}";
    let granted = granted(roles).expect("a role");
    let judged = |used: &[&str], list: &str| {
        let used = granted.iter().filter(|permission| used.contains(&permission.verb.as_str())).cloned().collect();
        judge_permissions(&granted, &used, &spared(list).expect("a list"))
    };
    assert_eq!(judged(&["get", "list"], ""), [""; 0]);
    assert_eq!(judged(&["list"], ""), ["granted, and never used: get gateways.g"]);
    let perhaps = "perhaps get gateways.g # after a conflict";
    assert_eq!((judged(&["list"], perhaps), judged(&["get", "list"], perhaps)), (vec![], vec![]));
    assert_eq!(judged(&["list"], "# why\n\nget gateways.g  # after a conflict\n"), [""; 0]);
    assert_eq!(judged(&["get", "list"], "get gateways.g # after a conflict"), ["spared, and used after all: get gateways.g"]);
    assert_eq!(judged(&["get", "list"], "watch gateways.g # why not"), ["spared, and not granted: watch gateways.g"]);
    assert!(spared("get gateways.g").is_err() && spared("get gateways.g #").is_err(), "without a reason");
}
