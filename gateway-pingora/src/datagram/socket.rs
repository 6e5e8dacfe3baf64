//! The socket of a listener for datagrams, which many clients write to.
//!
//! In: a bound socket. Out: datagrams with who sent them and to which of our addresses; and answers that leave from that address. A
//! socket that is bound to all addresses of the machine has to ask the system for it with every datagram, and to say it with every
//! answer: the system would choose the address by its routes, and a client does not take an answer from another address than it
//! asked.
//!
//! On systems other than Linux the system chooses.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use tokio::net::UdpSocket;

/// A listener's socket.
#[derive(Debug)]
pub(crate) struct DatagramSocket {
    socket: UdpSocket,
    /// Whether it is bound to all addresses.
    is_wildcard: bool,
}

/// What datagrams are received on, one after the other.
#[derive(Debug)]
pub(super) struct Tray {
    bytes: Box<[u8]>,
    info: packet_info::Space,
}

impl Default for Tray {
    fn default() -> Self {
        Self { bytes: vec![0; LARGEST].into(), info: packet_info::space() }
    }
}

/// Between whom a datagram went: answers go the same way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ends {
    pub(super) peer: SocketAddr,
    /// The address of ours; `None` where the socket has only one, or nobody knows.
    pub(super) local: Option<IpAddr>,
}

impl DatagramSocket {
    /// Makes use of a bound socket.
    pub(crate) fn new(socket: UdpSocket) -> io::Result<Self> {
        let address = socket.local_addr()?;
        let is_wildcard = address.ip().is_unspecified();
        if is_wildcard {
            packet_info::ask_for(&socket, address)?;
        }
        Ok(Self { socket, is_wildcard })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Waits until a datagram may be there.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Takes the next datagram that is there.
    pub(super) fn try_receive<'a>(&self, tray: &'a mut Tray) -> io::Result<(&'a [u8], Ends)> {
        let (bytes, ends) = if self.is_wildcard {
            packet_info::receive(&self.socket, &mut tray.bytes, &mut tray.info)?
        } else {
            let (bytes, peer) = self.socket.try_recv_from(&mut tray.bytes)?;
            (bytes, Ends { peer, local: None })
        };
        Ok((tray.bytes.get(..bytes).unwrap_or_default(), ends))
    }

    /// Sends an answer, if the system takes it at once.
    pub(super) fn try_answer(&self, datagram: &[u8], ends: &Ends) -> io::Result<()> {
        let sent = match ends.local {
            None => self.socket.try_send_to(datagram, ends.peer),
            Some(local) => packet_info::send(&self.socket, datagram, ends.peer, local),
        };
        sent.map(drop)
    }

    /// Sends an answer as soon as the system takes it.
    pub(super) async fn answer(&self, datagram: &[u8], ends: &Ends) -> io::Result<()> {
        loop {
            self.socket.writable().await?;
            match self.try_answer(datagram, ends) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
        }
    }
}

impl AsFd for DatagramSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// No datagram of UDP is larger, in either family.
pub(super) const LARGEST: usize = 65_535;

/// What the system tells and is told of our own address (`IP_PKTINFO`, `IPV6_PKTINFO`).
#[cfg(target_os = "linux")]
mod packet_info {
    use std::io::{self, IoSlice, IoSliceMut};
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
    use std::os::fd::AsRawFd as _;

    use nix::cmsg_space;
    use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
    use nix::sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
    };
    use tokio::io::Interest;
    use tokio::net::UdpSocket;

    use super::Ends;

    /// A socket of both families is told addresses of either in the form of IPv6.
    pub(super) fn ask_for(socket: &UdpSocket, address: SocketAddr) -> io::Result<()> {
        match address {
            SocketAddr::V4(_) => setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?,
            SocketAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?,
        }
        Ok(())
    }

    /// On the heap, where it is aligned as the system's headers are.
    pub(super) type Space = Vec<u8>;

    pub(super) fn space() -> Space {
        cmsg_space!(in_pktinfo, in6_pktinfo)
    }

    pub(super) fn receive(socket: &UdpSocket, buffer: &mut [u8], space: &mut Space) -> io::Result<(usize, Ends)> {
        socket.try_io(Interest::READABLE, || read(socket, buffer, space))
    }

    fn read(socket: &UdpSocket, buffer: &mut [u8], space: &mut Space) -> io::Result<(usize, Ends)> {
        let mut parts = [IoSliceMut::new(buffer)];
        let came = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(space), MsgFlags::empty())?;
        let local = came.cmsgs()?.find_map(|message| {
            if let ControlMessageOwned::Ipv4PacketInfo(info) = message {
                return Some(IpAddr::from(Ipv4Addr::from_bits(u32::from_be(info.ipi_spec_dst.s_addr))));
            }
            let ControlMessageOwned::Ipv6PacketInfo(info) = message else { return None };
            Some(IpAddr::from(Ipv6Addr::from(info.ipi6_addr.s6_addr)))
        });
        let peer = came.address.as_ref().and_then(address).ok_or(io::ErrorKind::InvalidData)?;
        Ok((came.bytes, Ends { peer, local }))
    }

    pub(super) fn send(socket: &UdpSocket, datagram: &[u8], peer: SocketAddr, local: IpAddr) -> io::Result<usize> {
        let (v4, v6);
        let message = match local {
            IpAddr::V4(address) => {
                let (any, address) = (in_addr { s_addr: 0 }, in_addr { s_addr: address.to_bits().to_be() });
                v4 = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: address, ipi_addr: any };
                ControlMessage::Ipv4PacketInfo(&v4)
            }
            IpAddr::V6(address) => {
                v6 = in6_pktinfo { ipi6_addr: in6_addr { s6_addr: address.octets() }, ipi6_ifindex: 0 };
                ControlMessage::Ipv6PacketInfo(&v6)
            }
        };
        let parts = [IoSlice::new(datagram)];
        let to = SockaddrStorage::from(peer);
        let write = || Ok(sendmsg(socket.as_raw_fd(), &parts, &[message], MsgFlags::empty(), Some(&to))?);
        socket.try_io(Interest::WRITABLE, write)
    }

    fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
        let v4 = storage.as_sockaddr_in().map(|address| SocketAddr::from(*address));
        v4.or_else(|| storage.as_sockaddr_in6().map(|address| SocketAddr::from(*address)))
    }
}

/// Elsewhere nothing is told.
#[cfg(not(target_os = "linux"))]
mod packet_info {
    use std::io;
    use std::net::{IpAddr, SocketAddr};

    use tokio::net::UdpSocket;

    use super::Ends;

    pub(super) type Space = ();

    pub(super) fn space() -> Space {}

    pub(super) fn ask_for(_: &UdpSocket, _: SocketAddr) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn receive(socket: &UdpSocket, buffer: &mut [u8], _: &mut Space) -> io::Result<(usize, Ends)> {
        let (bytes, peer) = socket.try_recv_from(buffer)?;
        Ok((bytes, Ends { peer, local: None }))
    }

    pub(super) fn send(socket: &UdpSocket, datagram: &[u8], peer: SocketAddr, _: IpAddr) -> io::Result<usize> {
        socket.try_send_to(datagram, peer)
    }
}
