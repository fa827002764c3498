//! A connected UDP socket: the kernel drops what others send, and a closed port shows as an error.

use crate::protocol::message::MAX_ACK_LEN;
use crate::protocol::stop_and_wait::first_slice;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::time::Duration;

/// More datagrams than a socket's buffer holds: all that can have arrived before a timer fires.
pub(crate) const MAX_PENDING: u32 = 1000;

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

/// A sender's socket, with its read timeout set only when it must change noticeably, and room for what it receives.
pub(crate) struct AckSocket {
    socket: UdpSocket,
    /// The waits for which the read timeout is right as it is set.
    timeout_range: RangeInclusive<Duration>,
    /// Room for the longest ack and one byte more, so that a longer datagram shows as longer.
    buffer: [u8; MAX_ACK_LEN + 1],
}

impl AckSocket {
    /// As [`connect`].
    pub fn connect(local: Option<IpAddr>, peer: SocketAddr) -> io::Result<Self> {
        let socket = connect(local, peer)?;
        // No wait is right before the read timeout is set.
        Ok(Self { socket, timeout_range: Duration::MAX..=Duration::ZERO, buffer: [0; MAX_ACK_LEN + 1] })
    }

    /// As [`send`].
    #[inline]
    pub fn send(&self, datagram: &[u8]) -> io::Result<usize> {
        send(&self.socket, datagram)
    }

    /// Receives a datagram; waits no longer than the read timeout.
    #[inline]
    pub fn receive(&mut self) -> io::Result<&[u8]> {
        let len = self.socket.recv(&mut self.buffer)?;
        Ok(self.buffer.get(..len).unwrap_or(&self.buffer))
    }

    /// Receives a datagram that has arrived already, without waiting for one. Where a read timeout has ended, this is what
    /// decides that nothing came: the process may have been stopped, or starved of CPU, since.
    #[cold]
    pub fn receive_pending(&mut self) -> io::Result<&[u8]> {
        self.socket.set_nonblocking(true)?;
        let received = self.socket.recv(&mut self.buffer);
        self.socket.set_nonblocking(false)?;
        let len = received?;
        Ok(self.buffer.get(..len).unwrap_or(&self.buffer))
    }

    /// Sets the read timeout for a wait, unless it is right to a sixteenth already.
    #[inline]
    pub fn set_timeout(&mut self, wait: Duration) -> io::Result<()> {
        if !self.timeout_range.contains(&wait) {
            self.socket.set_read_timeout(Some(first_slice(wait).max(Duration::from_micros(1))))?;
            self.timeout_range = wait - wait / 16..=wait + wait / 16;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::os::fd::OwnedFd;

    /// What is no such socket, so that calls of the system fail.
    pub fn socket_of(descriptor: OwnedFd) -> AckSocket {
        let socket = descriptor.into();
        AckSocket { socket, timeout_range: Duration::MAX..=Duration::ZERO, buffer: [0; MAX_ACK_LEN + 1] }
    }

    #[test]
    fn the_read_timeout_follows_the_wait_and_long_waits_are_sliced() {
        let mut socket = AckSocket::connect(None, "127.0.0.1:9".parse().unwrap()).unwrap();
        let ms = Duration::from_millis;
        // Multiples of the kernel's ticks, so that they come back as they were set.
        for (wait, timeout) in [
            (ms(200), ms(200)),
            (ms(204), ms(200)), // near enough
            (ms(196), ms(200)),
            (ms(180), ms(180)),
            (ms(240), ms(240)),
            (ms(80_000), ms(70_000)),
            (ms(100), ms(100)),
        ] {
            socket.set_timeout(wait).unwrap();
            assert_eq!(socket.socket.read_timeout().unwrap(), Some(timeout), "{wait:?}");
        }
        socket.set_timeout(Duration::ZERO).unwrap();
        assert!(socket.socket.read_timeout().unwrap().is_some(), "no wait is not forever");
    }
}
