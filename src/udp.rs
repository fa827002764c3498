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

/// Waits for a datagram, no longer than the socket's read timeout.
///
/// # Errors
///
/// What the system says; [`nothing_came`] if there was none at the end either.
pub(crate) fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<usize> {
    match socket.recv(buffer) {
        Err(error) if nothing_came(&error) => receive_pending(socket, buffer),
        received => received,
    }
}

/// Receives a datagram that has arrived already, without waiting for one. Where a read timeout has ended, this is what
/// decides that nothing came: the process may have been stopped, or starved of CPU, since.
///
/// # Errors
///
/// What the system says; [`nothing_came`] if there is none.
#[cold]
pub(crate) fn receive_pending(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<usize> {
    socket.set_nonblocking(true)?;
    let received = socket.recv(buffer);
    socket.set_nonblocking(false)?;
    received
}

/// Sends a datagram. A pending ICMP error swallows the send that reports it (Linux), so after a refusal the datagram goes
/// out once more, immediately, as after a signal that interrupted it.
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

/// Whether a receive ended without news: nothing came in time, or a signal did.
pub(crate) fn nothing_came(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
