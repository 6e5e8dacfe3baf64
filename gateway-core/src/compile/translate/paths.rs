//! Rewrites and redirects, translated (`HTTPURLRewriteFilter`, `HTTPRequestRedirectFilter`, `HTTPPathModifier`).
//!
//! In: what the filters state, and whether the rule has the one prefix that `ReplacePrefixMatch` replaces. Out: hosts, paths and
//! statuses that can be written as they stand.

use http::{HeaderValue, StatusCode};

use crate::resource::{PathModifier, PathReplacement, RedirectScheme, RequestRedirect, UrlRewrite};
use crate::snapshot::filters::{PathRewrite, Redirect, Rewrite};

use super::super::fault::Fault;
use super::unsupported;

/// Translates a `URLRewrite`.
pub(super) fn rewrite(stated: &UrlRewrite, one_prefix: bool) -> Result<Rewrite, Fault> {
    let UrlRewrite { hostname, path } = stated;
    let hostname = hostname
        .as_ref()
        .map(|host| HeaderValue::from_str(host).map_err(|_| unsupported(format!("urlRewrite.hostname {host:?} is not a host"))));
    let path = path.as_ref().map(|path| path_rewrite(path, one_prefix));
    Ok(Rewrite { hostname: hostname.transpose()?, path: path.transpose()? })
}

/// Translates a `RequestRedirect`.
pub(super) fn redirect(stated: &RequestRedirect, one_prefix: bool) -> Result<Redirect, Fault> {
    let RequestRedirect { scheme, hostname, path, port, status_code } = stated;
    let status = match status_code {
        301 | 302 | 303 | 307 | 308 => StatusCode::from_u16(*status_code).ok(),
        _ => None,
    };
    let scheme = match scheme {
        Some(RedirectScheme::Other(unknown)) => return Err(unsupported(format!("requestRedirect.scheme {unknown} is unknown"))),
        known => known.as_ref().map(|scheme| scheme.as_str().into()),
    };
    Ok(Redirect {
        status: status.ok_or_else(|| unsupported(format!("requestRedirect.statusCode {status_code} is not a redirect")))?,
        scheme,
        hostname: hostname.as_deref().map(Into::into),
        port: *port,
        path: path.as_ref().map(|path| path_rewrite(path, one_prefix)).transpose()?,
    })
}

fn path_rewrite(stated: &PathModifier, one_prefix: bool) -> Result<PathRewrite, Fault> {
    let checked = |path: &str| match http::uri::PathAndQuery::try_from(if path.is_empty() { "/" } else { path }) {
        Ok(parsed) if parsed.query().is_none() && !path.contains('#') => Ok(()),
        _ => Err(unsupported(format!("{path:?} cannot be a path"))),
    };
    match stated.replacement() {
        PathReplacement::Full(full) => {
            checked(full)?;
            let slash = if full.starts_with('/') { "" } else { "/" };
            Ok(PathRewrite::Full(format!("{slash}{full}").into()))
        }
        PathReplacement::PrefixMatch(prefix) if one_prefix => {
            checked(prefix)?;
            let trimmed = prefix.trim_end_matches('/');
            let slash = if trimmed.is_empty() || trimmed.starts_with('/') { "" } else { "/" };
            Ok(PathRewrite::Prefix(format!("{slash}{trimmed}").into()))
        }
        PathReplacement::PrefixMatch(_) => {
            Err(unsupported("ReplacePrefixMatch needs a rule with exactly one match, of type PathPrefix".to_owned()))
        }
        PathReplacement::Unknown(unknown) => {
            Err(unsupported(format!("path modifier {unknown} is unknown, or its value is missing")))
        }
    }
}
