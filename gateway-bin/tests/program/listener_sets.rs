//! Listeners that other teams add to a Gateway.

use crate::scene::{Folder, GATEWAY, ask, route, run};

const SET: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: own, namespace: team}
spec:
  parentRef: {name: web, namespace: x}
  listeners:
  - {name: named, port: 8080, protocol: HTTP, hostname: team.example.com}
  - {name: apart, port: 8081, protocol: HTTP}
";

#[test]
fn a_listener_set_serves_routes_beside_those_of_its_gateway() {
    let folder = Folder::new();
    let gateway = format!("{GATEWAY}  allowedListeners: {{namespaces: {{from: All}}}}\n");
    let of_set = route("t", "/", "team")
        .replace("namespace: x}", "namespace: team}")
        .replace("[{name: web}]", "[{kind: ListenerSet, name: own}]");
    folder
        .write("gateway.yaml", &gateway)
        .write("set.yaml", SET)
        .write("x.yaml", route("x", "/", "gateway"))
        .write("t.yaml", of_set);
    let running = run(&[folder.root()]);
    let team = [("host", "team.example.com")];
    assert_eq!(running.get("/").body, "gateway");
    assert_eq!(running.get_with("/", &team).body, "team");
    let apart = || ask((running.address, 8081).into(), "GET", "/", &[]).map(|answer| answer.body);
    assert_eq!(apart().as_deref(), Some("team"));
    running.until_said("ListenerSet team/own (of Gateway x/web)");
    let status = running.admin("/status");
    assert!(status.contains("\"ListenerSet\"") && status.contains("\"attachedListenerSets\": 1"), "{status}");

    folder.write("gateway.yaml", GATEWAY);
    running.until("the set is no longer allowed", || apart().is_none());
    running.until_said("! ListenerSet team/own not accepted: Gateway x/web takes no ListenerSets");
    assert_eq!(running.get_with("/", &team).body, "gateway", "the Gateway's listener answers for all hosts again");
    folder.write("gateway.yaml", &gateway);
    running.until("the set serves again", || apart().as_deref() == Some("team"));
    std::fs::remove_file(folder.path("set.yaml")).unwrap();
    running.until("the port is closed", || apart().is_none());
}
