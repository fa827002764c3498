//! A connected UDP socket: the kernel drops what others send, and a closed port shows as an error.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// A socket that talks to `peer` alone, from `local` or from the address that the kernel chooses. Built from addresses,
/// never from text, so that no resolver is linked.
///
/// # Errors
///
/// What the system says: no such local address, no route, families that differ, no more descriptors.
pub(crate) fn connect(local: Option<IpAddr>, peer: SocketAddr) -> io::Result<UdpSocket> {
    let local = local.unwrap_or(match peer {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    });
    let socket = UdpSocket::bind((local, 0))?;
    socket.connect(peer)?;
    Ok(socket)
}

/// Waits for a datagram, no longer than the socket's read time-out. A process that was stopped (Ctrl-Z) and continues
/// finds its wait interrupted, perhaps long after its end: what came meanwhile is taken before a timer counts.
///
/// # Errors
///
/// What the system says.
#[inline]
pub(crate) fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<usize> {
    match socket.recv(buffer) {
        Err(error) if error.kind() == ErrorKind::Interrupted => receive_waiting(socket, buffer),
        received => received,
    }
}

/// Takes a datagram that is there already.
#[cold]
fn receive_waiting(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<usize> {
    socket.set_nonblocking(true)?;
    let received = socket.recv(buffer);
    socket.set_nonblocking(false)?;
    received
}

/// Sends a datagram. A pending ICMP error swallows the send that reports it (Linux), so after a refusal the datagram goes
/// out once more, at once, as after a signal that interrupted it.
///
/// # Errors
///
/// What the system says the second time, or of anything else the first time.
pub(crate) fn send(socket: &UdpSocket, datagram: &[u8]) -> io::Result<usize> {
    match socket.send(datagram) {
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::Interrupted) => {
            socket.send(datagram)
        }
        sent => sent,
    }
}

/// Whether a `recv` with a time-out ended without news: nothing came in time, or a signal did.
pub(crate) fn nothing_came(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
