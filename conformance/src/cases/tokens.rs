//! Tokens by which proxies show who they are: right ones, and every kind of wrong one.
//!
//! The API server gives no token that lasts less than ten minutes. Tokens that have expired, or are otherwise none that it would give, are
//! signed here with its own key.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};

use super::scene::{NAMESPACE, SYSTEM, Scene};
use crate::cluster::soon;
use crate::http::{Request, ask};
use crate::program::fresh_address;

pub(super) fn a_token_that_is_wrong_or_anothers_gets_nothing(scene: &Scene) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let authority = scene.get("configmap", "front-pingora")?;
    let authority = authority.pointer("/data/ca.crt").and_then(Value::as_str).context("no certificate of the wire")?;
    fs::write(folder.path().join("ca.crt"), authority)?;
    let service = scene.cluster.get(&["service", "controller", "-n", SYSTEM])?;
    let service = service.pointer("/spec/clusterIP").and_then(Value::as_str).context("no address of the controller")?;
    let token = |arguments: &[&str]| {
        let mut all = vec!["create", "token", "-n", NAMESPACE];
        all.extend(arguments);
        scene.cluster.kubectl(&all)
    };
    let audience = "--audience=pingora-gateway.dev/controller";
    let good = Token::read(token(&["front-pingora", audience])?.trim())?;
    let (key, stranger) = (signing_key(&scene.signing_key)?, another_key()?);
    let (minute, now) = (60, i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?);
    let lasting = |begins: i64, ends: i64| good.with(&[("iat", begins.into()), ("nbf", begins.into()), ("exp", ends.into())]);
    // What the cluster's own key signs here is as good as what its API server signs: what is refused below is refused for what it says.
    for (what, token) in
        [("the API server's", good.signed.clone()), ("one that is signed here", lasting(now - minute, now + minute).sign(&key)?)]
    {
        let said = joins(scene, folder.path(), service, &token)?;
        ensure!(said.is_ok(), "a right token, {what}, is refused, so that the test is worth nothing: {said:?}");
    }
    let bad = [
        ("none at all", "nonsense".to_owned()),
        ("one for the API server", token(&["front-pingora"])?),
        ("one for another audience", good.with(&[("aud", json!(["example.com/another"]))]).sign(&key)?),
        ("another account's", token(&["default", audience])?),
        ("another namespace's", token(&["default", audience, "-n", "default"])?),
        ("expired", lasting(now - 60 * minute, now - minute).sign(&key)?),
        ("not valid yet", lasting(now + 10 * minute, now + 20 * minute).sign(&key)?),
        ("signed by another key", good.sign(&stranger)?),
    ];
    for (what, token) in &bad {
        let said = joins(scene, folder.path(), service, token)?;
        let Err(said) = said else { anyhow::bail!("a token that is {what} was let in") };
        ensure!(said.contains("controller"), "a token that is {what} is refused without a word: {said}");
    }
    Ok(format!("{} kinds of tokens refused", bad.len()))
}

/// A token of a ServiceAccount, taken apart: RFC 7519.
struct Token {
    signed: String,
    header: String,
    claims: Value,
}

impl Token {
    fn read(token: &str) -> Result<Self> {
        let [header, claims, _] = token.split('.').collect::<Vec<_>>()[..] else { anyhow::bail!("no token: {token}") };
        let claims = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims)?)?;
        Ok(Self { signed: token.to_owned(), header: header.to_owned(), claims })
    }

    /// One that says something else.
    fn with(&self, claims: &[(&str, Value)]) -> Self {
        let mut other = self.claims.clone();
        for (name, value) in claims {
            other[*name] = value.clone();
        }
        Self { claims: other, header: self.header.clone(), signed: String::new() }
    }

    fn sign(&self, key: &EcdsaKeyPair) -> Result<String> {
        let said = format!("{}.{}", self.header, BASE64_URL_SAFE_NO_PAD.encode(self.claims.to_string()));
        let signature = key.sign(&SystemRandom::new(), said.as_bytes()).map_err(|err| anyhow!("a signature: {err}"))?;
        Ok(format!("{said}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// The key by which the cluster's API server signs tokens.
fn signing_key(file: &Path) -> Result<EcdsaKeyPair> {
    // The API server takes a form of keys that the library does not.
    let told = Command::new("openssl").args(["pkcs8", "-topk8", "-nocrypt", "-outform", "DER", "-in"]).arg(file).output()?;
    ensure!(told.status.success(), "openssl: {}", String::from_utf8_lossy(&told.stderr));
    read_key(&told.stdout)
}

fn another_key() -> Result<EcdsaKeyPair> {
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    read_key(key.map_err(|err| anyhow!("a key: {err}"))?.as_ref())
}

fn read_key(key: &[u8]) -> Result<EcdsaKeyPair> {
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key, &SystemRandom::new());
    key.map_err(|err| anyhow!("no key of the curve P-256: {err}"))
}

/// Whether a proxy with this token is told anything within a time that is long for it; if not, what it says.
fn joins(scene: &Scene, folder: &Path, controller: &str, token: &str) -> Result<Result<(), String>> {
    let file = folder.join("token");
    fs::write(&file, token)?;
    let admin = SocketAddr::from((fresh_address(), 9901));
    let log = fs::File::create(folder.join("log"))?;
    let mut proxy = Command::new(&scene.program)
        .args(["proxy", "--gateway", &format!("{NAMESPACE}/front"), "--controller", &format!("{controller}:9902")])
        .arg("--authority")
        .arg(folder.join("ca.crt"))
        .arg("--token")
        .arg(&file)
        .args(["--admin", &admin.to_string()])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    let ready = soon("it is ready", Duration::from_secs(3), || {
        Ok((ask(admin, &Request::get("admin", "/readyz"))?.status == 200).then_some(()))
    });
    proxy.kill()?;
    proxy.wait()?;
    Ok(ready.map_err(|_| fs::read_to_string(folder.join("log")).unwrap_or_default()))
}
