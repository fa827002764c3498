//! A client for MDALP, the Multi Destination Application Layer Protocol.
//!
//! It asks an *orchestrator* for a transaction, gets a transaction id and a list of *receivers*, measures the latency to
//! each, splits a payload by inverse latency (at least a tenth for each), and sends it in packets of 100 bytes,
//! stop-and-wait at every receiver and all receivers side by side. [`Client::send`] returns `Ok` only when every byte
//! was acknowledged.
//!
//! ```
//! use mdalp::{Client, Mode, Payload};
//! # use std::net::{SocketAddr, UdpSocket};
//! # // An orchestrator that lists one receiver, and that receiver.
//! # let servers = UdpSocket::bind("127.0.0.1:0")?;
//! # let receiver = UdpSocket::bind("127.0.0.2:0")?;
//! # let port = receiver.local_addr()?.port();
//! # let orchestrator = servers.local_addr()?;
//! # std::thread::spawn(move || {
//! #     let mut buffer = [0; 256];
//! #     let (_, client) = servers.recv_from(&mut buffer).unwrap();
//! #     let list = b"Type:1;TID:3740;DATA:[{'ip_address': '127.0.0.2', 'name': 'A'}];";
//! #     servers.send_to(list, client).unwrap();
//! #     while let Ok((len, from)) = receiver.recv_from(&mut buffer) {
//! #         let text = String::from_utf8_lossy(&buffer[..len]).replacen("Type:2", "Type:3", 1);
//! #         receiver.send_to(text.split("DATA").next().unwrap().as_bytes(), from).unwrap();
//! #     }
//! # });
//! # let options = mdalp::Options { receiver_port: port, ..Default::default() };
//! # let client = Client::with_options(orchestrator, options);
//! # let _ = |orchestrator: SocketAddr| {
//! let client = Client::new(orchestrator);
//! # };
//! let payload = Payload::from_bytes("Lorem ipsum dolor sit amet").unwrap();
//! let report = client.send(&payload, Mode::Balance).unwrap();
//! assert_eq!(report.acked_bytes(), 26);
//! println!("{} packets, {} resent", report.packets, report.retransmissions());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! The reference client's `MDALPClient(addr).send(data, load_balance=False, nth_server=2)` is
//! `Client::new(addr).send(&payload, Mode::Single(2))`.
//!
//! # The house
//!
//! ```text
//! client                                  the story of one transaction:
//!   → handshake → protocol/assignment       who are the receivers?
//!   → latency                               how far is each? (the only file that names ping_rs)
//!   → protocol/plan                         latencies, length → SEQ and byte ranges
//!   → client/transfer                       the main thread, while packets go:
//!       → roster                              each address once
//!       → protocol/workload                   which ranges are whose: start, failover, rebalancing
//!       → sender, one thread a receiver       the blocking loop round one machine:
//!           → protocol/stop_and_wait → rto      what to send, and when again
//!           → protocol/message                  packets and acks, byte by byte
//!           → payload                           bytes by position
//!   → report, error                         what it came to
//! ```
//!
//! The `mdalp` command is a program round this library, in modules of its own:
//!
//! ```text
//! main → cli                              what the words of a command line mean (in the library, for the tests)
//!      → run                              one transaction, shown while it goes on
//!      → compare                          several, for the table of `--compare`
//!      → output                           log, progress, JSON and report; console is the one place that writes
//! ```
//!
//! [`protocol`] is pure: no socket, clock, thread or file. Time comes in as `now` and leaves as a deadline, so the tests
//! run the same machines in virtual time. The rest is the shell round it. What happens is told in one stream of
//! [`Event`]s; the library itself prints nothing.
//!
//! PROTOCOL.md, which comments name, is what its developers know of the protocol: the reference client and packet
//! captures, since no text of its specification survives. DESIGN.md is what they decided. What a user needs of both is in
//! the manual.
//!
//! A packet's way is one line: payload → buffer → socket → ack → machine → count. Nothing on it takes a lock, allocates,
//! formats text or wakes the main thread, unless packets are traced.
#![forbid(unsafe_code)]

#[doc(hidden)]
pub mod cli;
pub mod client;
pub mod error;
pub mod event;
mod handshake;
mod latency;
pub mod options;
pub mod payload;
pub mod protocol;
pub mod report;
mod sender;
#[cfg(test)]
mod testing;
pub mod text;
mod udp;

pub use client::Client;
pub use error::{Error, ExitStatus};
pub use event::{Event, Observer};
pub use options::{Mode, Options, Trace};
pub use payload::Payload;
pub use report::Report;

/// The README's example is compiled with the others.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
