//! The main thread's side of a transfer: it makes the receivers' threads and the channels, hands out work, hears of its
//! completion, and moves it when a receiver is lost or has finished early.

use super::Split;
use crate::error::{PayloadError, Plain};
use crate::event::{Cancelled, Event, LaneProgress, MoveReason, Relay};
use crate::options::{Mode, Options, Trace};
use crate::payload::Payload;
use crate::protocol::lane::Lane;
use crate::protocol::rto::RtoConfig;
use crate::protocol::stop_and_wait::StopAndWait;
use crate::protocol::workload::{Move, Policy, Worker, Workload};
use crate::protocol::{Seq, SeqRange, TRANSACTION_LIFETIME, Tid};
use crate::report::{Latency, LossReason, ReceiverReport, ReceiverStatus, Report};
use crate::roster::{Member, Roster};
use crate::sender::{Ending, Sender, Signal};
use crossbeam_channel as channel;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A sender's stack: it holds a packet, a datagram and a few frames.
const SENDER_STACK: usize = 64 * 1024;

/// How often the main thread looks whether rebalancing has come to pay, while a receiver is idle.
const REBALANCE_TICK: Duration = Duration::from_millis(50);

/// How often the projected end is looked at, where a warning of it would be seen.
const PROJECTION_TICK: Duration = Duration::from_secs(1);

/// Signals that may wait for the main thread. Only packet tracing ever fills it; the senders then wait.
const SIGNALS: usize = 64;

/// Why a transfer failed.
pub(super) enum Failure {
    Incomplete,
    Deadline(Duration),
    Payload(PayloadError),
    Cancelled,
}

impl From<Cancelled> for Failure {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

/// The main thread's side of a transfer.
pub(super) struct Transfer<'a> {
    options: &'a Options,
    payload: &'a Payload,
    tid: Tid,
    measuring: Duration,
    start: Instant,
    roster: Roster<'a>,
    workload: Workload,
    losses: Vec<Option<LossReason>>,
    stop: Arc<AtomicBool>,
    /// One a worker, once it has got work.
    threads: Vec<Option<Thread>>,
    /// What the threads say, and the end that each of them gets to say it.
    signals: channel::Receiver<(usize, Signal)>,
    to_signal: channel::Sender<(usize, Signal)>,
    warned_of_expiry: bool,
}

struct Thread {
    handle: JoinHandle<()>,
    work: channel::Sender<SeqRange>,
}

impl<'a> Transfer<'a> {
    pub fn new(
        options: &'a Options,
        payload: &'a Payload,
        tid: Tid,
        roster: Roster<'a>,
        split: &Split,
        start: Instant,
        mode: Mode,
    ) -> Self {
        let balance = mode == Mode::Balance;
        let policy = Policy {
            failover: balance && options.failover,
            rebalance: balance && options.rebalance,
            floor: split.plan.floor(),
        };
        let workers: Vec<_> = roster
            .members()
            .iter()
            .map(|m| {
                Worker::new(Arc::new(Lane::new(start)), m.latency.map(|l| l.rtt), m.ranges.iter().copied())
            })
            .collect();
        let (to_signal, signals) = channel::bounded(SIGNALS);
        Self {
            losses: vec![None; workers.len()],
            threads: workers.iter().map(|_| None).collect(),
            workload: Workload::new(workers, policy),
            stop: Arc::default(),
            signals,
            to_signal,
            warned_of_expiry: false,
            measuring: split.measuring,
            options,
            payload,
            tid,
            start,
            roster,
        }
    }

    /// Hands out work and hears of its completion until all is acknowledged, or cannot be.
    pub fn run(&mut self, observer: &mut Relay<'_>) -> Result<(), Failure> {
        let deadline = self.deadline().zip(self.options.deadline);
        let mut looked = Instant::now();
        loop {
            self.dispatch(observer);
            observer.check()?;
            if !self.workload.is_under_way() {
                return if self.workload.is_complete() { Ok(()) } else { Err(Failure::Incomplete) };
            }
            // What has been said comes first: what was acknowledged in time is not lost because this thread was late.
            let said = self.signals.try_recv().ok();
            if let Some((_, limit)) = deadline.filter(|(at, _)| said.is_none() && Instant::now() >= *at) {
                return Err(Failure::Deadline(limit));
            }
            let look = self.tick().map(|tick| looked + tick);
            let wake = [deadline.map(|(at, _)| at), look];
            if let Some((worker, signal)) =
                said.or_else(|| self.next_signal(wake.into_iter().flatten().min()))
            {
                self.take(worker, signal, observer)?;
            }
            // Also while signals come in without a pause.
            if look.is_some_and(|at| Instant::now() >= at) {
                looked = Instant::now();
                self.look_round(observer);
            }
        }
    }

    fn next_signal(&self, wake: Option<Instant>) -> Option<(usize, Signal)> {
        match wake {
            Some(at) => self.signals.recv_deadline(at).ok(),
            None => self.signals.recv().ok(),
        }
    }

    /// How long to wait for a signal at most before looking round.
    fn tick(&self) -> Option<Duration> {
        let projection =
            (self.options.trace > Trace::Off && !self.warned_of_expiry).then_some(PROJECTION_TICK);
        let rebalance = self.options.rebalance.then_some(REBALANCE_TICK);
        [self.options.progress, projection, rebalance].into_iter().flatten().min()
    }

    fn take(&mut self, worker: usize, signal: Signal, observer: &mut Relay<'_>) -> Result<(), Failure> {
        let Some(receiver) = self.roster.listed(worker) else { return Ok(()) };
        match signal {
            Signal::Completed => self.workload.completed(worker),
            Signal::Ended { first_unacked, ending: Ending::Lost(loss) } => {
                self.lose(worker, first_unacked, loss, observer);
            }
            Signal::Ended { ending: Ending::Payload(error), .. } => return Err(Failure::Payload(error)),
            // Its machine saw the deadline pass; the main thread does at its next look.
            Signal::Ended { ending: Ending::Stopped, .. } => {}
            Signal::TimedOut { seq, transmissions, waited } => {
                observer.event(&Event::TimedOut { receiver, seq, transmissions, waited });
            }
            Signal::PacketSent { seq, transmission, payload } => {
                observer.event(&Event::PacketSent { receiver, seq, transmission, payload: &payload });
            }
            Signal::PacketReceived { datagram, acked_after } => {
                observer.event(&Event::PacketReceived { receiver, datagram: &datagram, acked_after });
            }
        }
        Ok(())
    }

    fn lose(
        &mut self,
        worker: usize,
        first_unacked: Option<Seq>,
        loss: LossReason,
        observer: &mut Relay<'_>,
    ) {
        let Some(receiver) = self.roster.listed(worker) else { return };
        let (unacked_packets, moves) = self.workload.lost(worker, first_unacked, self.start.elapsed());
        observer.event(&Event::Lost { receiver, loss: &loss, unacked_packets });
        if let Some(slot) = self.losses.get_mut(worker) {
            *slot = Some(loss);
        }
        self.tell_of_moves(moves, MoveReason::Failover, observer);
    }

    fn tell_of_moves(&self, moves: Vec<Move>, reason: MoveReason, observer: &mut Relay<'_>) {
        for Move { from, to, range } in moves {
            let Some((from, to)) = self.roster.listed(from).zip(self.roster.listed(to)) else { continue };
            observer.event(&Event::Moved { from, to, range, reason });
        }
    }

    /// Gives every idle thread that has work its next range.
    fn dispatch(&mut self, observer: &mut Relay<'_>) {
        loop {
            let elapsed = self.start.elapsed();
            let moves = self.workload.rebalance(elapsed);
            self.tell_of_moves(moves, MoveReason::Rebalance, observer);
            let Some((worker, range)) = self.workload.next_assignment(elapsed) else { return };
            if let Err(loss) = self.assign(worker, range) {
                self.lose(worker, None, loss, observer);
            }
        }
    }

    fn assign(&mut self, worker: usize, range: SeqRange) -> Result<(), LossReason> {
        let unusable = |error: String| LossReason::LocalFailure { what: "thread", error };
        if self.threads.get(worker).is_some_and(Option::is_none) {
            let thread = self.spawn(worker).map_err(|error| unusable(Plain(&error).to_string()))?;
            if let Some(slot) = self.threads.get_mut(worker) {
                *slot = Some(thread);
            }
        }
        let thread = self.threads.get(worker).and_then(Option::as_ref);
        // A thread that has just ended has said so in a signal, or will have: it loses the range again.
        thread.map_or(Err(unusable("no such worker".to_owned())), |thread| {
            let _ = thread.work.send(range);
            Ok(())
        })
    }

    fn spawn(&self, worker: usize) -> std::io::Result<Thread> {
        let (Some(member), Some(part)) = (self.roster.member(worker), self.workload.workers().get(worker))
        else {
            return Err(std::io::Error::other("no such receiver"));
        };
        let lane = part.lane();
        let config = RtoConfig {
            first_timeout: self.options.first_timeout,
            fixed: self.options.fixed_timeout,
            give_up: self.options.give_up,
        };
        let ping = member.latency.as_ref().and_then(Latency::measured);
        let (work, work_to_do) = channel::bounded(1);
        let sender = Sender {
            worker,
            tid: self.tid,
            target: SocketAddr::new(member.receiver.address, self.options.receiver_port),
            bind: self.options.bind,
            machine: StopAndWait::new(self.tid, config, Arc::clone(lane), ping, self.deadline()),
            payload: self.payload.clone(),
            trace: self.options.trace,
            work: work_to_do,
            signals: self.to_signal.clone(),
            stop: Arc::clone(&self.stop),
        };
        let name = format!("receiver {}", member.entry + 1);
        let handle = thread::Builder::new().name(name).stack_size(SENDER_STACK).spawn(|| sender.run())?;
        Ok(Thread { handle, work })
    }

    /// The end of the transfer, if it is bounded; a time that the clock cannot express never comes.
    fn deadline(&self) -> Option<Instant> {
        self.start.checked_add(self.options.deadline?)
    }

    /// What is to be seen from time to time.
    fn look_round(&mut self, observer: &mut Relay<'_>) {
        let elapsed = self.start.elapsed();
        if self.options.progress.is_some() {
            self.report_progress(elapsed, observer);
        }
        if self.options.trace > Trace::Off && !self.warned_of_expiry {
            let projected = self.workload.projected_end(elapsed).filter(|&end| end > TRANSACTION_LIFETIME);
            if let Some(projected) = projected {
                self.warned_of_expiry = true;
                observer.event(&Event::ExpiryLikely { projected });
            }
        }
    }

    fn report_progress(&self, elapsed: Duration, observer: &mut Relay<'_>) {
        let workers = self.workload.workers();
        let mut lanes = vec![LaneProgress::default(); self.roster.entries()];
        for (member, worker) in self.roster.members().iter().zip(workers) {
            if let Some(lane) = lanes.get_mut(member.entry) {
                *lane = LaneProgress {
                    acked: worker.lane().acked(),
                    assigned: worker.lane().acked().saturating_add(worker.remaining_packets()),
                    retransmissions: worker.lane().retransmissions(),
                    lost: worker.is_lost(),
                };
            }
        }
        let acked_bytes = workers.iter().map(Worker::acked_bytes).sum();
        let payload_bytes = self.payload.len();
        observer.event(&Event::Progress { elapsed, acked_bytes, payload_bytes, lanes: &lanes });
    }

    pub fn check_payload(&self) -> Result<(), Failure> {
        self.payload.check_unchanged().map_err(Failure::Payload)
    }

    /// Ends the threads and sums up. After a success they are idle and end at once. After a failure one may still wait
    /// for an ack: it is not waited for; it sends nothing more and ends by itself when its time-out does.
    pub fn finish(&mut self, success: bool) -> Report {
        let elapsed = self.start.elapsed();
        self.stop.store(true, Relaxed);
        for Thread { handle, work } in self.threads.iter_mut().filter_map(Option::take) {
            drop(work);
            if success {
                let _ = handle.join();
            }
        }
        let parts = self.workload.workers().iter().zip(&self.losses);
        let receivers = self.roster.members().iter().zip(parts);
        Report {
            tid: self.tid,
            payload_bytes: self.payload.len(),
            packets: self.workload.packets(),
            elapsed,
            measuring: self.measuring,
            receivers: receivers
                .map(|(member, (worker, loss))| receiver_report(member, worker, loss.clone()))
                .collect(),
        }
    }
}

fn receiver_report(member: &Member<'_>, worker: &Worker, loss: Option<LossReason>) -> ReceiverReport {
    let lane = worker.lane();
    ReceiverReport {
        address: member.receiver.address,
        name: member.receiver.name.clone(),
        latency: member.latency,
        planned_bytes: member.ranges.iter().map(SeqRange::len).sum(),
        acked: worker.acked_ranges(),
        transmissions: lane.transmissions(),
        retransmissions: lane.retransmissions(),
        ignored: lane.ignored(),
        ack_rtt: lane.srtt(),
        last_ack: lane.last_ack(),
        status: match loss {
            Some(loss) => ReceiverStatus::Lost(loss),
            None if worker.remaining_packets() == 0 => ReceiverStatus::Done,
            None => ReceiverStatus::Stopped,
        },
    }
}
