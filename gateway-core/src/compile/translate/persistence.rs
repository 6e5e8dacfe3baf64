//! Session persistence, translated (`SessionPersistence`, GEP-1619): of rules, policies and XBackends alike.
//!
//! In: what is stated, and whose it is. Out: how sessions of one backend are carried, under a name that no other backend of the rule
//! has. A name that is not stated is made from the names of what it is for, so that it is the same in every process and version.

use std::sync::Arc;

use http::HeaderName;

use crate::resource::{BackendObjectRef, CookieLifetime, SessionPersistence, SessionPersistenceType};
use crate::snapshot::{Carrier, Cookie, Persistence, RuleId, Source};
use crate::support::{Capability, Support};

use super::super::fault::Fault;
use super::unsupported;

/// Translates session persistence. `of` names what it is for, where no name is stated.
fn persistence(stated: &SessionPersistence, source: Source, of: &str, support: Support) -> Result<Persistence, Fault> {
    let SessionPersistence { persistence_type, cookie, header, absolute_timeout } = stated;
    if !support.has(Capability::SessionPersistence) {
        return Err(unsupported("sessionPersistence is not performed by this data plane".to_owned()));
    }
    let lifetime = absolute_timeout.filter(|timeout| !timeout.is_zero()).map(|timeout| timeout.to_std());
    let carrier = match (persistence_type, cookie, header) {
        (SessionPersistenceType::Cookie, Some(cookie), _) => {
            let is_permanent = match &cookie.lifetime_type {
                CookieLifetime::Session => false,
                CookieLifetime::Permanent if lifetime.is_some() => true,
                CookieLifetime::Permanent => {
                    return Err(unsupported("a Permanent cookie needs an absoluteTimeout other than 0s".to_owned()));
                }
                CookieLifetime::Other(unknown) => {
                    return Err(unsupported(format!("sessionPersistence.cookie.lifetimeType {unknown} is unknown")));
                }
            };
            let name = cookie.name.as_deref().map_or_else(|| format!("session-{:016x}", hash(of)), str::to_owned);
            if HeaderName::from_bytes(name.as_bytes()).is_err() {
                return Err(unsupported(format!("sessionPersistence.cookie.name {name:?} is not the name of a cookie")));
            }
            if !cookie.path.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b';') {
                return Err(unsupported(format!("sessionPersistence.cookie.path {:?} is not the path of a cookie", cookie.path)));
            }
            Carrier::Cookie(Cookie { name: name.into(), path: cookie.path.as_str().into(), is_permanent })
        }
        (SessionPersistenceType::Header, _, Some(header)) => Carrier::Header(super::headers::name(&header.name)?),
        (SessionPersistenceType::Cookie | SessionPersistenceType::Header, ..) => {
            return Err(unsupported(format!("sessionPersistence of type {persistence_type} states no settings of this type")));
        }
        (SessionPersistenceType::Other(unknown), ..) => {
            return Err(unsupported(format!("sessionPersistence.type {unknown} is unknown")));
        }
    };
    Ok(Persistence { source, carrier, lifetime })
}

/// Translates what a policy or an XBackend states for one of its backends. The first has the name that is stated, to those of others
/// something is added, as in a rule.
pub(in crate::compile) fn of_backend(
    stated: &SessionPersistence,
    source: Source,
    of: &str,
    is_first: bool,
    support: Support,
) -> Result<Persistence, Fault> {
    let mut own = persistence(stated, source, of, support)?;
    if has_name(stated) && !is_first {
        own.carrier = own.carrier.told_apart(hash(of))?;
    }
    Ok(own)
}

fn has_name(stated: &SessionPersistence) -> bool {
    stated.cookie.as_ref().is_some_and(|cookie| cookie.name.is_some()) || stated.header.is_some()
}

/// Translates what a rule states for each of its backends, in order. Under one name a client could hold a session of one backend
/// only, so the first backend has the name that is stated, and to those of others something is added.
pub(super) fn of_rule<'r>(
    stated: Option<&SessionPersistence>,
    id: &RuleId,
    backends: impl Iterator<Item = &'r BackendObjectRef>,
    support: Support,
) -> Result<Vec<Option<Arc<Persistence>>>, Fault> {
    let Some(stated) = stated else { return Ok(backends.map(|_| None).collect()) };
    let rule = id.name.as_deref().map_or_else(|| id.index.to_string(), str::to_owned);
    let mut first = None;
    let mut found = Vec::new();
    for backend in backends {
        let target = backend.target(id.route.name.namespace());
        let (group, kind, port) = (&backend.group, &backend.kind, backend.port.unwrap_or(0));
        let of = format!("{} {rule} {kind}.{group} {target} {port}", id.route);
        let is_first = *first.get_or_insert_with(|| of.clone()) == of;
        found.push(Some(Arc::new(of_backend(stated, Source::Rule, &of, is_first, support)?)));
    }
    Ok(found)
}

impl Carrier {
    fn told_apart(self, number: u64) -> Result<Self, Fault> {
        match self {
            Self::Cookie(cookie) => {
                let name = format!("{}-{number:016x}", cookie.name).into();
                Ok(Self::Cookie(Cookie { name, ..cookie }))
            }
            Self::Header(name) => super::headers::name(&format!("{name}-{number:016x}")).map(Self::Header),
        }
    }
}

/// FNV-1a: the same for ever, which clients that hold a cookie depend on.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_by_a_hash_that_never_changes() {
        assert_eq!(hash(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash("foobar"), 0x8594_4171_f739_67e8);
    }
}
