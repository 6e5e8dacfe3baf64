//! Secrets, grants and roles.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;

use super::scene::{NAMESPACE, Scene, route};
use crate::cluster::{PATIENCE, condition, soon};
use crate::http::PATIENCE as ANSWER;

pub(super) fn a_revoked_grant_ends_what_it_allowed(scene: &Scene) -> Result<String> {
    let grant = format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {{name: routes, namespace: own-cases-backends}}
spec:
  from: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: {NAMESPACE}}}]
  to: [{{group: \"\", kind: Service}}]
"
    );
    let backend = format!(
        "
apiVersion: v1
kind: Namespace
metadata: {{name: own-cases-backends}}
---
apiVersion: v1
kind: Service
metadata: {{name: echo, namespace: own-cases-backends}}
spec: {{ports: [{{port: 80, targetPort: 3000}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: echo-1, namespace: own-cases-backends, labels: {{kubernetes.io/service-name: echo}}}}
addressType: IPv4
ports: [{{port: 3000}}]
endpoints: [{{addresses: [{}]}}]
",
        scene.pods(NAMESPACE, "app=echo")?.first().context("no echo server")?.1
    );
    scene.cluster.apply(&backend)?;
    let far = route("far", "front", "far.example", "echo").replace("{name: echo,", "{name: echo, namespace: own-cases-backends,");
    scene.cluster.apply(&far)?;
    let front = scene.address_of("front")?;
    scene.await_status(front, "far.example", 500)?;
    for _ in 0..2 {
        scene.cluster.apply(&grant)?;
        scene.await_status(front, "far.example", 200)?;
        scene.cluster.kubectl(&["delete", "referencegrants.gateway.networking.k8s.io", "routes", "-n", "own-cases-backends"])?;
        scene.await_status(front, "far.example", 500)?;
        let said = || {
            let route = scene.get("httproute", "far")?;
            let conditions = route.pointer("/status/parents/0/conditions").context("no conditions")?;
            Ok((condition(conditions, "ResolvedRefs") == Some(("False", "RefNotPermitted"))).then_some(()))
        };
        soon("the route says RefNotPermitted", PATIENCE, said)?;
    }
    scene.delete("httproute", "far")?;
    scene.cluster.kubectl(&["delete", "namespace", "own-cases-backends", "--wait=false"])?;
    Ok("granted and revoked twice".to_owned())
}

pub(super) fn a_rotated_secret_is_served_and_no_handshake_fails(scene: &Scene) -> Result<String> {
    const HOST: &str = "rotated.example";
    let certificates = [certificate(HOST)?, certificate(HOST)?];
    scene.cluster.apply(&secret(&certificates[0]))?;
    scene.cluster.apply(&format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: rotated, namespace: {NAMESPACE}}}
spec:
  gatewayClassName: pingora
  listeners:
    - {{name: https, protocol: HTTPS, port: 443, hostname: {HOST}, tls: {{certificateRefs: [{{name: rotated}}]}}}}
---
{}",
        route("rotated", "rotated", HOST, "echo")
    ))?;
    let address = SocketAddr::new(scene.address_of("rotated")?.ip(), 443);
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots.add(certificate.der.clone().into())?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    let config = Arc::new(config);
    let first = soon("it is served", PATIENCE, || peer(address, HOST, &config).map(Some))?;
    ensure!(first == certificates[0].der, "another certificate is served than the Secret's");

    let is_over = Arc::new(AtomicBool::new(false));
    let asking = {
        let (is_over, config) = (Arc::clone(&is_over), Arc::clone(&config));
        thread::spawn(move || -> Result<usize> {
            let mut handshakes = 0;
            while !is_over.load(Ordering::Relaxed) {
                peer(address, HOST, &config).with_context(|| format!("after {handshakes} handshakes"))?;
                handshakes += 1;
            }
            Ok(handshakes)
        })
    };
    let mut is_served = Ok(());
    for turn in [1, 0, 1] {
        is_served = scene.cluster.apply(&secret(&certificates[turn])).and_then(|()| {
            soon("the other certificate is served", PATIENCE, || {
                Ok((peer(address, HOST, &config)? == certificates[turn].der).then_some(()))
            })
        });
        if is_served.is_err() {
            break;
        }
    }
    is_over.store(true, Ordering::Relaxed);
    let handshakes = asking.join().map_err(|_| anyhow!("the asking thread ended"))??;
    is_served?;
    scene.delete("gateway", "rotated")?;
    scene.delete("httproute", "rotated")?;
    scene.delete("secret", "rotated")?;
    Ok(format!("{handshakes} handshakes over three rotations"))
}

/// A certificate of its own authority.
struct Certificate {
    pem: String,
    key: String,
    der: Vec<u8>,
}

fn certificate(host: &str) -> Result<Certificate> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec![host.to_owned()])?.self_signed(&key)?;
    Ok(Certificate { pem: certificate.pem(), key: key.serialize_pem(), der: certificate.der().to_vec() })
}

fn secret(certificate: &Certificate) -> String {
    let document = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": "rotated", "namespace": NAMESPACE},
        "stringData": {"tls.crt": certificate.pem, "tls.key": certificate.key},
    });
    document.to_string()
}

/// The certificate that is served, found good.
fn peer(address: SocketAddr, host: &str, config: &Arc<ClientConfig>) -> Result<Vec<u8>> {
    let client = ClientConnection::new(Arc::clone(config), ServerName::try_from(host.to_owned())?)?;
    let socket = TcpStream::connect_timeout(&address, ANSWER)?;
    socket.set_read_timeout(Some(ANSWER))?;
    let mut stream = StreamOwned::new(client, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    let certificates = stream.conn.peer_certificates().context("no certificate")?;
    Ok(certificates.first().context("no certificate")?.to_vec())
}

pub(super) fn each_persona_may_do_its_own_and_not_the_others(scene: &Scene) -> Result<String> {
    // Who may write what, in this namespace and of the whole cluster.
    let own = [
        ("infrastructure-provider", "gatewayclasses.gateway.networking.k8s.io"),
        ("cluster-operator", "gateways.gateway.networking.k8s.io"),
        ("application-developer", "httproutes.gateway.networking.k8s.io"),
    ];
    for (persona, _) in own {
        scene.cluster.apply(&format!(
            "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: own-cases-{persona}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: pingora-gateway-{persona}}}
subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: {persona}}}]
"
        ))?;
    }
    let may = |persona: &str, verb: &str, resource: &str| {
        // What is refused is told by the exit code too.
        let asked = scene.cluster.kubectl(&["auth", "can-i", verb, resource, "-n", NAMESPACE, "--as", persona]);
        asked.is_ok_and(|told| told.trim() == "yes")
    };
    soon("roles are in force", PATIENCE, || Ok(may(own[0].0, "create", own[0].1).then_some(())))?;
    for (persona, _) in own {
        for (owner, resource) in own {
            for verb in ["create", "patch", "delete"] {
                let (is_own, may) = (persona == owner, may(persona, verb, resource));
                ensure!(may == is_own, "{persona} may {verb} {resource}: {may}");
            }
        }
        ensure!(may(persona, "list", "gateways.gateway.networking.k8s.io"), "{persona} sees no Gateways");
        ensure!(!may(persona, "get", "secrets"), "{persona} may read Secrets");
        scene.cluster.kubectl(&["delete", "clusterrolebinding", &format!("own-cases-{persona}")])?;
    }
    Ok("three personas".to_owned())
}
