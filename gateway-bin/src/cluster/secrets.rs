//! The Secret that keeps the wire's authority, so that all controllers of an installation have the same.
//!
//! In: an API server. Out: the authority. Whoever comes first makes it; nobody replaces one that can be read.

use std::collections::BTreeMap;

use anyhow::Context as _;
use gateway_core::name::ObjectName;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};

use crate::wire::authority::Authority;

/// The authority of this installation.
pub(crate) async fn authority(client: Client, secret: &ObjectName) -> anyhow::Result<Authority> {
    let api: Api<Secret> = Api::namespaced(client, secret.namespace());
    for _ in 0..ATTEMPTS {
        if let Some(found) = api.get_opt(secret.name()).await.context("cannot read the Secret of the wire's authority")? {
            let data = found.data.unwrap_or_default();
            let text = |name: &str| {
                let bytes = data.get(name).with_context(|| format!("Secret {secret} lacks {name}"))?;
                String::from_utf8(bytes.0.clone()).with_context(|| format!("{name} of Secret {secret}"))
            };
            return Authority::read(&text(CERTIFICATE)?, &text(KEY)?);
        }
        let authority = Authority::create()?;
        let data = [(CERTIFICATE, authority.certificate()), (KEY, authority.key())];
        let data = data.map(|(name, pem)| (name.to_owned(), ByteString(pem.as_bytes().to_vec())));
        let new = Secret {
            metadata: ObjectMeta { name: Some(secret.name().to_owned()), ..ObjectMeta::default() },
            type_: Some("kubernetes.io/tls".to_owned()),
            data: Some(BTreeMap::from(data)),
            ..Secret::default()
        };
        match api.create(&PostParams::default(), &new).await {
            Ok(_) => return Ok(authority),
            // Another controller was faster.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(err) => return Err(err).context("cannot keep the wire's authority"),
        }
    }
    anyhow::bail!("Secret {secret} appears and vanishes")
}

const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const ATTEMPTS: usize = 5;
