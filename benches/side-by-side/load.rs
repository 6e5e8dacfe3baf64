//! Load from others' tools: wrk for HTTP/1, h2load for HTTP/2 and for fixed rates.
//!
//! In: where to send requests, for how long. Out: how many were answered, or how long each took. Anything but 200 is an error: a
//! contestant that refuses is not measured.

use std::fs;
use std::io::{Error, Result};
use std::process::Command;
use std::time::Duration;

use benches::process::pinned;

use crate::contestant::{HOST, PATH, Place};
use crate::tools::Tools;

/// What is spoken with the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// 64 connections, one request at a time on each.
    Http1,
    /// 8 connections, 16 requests at a time on each, in clear.
    Http2,
}

/// What was answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    pub(crate) count: f64,
    pub(crate) per_second: f64,
}

/// As many requests as are answered.
pub(crate) fn run(tools: &Tools, place: &Place, shape: Shape, time: Duration, core: usize) -> Result<Answered> {
    match shape {
        Shape::Http1 => {
            let mut wrk = pinned(core, &tools.wrk);
            wrk.args(["-t1", "-c64", "-H", &format!("Host: {HOST}")]);
            wrk.arg(format!("-d{}s", time.as_secs())).arg(format!("http://{}{PATH}", place.h1()));
            let text = output(&mut wrk)?;
            if text.contains("Non-2xx") || text.contains("Socket errors") {
                return Err(Error::other(format!("not all was answered:\n{text}")));
            }
            let count = number_before(&text, " requests in ").ok_or_else(|| unread(&text))?;
            let per_second = number_after(&text, "Requests/sec:").ok_or_else(|| unread(&text))?;
            Ok(Answered { count, per_second })
        }
        Shape::Http2 => {
            let mut h2load = pinned(core, &tools.h2load);
            h2load.args(["-t1", "-c8", "-m16"]).arg(format!("-D{}", time.as_secs()));
            h2load.arg(format!("--connect-to={}", place.h2c())).arg(format!("http://{HOST}{PATH}"));
            let text = output(&mut h2load)?;
            check(&text)?;
            let count = number_before(&text, " succeeded,").ok_or_else(|| unread(&text))?;
            Ok(Answered { count, per_second: count / time.as_secs_f64() })
        }
    }
}

/// So many requests a second on 50 connections, for HTTP/1: how long each took, in microseconds.
pub(crate) fn at_rate(tools: &Tools, place: &Place, rate: u32, time: Duration, core: usize) -> Result<Vec<f64>> {
    let log = place.file("latencies");
    let _ = fs::remove_file(&log);
    let mut h2load = pinned(core, &tools.h2load);
    h2load.args(["--h1", "-t1", "-c50", "-m1"]).arg(format!("--rps={}", f64::from(rate) / 50.0));
    h2load.arg(format!("-D{}", time.as_secs())).arg(format!("--log-file={}", log.display()));
    h2load.arg(format!("--connect-to={}", place.h1())).arg(format!("http://{HOST}{PATH}"));
    check(&output(&mut h2load)?)?;
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

fn output(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() { Ok(text) } else { Err(Error::other(format!("{command:?}: {}\n{text}", output.status))) }
}

/// Whether h2load counted failures.
fn check(text: &str) -> Result<()> {
    let flawless = text.contains(" 0 failed, 0 errored, 0 timeout") && text.contains(" 0 3xx, 0 4xx, 0 5xx");
    if flawless { Ok(()) } else { Err(Error::other(format!("not all was answered:\n{text}"))) }
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
