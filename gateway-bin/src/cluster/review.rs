//! Whose a token is: asked of the API server that made it (`authentication.k8s.io` TokenReview).
//!
//! In: a token. Out: the ServiceAccount it was made for, and the pod, or why it is nobody's. A token that was not made for us is
//! nobody's.

use gateway_core::name::ObjectName;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};

use super::watch::told;
use super::within;
use crate::wire::AUDIENCE;
use crate::wire::serve::Caller;

/// Asks whose a token is.
pub(crate) async fn review(client: Client, token: String) -> Result<Caller, String> {
    let api: Api<TokenReview> = Api::all(client);
    let spec = TokenReviewSpec { audiences: Some(vec![AUDIENCE.to_owned()]), token: Some(token) };
    let review = TokenReview { spec, ..TokenReview::default() };
    let reviewed = within(api.create(&PostParams::default(), &review)).await.map_err(|err| {
        tracing::warn!("tokens of proxies cannot be reviewed: {}", told(&err));
        "the token cannot be reviewed now".to_owned()
    })?;
    let status = reviewed.status.unwrap_or_default();
    // An API server that does not know audiences leaves them out, and its answer says nothing of for whom the token is.
    let is_ours = status.audiences.iter().flatten().any(|audience| audience == AUDIENCE);
    if status.authenticated != Some(true) || !is_ours {
        return Err("the token is not good".to_owned());
    }
    let user = status.user.unwrap_or_default();
    let name = user.username.unwrap_or_default();
    let account = name.strip_prefix("system:serviceaccount:").and_then(|name| name.split_once(':'));
    let (namespace, name) = account.ok_or("the token is no ServiceAccount's")?;
    let pod = user.extra.unwrap_or_default().remove("authentication.kubernetes.io/pod-name");
    Ok(Caller { account: ObjectName::new(namespace, name), pod: pod.and_then(|mut names| names.pop()) })
}
