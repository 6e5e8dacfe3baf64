//! Session persistence, translated (`SessionPersistence`, GEP-1619): of rules, policies and XBackends alike.
//!
//! In: what is stated, and whose it is. Out: how sessions of one backend are carried. A name that is not stated is made from the names
//! of what it is for, so that it is the same in every process and version.
//!
//! Invariants: **no two backends of a route that is served keep their sessions under one name**, whoever states it.

use std::sync::Arc;

use http::HeaderName;

use crate::name::ObjectId;
use crate::resource::{BackendObjectRef, CookieLifetime, SessionPersistence, SessionPersistenceType};
use crate::snapshot::{Carrier, Cookie, Persistence, RuleId, Source};
use crate::support::{Capability, Support};

use super::super::fault::Fault;
use super::super::objects::kind_of;
use super::super::references::RuleReferences;
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
            if name.len() > MOST_NAME || HeaderName::from_bytes(name.as_bytes()).is_err() {
                return Err(unsupported(format!("sessionPersistence.cookie.name {name:?} is not the name of a cookie")));
            }
            if !cookie.path.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b';') {
                return Err(unsupported(format!("sessionPersistence.cookie.path {:?} is not the path of a cookie", cookie.path)));
            }
            Carrier::Cookie(Cookie { name: name.into(), path: cookie.path.as_str().into(), is_permanent })
        }
        (SessionPersistenceType::Header, _, Some(header)) if header.name.len() > MOST_NAME => {
            return Err(unsupported(format!("sessionPersistence.header.name is longer than {MOST_NAME} characters")));
        }
        (SessionPersistenceType::Header, _, Some(header)) => {
            Carrier::Header(super::headers::editable(&header.name, "that of a session")?)
        }
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
        own.carrier = own.carrier.told_apart(hash(of));
    }
    Ok(own)
}

fn has_name(stated: &SessionPersistence) -> bool {
    stated.cookie.as_ref().is_some_and(|cookie| cookie.name.is_some()) || stated.header.is_some()
}

/// The same under another name than that of the first port, for another port of what a policy is for.
pub(in crate::compile) fn of_port(first: &Persistence, port: u16) -> Persistence {
    Persistence { carrier: first.carrier.clone().told_apart(hash(&port.to_string())), ..first.clone() }
}

/// The sessions that the rules of one route keep, in order: under which names, and whose.
#[derive(Debug, Default)]
pub(super) struct Kept(Vec<(usize, Target, Arc<Persistence>)>);

/// Who has sessions: group and kind, name, port.
type Target = (ObjectId, Option<u16>);

impl Kept {
    /// Takes note of the sessions of a rule, none of them where it is refused.
    ///
    /// # Errors
    /// Why they cannot be kept beside each other, or beside those of a rule before.
    fn add(&mut self, rule: usize, sessions: Vec<(Target, Arc<Persistence>)>) -> Result<(), Fault> {
        let before = self.0.len();
        for (target, own) in sessions {
            if let Err(fault) = self.is_free(rule, &target, &own) {
                self.0.truncate(before);
                return Err(fault);
            }
            self.0.push((rule, target, own));
        }
        Ok(())
    }

    fn is_free(&self, rule: usize, target: &Target, own: &Persistence) -> Result<(), Fault> {
        let is_rival =
            |(_, other, known): &&(usize, Target, Arc<Persistence>)| other != target && known.carrier.meets(&own.carrier);
        let Some((holder, (other, _), known)) = self.0.iter().find(is_rival) else { return Ok(()) };
        let ((is_cookie, name), (object, _)) = (own.name(), target);
        let kind = if is_cookie { "cookie" } else { "header" };
        let place = if *holder == rule { "this rule".to_owned() } else { format!("rules[{holder}]") };
        Err(unsupported(format!(
            "sessionPersistence: {kind} {name}{} carries the sessions of {other} in {place} already{}, and a client can hold one under \
             this name; state another name, or none",
            stated_by(own, object),
            stated_by(known, other),
        )))
    }
}

/// Who states the persistence of an object, where it is not the rule that is judged.
fn stated_by(stated: &Persistence, object: &ObjectId) -> String {
    match stated.source {
        Source::Rule => String::new(),
        Source::Backend => format!(" (as {object} states it)"),
        Source::Policy => format!(" (as an XBackendTrafficPolicy states it for {object})"),
    }
}

/// Translates what a rule states for each of its backends, in order. Under one name a client could hold a session of one backend
/// only, so the first backend has the name that is stated, and to those of others something is added. A rule is invalid where a
/// name, whether the rule, an XBackend or a policy states it, is that of another backend of it or of a rule before it.
pub(super) fn of_rule<'r>(
    stated: Option<&SessionPersistence>,
    id: &RuleId,
    backends: impl Iterator<Item = &'r BackendObjectRef>,
    leads: &RuleReferences,
    support: Support,
    kept: &mut Kept,
) -> Result<Vec<Option<Arc<Persistence>>>, Fault> {
    let rule = id.name.as_deref().map_or_else(|| id.index.to_string(), str::to_owned);
    let mut first = None;
    let (mut found, mut sessions) = (Vec::new(), Vec::new());
    for (backend, leads) in backends.zip(&leads.targets) {
        let target = backend.target(id.route.name.namespace());
        let (group, kind, port) = (&backend.group, &backend.kind, backend.port.unwrap_or(0));
        let read = |stated| {
            let of = format!("{} {rule} {kind}.{group} {target} {port}", id.route);
            let is_first = *first.get_or_insert_with(|| of.clone()) == of;
            of_backend(stated, Source::Rule, &of, is_first, support).map(Arc::new)
        };
        let own = stated.map(read).transpose()?;
        if let Some(held) = Persistence::holding(own.as_ref(), leads.persistence.as_ref()) {
            sessions.push(((ObjectId::new(kind_of(group, kind), target.clone()), backend.port), Arc::clone(held)));
        }
        found.push(own);
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

    fn told_apart(self, number: u64) -> Self {
        match self {
            Self::Cookie(cookie) => {
                let name = format!("{}-{number:016x}", cookie.name).into();
                Self::Cookie(Cookie { name, ..cookie })
            }
            Self::Header(name) => {
                let longer = HeaderName::try_from(format!("{name}-{number:016x}"));
                Self::Header(
                    longer.expect("the name of a header stays one with a number after it, and is not nearly the longest"),
                )
            }
        }
    }
}

/// Whether a cookie for `path` is sent to `inner` too (RFC 6265, 5.1.4).
fn is_within(inner: &str, path: &str) -> bool {
    inner.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || path.ends_with('/'))
}

/// The longest name that the API lets state.
const MOST_NAME: usize = 256;

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
