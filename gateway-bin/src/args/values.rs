//! What the values of flags look like, and what is said of those that cannot be used.
//!
//! In: one value as it was typed. Out: what it means, or why it means nothing, in a sentence for whoever typed it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use gateway_core::name::ObjectName;
use http::{HeaderName, HeaderValue, Method};

/// Where a Service's port is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backend {
    pub(crate) service: ObjectName,
    pub(crate) port: u16,
    pub(crate) endpoints: Vec<SocketAddr>,
}

/// A Secret whose contents stand in files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretFiles {
    pub(crate) name: ObjectName,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl FromStr for SecretFiles {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, files) = text.split_once('=').ok_or("expected namespace/name=certificate,key")?;
        let name = namespaced(name)?;
        match files.split(',').collect::<Vec<_>>()[..] {
            [certificate, key] if !certificate.is_empty() && !key.is_empty() => {
                Ok(Self { name, certificate: certificate.into(), key: key.into() })
            }
            _ => Err(format!("{files:?} is not two files: expected certificate,key, as in cart.crt,cart.key")),
        }
    }
}

/// Reads `namespace/name`, or `name` in the namespace `default`.
fn namespaced(path: &str) -> Result<ObjectName, String> {
    let (namespace, name) = path.split_once('/').unwrap_or(("default", path));
    for label in [namespace, name] {
        if !is_label(label) {
            return Err(format!("{label:?} is not a name: expected lower case letters, digits and '-'"));
        }
    }
    Ok(ObjectName::new(namespace, name))
}

impl FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (service, addresses) = text.split_once('=').ok_or("expected namespace/name:port=address[,address]…")?;
        let (path, port) = service.rsplit_once(':').ok_or("the Service lacks its port, as in shop/cart:80")?;
        let port = port_number(port)?;
        let service = namespaced(path)?;
        let endpoints = addresses.split(',').map(|address| endpoint(address, port)).collect::<Result<_, _>>()?;
        Ok(Self { service, port, endpoints })
    }
}

/// Reads `IP:PORT`, or `IP` with the Service's port; `localhost` is 127.0.0.1.
fn endpoint(text: &str, port: u16) -> Result<SocketAddr, String> {
    let text = text.trim();
    let literal = text.strip_prefix("localhost").map(|rest| format!("{}{rest}", Ipv4Addr::LOCALHOST));
    let literal = literal.as_deref().unwrap_or(text);
    let read = literal.parse::<SocketAddr>();
    let is_bare_v6 = !literal.starts_with('[') && literal.parse::<Ipv6Addr>().is_ok();
    if is_bare_v6 {
        return Err(format!("{text}: put brackets around an IPv6 address, as in [{literal}]:{port}"));
    }
    let read = read.or_else(|_| literal.trim_matches(['[', ']']).parse::<IpAddr>().map(|ip| SocketAddr::new(ip, port)));
    match read {
        Ok(endpoint) if endpoint.port() == 0 => Err(format!("{text}: port 0 cannot be connected to")),
        Ok(endpoint) if endpoint.ip().is_unspecified() => Err(format!("{text}: name the address the backend is reached at")),
        Ok(endpoint) => Ok(endpoint),
        Err(_) => Err(format!("{text:?} is not an address: expected IP:PORT, as in 127.0.0.1:9000 or [::1]:9000")),
    }
}

fn is_label(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'.';
    !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(inner)
        && !text.starts_with(['-', '.'])
        && !text.ends_with(['-', '.'])
}

fn port_number(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port) if port != 0 => Ok(port),
        Ok(_) | Err(_) => Err(format!("{text:?} is not a port: expected 1 to 65535")),
    }
}

/// A port as listeners name it, and the one to bind in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PortPair {
    pub(crate) named: u16,
    pub(crate) bound: u16,
}

impl FromStr for PortPair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (named, bound) = text.split_once('=').ok_or("expected port=port, as in 80=8080")?;
        Ok(Self { named: port_number(named.trim())?, bound: port_number(bound.trim())? })
    }
}

/// Where the admin server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admin {
    Off,
    At(SocketAddr),
}

impl FromStr for Admin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            address => address.parse().map(Self::At).map_err(|_| "expected IP:PORT, as in 127.0.0.1:9901, or off".into()),
        }
    }
}

/// A header of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) name: HeaderName,
    pub(crate) value: HeaderValue,
}

impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once(':').ok_or("expected 'Name: value'")?;
        let name = name.trim();
        Ok(Self {
            name: name.parse().map_err(|_| format!("{name:?} is not a header name"))?,
            value: value.trim().parse().map_err(|_| format!("the value of {name} holds characters a header cannot"))?,
        })
    }
}

pub(crate) fn method(text: &str) -> Result<Method, String> {
    Method::from_bytes(text.to_ascii_uppercase().as_bytes()).map_err(|_| "not an HTTP method".into())
}

pub(super) fn controller_name(text: &str) -> Result<String, String> {
    match text.split_once('/') {
        Some((domain, path)) if is_label(domain) && !path.is_empty() && text.len() <= 253 => Ok(text.to_owned()),
        Some(_) | None => Err("expected domain/path, as in pingora-gateway.dev/controller".into()),
    }
}

pub(super) fn object_name(text: &str) -> Result<ObjectName, String> {
    match text.split_once('/') {
        Some((namespace, name)) if is_label(namespace) && is_label(name) => Ok(ObjectName::new(namespace, name)),
        Some(_) | None => Err("expected namespace/name".into()),
    }
}

pub(super) fn network(text: &str) -> Result<String, String> {
    match gateway_core::snapshot::Network::parse(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("expected a network in CIDR form, as in 10.0.0.0/8".into()),
    }
}

/// Reads one number with `ms`, `s`, `m` or `h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let expected = || "expected a number with a unit, as in 30s, 500ms or 2m".to_owned();
    let number: u64 = number.parse().map_err(|_| expected())?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(expected()),
    };
    number.checked_mul(millis).filter(|all| *all <= 24 * 3_600_000).map(Duration::from_millis).ok_or_else(|| "at most 24h".into())
}

/// The same, and more than none.
pub(super) fn some_time(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|time| if time.is_zero() { Err("expected more than no time".into()) } else { Ok(time) })
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}=", self.service, self.port)?;
        for (at, endpoint) in self.endpoints.iter().enumerate() {
            write!(f, "{}{endpoint}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_names_a_service_port_and_its_addresses() {
        let read = |text: &str| text.parse::<Backend>().map(|backend| backend.to_string());
        let rows = [
            ("shop/cart:80=127.0.0.1:9000", "shop/cart:80=127.0.0.1:9000"),
            ("cart:80=127.0.0.1:9000,127.0.0.1:9001", "default/cart:80=127.0.0.1:9000,127.0.0.1:9001"),
            ("cart:80=10.0.0.1", "default/cart:80=10.0.0.1:80"),
            ("cart:80=localhost:9000", "default/cart:80=127.0.0.1:9000"),
            ("cart:80=[::1]:9000,[::1]", "default/cart:80=[::1]:9000,[::1]:80"),
        ];
        for (text, expected) in rows {
            assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
        }
        for bad in [
            "",
            "cart",
            "cart:80",
            "cart=1.2.3.4",
            "cart:0=1.2.3.4",
            "Cart:80=1.2.3.4",
            "cart:80=host",
            "cart:80=",
            "cart:80=0.0.0.0:1",
            "cart:80=::1:99",
            "cart:80=::1",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_names_two_files() {
        let read = |text: &str| text.parse::<SecretFiles>();
        let files = |name: ObjectName| SecretFiles { name, certificate: "a.crt".into(), key: "b/a.key".into() };
        assert_eq!(read("shop/cart=a.crt,b/a.key"), Ok(files(ObjectName::new("shop", "cart"))));
        assert_eq!(read("cart=a.crt,b/a.key"), Ok(files(ObjectName::new("default", "cart"))));
        for bad in
            ["", "cart", "cart=", "cart=a.crt", "cart=a.crt,", "cart=,a.key", "cart=a,b,c", "Cart=a,b", "a/b/c=a,b", "/c=a,b"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_have_one_number_and_one_unit() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for bad in ["", "30", "s", "-1s", "1.5s", "1d", "99999999999999999999s", "9999999999999999h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ports_map_in_pairs() {
        assert_eq!("80=8080".parse(), Ok(PortPair { named: 80, bound: 8080 }));
        for bad in ["80", "80=", "80=0", "80=70000", "a=b"] {
            assert!(bad.parse::<PortPair>().is_err(), "{bad}");
        }
    }
}
