//! Session persistence, translated (`SessionPersistence`, GEP-1619): of rules, policies and XBackends alike.
//!
//! In: what is stated, and whose it is. Out: how sessions of one backend are carried, under a name that no other backend of the rule
//! has. A name that is not stated is made from the names of what it is for, so that it is the same in every process and version.

use std::sync::Arc;

use http::HeaderName;

use crate::name::ObjectId;
use crate::resource::{BackendObjectRef, CookieLifetime, SessionPersistence, SessionPersistenceType};
use crate::snapshot::{Carrier, Cookie, Persistence, RuleId, Source};
use crate::support::{Capability, Support};

use super::super::fault::Fault;
use super::super::objects::kind_of;
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

/// The sessions that the rules of one route keep, in order: under which names, and whose.
#[derive(Debug, Default)]
pub(super) struct Kept(Vec<(usize, Target, Arc<Persistence>)>);

/// Who has sessions: group and kind, name, port.
type Target = (ObjectId, Option<u16>);

impl Kept {
    /// Takes note of the sessions of a rule.
    ///
    /// # Errors
    /// Why they cannot be kept beside those of a rule before.
    fn add(&mut self, rule: usize, sessions: Vec<(Target, Arc<Persistence>)>) -> Result<(), Fault> {
        for (target, own) in &sessions {
            let is_rival =
                |(_, other, known): &&(usize, Target, Arc<Persistence>)| other != target && known.carrier.meets(&own.carrier);
            if let Some((before, (other, _), _)) = self.0.iter().find(is_rival) {
                let (what, name) = own.name();
                return Err(unsupported(format!(
                    "sessionPersistence: {what} {name} carries the sessions of {other} in rules[{before}] already, and a client can \
                     hold one under this name; state another name, or none"
                )));
            }
        }
        self.0.extend(sessions.into_iter().map(|(target, own)| (rule, target, own)));
        Ok(())
    }
}

/// Translates what a rule states for each of its backends, in order. Under one name a client could hold a session of one backend
/// only, so the first backend has the name that is stated, and to those of others something is added. A rule that takes a name of
/// another backend's from a rule before it is invalid.
pub(super) fn of_rule<'r>(
    stated: Option<&SessionPersistence>,
    id: &RuleId,
    backends: impl Iterator<Item = &'r BackendObjectRef>,
    support: Support,
    kept: &mut Kept,
) -> Result<Vec<Option<Arc<Persistence>>>, Fault> {
    let Some(stated) = stated else { return Ok(backends.map(|_| None).collect()) };
    let rule = id.name.as_deref().map_or_else(|| id.index.to_string(), str::to_owned);
    let mut first = None;
    let (mut found, mut sessions) = (Vec::new(), Vec::new());
    for backend in backends {
        let target = backend.target(id.route.name.namespace());
        let (group, kind, port) = (&backend.group, &backend.kind, backend.port.unwrap_or(0));
        let of = format!("{} {rule} {kind}.{group} {target} {port}", id.route);
        let is_first = *first.get_or_insert_with(|| of.clone()) == of;
        let own = Arc::new(of_backend(stated, Source::Rule, &of, is_first, support)?);
        sessions.push(((ObjectId::new(kind_of(group, kind), target), backend.port), Arc::clone(&own)));
        found.push(Some(own));
    }
    kept.add(id.index, sessions)?;
    Ok(found)
}

impl Carrier {
    /// Whether a request can carry both under one name: headers of one name, cookies of one name for paths within each other.
    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Cookie(one), Self::Cookie(other)) => {
                one.name == other.name && (is_within(&one.path, &other.path) || is_within(&other.path, &one.path))
            }
            (Self::Header(one), Self::Header(other)) => one == other,
            (Self::Cookie(_) | Self::Header(_), _) => false,
        }
    }

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

/// Whether a cookie for `path` is sent to `inner` too (RFC 6265, 5.1.4).
fn is_within(inner: &str, path: &str) -> bool {
    inner.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || path.ends_with('/'))
}

/// FNV-1a: the same for ever, which clients that hold a cookie depend on.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_sent_to_its_path_and_all_below() {
        for (inner, path, is_sent) in [
            ("/", "/", true),
            ("/a", "/", true),
            ("/a/b", "/a", true),
            ("/a/b", "/a/", true),
            ("/ab", "/a", false),
            ("/", "/a", false),
        ] {
            assert_eq!(is_within(inner, path), is_sent, "{inner} {path}");
        }
    }

    #[test]
    fn names_are_made_by_a_hash_that_never_changes() {
        assert_eq!(hash(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash("foobar"), 0x8594_4171_f739_67e8);
    }
}
