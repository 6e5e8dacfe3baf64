//! What the gateway is made to serve, and what is known of it: the things that change, the backends behind them, the certificates.
//!
//! Invariants: a thing's settled version never exceeds its written one, and both only grow.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use conformance::echo::{Echo, Heard};
use conformance::http::{Request, Response};
use conformance::program::fresh_address;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SerialNumber};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

/// The port of the listener that comes and goes.
pub(crate) const COMING_PORT: u16 = 8088;

/// How many routes the folder holds.
pub(crate) const FOLDER_ROUTES: u64 = 20;

/// What is asked for, and what may change about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thing {
    /// A route that nobody touches.
    Stays,
    /// A route whose header edit gets another value.
    Edited,
    /// A route that is removed and added.
    Removed,
    /// A folder of routes that is swapped for another, removed and added.
    Folder,
    /// A Service whose endpoints are exchanged for others.
    Endpoints,
    /// A listener that is added and removed.
    Coming,
    /// The certificate that TLS connections are shown.
    Certificate,
}

impl Thing {
    /// Those that a request asks for.
    pub(crate) const ASKED: [Self; 6] = [Self::Stays, Self::Edited, Self::Removed, Self::Folder, Self::Endpoints, Self::Coming];

    /// Those that are edited, in turn.
    pub(crate) const EDITED: [Self; 6] =
        [Self::Edited, Self::Removed, Self::Folder, Self::Endpoints, Self::Coming, Self::Certificate];

    /// Its name: of the Service, and the first label of the host.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stays => "stays",
            Self::Edited => "edited",
            Self::Removed => "removed",
            Self::Folder => "folder",
            Self::Endpoints => "endpoints",
            Self::Coming => "coming",
            Self::Certificate => "certificate",
        }
    }

    pub(crate) fn host(self) -> String {
        format!("{}.example", self.name())
    }

    /// The `turn`th request for it.
    pub(crate) fn request(self, turn: u64) -> Request {
        let target = if self == Self::Folder { format!("/{}", turn % FOLDER_ROUTES) } else { "/".into() };
        Request::get(&self.host(), &target)
    }

    /// What a request meets when this version is served.
    pub(crate) fn expected(self, version: u64) -> Seen {
        match self {
            Self::Stays => Seen::Served(0),
            Self::Edited | Self::Certificate => Seen::Served(version),
            Self::Removed if version.is_multiple_of(2) => Seen::Absent,
            Self::Folder if version.is_multiple_of(3) => Seen::Absent,
            Self::Removed | Self::Folder => Seen::Served(version),
            Self::Endpoints => Seen::Served(version % 2),
            Self::Coming if version.is_multiple_of(2) => Seen::Absent,
            Self::Coming => Seen::Served(0),
        }
    }

    /// Reads an answer. An error is one that no version can give.
    pub(crate) fn read(self, response: &Response) -> Result<Seen, String> {
        if response.status == 404 {
            return Ok(Seen::Absent);
        }
        let heard = Heard::read(response).filter(|_| response.status == 200);
        let heard = heard.ok_or_else(|| format!("answered {} {:?}", response.status, response.text()))?;
        let number = |text: Option<&str>| text.map_or(Some(0), |text| text.parse().ok());
        let (service, group) =
            heard.backend.split_once('-').map_or((heard.backend.as_str(), None), |(name, group)| (name, Some(group)));
        if service != self.name() {
            return Err(format!("went to {}", heard.backend));
        }
        let version = if self == Self::Endpoints { number(group) } else { number(heard.values("x-version").first().copied()) };
        version.map(Seen::Served).ok_or_else(|| format!("arrived with {:?}", heard.headers))
    }
}

/// What a request met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The thing, as it is in a version.
    Served(u64),
    /// 404, or a closed port where the thing is a listener.
    Absent,
}

/// How far a thing's versions have come.
#[derive(Debug)]
pub(crate) struct Subject {
    thing: Thing,
    settled: AtomicU64,
    written: AtomicU64,
}

impl Subject {
    /// The oldest version that a request sent now may meet.
    pub(crate) fn since(&self) -> u64 {
        self.settled.load(Ordering::SeqCst)
    }

    /// Judges what a request met that was sent when `since` was the oldest.
    pub(crate) fn judge(&self, since: u64, seen: Seen) -> Result<(), String> {
        let until = self.written.load(Ordering::SeqCst);
        if (since..=until).any(|version| self.thing.expected(version) == seen) {
            return Ok(());
        }
        Err(format!("{seen:?} while versions {since} to {until} stood"))
    }

    /// Begins the next version: from now on it may be met.
    pub(crate) fn begin(&self) -> u64 {
        self.written.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// It was seen served: from now on nothing older may be met.
    pub(crate) fn settle(&self, version: u64) {
        self.settled.store(version, Ordering::SeqCst);
    }
}

/// All of it.
pub(crate) struct World {
    subjects: Vec<Subject>,
    pub(crate) echoes: Vec<Echo>,
    /// Of `Endpoints`, by the parity of the version that has them.
    pub(crate) endpoints: [Vec<Echo>; 2],
    issuer: Issuer<'static, KeyPair>,
    roots: RootCertStore,
    shown: Mutex<Vec<(u64, CertificateDer<'static>)>>,
}

impl World {
    pub(crate) fn new() -> Self {
        let served = Thing::ASKED.into_iter().filter(|thing| *thing != Thing::Endpoints);
        let echoes = served.map(|thing| Echo::start(thing.name()).expect("a free port")).collect();
        let group = |group: usize| {
            let start = |_| Echo::start_at(&format!("endpoints-{group}"), (fresh_address(), 18_080).into());
            (0..2).map(start).collect::<Result<Vec<_>, _>>().expect("the addresses are ours alone")
        };

        let key = KeyPair::generate().expect("a key");
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = authority.self_signed(&key).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).expect("an authority");

        let subject = |thing| Subject { thing, settled: AtomicU64::new(1), written: AtomicU64::new(1) };
        let things = Thing::ASKED.into_iter().chain([Thing::Certificate]);
        Self {
            subjects: things.map(subject).collect(),
            echoes,
            endpoints: [group(0), group(1)],
            issuer: Issuer::new(authority, key),
            roots,
            shown: Mutex::default(),
        }
    }

    pub(crate) fn subject(&self, thing: Thing) -> &Subject {
        self.subjects.iter().find(|subject| subject.thing == thing).expect("every thing has a subject")
    }

    /// A certificate for this version with its key, both in PEM, from now on known by its version.
    pub(crate) fn issue(&self, version: u64) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([Thing::Stays.host()]).expect("a host name");
        params.serial_number = Some(SerialNumber::from(version));
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.push((version, certificate.der().clone()));
        (certificate.pem(), key.serialize_pem())
    }

    /// Reads the certificate that a handshake ended with.
    pub(crate) fn read(&self, shown: Option<&[CertificateDer<'_>]>) -> Result<Seen, String> {
        let leaf = shown.and_then(<[_]>::first).ok_or("no certificate")?;
        let known = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let version = known.iter().find(|(_, certificate)| certificate == leaf).map(|(version, _)| *version);
        version.map(Seen::Served).ok_or_else(|| "a certificate that nobody issued".into())
    }

    /// What a client verifies with, and speaks.
    pub(crate) fn client(&self, protocol: &[u8]) -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.expect("ring speaks the default versions");
        let mut config = builder.with_root_certificates(self.roots.clone()).with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        // A resumed session shows the certificate of its first handshake.
        config.resumption = rustls::client::Resumption::disabled();
        Arc::new(config)
    }
}

/// Words for what went wrong with a thing.
pub(crate) fn complaint(thing: Thing, what: impl Display) -> String {
    format!("{}: {what}", thing.name())
}
