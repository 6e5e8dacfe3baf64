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
use crate::alive;
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
                alive::probe(&left);
                left.set_nonblocking(true)?;
                TcpListener::from_std(left)
            }
            None => listen_at(address),
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
        let address = socket.address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        in_family(SocketAddr::new(address, self.get(socket.port)), bind)
    }
}

/// Listens for connections at an address. `::` is all of the machine's addresses, of both families where it has both.
///
/// # Errors
/// What the system says, as when the port is taken.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    in_family(address, listen_at)
}

/// Binds to an address; to `0.0.0.0` in place of `::` on a machine without IPv6.
fn in_family<T>(address: SocketAddr, bind: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    bind(address).or_else(|error| {
        // A port that is taken is taken for both families.
        let is_for_good = matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied);
        if is_for_good || address.ip() != IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
            return Err(error);
        }
        bind((Ipv4Addr::UNSPECIFIED, address.port()).into())
    })
}

/// A socket for datagrams.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) socket: DatagramSocket,
    /// Whether a former process may still read of it.
    pub(super) is_inherited: bool,
}

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = open(address, Type::STREAM, Protocol::TCP)?;
    socket.set_reuse_address(true)?;
    alive::probe(&socket);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What is bound in the end, on a machine without IPv6.
    fn without_ipv6(address: &str) -> io::Result<String> {
        in_family(address.parse().unwrap(), |address| match address {
            // EAFNOSUPPORT has no kind of its own.
            SocketAddr::V6(_) => Err(io::Error::other("address family not supported by protocol")),
            SocketAddr::V4(_) => Ok(address.to_string()),
        })
    }

    #[test]
    fn all_addresses_are_those_of_ipv4_where_there_is_no_ipv6_and_a_stated_one_is_no_other() {
        assert_eq!(without_ipv6("[::]:80").unwrap(), "0.0.0.0:80");
        assert_eq!(without_ipv6("127.0.0.1:80").unwrap(), "127.0.0.1:80");
        assert!(without_ipv6("[::1]:80").is_err());
    }

    #[test]
    fn a_port_that_is_taken_is_not_tried_in_the_other_family() {
        let taken = in_family("[::]:80".parse().unwrap(), |address| match address {
            SocketAddr::V6(_) => Err(io::ErrorKind::AddrInUse.into()),
            SocketAddr::V4(_) => Ok(()),
        });
        assert_eq!(taken.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn all_addresses_are_those_of_both_families() {
        let listener = listen("[::]:0".parse().unwrap()).unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!((peer.ip().to_canonical(), peer.port()), (Ipv4Addr::LOCALHOST.into(), client.local_addr().unwrap().port()));
    }
}
