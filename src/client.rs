//! The story of one transaction: handshake, latencies, plan, transfer, report.
#![expect(clippy::indexing_slicing, reason = "the indexes into its targets that `merge` returns")]

mod transfer;

use crate::error::Error;
use crate::event::{Event, Listed, Observer, PlannedShare, Relay};
use crate::handshake::{self, Assigned};
use crate::latency;
use crate::options::{Mode, Options, Trace};
use crate::payload::Payload;
use crate::protocol::plan;
use crate::protocol::rto::RtoConfig;
use crate::protocol::scheduler::{Config, Outcome, Scheduler};
use crate::protocol::worker::Target;
use crate::protocol::{Latency, LatencySource, Receiver};
use crate::report::Report;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use transfer::Transfer;

/// A client of one orchestrator.
///
/// Each call of [`send`](Self::send) is one transaction, on the calling thread and one more for each receiver. A client and a
/// [`Payload`] are `Send` and `Sync`: several threads may send through one client at the same time.
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

    /// Sends the payload, and reports what happens meanwhile to `observer`.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`Error::Cancelled`] if the observer asks for that. It can whenever there is an event: four
    /// times a second while the assignment is awaited, and as often as `Options::progress` says during the transfer.
    pub fn send_observed(
        &self,
        payload: &Payload,
        mode: Mode,
        observer: &mut dyn Observer,
    ) -> Result<Report, Error> {
        if mode == Mode::Single(0) {
            return Err(Error::ReceiverIndex { given: 0, listed: 0 });
        }
        let observer = &mut Relay::new(observer);
        let assigned = handshake::request(self.orchestrator, &self.options, observer)?;
        let Assigned { tid, ref receivers, at: start, waited } = assigned;
        observer.event(&Event::Assigned { tid, mode, receivers, waited });
        observer.check()?;

        let (targets, floor, measuring) = self.plan(payload, mode, receivers, start, observer)?;
        let balance = mode == Mode::Balance;
        let config = Config {
            tid,
            rto: RtoConfig {
                first_timeout: self.options.first_timeout,
                fixed: self.options.fixed_timeout,
                give_up: self.options.give_up,
            },
            failover: balance && self.options.failover,
            rebalance: balance && self.options.rebalance,
            floor,
            deadline: self.deadline(start),
            progress: self.options.progress,
            watch_expiry: self.options.trace > Trace::Off,
        };
        let scheduler = Scheduler::new(targets, config, start);
        let mut transfer = Transfer::new(&self.options, payload, observer, receivers.len(), scheduler);
        let outcome = transfer.run();
        let report = Box::new(transfer.finish(measuring));
        observer.event(&Event::Finished { report: &report });
        match outcome {
            Ok(None) => Err(Error::Cancelled { report: Some(report) }),
            Ok(Some(Outcome::Incomplete)) => Err(Error::Incomplete(report)),
            Ok(Some(Outcome::Deadline)) => {
                Err(Error::Deadline { limit: self.options.deadline.unwrap_or_default(), report })
            }
            Ok(Some(Outcome::Complete)) => Ok(*report),
            Err(error) => Err(Error::PayloadWhileSending { error, report }),
        }
    }

    /// Shares the payload out: in mode 1 by latency, in mode 2 all to one. Returns who gets what, the minimum for each, and how
    /// long measuring took.
    fn plan(
        &self,
        payload: &Payload,
        mode: Mode,
        receivers: &[Receiver],
        start: Instant,
        observer: &mut Relay<'_>,
    ) -> Result<(Vec<Target>, u64, Duration), Error> {
        let listed = receivers.len();
        let (mut targets, list) = Target::merge(receivers);
        let mut latencies = vec![None; listed];
        let mut measuring = Duration::ZERO;
        let plan = match mode {
            Mode::Balance => {
                let measured = self.latencies(&list, &targets, start, observer)?;
                measuring = start.elapsed();
                let by_entry: Vec<_> = Listed::all(receivers).zip(measured.iter().copied()).collect();
                observer.event(&Event::Latencies { latencies: &by_entry, took: measuring });
                observer.check()?;
                let rtts: Vec<_> = measured.iter().map(|latency| latency.rtt).collect();
                latencies = measured.into_iter().map(Some).collect();
                plan::balanced(payload.len(), &rtts)
            }
            Mode::Single(nth) => {
                let index = nth.checked_sub(1).filter(|&index| index < listed);
                let index = index.ok_or(Error::ReceiverIndex { given: nth, listed })?;
                plan::single(payload.len(), listed, index)
            }
            Mode::SingleAt(given) => {
                let index = receivers.iter().position(|receiver| receiver.address == given);
                plan::single(payload.len(), listed, index.ok_or(Error::ReceiverAddress { given })?)
            }
        };
        let plan = plan.ok_or_else(|| Error::Payload(payload.too_long()))?;
        let shares: Vec<_> = Listed::all(receivers)
            .zip(latencies)
            .zip(&plan.ranges)
            .map(|((receiver, latency), &range)| PlannedShare { receiver, latency, range })
            .collect();
        observer.event(&Event::Planned { mode, shares: &shares, floor: plan.floor });
        for (share, &target) in shares.iter().zip(&list) {
            targets[target].add_share(share.range, share.latency);
        }
        Ok((targets, plan.floor, measuring))
    }

    /// The latency of each list entry: as given, or measured once for each address.
    fn latencies(
        &self,
        list: &[usize],
        targets: &[Target],
        start: Instant,
        observer: &mut Relay<'_>,
    ) -> Result<Vec<Latency>, Error> {
        if let Some(given) = &self.options.latencies {
            if given.len() != list.len() {
                return Err(Error::LatencyCount { given: given.len(), listed: list.len() });
            }
            return Ok(given.iter().map(|&rtt| Latency { rtt, source: LatencySource::Given }).collect());
        }
        let addresses: Vec<_> = targets.iter().map(|target| target.receiver.address).collect();
        let method = latency::Method::new(self.options.bind);
        let latencies = latency::measure(&addresses, method, self.deadline(start), observer);
        Ok(list.iter().map(|&target| latencies[target]).collect())
    }

    /// The end of the whole transfer.
    fn deadline(&self, start: Instant) -> Option<Instant> {
        self.options.deadline.map(|limit| start + limit)
    }
}
