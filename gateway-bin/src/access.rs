//! The access log: one line a request, a connection whose bytes were forwarded, or a flow of datagrams, on standard output.
//!
//! In: records, on a thread of the adapter's own, off the way of requests. Out: JSON or words. A line holds the path but never the
//! query, headers or bodies: those may hold secrets. When standard output is closed the log ends and the gateway goes on.

use std::fmt::{self, Display};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use gateway_core::snapshot::{Backend, Listener, RuleId, Transport};
use gateway_pingora::{Builder, Fault, Record, StreamRecord};
use serde::ser::{Serialize, SerializeMap, Serializer as _};
use serde_json::Serializer;

use crate::args::LogFormat;

/// Has a line written to standard output for everything that is served.
pub(crate) fn logged(builder: Builder, format: LogFormat) -> Builder {
    let log = Arc::new(Mutex::new(AccessLog::new(format)));
    let streams = Arc::clone(&log);
    let builder = builder.on_records(move |records| lock(&log).write(records, json, text));
    builder.on_streams(move |records| lock(&streams).write(records, stream_json, stream_text))
}

/// Writes lines.
#[derive(Debug)]
struct AccessLog {
    format: LogFormat,
    /// `None` once nobody reads any more.
    out: Option<io::Stdout>,
    /// What is to be written next, whole lines.
    lines: Vec<u8>,
}

impl AccessLog {
    /// Writes to standard output.
    fn new(format: LogFormat) -> Self {
        Self { format, out: Some(io::stdout()), lines: Vec::new() }
    }

    /// Writes a line for each record, in the one form or the other.
    fn write<R>(&mut self, records: &mut dyn Iterator<Item = R>, json: Json<R>, text: Text<R>) {
        if self.out.is_none() {
            return;
        }
        for record in records {
            let start = self.lines.len();
            // Writing to memory does not fail.
            let _ = match self.format {
                LogFormat::Json => json(&record, &mut self.lines).map_err(io::Error::from),
                LogFormat::Text => text(&record, &mut self.lines),
            };
            self.end_line(start);
        }
        self.flush();
    }

    /// Ends the line that starts there.
    fn end_line(&mut self, start: usize) {
        self.lines.push(b'\n');
        if self.lines.len() > AT_ONCE {
            let line = self.lines.split_off(start);
            self.flush();
            self.lines = line;
        }
    }

    fn flush(&mut self) {
        if let Some(out) = &mut self.out
            && out.write_all(&self.lines).and_then(|()| out.flush()).is_err()
        {
            tracing::warn!("the access log ends: standard output is closed");
            self.out = None;
        }
        self.lines.clear();
    }
}

/// Appends a record as JSON, without the end of the line.
type Json<R> = fn(&R, &mut Vec<u8>) -> serde_json::Result<()>;

/// The same in words.
type Text<R> = fn(&R, &mut Vec<u8>) -> io::Result<()>;

/// Bytes that are written at once: what a pipe takes as a whole, so that lines of two processes that share one do not mix.
const AT_ONCE: usize = 4096;

/// The log, for whoever has a line.
fn lock(log: &Mutex<AccessLog>) -> MutexGuard<'_, AccessLog> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Appends the line of a request.
fn json(record: &Record, line: &mut Vec<u8>) -> serde_json::Result<()> {
    let mut serializer = Serializer::new(line);
    let mut line = serializer.serialize_map(None)?;
    line.serialize_entry("time", &Shown(Time(record.at)))?;
    line.serialize_entry("peer", &record.peer)?;
    line.serialize_entry("method", record.method.as_str())?;
    line.serialize_entry("host", &*record.host)?;
    line.serialize_entry("path", path(record))?;
    line.serialize_entry("protocol", &Shown(format_args!("{:?}", record.version)))?;
    line.serialize_entry("status", &record.status)?;
    line.serialize_entry("milliseconds", &milliseconds(record.duration))?;
    line.serialize_entry("requestBytes", &record.request_bytes)?;
    line.serialize_entry("responseBytes", &record.response_bytes)?;
    put_way(&mut line, &way(record))?;
    line.end()
}

/// Appends the line of a connection, or of a flow of datagrams.
fn stream_json(record: &StreamRecord, line: &mut Vec<u8>) -> serde_json::Result<()> {
    let mut serializer = Serializer::new(line);
    let mut line = serializer.serialize_map(None)?;
    line.serialize_entry("time", &Shown(Time(record.at)))?;
    line.serialize_entry("peer", &record.peer)?;
    line.serialize_entry("protocol", protocol(record))?;
    line.serialize_entry("milliseconds", &milliseconds(record.duration))?;
    line.serialize_entry("requestBytes", &record.received_bytes)?;
    line.serialize_entry("responseBytes", &record.sent_bytes)?;
    put_way(&mut line, &stream_way(record))?;
    line.end()
}

/// As a string of JSON what can be shown, without one in between.
struct Shown<T>(T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Where something went, and whom it met there.
struct Way<'a> {
    server_name: Option<&'a str>,
    listener: Option<&'a Listener>,
    rule: Option<&'a RuleId>,
    backend: Option<&'a Backend>,
    endpoint: Option<SocketAddr>,
    tries: u32,
    fault: Option<&'a Fault>,
}

fn way(record: &Record) -> Way<'_> {
    Way {
        server_name: record.server_name.as_deref(),
        listener: record.listener.as_deref(),
        rule: record.rule.as_ref().map(|rule| &rule.id),
        backend: record.backend.as_deref(),
        endpoint: record.endpoint,
        tries: record.tries,
        fault: record.fault.as_ref(),
    }
}

fn stream_way(record: &StreamRecord) -> Way<'_> {
    Way {
        server_name: record.server_name.as_deref(),
        listener: record.listener.as_deref(),
        rule: record.rule.as_ref().map(|rule| &rule.id),
        backend: record.backend.as_deref(),
        endpoint: record.endpoint,
        tries: record.tries,
        fault: record.fault.as_ref(),
    }
}

fn put_way<M: SerializeMap>(line: &mut M, way: &Way<'_>) -> Result<(), M::Error> {
    if let Some(name) = way.server_name {
        line.serialize_entry("serverName", name)?;
    }
    if let Some(listener) = way.listener {
        line.serialize_entry("gateway", listener.gateway.as_str())?;
        line.serialize_entry("listener", &*listener.id.name)?;
    }
    if let Some(rule) = way.rule {
        line.serialize_entry("route", &Shown(&rule.route))?;
        match &rule.name {
            Some(name) => line.serialize_entry("rule", &**name)?,
            None => line.serialize_entry("rule", &rule.index)?,
        }
    }
    if let Some(backend) = way.backend {
        line.serialize_entry("backend", &Shown(&backend.name))?;
    }
    if let Some(endpoint) = way.endpoint {
        line.serialize_entry("endpoint", &endpoint)?;
    }
    if way.tries > 1 {
        line.serialize_entry("tries", &way.tries)?;
    }
    if let Some(fault) = way.fault {
        line.serialize_entry("fault", &Shown(fault))?;
    }
    Ok(())
}

/// What was spoken, as far as it is known here.
fn protocol(record: &StreamRecord) -> &'static str {
    match record.transport {
        Transport::Udp => "UDP",
        Transport::Tcp if record.server_name.is_some() => "TLS",
        Transport::Tcp => "TCP",
    }
}

fn stream_text(record: &StreamRecord, line: &mut Vec<u8>) -> io::Result<()> {
    let StreamRecord { peer, received_bytes, sent_bytes, .. } = record;
    let (time, protocol, name) = (Time(record.at), protocol(record), printable(record.server_name.as_deref().unwrap_or("-")));
    let milliseconds = milliseconds(record.duration);
    write!(line, "{time} {peer} {protocol} {name} {received_bytes}/{sent_bytes} bytes {milliseconds:.1}ms")?;
    write_way(line, &stream_way(record))
}

fn text(record: &Record, line: &mut Vec<u8>) -> io::Result<()> {
    let Record { peer, method, status, .. } = record;
    let (time, host, path, milliseconds) =
        (Time(record.at), printable(&record.host), printable(path(record)), milliseconds(record.duration));
    write!(line, "{time} {peer} {method} {host}{path} {status} {milliseconds:.1}ms")?;
    write_way(line, &way(record))
}

fn write_way(line: &mut Vec<u8>, way: &Way<'_>) -> io::Result<()> {
    if let Some(rule) = way.rule {
        write!(line, " {rule}")?;
    }
    match (way.backend, way.endpoint) {
        (Some(backend), Some(endpoint)) => write!(line, " -> {} {endpoint}", backend.name)?,
        (Some(backend), None) => write!(line, " -> {}", backend.name)?,
        (None, _) => {}
    }
    match way.fault {
        Some(fault) => write!(line, " ({})", printable(&fault.to_string())),
        None => Ok(()),
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

fn path(record: &Record) -> &str {
    record.target.split('?').next().unwrap_or_default()
}

/// What a client sent must not look like another line, or steer a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// RFC 3339 in UTC with milliseconds.
pub(crate) struct Time(pub(crate) SystemTime);

impl Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        jiff::Timestamp::try_from(self.0).map_or(Ok(()), |at| write!(f, "{at:.3}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_with_milliseconds() {
        assert_eq!(
            Time(SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_120)).to_string(),
            "2023-11-14T22:13:20.120Z"
        );
    }

    #[test]
    fn a_client_cannot_write_lines_of_its_own() {
        assert_eq!(printable("a\nb\u{1b}[31m"), "a?b?[31m");
    }
}
