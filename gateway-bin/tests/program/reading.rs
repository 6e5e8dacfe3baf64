//! Manifests that are wrong: what is said, and what still works.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Stdio;

use crate::scene::{Folder, GATEWAY, output, route, run, start};

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let route = |spec: &str| {
        format!("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r, namespace: x}}\nspec:\n{spec}")
    };
    let rows: [(&str, Vec<u8>, &str); 22] = [
        ("a.yaml", b"a: [1\nb: }\n".to_vec(), "a.yaml:2:"),
        ("a.yaml", b"a: 1\na: 2\n".to_vec(), "a.yaml:2:1: not YAML: the key a stands twice"),
        ("a.yaml", b"\tkind: x\n".to_vec(), "a.yaml:1:"),
        ("a.json", b"{\"kind\": \n".to_vec(), "a.json:2:0: not JSON: EOF while parsing a value"),
        ("a.json", b"{\"a\": 1,}".to_vec(), "a.json:1:9: not JSON: trailing comma"),
        ("a.yaml", vec![b'a', b':', b' ', 0xff, 0xfe, b'\n'], "a.yaml: not UTF-8 text (line 1)"),
        ("a.yaml", vec![0; 64], "a.yaml:1:1: not YAML"),
        ("a.yaml", b"just a text\n".to_vec(), "a.yaml:1:1: document: expected an object with apiVersion, kind and metadata"),
        ("a.yaml", b"- a\n- b\n".to_vec(), "expected an object with apiVersion, kind and metadata, found a list"),
        ("a.yaml", b"kind: Gateway\nmetadata: {name: g}\n".to_vec(), "apiVersion: expected a string, found none"),
        ("a.yaml", b"apiVersion: v1\nmetadata: {name: g}\n".to_vec(), "kind: expected a string, found none"),
        ("a.yaml", b"apiVersion: v1\nkind: Service\n".to_vec(), "Service: metadata: expected an object with a name, found none"),
        ("a.yaml", b"apiVersion: a/b/c\nkind: Gateway\nmetadata: {name: g}\n".to_vec(), "apiVersion: expected group/version"),
        ("a.yaml", route("  rules: 7\n").into(), "a.yaml:5:3: HTTPRoute x/r: spec.rules: "),
        ("a.yaml", route("  rulez: []\n").into(), "a.yaml:5:3: HTTPRoute x/r: spec.rulez: expected a field of HTTPRoute"),
        (
            "a.yaml",
            route("  rules:\n  - matches:\n    - path: {value: users}\n").into(),
            "a.yaml:7:14: HTTPRoute x/r: spec.rules[0].matches[0].path.value: ",
        ),
        ("a.yaml", route("  hostnames: [UPPER]\n").into(), "HTTPRoute x/r: spec.hostnames[0]: "),
        (
            "a.yaml",
            format!(
                "apiVersion: v1\nkind: List\nitems:\n- {{}}\n- {}\n",
                "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway}"
            )
            .into(),
            "a.yaml:5:",
        ),
        ("a.yaml", b"# only a comment\n".to_vec(), ""),
        ("a.yaml", b"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n".to_vec(), ""),
        ("a.yaml", format!("{}{}", "[".repeat(5000), "]".repeat(5000)).into(), "a.yaml:1:"),
        ("a.yaml", vec![b'#'; (64 << 20) + 1], "a.yaml: larger than 64 MiB"),
    ];
    for (name, text, expected) in rows {
        let folder = Folder::new();
        folder.write(name, &text);
        let shown = String::from_utf8_lossy(&text[..text.len().min(80)]).into_owned();
        let (status, _, stderr) = output(&["validate", folder.root()]);
        assert_eq!(status, 1, "{shown:?}: {stderr}");
        assert!(stderr.contains(expected), "{shown:?}: {expected:?} is not in\n{stderr}");
    }
}

#[test]
fn paths_that_cannot_be_read_are_told() {
    let folder = Folder::new();
    folder.write("good.yaml", GATEWAY).write("x.yaml/in.yaml", route("in", "/in", "in")).write("secret.yaml", "a");
    fs::create_dir(folder.path("empty")).unwrap();
    fs::set_permissions(folder.path("secret.yaml"), fs::Permissions::from_mode(0o000)).unwrap();
    symlink("b.yaml", folder.path("c.yaml")).unwrap();
    symlink("c.yaml", folder.path("b.yaml")).unwrap();
    symlink(folder.root(), folder.path("again")).unwrap();
    let (missing, empty) = (folder.path("missing.yaml"), folder.path("empty"));
    let (status, stdout, stderr) = output(&["validate", folder.root(), missing.to_str().unwrap(), empty.to_str().unwrap()]);
    assert_eq!(status, 1);
    for expected in [
        "missing.yaml: no such file or folder",
        "empty: warning: the folder holds no manifests (*.yaml, *.yml, *.json)",
        "b.yaml: symbolic links lead in a circle",
        "again: the link leads back to a folder above it; it is not followed",
    ] {
        assert!(stderr.contains(expected), "{expected:?} is not in\n{stderr}");
    }
    // Root may read everything.
    let is_root = fs::read(folder.path("secret.yaml")).is_ok();
    assert!(is_root || stderr.contains("secret.yaml: permission denied"), "{stderr}");
    assert!(stdout.contains("Gateway x/web") && stdout.contains("HTTPRoute x/in"), "the rest is judged:\n{stdout}");
}

#[test]
fn when_nothing_is_there_the_program_says_so_and_ends() {
    let (status, _, stderr) = output(&["run", "/nowhere/at/all", "--admin", "off"]);
    assert_eq!(status, 1);
    assert!(stderr.contains("error: nothing to serve: /nowhere/at/all: no such file or folder"), "{stderr}");
}

#[test]
fn one_bad_file_in_a_folder_serves_the_rest() {
    let folder = Folder::new();
    folder.write("gateway.yaml", GATEWAY).write("a.yaml", "broken: [").write("deep/b.yml", route("b", "/b", "served"));
    folder.write("c.yaml", format!("{}---\nalso: {{broken\n---\n{}", route("c", "/c", "first"), route("d", "/d", "last")));
    let running = run(&[folder.root()]);
    for (path, body) in [("/b", "served"), ("/c", "first"), ("/d", "last")] {
        assert_eq!(running.get(path).body, body);
    }
    assert_eq!(running.get("/else").status, 404);
    running.until_said("a.yaml:");
    running.until_said("c.yaml:17:7: not YAML: ");
}

#[test]
fn of_duplicates_the_first_by_path_serves() {
    let folder = Folder::new();
    folder.write("gateway.yaml", GATEWAY).write("a.yaml", route("r", "/", "first")).write("b.yaml", route("r", "/", "second"));
    let running = run(&[folder.root()]);
    assert_eq!(running.get("/").body, "first");
    running.until_said("b.yaml:1:1: HTTPRoute x/r: already defined in ");
    fs::remove_file(folder.path("a.yaml")).unwrap();
    running.until_body("/", "second");
}

#[test]
fn manifests_come_by_standard_input_and_in_lists() {
    let folder = Folder::new();
    let list = format!(
        "{{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{}]}}",
        r#"{"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "web", "namespace": "x"},
            "spec": {"gatewayClassName": "any", "listeners": [{"name": "http", "port": 8080, "protocol": "HTTP"}]}}"#
    );
    folder.write("stdin", list).write("r.yaml", route("r", "/", "found"));
    let stdin = Stdio::from(fs::File::open(folder.path("stdin")).unwrap());
    let running = start(&["-", folder.path("r.yaml").to_str().unwrap()], stdin);
    running.until_body("/", "found");
}

#[test]
fn a_backend_flag_stands_in_for_a_service_or_adds_to_one() {
    let folder = Folder::new();
    let backends = "  - backendRefs: [{name: cart, port: 80}]\n";
    let route = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r, namespace: x}}\nspec:\n  parentRefs: [{{name: web}}]\n  rules:\n{backends}"
    );
    folder.write("gateway.yaml", GATEWAY).write("r.yaml", route);
    let running = run(&[folder.root()]);
    assert_eq!(running.get("/").status, 500, "there is no such Service");
    running.until_said("Service x/cart: --backend x/cart:80=127.0.0.1:PORT");

    let elsewhere = Folder::new();
    elsewhere.write("all.yaml", format!("{GATEWAY}---\n{}", crate::scene::route("e", "/", "echoed")));
    let backend = run(&[elsewhere.root()]);
    let flag = format!("x/cart:80={}:8080", backend.address);
    let running = run(&[folder.root(), "--backend", &flag]);
    assert_eq!(running.get("/").body, "echoed");
    folder.write(
        "service.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: {name: cart, namespace: x}\nspec: {ports: [{name: web, port: 80}]}\n",
    );
    running.until_said("~ Service x/cart");
    assert_eq!(running.get("/").body, "echoed", "the Service among the files has the same endpoints");
    folder.write(
        "service.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: {name: cart, namespace: x}\nspec: {ports: [{port: 81}]}\n",
    );
    running.until_said("--backend: Service x/cart has no TCP port 80");
}
