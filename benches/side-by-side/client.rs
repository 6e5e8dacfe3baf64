//! A client that asks once: over plain or encrypted connections, in HTTP/1 or HTTP/2. The connection is handed out, open.
//!
//! In: an address, and how to speak. Out: a connection that has got its answer in time. It checks the answer, but neither the certificate nor
//! its signature: a client that did would work harder for a handshake than who is measured.

use std::fmt;
use std::io::{Error, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Connection, SendRequest};
use http::{Method, Request, StatusCode, Version};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::contestant::{CALL, CALLS, HOST, PATH};

/// What is spoken with the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Http {
    One,
    Two,
}

/// Bytes both ways.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + fmt::Debug> Stream for T {}

/// How to speak.
#[derive(Clone, Debug)]
pub(crate) struct Speech {
    http: Http,
    /// How connections are encrypted; in clear without it.
    tls: Option<Arc<ClientConfig>>,
}

/// An open connection that has been asked once.
pub(crate) enum Asked {
    One { _open: Box<dyn Stream> },
    Two { _requests: SendRequest<Bytes>, _open: Box<Connection<Box<dyn Stream>, Bytes>> },
}

impl Speech {
    pub(crate) fn clear(http: Http) -> Self {
        Self { http, tls: None }
    }

    /// TLS 1.3, one group, one suite, and no session is resumed, so that all do the same work.
    pub(crate) fn tls(http: Http) -> Result<Self> {
        let provider = CryptoProvider {
            cipher_suites: vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256],
            kx_groups: vec![ring::kx_group::X25519],
            ..ring::default_provider()
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(provider));
        let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).map_err(Error::other)?;
        let mut config = builder.dangerous().with_custom_certificate_verifier(Arc::new(Unchecked)).with_no_client_auth();
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![match http {
            Http::One => b"http/1.1".to_vec(),
            Http::Two => b"h2".to_vec(),
        }];
        Ok(Self { http, tls: Some(Arc::new(config)) })
    }

    /// A connection that is ready to be asked.
    async fn connect(&self, address: SocketAddr) -> Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from(HOST).map_err(Error::other)?;
        Ok(Box::new(TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?))
    }

    /// Asks once for the small text, and keeps the connection.
    pub(crate) async fn ask(&self, address: SocketAddr) -> Result<Asked> {
        let asked = async {
            let stream = self.connect(address).await?;
            match self.http {
                Http::One => ask_http1(stream).await,
                Http::Two => ask_http2(stream, if self.tls.is_some() { "https" } else { "http" }).await,
            }
        };
        timeout(PATIENCE, asked).await?
    }

    /// Asks once by HTTP/1 on a connection that the server is told to close, and waits until it has.
    pub(crate) async fn ask_and_close(&self, address: SocketAddr) -> Result<()> {
        let mut stream = self.connect(address).await?;
        stream.write_all(format!("GET {PATH} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        answered(&answer)
    }
}

async fn ask_http1(mut stream: Box<dyn Stream>) -> Result<Asked> {
    stream.write_all(format!("GET {PATH} HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"text") {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(unlike("a small text", &String::from_utf8_lossy(&answer)));
        }
    }
    answered(&answer)?;
    Ok(Asked::One { _open: stream })
}

async fn ask_http2(stream: Box<dyn Stream>, scheme: &str) -> Result<Asked> {
    let (mut requests, mut open) = h2::client::handshake(stream).await.map_err(Error::other)?;
    let request = Request::get(format!("{scheme}://{HOST}{PATH}")).version(Version::HTTP_2).body(());
    let (answer, _) = requests.send_request(request.map_err(Error::other)?, true).map_err(Error::other)?;
    let answer = async {
        let answer = answer.await?;
        let status = answer.status();
        let mut body = answer.into_body();
        while body.data().await.transpose()?.is_some() {}
        Ok::<_, h2::Error>(status)
    };
    // The connection only moves while it is waited for; it ends when the server ends it, which is too early.
    let status = tokio::select! {
        status = answer => status.map_err(Error::other)?,
        ended = &mut open => return Err(unlike("an answer", &format!("{ended:?}"))),
    };
    if status == StatusCode::OK {
        Ok(Asked::Two { _requests: requests, _open: Box::new(open) })
    } else {
        Err(unlike("200", status.as_str()))
    }
}

/// Calls once by gRPC in clear, and checks that the message comes back and the status after it.
pub(crate) async fn call(address: SocketAddr, message: Bytes) -> Result<()> {
    let stream = Speech::clear(Http::Two).connect(address).await?;
    let (mut requests, open) = h2::client::handshake(stream).await.map_err(Error::other)?;
    let request = Request::builder().method(Method::POST).uri(format!("http://{CALLS}{CALL}")).version(Version::HTTP_2);
    let request = request.header("content-type", "application/grpc").header("te", "trailers").body(()).map_err(Error::other)?;
    let (answer, mut body) = requests.send_request(request, false).map_err(Error::other)?;
    body.send_data(message.clone(), true).map_err(Error::other)?;
    let called = async {
        let answer = answer.await.map_err(Error::other)?;
        let status = answer.status();
        let mut body = answer.into_body();
        let mut got = Vec::new();
        while let Some(piece) = body.data().await.transpose().map_err(Error::other)? {
            got.extend_from_slice(&piece);
        }
        let trailers = body.trailers().await.map_err(Error::other)?.unwrap_or_default();
        let ok = trailers.get("grpc-status").is_some_and(|status| status == "0");
        if status == StatusCode::OK && got == message && ok {
            return Ok(());
        }
        Err(unlike("the message and a status", &format!("{status}, {} bytes, {trailers:?}", got.len())))
    };
    tokio::select! {
        called = timeout(PATIENCE, called) => called?,
        ended = open => Err(unlike("an answer", &format!("{ended:?}"))),
    }
}

fn answered(answer: &[u8]) -> Result<()> {
    if benches::process::status(answer) == Some(200) && answer.ends_with(b"text") {
        return Ok(());
    }
    Err(unlike("200 and a small text", &String::from_utf8_lossy(answer)))
}

fn unlike(expected: &str, found: &str) -> Error {
    Error::other(format!("not {expected} but {found:?}"))
}

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes any certificate and any signature.
#[derive(Debug)]
struct Unchecked;

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
