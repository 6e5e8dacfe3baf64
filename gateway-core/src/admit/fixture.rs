//! Requests for tests.

use http::Request;
use http::request::Parts;

use super::{Arrival, Handshake};
use crate::snapshot::fixture::socket;

/// A connection in clear on port 80.
pub(crate) fn arrival() -> Arrival {
    Arrival { socket: socket(80), tls: None }
}

/// A connection on port 443 after a handshake for this server name.
pub(crate) fn tls_arrival(server_name: Option<&str>) -> Arrival {
    Arrival { socket: socket(443), tls: Some(Handshake { server_name: server_name.map(Into::into), validation: None }) }
}

/// The head of an HTTP/1.1 request: `GET example.com/path`, then lines of headers.
pub(crate) fn head(request: &str) -> Parts {
    let mut lines = request.lines().map(str::trim);
    let (method, target) = lines.next().and_then(|line| line.split_once(' ')).unwrap();
    let (host, path) = target.split_at(target.find('/').unwrap());
    let request = Request::builder().method(method).uri(path).header("host", host);
    let headers = lines.filter_map(|line| line.split_once(": "));
    headers.fold(request, |request, (name, value)| request.header(name, value)).body(()).unwrap().into_parts().0
}
