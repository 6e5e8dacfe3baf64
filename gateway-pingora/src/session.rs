//! What a session's token says, and that nobody else can have said it (GEP-1619).
//!
//! In: the endpoint of a session, when it began, and whose it is. Out: a token, and from a token the same again. A client holds it, so
//! it is sealed: it tells nothing, and one that was made up, altered, or belongs to another Gateway, backend or name is none.
//!
//! Each token is sealed (AES-256-GCM) under a key of its own, derived from one of the ring by a random salt (HKDF): there is no number
//! of tokens after which a key is used up. Replicas that share a ring honour each other's sessions.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::error::Unspecified;
use ring::hkdf::{HKDF_SHA256, Prk};
use ring::rand::{SecureRandom as _, SystemRandom};

use gateway_core::snapshot::Fingerprint;

/// A key that seals sessions. It prints nothing of itself.
#[derive(Clone)]
pub struct SessionKey(Prk);

impl SessionKey {
    /// The key that is made of these secret, random bytes.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(Prk::new_less_safe(HKDF_SHA256, secret))
    }

    /// The key for the one token of this salt.
    fn of_token(&self, salt: &[u8]) -> Result<LessSafeKey, Unspecified> {
        let told_apart = [PURPOSE, salt];
        let derived = self.0.expand(&told_apart, &AES_256_GCM)?;
        Ok(LessSafeKey::new(UnboundKey::from(derived)))
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey")
    }
}

/// Keys of which the first seals and all open.
#[derive(Debug)]
pub(crate) struct KeyRing {
    keys: ArcSwap<Keys>,
    random: SystemRandom,
}

#[derive(Debug)]
struct Keys {
    all: Box<[SessionKey]>,
    /// Of a key that nobody else has: whether that was said.
    is_told: Option<AtomicBool>,
}

impl KeyRing {
    /// A ring of one key that nobody else has.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(crate) fn made_up() -> io::Result<Self> {
        let random = SystemRandom::new();
        let mut secret = [0; 32];
        random.fill(&mut secret).map_err(|Unspecified| io::Error::other("the system has no random numbers"))?;
        let keys = Keys { all: Box::new([SessionKey::new(&secret)]), is_told: Some(AtomicBool::new(false)) };
        Ok(Self { keys: ArcSwap::from_pointee(keys), random })
    }

    /// From now on these are the keys; without any nothing changes.
    pub(crate) fn replace(&self, keys: Box<[SessionKey]>) {
        if !keys.is_empty() {
            self.keys.store(Arc::new(Keys { all: keys, is_told: None }));
        }
    }

    /// The token of a session of `owner`; none where the system has no random numbers.
    pub(crate) fn seal(&self, session: Session, owner: Fingerprint) -> Option<String> {
        let keys = self.keys.load();
        if keys.is_told.as_ref().is_some_and(|told| !told.swap(true, Ordering::Relaxed)) {
            tracing::warn!("sessions are sealed with a key of this process alone: they end with it, and no replica knows them");
        }
        let key = keys.all.first()?;
        let mut token = vec![0; SALT];
        self.random.fill(&mut token).ok()?;
        let key = key.of_token(&token).ok()?;
        let mut said = session.write();
        key.seal_in_place_append_tag(once(), Aad::from(owner.as_ref()), &mut said).ok()?;
        token.append(&mut said);
        Some(URL_SAFE_NO_PAD.encode(token))
    }

    /// The session that a token tells; none where it was not sealed for `owner` by a key of the ring.
    pub(crate) fn open(&self, token: &str, owner: Fingerprint) -> Option<Session> {
        if token.len() > LONGEST {
            return None;
        }
        let token = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (salt, sealed) = token.split_at_checked(SALT)?;
        self.keys.load().all.iter().find_map(|key| {
            let mut said = sealed.to_vec();
            let said = key.of_token(salt).ok()?.open_in_place(once(), Aad::from(owner.as_ref()), &mut said).ok()?;
            Session::read(said)
        })
    }
}

/// A session as its token tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) endpoint: SocketAddr,
    /// In whole seconds.
    pub(crate) began: SystemTime,
}

/// What a request says of its client's session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    /// The endpoint that it holds; none where it is to begin.
    pub(crate) endpoint: Option<SocketAddr>,
    /// Whether the client came over HTTPS.
    pub(crate) is_secure: bool,
}

impl Session {
    /// How long ago it began; to a clock that goes after it is new.
    pub(crate) fn age(&self) -> Duration {
        self.began.elapsed().unwrap_or_default()
    }

    fn write(&self) -> Vec<u8> {
        let seconds = self.began.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut said = seconds.to_be_bytes().to_vec();
        said.extend_from_slice(&self.endpoint.port().to_be_bytes());
        match self.endpoint.ip() {
            IpAddr::V4(ip) => said.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => said.extend_from_slice(&ip.octets()),
        }
        said
    }

    fn read(said: &[u8]) -> Option<Self> {
        let (seconds, rest) = said.split_first_chunk::<8>()?;
        let (port, ip) = rest.split_first_chunk::<2>()?;
        let ip = match ip.len() {
            4 => IpAddr::from(<[u8; 4]>::try_from(ip).ok()?),
            _ => IpAddr::from(<[u8; 16]>::try_from(ip).ok()?),
        };
        let began = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::from_be_bytes(*seconds)))?;
        Some(Self { endpoint: SocketAddr::new(ip, u16::from_be_bytes(*port)), began })
    }
}

/// The number of the only message under a key.
fn once() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

/// So many random bytes never come twice.
const SALT: usize = 24;
const PURPOSE: &[u8] = b"pingora-gateway session token 1";
/// Characters of a token are fewer.
const LONGEST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(secrets: &[u8]) -> KeyRing {
        let ring = KeyRing::made_up().unwrap();
        ring.replace(secrets.iter().map(|secret| SessionKey::new(&[*secret; 32])).collect());
        ring
    }

    fn session(endpoint: &str) -> Session {
        Session { endpoint: endpoint.parse().unwrap(), began: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) }
    }

    fn owner(name: &str) -> Fingerprint {
        Fingerprint::of([name])
    }

    #[test]
    fn a_token_tells_its_session_to_whoever_has_the_key_and_nothing_to_others() {
        for session in ["10.0.0.1:80", "[2001:db8::1]:65535"].map(session) {
            let token = ring(&[1]).seal(session, owner("cart")).unwrap();
            assert_eq!(ring(&[1]).open(&token, owner("cart")), Some(session));
            assert_eq!(ring(&[2]).open(&token, owner("cart")), None, "another key");
            assert_eq!(ring(&[1]).open(&token, owner("shop")), None, "another owner");
            assert_ne!(ring(&[1]).seal(session, owner("cart")).unwrap(), token, "no two are alike");
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            assert!(token.bytes().all(is_plain) && token.len() < LONGEST);
        }
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let token = ring(&[1]).seal(session("10.0.0.1:80"), owner("")).unwrap();
        let changing = ring(&[2, 1]);
        assert!(changing.open(&token, owner("")).is_some(), "what the former key sealed is still good");
        let token = changing.seal(session("10.0.0.1:80"), owner("")).unwrap();
        assert!(ring(&[2]).open(&token, owner("")).is_some() && ring(&[1]).open(&token, owner("")).is_none());
        changing.replace(Box::default());
        assert!(changing.open(&token, owner("")).is_some(), "no keys are no change");
    }

    #[test]
    fn a_token_that_was_altered_is_none() {
        let ring = ring(&[1]);
        let token = ring.seal(session("10.0.0.1:80"), owner("")).unwrap();
        for at in 0..token.len() {
            let mut altered = token.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(ring.open(std::str::from_utf8(&altered).unwrap(), owner("")), None, "{at}");
        }
        for other in ["", "A", "====", &token[..token.len() - 1], &"A".repeat(100), &"A".repeat(10_000)] {
            assert_eq!(ring.open(other, owner("")), None);
        }
    }
}
