//! The access log: one line a request, a connection whose bytes were forwarded, or a flow of datagrams, on standard output.
//!
//! In: records, on a thread of the adapter's own, off the way of requests. Out: JSON or words. A line holds the path but never the
//! query, headers or bodies: those may hold secrets. When standard output is closed the log ends and the gateway goes on.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use gateway_core::snapshot::{Backend, Listener, RuleId, Transport};
use gateway_pingora::{Builder, Record, StreamRecord};
use serde_json::{Map, Value};

use crate::args::LogFormat;

/// Has a line written to standard output for everything that is served.
pub(crate) fn logged(builder: Builder, format: LogFormat) -> Builder {
    let log = Arc::new(Mutex::new(AccessLog::new(format)));
    let streams = Arc::clone(&log);
    let builder = builder.on_record(move |record| lock(&log).write(&record));
    builder.on_stream(move |record| lock(&streams).write_stream(&record))
}

/// Writes lines.
#[derive(Debug)]
struct AccessLog {
    format: LogFormat,
    /// `None` once nobody reads any more.
    out: Option<BufWriter<io::Stdout>>,
    line: String,
}

impl AccessLog {
    /// Writes to standard output.
    fn new(format: LogFormat) -> Self {
        Self { format, out: Some(BufWriter::with_capacity(16 * 1024, io::stdout())), line: String::new() }
    }

    /// Writes the line of a request.
    fn write(&mut self, record: &Record) {
        self.write_line(|format, line| match format {
            LogFormat::Json => line.push_str(&json(record)),
            LogFormat::Text => text(record, line),
        });
    }

    /// Writes the line of a connection, or of a flow of datagrams.
    fn write_stream(&mut self, record: &StreamRecord) {
        self.write_line(|format, line| match format {
            LogFormat::Json => line.push_str(&stream_json(record)),
            LogFormat::Text => stream_text(record, line),
        });
    }

    fn write_line(&mut self, say: impl FnOnce(LogFormat, &mut String)) {
        let Some(out) = &mut self.out else { return };
        self.line.clear();
        say(self.format, &mut self.line);
        self.line.push('\n');
        if out.write_all(self.line.as_bytes()).and_then(|()| out.flush()).is_err() {
            tracing::warn!("the access log ends: standard output is closed");
            self.out = None;
        }
    }
}

/// The log, for whoever has a line.
fn lock(log: &Mutex<AccessLog>) -> MutexGuard<'_, AccessLog> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

fn json(record: &Record) -> String {
    let mut line = Map::new();
    let mut put = |name: &str, value: Value| drop(line.insert(name.to_owned(), value));
    put("time", time(record.at).into());
    put("peer", record.peer.to_string().into());
    put("method", record.method.as_str().into());
    put("host", (*record.host).into());
    put("path", path(record).into());
    put("protocol", format!("{:?}", record.version).into());
    put("status", record.status.into());
    put("milliseconds", (record.duration.as_micros() as f64 / 1000.0).into());
    put("requestBytes", record.request_bytes.into());
    put("responseBytes", record.response_bytes.into());
    put_way(&mut line, &way(record));
    Value::Object(line).to_string()
}

fn stream_json(record: &StreamRecord) -> String {
    let mut line = Map::new();
    let mut put = |name: &str, value: Value| drop(line.insert(name.to_owned(), value));
    put("time", time(record.at).into());
    put("peer", record.peer.to_string().into());
    put("protocol", protocol(record).into());
    put("milliseconds", (record.duration.as_micros() as f64 / 1000.0).into());
    put("requestBytes", record.received_bytes.into());
    put("responseBytes", record.sent_bytes.into());
    put_way(&mut line, &stream_way(record));
    Value::Object(line).to_string()
}

/// Where something went, and whom it met there.
struct Way<'a> {
    server_name: Option<&'a str>,
    listener: Option<&'a Listener>,
    rule: Option<&'a RuleId>,
    backend: Option<&'a Backend>,
    endpoint: Option<SocketAddr>,
    tries: u32,
    fault: Option<String>,
}

fn way(record: &Record) -> Way<'_> {
    Way {
        server_name: record.server_name.as_deref(),
        listener: record.listener.as_deref(),
        rule: record.rule.as_ref().map(|rule| &rule.id),
        backend: record.backend.as_deref(),
        endpoint: record.endpoint,
        tries: record.tries,
        fault: record.fault.as_ref().map(ToString::to_string),
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
        fault: record.fault.as_ref().map(ToString::to_string),
    }
}

fn put_way(line: &mut Map<String, Value>, way: &Way<'_>) {
    let mut put = |name: &str, value: Value| drop(line.insert(name.to_owned(), value));
    if let Some(name) = way.server_name {
        put("serverName", name.into());
    }
    if let Some(listener) = way.listener {
        put("gateway", listener.gateway.as_str().into());
        put("listener", (*listener.id.name).into());
    }
    if let Some(rule) = way.rule {
        put("route", rule.route.to_string().into());
        put("rule", rule.name.as_deref().map_or_else(|| rule.index.into(), Into::into));
    }
    if let Some(backend) = way.backend {
        put("backend", backend.name.to_string().into());
    }
    if let Some(endpoint) = way.endpoint {
        put("endpoint", endpoint.to_string().into());
    }
    if way.tries > 1 {
        put("tries", way.tries.into());
    }
    if let Some(fault) = &way.fault {
        put("fault", fault.as_str().into());
    }
}

/// What was spoken, as far as it is known here.
fn protocol(record: &StreamRecord) -> &'static str {
    match record.transport {
        Transport::Udp => "UDP",
        Transport::Tcp if record.server_name.is_some() => "TLS",
        Transport::Tcp => "TCP",
    }
}

fn stream_text(record: &StreamRecord, line: &mut String) {
    let milliseconds = record.duration.as_micros() as f64 / 1000.0;
    let StreamRecord { peer, received_bytes, sent_bytes, .. } = record;
    let (time, name) = (time(record.at), printable(record.server_name.as_deref().unwrap_or("-")));
    // Writing to a string cannot fail.
    let _ = write!(line, "{time} {peer} {} {name} {received_bytes}/{sent_bytes} bytes {milliseconds:.1}ms", protocol(record));
    write_way(line, &stream_way(record));
}

fn text(record: &Record, line: &mut String) {
    let milliseconds = record.duration.as_micros() as f64 / 1000.0;
    let (time, peer, method, host, status) =
        (time(record.at), record.peer, &record.method, printable(&record.host), record.status);
    // Writing to a string cannot fail.
    let _ = write!(line, "{time} {peer} {method} {host}{} {status} {milliseconds:.1}ms", printable(path(record)));
    write_way(line, &way(record));
}

fn write_way(line: &mut String, way: &Way<'_>) {
    if let Some(rule) = way.rule {
        let _ = write!(line, " {rule}");
    }
    match (way.backend, way.endpoint) {
        (Some(backend), Some(endpoint)) => drop(write!(line, " -> {} {endpoint}", backend.name)),
        (Some(backend), None) => drop(write!(line, " -> {}", backend.name)),
        (None, _) => {}
    }
    if let Some(fault) = &way.fault {
        let _ = write!(line, " ({})", printable(fault));
    }
}

fn path(record: &Record) -> &str {
    record.target.split('?').next().unwrap_or_default()
}

/// What a client sent must not look like another line, or steer a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// RFC 3339 in UTC with milliseconds.
pub(crate) fn time(at: SystemTime) -> String {
    let Ok(at) = jiff::Timestamp::try_from(at) else { return String::new() };
    format!("{at:.3}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_utc_with_milliseconds() {
        assert_eq!(time(SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_120)), "2023-11-14T22:13:20.120Z");
    }

    #[test]
    fn a_client_cannot_write_lines_of_its_own() {
        assert_eq!(printable("a\nb\u{1b}[31m"), "a?b?[31m");
    }
}
