//! `--secret`: certificates with their keys in files, followed as manifests are.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::scene::{Folder, Running, output, replace, route, run};

const GATEWAY: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: x}
spec:
  gatewayClassName: any
  listeners:
  - {name: https, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}
";

/// A certificate and its key, in PEM.
fn pair() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["shop.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn scene((certificate, key): &(String, String)) -> Folder {
    let folder = Folder::new();
    folder.write("m/gateway.yaml", GATEWAY).write("m/r.yaml", route("r", "/", "one"));
    folder.write("tls/a.crt", certificate).write("tls/a.key", key);
    folder
}

fn flag(folder: &Folder) -> String {
    format!("x/cert={},{}", folder.path("tls/a.crt").display(), folder.path("tls/a.key").display())
}

/// What is answered to a client that believes this certificate alone.
fn believing(running: &Running, (certificate, _): &(String, String)) -> Option<String> {
    let mut roots = RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let client = ClientConnection::new(config, ServerName::try_from("shop.example").unwrap()).unwrap();
    let mut stream = StreamOwned::new(client, TcpStream::connect((running.address, 8443)).ok()?);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    // The end of the connection is what counts, however it is told.
    let _ = stream.read_to_string(&mut text);
    text.rsplit("\r\n\r\n").next().map(str::to_owned)
}

#[test]
fn a_certificate_in_files_is_served_and_replaced_as_soon_as_both_fit() {
    let (old, new) = (pair(), pair());
    let folder = scene(&old);
    let running = run(&[folder.path("m").to_str().unwrap(), "--secret", &flag(&folder)]);
    assert_eq!(believing(&running, &old).as_deref(), Some("one"));
    assert_eq!(believing(&running, &new), None);
    folder.write("tls/a.crt", &new.0);
    running.until_said("tls.key of Secret x/cert is not the key of the certificate in tls.crt (what it held stays in force)");
    assert_eq!(believing(&running, &old).as_deref(), Some("one"), "its key is still to come");
    replace(&folder.path("tls/a.key"), &new.1);
    running.until("the new one is served", || believing(&running, &new).is_some());
    running.until_said("all manifests are in order");
    fs::remove_file(folder.path("tls/a.key")).unwrap();
    running.until_said("a.key: Secret x/cert: tls.key: no such file or folder (what it held stays in force)");
    assert_eq!(believing(&running, &new).as_deref(), Some("one"));
    assert!(!running.said().contains("PRIVATE"), "no key is told");
}

#[test]
fn files_that_are_missing_at_first_are_served_when_they_come() {
    let pair = pair();
    let folder = scene(&pair);
    fs::remove_dir_all(folder.path("tls")).unwrap();
    let running = run(&[folder.path("m").to_str().unwrap(), "--secret", &flag(&folder)]);
    running.until_said("a.crt: Secret x/cert: tls.crt: no such file or folder");
    assert_eq!(believing(&running, &pair), None);
    folder.write("tls/a.crt", &pair.0).write("tls/a.key", &pair.1);
    running.until("it is served", || believing(&running, &pair).is_some());
}

#[test]
fn validate_and_explain_judge_with_the_secrets_of_files_and_name_file_and_field() {
    let (one, other) = (pair(), pair());
    let folder = scene(&one);
    let manifests = folder.path("m").to_str().unwrap().to_owned();
    let (status, stdout, stderr) = output(&["validate", &manifests, "--secret", &flag(&folder)]);
    assert_eq!((status, stderr.as_str()), (0, ""), "{stdout}");
    let (status, stdout, _) = output(&["explain", "https://shop.example:8443/", &manifests, "--secret", &flag(&folder)]);
    assert!(status == 0 && stdout.contains("wins"), "{stdout}");
    let (status, ..) = output(&["validate", &manifests]);
    assert_eq!(status, 1, "without it the listener has no certificate");

    let both = format!("{},{}", folder.path("tls/a.crt").display(), folder.path("tls/a.key").display());
    let rows = [
        ("tls/a.key", other.1.as_str(), "tls.key of Secret x/cert is not the key of the certificate in tls.crt"),
        ("tls/a.key", "hunter2", "tls.key of Secret x/cert holds no private key in PEM"),
        ("tls/a.crt", "hunter2", "tls.crt of Secret x/cert holds no certificate"),
    ];
    for (file, text, expected) in rows {
        let former = fs::read(folder.path(file)).unwrap();
        folder.write(file, text);
        let (status, _, stderr) = output(&["validate", &manifests, "--secret", &flag(&folder)]);
        assert_eq!(status, 1);
        assert!(stderr.contains(&format!("{both}: Secret x/cert: {expected}")) && !stderr.contains("hunter2"), "{stderr}");
        folder.write(file, former);
    }
    folder.write("m/secret.yaml", "{apiVersion: v1, kind: Secret, metadata: {name: cert, namespace: x}, stringData: {a: b}}");
    let (_, _, stderr) = output(&["validate", &manifests, "--secret", &flag(&folder)]);
    assert!(stderr.contains("--secret x/cert:1:1: Secret x/cert: already defined in"), "{stderr}");
}
