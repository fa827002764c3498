//! A client for MDALP, the Multi Destination Application Layer Protocol.
//!
//! It asks an *orchestrator* for a transaction, gets a transaction id and a list of *receivers*, measures the latency to
//! each, splits a payload by inverse latency (at least a tenth for each), and sends it in packets of 100 bytes,
//! stop-and-wait at every receiver and all receivers in parallel. [`Client::send`] returns `Ok` only when every byte
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
//! What happens meanwhile is reported as a stream of [`Event`]s to an [`Observer`], which can also cancel the transaction; the
//! library itself prints nothing. It can be used from any thread and blocks the one that calls it.
//!
//! Public are [`Client`], [`Options`], [`Mode`], [`Payload`], [`Report`], [`Error`], [`Event`] and what they are made of. The
//! hidden modules are for the command, the tests and the fuzzing targets, and change without notice.
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
#[doc(hidden)]
pub mod protocol;
pub mod report;
mod sender;
#[cfg(test)]
mod testing;
#[doc(hidden)]
pub mod text;
mod udp;

pub use client::Client;
pub use error::{Error, ExitStatus};
pub use event::{Event, Observer};
pub use options::{Mode, Options, Trace};
pub use payload::Payload;
#[doc(inline)]
pub use protocol::{ListIndex, Receiver, Seq, SeqRange, Tid};
pub use report::Report;

/// The README's example is compiled with the others.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
