//! What cannot be used on the command line ends the program with status 2 and the usage.

use std::net::TcpListener;

use crate::scene::{Folder, GATEWAY, fresh_address, output};

#[test]
fn flags_that_cannot_be_used_end_with_status_2_and_the_usage() {
    let rows: [(&[&str], &str); 31] = [
        (&[], "Usage"),
        (&["walk"], "unrecognized subcommand 'walk'"),
        (&["run"], "PATH"),
        (&["run", "x", "--nonsense"], "unexpected argument '--nonsense'"),
        (&["run", "x", "--backend", "cart"], "expected namespace/name:port=address"),
        (&["run", "x", "--backend", "shop/cart:80=nowhere"], "\"nowhere\" is not an address"),
        (&["run", "x", "--secret", "x/cert"], "expected namespace/name=certificate,key"),
        (&["run", "x", "--secret", "x/cert=a.crt"], "\"a.crt\" is not two files"),
        (&["validate", "x", "--secret", "a=b,c", "--secret", "a=d,e"], "--secret default/a is given twice, by b and d"),
        (&["run", "x", "--auth-timeout", "0s"], "expected more than no time"),
        (&["run", "x", "--max-flows", "0"], "0 is not in 1.."),
        (&["run", "x", "--max-concurrent-streams", "0"], "0 is not in 1.."),
        (&["run", "x", "--connect-timeout", "0s"], "expected more than no time"),
        (&["run", "x", "--stream-idle-timeout", "1"], "expected a number with a unit"),
        (&["run", "x", "--port-map", "80"], "expected port=port"),
        (&["run", "x", "--port-map", "80=0"], "\"0\" is not a port"),
        (&["run", "x", "--address", "localhost"], "invalid IP address syntax"),
        (&["run", "x", "--controller-name", "pingora"], "expected domain/path"),
        (&["run", "x", "--field-validation", "lax"], "[possible values: strict, warn, ignore]"),
        (&["run", "x", "--trusted-proxies", "10.0.0.0/40"], "expected a network in CIDR form"),
        (&["run", "x", "--admin", "9901"], "expected IP:PORT"),
        (&["run", "x", "--drain-timeout", "30"], "expected a number with a unit"),
        (&["run", "x", "--max-connections", "0"], "0 is not in 1.."),
        (&["run", "x", "--resolve-services", "cart"], "expected {name} in it, as in {name}.{namespace}"),
        (&["run", "x", "--external-names", "here"], "[possible values: refused, elsewhere, anywhere]"),
        (&["run", "x", "--name-servers", "127.0.0.1"], "invalid socket address syntax"),
        (&["validate", "x", "-o", "html"], "[possible values: table, yaml, json]"),
        (&["explain", "ftp://host/", "x"], "\"ftp\" is no scheme that is known here"),
        (&["explain", "http://host/", "x", "-H", "nameless"], "expected 'Name: value'"),
        (&["diff", "x"], "<NEW>"),
        (&["diff", "x", "y", "-o", "yaml"], "[possible values: text, json]"),
    ];
    for (args, expected) in rows {
        let (status, _, stderr) = output(args);
        assert_eq!(status, 2, "{args:?}: {stderr}");
        assert!(stderr.contains(expected), "{args:?}: {expected:?} is not in\n{stderr}");
        assert!(stderr.contains("Usage"), "{args:?}: no usage in\n{stderr}");
    }
}

#[test]
fn help_tells_every_default() {
    let (status, stdout, _) = output(&["run", "--help"]);
    assert_eq!(status, 0);
    for default in [
        "[default: strict]",
        "[default: json]",
        "[default: 127.0.0.1:9901]",
        "[default: 30s]",
        "[default: elsewhere]",
        "[default: 16384]",
        "[default: 4096]",
        "[default: 5s]",
        "[default: 60s]",
        "[default: 100]",
        "[default: 1h]",
    ] {
        assert!(stdout.contains(default), "{default} is not in\n{stdout}");
    }
}

#[test]
fn a_taken_admin_port_is_an_error_that_names_the_flag() {
    let folder = Folder::new();
    folder.write("a.yaml", GATEWAY);
    let taken = TcpListener::bind((fresh_address(), 0)).unwrap();
    let admin = taken.local_addr().unwrap().to_string();
    let (status, _, stderr) = output(&["run", folder.root(), "--admin", &admin]);
    assert_eq!(status, 1);
    assert!(stderr.contains(&format!("the admin server cannot listen on {admin}; choose another with --admin")), "{stderr}");
}
