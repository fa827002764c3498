//! A real orchestrator and real receivers for MDALP, on loopback sockets, with scripted delays, losses and faults, and a
//! judge who sees only what came over the wire. Nothing here uses the client's code: the two are each other's witness.
//!
//! ```ignore
//! let servers = Servers::start(
//!     Script::new()
//!         .receiver(Receiver::named("A").ack_delay(ms(17)).jitter(ms(1)).lose(7, 1))
//!         .receiver(Receiver::named("B").ack_delay(ms(9)).dies_after_acks(5)),
//! );
//! // … a client, sent to servers.orchestrator() and servers.receiver_port() …
//! let transaction = servers.finish();
//! assert_eq!(transaction.verdict, Verdict::Completed);
//! ```
//!
//! script.rs is the story a test tells, faults.rs what can go wrong in it, receiver.rs a receiver without sockets (the
//! simulation drives it in virtual time), endpoint.rs its socket; orchestrator.rs assigns, ledger.rs notes what came,
//! judge.rs judges it, transactions.rs says when, servers.rs holds it all together.

// Two programs include this module, and each uses its own part of it.
#![allow(dead_code, unused_imports, clippy::indexing_slicing)]

mod case;
mod delay_queue;
mod endpoint;
mod faults;
mod judge;
mod ledger;
mod orchestrator;
mod receiver;
pub mod recorded;
mod rng;
mod script;
mod servers;
pub mod spec;
mod transactions;
mod verdict;
pub mod wire;

pub use faults::{Fault, Flood, Forgery, Rule, Source, Timing, When, junk};
pub use judge::floor;
pub use ledger::Ledger;
pub use receiver::{Arrival, Model};
pub use rng::Rng;
pub use script::{Opening, Receiver, Script, ms};
pub use servers::{Servers, closed_port};
pub use verdict::{Part, Remark, Transaction, Verdict};
