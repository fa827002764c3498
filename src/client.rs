//! The story of one transaction: handshake, latencies, plan, transfer, report.

mod transfer;

use crate::error::{Error, PayloadError};
use crate::event::{Event, Listed, Observer, PlannedShare, Relay};
use crate::handshake::{self, Assigned};
use crate::latency;
use crate::options::{Mode, Options};
use crate::payload::Payload;
use crate::protocol::Receiver;
use crate::protocol::plan::{self, Plan};
use crate::report::{Latency, LatencySource, Report};
use crate::roster::Roster;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use transfer::{Failure, Transfer};

/// A client of one orchestrator.
///
/// Each call of [`send`](Self::send) is one transaction.
#[derive(Clone, Debug)]
pub struct Client {
    orchestrator: SocketAddr,
    options: Options,
}

impl Client {
    /// A client with the default options.
    pub fn new(orchestrator: SocketAddr) -> Self {
        Self::with_options(orchestrator, Options::default())
    }

    /// A client with these options.
    pub fn with_options(orchestrator: SocketAddr, options: Options) -> Self {
        Self { orchestrator, options: options.clamped() }
    }

    /// Sends the payload; returns when every byte is acknowledged.
    ///
    /// # Errors
    /// [`Error`] says what failed and, if the transfer had begun, how far it came.
    pub fn send(&self, payload: &Payload, mode: Mode) -> Result<Report, Error> {
        self.send_observed(payload, mode, &mut |_: &Event<'_>| ControlFlow::Continue(()))
    }

    /// Sends the payload, and tells `observer` what happens meanwhile.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`Error::Cancelled`] if the observer asks for that.
    pub fn send_observed(
        &self,
        payload: &Payload,
        mode: Mode,
        observer: &mut dyn Observer,
    ) -> Result<Report, Error> {
        let observer = &mut Relay::new(observer);
        let assigned = handshake::request(self.orchestrator, &self.options, observer)?;
        let Assigned { tid, ref receivers, at: start, waited } = assigned;
        observer.event(&Event::Assigned { tid, mode, receivers, waited });

        let split = self.split(payload, mode, receivers, start, observer)?;
        let shares: Vec<_> = Listed::all(receivers)
            .zip(split.plan.ranges())
            .map(|(receiver, &range)| {
                let latency = split.latencies.as_ref().and_then(|l| l.get(receiver.index.0)).copied();
                PlannedShare { receiver, latency, range }
            })
            .collect();
        observer.event(&Event::Planned { mode, shares: &shares, floor: split.plan.floor() });

        let roster = Roster::new(receivers, split.latencies.as_deref(), &split.plan);
        let mut transfer = Transfer::new(&self.options, payload, tid, roster, &split, start, mode);
        let outcome = transfer.run(observer).and_then(|()| transfer.check_payload());
        let report = Box::new(transfer.finish(outcome.is_ok()));
        observer.event(&Event::Finished { report: &report });
        match outcome {
            Ok(()) => Ok(*report),
            Err(Failure::Incomplete) => Err(Error::Incomplete(report)),
            Err(Failure::Deadline(limit)) => Err(Error::Deadline { limit, report }),
            Err(Failure::Payload(error)) => Err(Error::PayloadWhileSending { error, report }),
            Err(Failure::Cancelled) => Err(Error::Cancelled { report: Some(report) }),
        }
    }

    /// Who gets what: in mode 1 by latency, in mode 2 all to one.
    fn split(
        &self,
        payload: &Payload,
        mode: Mode,
        receivers: &[Receiver],
        start: Instant,
        observer: &mut Relay<'_>,
    ) -> Result<Split, Error> {
        let listed = receivers.len();
        let too_large = |error: plan::PlanError| {
            Error::Payload(PayloadError {
                what: payload.name().to_owned(),
                why: error.to_string(),
                hint: "send it in parts",
                source: None,
            })
        };
        let single = match mode {
            Mode::Balance => None,
            Mode::Single(nth) => {
                let index = nth.checked_sub(1).filter(|&i| i < listed);
                Some(index.ok_or(Error::ReceiverIndex { given: nth, listed })?)
            }
            Mode::SingleAt(given) => {
                let index = receivers.iter().position(|r| r.address == given);
                Some(index.ok_or(Error::ReceiverAddress { given })?)
            }
        };
        if let Some(index) = single {
            let plan = plan::single(payload.len(), listed, index).map_err(too_large)?;
            return Ok(Split { plan, latencies: None, measuring: Duration::ZERO });
        }
        let latencies: Vec<_> = match &self.options.latencies {
            Some(given) if given.len() != listed => {
                return Err(Error::LatencyCount { given: given.len(), listed });
            }
            Some(given) => given.iter().map(|&rtt| Latency { rtt, source: LatencySource::Given }).collect(),
            None => {
                let mut addresses = Vec::new();
                receivers.iter().map(|r| r.address).for_each(|address| {
                    if !addresses.contains(&address) {
                        addresses.push(address);
                    }
                });
                let bound = self.options.deadline.and_then(|limit| start.checked_add(limit));
                let measured = latency::measure(&addresses, self.options.bind, bound, observer);
                let of = |address| addresses.iter().position(|a| *a == address).and_then(|i| measured.get(i));
                receivers.iter().filter_map(|r| of(r.address)).copied().collect()
            }
        };
        let measuring = start.elapsed();
        let listed: Vec<_> = Listed::all(receivers).zip(latencies.iter().copied()).collect();
        observer.event(&Event::Latencies { latencies: &listed, took: measuring });
        observer.check()?;
        let rtts: Vec<_> = latencies.iter().map(|latency| latency.rtt).collect();
        let plan = plan::balanced(payload.len(), &rtts).map_err(too_large)?;
        Ok(Split { plan, latencies: Some(latencies), measuring })
    }
}

/// Who gets what, and why.
struct Split {
    plan: Plan,
    /// In list order; `None` if nobody was pinged.
    latencies: Option<Vec<Latency>>,
    measuring: Duration,
}
