//! From a socket as configured to an address the system knows.
//!
//! In: a `Socket`, the program's port map, and sockets that a former process left. Out: a socket that is listened on, for connections or
//! for datagrams, or the system's reason.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use gateway_core::snapshot::Socket;
use socket2::{Domain, Protocol, Type};
use tokio::net::{TcpListener, UdpSocket};

use super::heritage::Inherited;
use crate::datagram::DatagramSocket;

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

    /// Binds a socket for connections. One without an address takes all of the machine's, of both families where it has both.
    /// What a former process left is taken first.
    pub(super) fn bind(&self, socket: &Socket, inherited: &Inherited) -> io::Result<TcpListener> {
        self.at(socket, |address| match inherited.take(address) {
            Some(left) => {
                left.set_nonblocking(true)?;
                TcpListener::from_std(left)
            }
            None => listen(address),
        })
    }

    /// The same for datagrams.
    pub(super) fn bind_datagrams(&self, socket: &Socket, inherited: &Inherited) -> io::Result<Bound> {
        self.at(socket, |address| match inherited.take_datagrams(address) {
            Some(left) => {
                left.set_nonblocking(true)?;
                Ok(Bound { socket: DatagramSocket::new(UdpSocket::from_std(left)?)?, is_inherited: true })
            }
            None => Ok(Bound { socket: DatagramSocket::new(receive(address)?)?, is_inherited: false }),
        })
    }

    fn at<T>(&self, socket: &Socket, bind: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
        let port = self.get(socket.port);
        match socket.address {
            Some(address) => bind(SocketAddr::new(address, port)),
            None => bind((IpAddr::from(Ipv6Addr::UNSPECIFIED), port).into()).or_else(|error| {
                // A port that is taken is taken for both families; a machine without IPv6 has the other.
                if matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) {
                    return Err(error);
                }
                bind((IpAddr::from(Ipv4Addr::UNSPECIFIED), port).into())
            }),
        }
    }
}

/// A socket for datagrams.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) socket: DatagramSocket,
    /// Whether a former process may still read of it.
    pub(super) is_inherited: bool,
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = open(address, Type::STREAM, Protocol::TCP)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn receive(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = open(address, Type::DGRAM, Protocol::UDP)?;
    // Best effort: the system gives as much as it allows.
    let _ = socket.set_recv_buffer_size(WAITING);
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

fn open(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;
/// Bytes of datagrams that may wait to be received.
const WAITING: usize = 1 << 20;
