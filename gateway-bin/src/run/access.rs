//! The access log: one line a request, on standard output.
//!
//! In: records, on a thread of the adapter's own, off the way of requests. Out: JSON or words. A line holds the path but never the
//! query, headers or bodies: those may hold secrets. When standard output is closed the log ends and the gateway goes on.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write as _};
use std::time::SystemTime;

use gateway_pingora::Record;
use serde_json::{Map, Value};

use crate::args::LogFormat;

/// Writes lines.
#[derive(Debug)]
pub(crate) struct AccessLog {
    format: LogFormat,
    /// `None` once nobody reads any more.
    out: Option<BufWriter<io::Stdout>>,
    line: String,
}

impl AccessLog {
    /// Writes to standard output.
    pub(crate) fn new(format: LogFormat) -> Self {
        Self { format, out: Some(BufWriter::with_capacity(16 * 1024, io::stdout())), line: String::new() }
    }

    /// Writes one line.
    pub(crate) fn write(&mut self, record: &Record) {
        let Some(out) = &mut self.out else { return };
        self.line.clear();
        match self.format {
            LogFormat::Json => self.line.push_str(&json(record)),
            LogFormat::Text => text(record, &mut self.line),
        }
        self.line.push('\n');
        if out.write_all(self.line.as_bytes()).and_then(|()| out.flush()).is_err() {
            tracing::warn!("the access log ends: standard output is closed");
            self.out = None;
        }
    }
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
    if let Some(name) = &record.server_name {
        put("serverName", (**name).into());
    }
    if let Some(listener) = &record.listener {
        put("gateway", listener.gateway.as_str().into());
        put("listener", (*listener.id.name).into());
    }
    if let Some(rule) = &record.rule {
        put("route", rule.id.route.to_string().into());
        put("rule", rule.id.name.as_deref().map_or_else(|| rule.id.index.into(), Into::into));
    }
    if let Some(backend) = &record.backend {
        put("backend", backend.name.to_string().into());
    }
    if let Some(endpoint) = &record.endpoint {
        put("endpoint", endpoint.to_string().into());
    }
    if record.tries > 1 {
        put("tries", record.tries.into());
    }
    if let Some(fault) = &record.fault {
        put("fault", fault.to_string().into());
    }
    Value::Object(line).to_string()
}

fn text(record: &Record, line: &mut String) {
    let milliseconds = record.duration.as_micros() as f64 / 1000.0;
    let (time, peer, method, host, status) =
        (time(record.at), record.peer, &record.method, printable(&record.host), record.status);
    // Writing to a string cannot fail.
    let _ = write!(line, "{time} {peer} {method} {host}{} {status} {milliseconds:.1}ms", printable(path(record)));
    if let Some(rule) = &record.rule {
        let _ = write!(line, " {}", rule.id);
    }
    match (&record.backend, &record.endpoint) {
        (Some(backend), Some(endpoint)) => drop(write!(line, " -> {} {endpoint}", backend.name)),
        (Some(backend), None) => drop(write!(line, " -> {}", backend.name)),
        (None, _) => {}
    }
    if let Some(fault) = &record.fault {
        let _ = write!(line, " ({})", printable(&fault.to_string()));
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
