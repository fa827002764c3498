//! A client for MDALP, the Multi Destination Application Layer Protocol.
#![forbid(unsafe_code)]

pub mod error;
pub mod event;
mod handshake;
mod latency;
pub mod options;
pub mod payload;
pub mod protocol;
pub mod report;
#[cfg(test)]
mod testing;
pub mod text;
mod udp;

pub use error::{Error, ExitStatus};
pub use event::{Event, Observer};
pub use options::{Mode, Options, Trace};
pub use payload::Payload;
pub use report::Report;
