//! Load from others' tools: wrk for HTTP/1 in clear, h2load for the rest and for fixed rates.
//!
//! In: where to send requests, for how long. Out: how many were answered with 200, or how long each took.

use std::fs;
use std::io::{Error, Result};
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use benches::process::pinned;

use super::{Done, Scene};
use crate::contestant::{BULK, CALL, CALLS, HOST, PATH};

/// 64 connections, one request at a time on each.
const H1: &[&str] = &["--h1", "-c64", "-m1"];
/// 8 connections, 16 requests at a time on each.
const H2: &[&str] = &["-c8", "-m16"];
/// 8 connections, one large answer at a time on each.
const BULK_H1: &[&str] = &["--h1", "-c8", "-m1"];
const BULK_H2: &[&str] = &["-c8", "-m1"];

pub(super) fn h1(scene: &Scene<'_>, time: Duration) -> Result<Done> {
    let mut wrk = pinned(scene.core, &scene.tools.wrk);
    wrk.args(["-t1", "-c64", "-H", &format!("Host: {HOST}")]);
    wrk.arg(format!("-d{}s", time.as_secs())).arg(format!("http://{}{PATH}", scene.place.h1()));
    let text = output(&mut wrk)?;
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        return Err(Error::other(format!("not all was answered:\n{text}")));
    }
    let units = number_before(&text, " requests in ").ok_or_else(|| unread(&text))?;
    let per_second = number_after(&text, "Requests/sec:").ok_or_else(|| unread(&text))?;
    Ok(Done { units, per_second, lost: None })
}

pub(super) fn h2c(scene: &Scene<'_>, time: Duration) -> Result<Done> {
    requests(&h2load(scene, time, H2, scene.place.h2c(), &format!("http://{HOST}{PATH}"))?, time)
}

pub(super) fn h1_tls(scene: &Scene<'_>, time: Duration) -> Result<Done> {
    requests(&h2load(scene, time, H1, scene.place.https(), &format!("https://{HOST}{PATH}"))?, time)
}

pub(super) fn h2_tls(scene: &Scene<'_>, time: Duration) -> Result<Done> {
    requests(&h2load(scene, time, H2, scene.place.https(), &format!("https://{HOST}{PATH}"))?, time)
}

pub(super) fn bulk(scene: &Scene<'_>, time: Duration) -> Result<Done> {
    bytes(&h2load(scene, time, BULK_H1, scene.place.h1(), &format!("http://{HOST}/catalog{BULK}"))?, time)
}

pub(super) fn bulk_h1_tls(scene: &Scene<'_>, time: Duration) -> Result<Done> {
    bytes(&h2load(scene, time, BULK_H1, scene.place.https(), &format!("https://{HOST}/catalog{BULK}"))?, time)
}

pub(super) fn bulk_h2_tls(scene: &Scene<'_>, time: Duration) -> Result<Done> {
    bytes(&h2load(scene, time, BULK_H2, scene.place.https(), &format!("https://{HOST}/catalog{BULK}"))?, time)
}

pub(super) fn calls(scene: &Scene<'_>, time: Duration) -> Result<Done> {
    // h2load looks at no trailers.
    super::runtime()?.block_on(crate::client::call(scene.place.h2c(), MESSAGE.into()))?;
    let message = scene.place.file("message");
    fs::write(&message, MESSAGE)?;
    let data = format!("--data={}", message.display());
    let fields = ["-H", "content-type: application/grpc", "-H", "te: trailers", data.as_str()];
    let arguments: Vec<&str> = H2.iter().copied().chain(fields).collect();
    requests(&h2load(scene, time, &arguments, scene.place.h2c(), &format!("http://{CALLS}{CALL}"))?, time)
}

/// So many requests a second on 50 connections, for HTTP/1: how long each took, in microseconds.
pub(crate) fn at_rate(scene: &Scene<'_>, rate: u32, time: Duration) -> Result<Vec<f64>> {
    let log = scene.place.file("latencies");
    let _ = fs::remove_file(&log);
    let (each, file) = (format!("--rps={}", f64::from(rate) / 50.0), format!("--log-file={}", log.display()));
    let arguments = ["--h1", "-c50", "-m1", each.as_str(), file.as_str()];
    h2load(scene, time, &arguments, scene.place.h1(), &format!("http://{HOST}{PATH}"))?;
    let text = fs::read_to_string(&log)?;
    let rows = text.lines().map(|line| line.split('\t').filter_map(|field| field.parse::<f64>().ok()).collect::<Vec<_>>());
    let rows: Vec<_> = rows.filter_map(|row| Some((*row.first()?, *row.get(1)?, *row.get(2)?))).collect();
    if rows.iter().any(|(_, status, _)| *status != 200.0) || rows.len() < 100 {
        return Err(Error::other(format!("{} answers at {rate} a second, or not all were 200", rows.len())));
    }
    // The first connections are made in the first half second.
    let start = rows.iter().map(|(at, _, _)| *at).fold(f64::INFINITY, f64::min) + 500_000.0;
    Ok(rows.iter().filter(|(at, _, _)| *at > start).map(|(_, _, took)| *took).collect())
}

/// What h2load says, once nothing failed. Over TLS everybody gets the same suite and group.
fn h2load(scene: &Scene<'_>, time: Duration, arguments: &[&str], to: SocketAddr, url: &str) -> Result<String> {
    let mut h2load = pinned(scene.core, &scene.tools.h2load);
    h2load.arg("-t1").args(arguments).args(["--tls13-ciphers=TLS_AES_128_GCM_SHA256", "--groups=X25519"]);
    h2load.arg(format!("-D{}", time.as_secs())).arg(format!("--connect-to={to}")).arg(url);
    let text = output(&mut h2load)?;
    let flawless = text.contains(" 0 failed, 0 errored, 0 timeout") && text.contains(" 0 3xx, 0 4xx, 0 5xx");
    if flawless { Ok(text) } else { Err(Error::other(format!("not all was answered:\n{text}"))) }
}

fn requests(text: &str, time: Duration) -> Result<Done> {
    Done::of(number_before(text, " succeeded,").ok_or_else(|| unread(text))?, time)
}

/// Bytes of bodies, also of those that were cut off at the end.
fn bytes(text: &str, time: Duration) -> Result<Done> {
    let data = text.split_once(") data").and_then(|(before, _)| before.rsplit_once('(')?.1.parse::<f64>().ok());
    Done::of(data.ok_or_else(|| unread(text))? / f64::from(1 << 30), time)
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() { Ok(text) } else { Err(Error::other(format!("{command:?}: {}\n{text}", output.status))) }
}

fn number_before(text: &str, mark: &str) -> Option<f64> {
    text.split_once(mark)?.0.split_whitespace().next_back()?.parse().ok()
}

fn number_after(text: &str, mark: &str) -> Option<f64> {
    text.split_once(mark)?.1.split_whitespace().next()?.parse().ok()
}

fn unread(text: &str) -> Error {
    Error::other(format!("cannot be read:\n{text}"))
}

/// A gRPC message of 24 bytes, not compressed.
const MESSAGE: &[u8] = b"\0\0\0\0\x18a message of small size.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_h2load_says_is_read() {
        let text = "finished in 3.00s, 1200.00 req/s, 1.17GB/s\n\
             requests: 3600 total, 3608 started, 3600 done, 3599 succeeded, 1 failed, 1 errored, 0 timeout\n\
             status codes: 3600 2xx, 0 3xx, 0 4xx, 0 5xx\n\
             traffic: 3.52GB (3779000000) total, 400.00KB (409600) headers (space savings 0.00%), 2.00GB (2147483648) data\n";
        let second = Duration::from_secs(1);
        assert_eq!(requests(text, second).expect("it is there").units, 3599.0);
        assert_eq!(bytes(text, second).expect("it is there").units, 2.0);
        assert!(bytes("nothing", second).is_err());
    }

    #[test]
    fn a_message_says_its_length() {
        assert_eq!(usize::from(MESSAGE[4]), MESSAGE.len() - 5);
    }
}
