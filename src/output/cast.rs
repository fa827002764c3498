//! Who plays in a transaction: what later events, which name receivers by number, are told with.

use mdalp::Event;
use mdalp::protocol::Receiver;
use mdalp::text::Truncated;
use std::fmt;
use std::net::IpAddr;

/// The widest that a name is shown in a line, in columns.
const NAME: usize = 40;

/// The receivers that the orchestrator listed.
#[derive(Default)]
pub struct Cast(Vec<Receiver>);

impl Cast {
    /// Learns from an event.
    pub fn note(&mut self, event: &Event<'_>) {
        if let Event::Assigned { receivers, .. } = event {
            self.0 = receivers.to_vec();
        }
    }

    /// All of them, in list order.
    pub fn into_receivers(self) -> Vec<Receiver> {
        self.0
    }

    /// The receiver that an event means.
    pub fn receiver(&self, index: usize) -> Option<&Receiver> {
        self.0.get(index)
    }

    /// Its address, for lines that are many.
    pub fn address(&self, index: usize) -> Address {
        Address(self.receiver(index).map(|receiver| receiver.address))
    }

    /// Its address and name.
    pub fn full(&self, index: usize) -> String {
        self.receiver(index).map_or("?".to_owned(), full)
    }
}

/// `127.0.0.2 (5th Receiver)`, safe to print.
pub fn full(receiver: &Receiver) -> String {
    format!("{} ({})", receiver.address, Truncated(&receiver.name, NAME))
}

/// An address, if the event is one of this transaction.
pub struct Address(Option<IpAddr>);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("?"),
        }
    }
}
