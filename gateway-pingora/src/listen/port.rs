//! From a socket as configured to an address the system knows.
//!
//! In: a `Socket`, the program's port map, and sockets that a former process left. Out: a listening TCP socket, or the system's reason.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use gateway_core::snapshot::Socket;
use socket2::{Domain, Protocol, Type};
use tokio::net::TcpListener;

use super::heritage::Inherited;

/// Ports to bind instead of those that listeners name, as a NAT before the process would do.
#[derive(Clone, Debug, Default)]
pub(crate) struct PortMap(pub(crate) BTreeMap<u16, u16>);

impl PortMap {
    /// The port that is bound in place of another, in words; nothing where it is the same.
    pub(super) fn instead(&self, port: u16) -> String {
        match self.get(port) {
            same if same == port => String::new(),
            other => format!(" (port {port} is bound as {other})"),
        }
    }

    fn get(&self, port: u16) -> u16 {
        self.0.get(&port).copied().unwrap_or(port)
    }

    /// Binds a socket. One without an address takes all of the machine's, of both families where it has both.
    /// What a former process left is taken first.
    pub(super) fn bind(&self, socket: &Socket, inherited: &Inherited) -> io::Result<TcpListener> {
        let port = self.get(socket.port);
        let listen = |address| match inherited.take(address) {
            Some(left) => adopt(left),
            None => listen(address),
        };
        match socket.address {
            Some(address) => listen(SocketAddr::new(address, port)),
            None => listen((IpAddr::from(Ipv6Addr::UNSPECIFIED), port).into()).or_else(|error| {
                // A port that is taken is taken for both families; a machine without IPv6 has the other.
                if matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) {
                    return Err(error);
                }
                listen((IpAddr::from(Ipv4Addr::UNSPECIFIED), port).into())
            }),
        }
    }
}

fn adopt(left: std::net::TcpListener) -> io::Result<TcpListener> {
    left.set_nonblocking(true)?;
    TcpListener::from_std(left)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;
