//! A client for MDALP, the Multi Destination Application Layer Protocol.
#![forbid(unsafe_code)]

pub mod error;
pub mod event;
pub mod options;
pub mod protocol;
pub mod report;
#[cfg(test)]
mod testing;
pub mod text;

pub use error::{Error, ExitStatus};
pub use event::{Event, Observer};
pub use options::{Mode, Options, Trace};
pub use report::Report;
