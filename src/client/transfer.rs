//! The main thread while packets are sent: it makes threads and channels, hands over what the threads report, and does what the
//! [`Scheduler`] decides.
#![expect(clippy::disallowed_methods, reason = "threads and channels are made here")]
#![expect(
    clippy::indexing_slicing,
    reason = "the scheduler's ids are indexes of the targets, from which all is made"
)]

use crate::error::PayloadError;
use crate::event::{Event, LaneProgress, Listed, Relay};
use crate::options::{MAX_TIMEOUT, Options};
use crate::payload::Payload;
use crate::protocol::scheduler::{Notice, Outcome, Scheduler, Signal, Step};
use crate::protocol::stop_and_wait::ExitReason;
use crate::protocol::worker::Worker;
use crate::protocol::{LossReason, SeqRange, WorkerId};
use crate::report::{ReceiverReport, Report};
use crate::sender::{Message, Sender};
use crossbeam_channel as channel;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A sender's stack: it holds a packet, a datagram and a few frames.
const SENDER_STACK: usize = 64 * 1024;

/// Messages that may wait for the main thread. Only packet tracing ever fills it; the senders then wait.
const CAPACITY: usize = 64;

/// The main thread's side of a transfer.
pub(super) struct Transfer<'a, 'o> {
    options: &'a Options,
    payload: &'a Payload,
    observer: &'a mut Relay<'o>,
    /// The number of entries in the orchestrator's list.
    listed: usize,
    scheduler: Scheduler,
    stop: Arc<AtomicBool>,
    /// The way to each thread. Only those that have got work exist.
    work: Vec<Option<channel::Sender<SeqRange>>>,
    threads: Vec<JoinHandle<()>>,
    /// What the threads report, and the end of that channel that each of them gets.
    messages: channel::Receiver<(WorkerId, Message)>,
    to_main: channel::Sender<(WorkerId, Message)>,
}

impl<'a, 'o> Transfer<'a, 'o> {
    pub fn new(
        options: &'a Options,
        payload: &'a Payload,
        observer: &'a mut Relay<'o>,
        listed: usize,
        scheduler: Scheduler,
    ) -> Self {
        let (to_main, messages) = channel::bounded(CAPACITY);
        let work = vec![None; scheduler.workers().len()];
        let (stop, threads) = (Arc::default(), Vec::new());
        Self { options, payload, observer, listed, scheduler, stop, work, threads, messages, to_main }
    }

    /// Runs until the transfer is over; `None` if the observer has cancelled it.
    ///
    /// # Errors
    ///
    /// The payload could not be read, or is no longer what it was.
    pub fn run(&mut self) -> Result<Option<Outcome>, PayloadError> {
        while self.observer.check().is_ok() {
            // What has been said comes first: what was acknowledged in time is not lost because this thread was late.
            for _ in 0..CAPACITY {
                let Ok((worker, message)) = self.messages.try_recv() else { break };
                self.handle(worker, message)?;
            }
            let now = Instant::now();
            match self.scheduler.poll(now) {
                Step::Assign(worker, range) => self.assign(worker, range),
                Step::Report(notice) => self.report_notice(notice),
                Step::Wait(until) => {
                    let until = until.unwrap_or(now + MAX_TIMEOUT);
                    if let Ok((worker, message)) = self.messages.recv_deadline(until) {
                        self.handle(worker, message)?;
                    }
                }
                Step::Done(outcome) => {
                    if outcome == Outcome::Complete {
                        self.payload.check_unchanged()?;
                    }
                    return Ok(Some(outcome));
                }
            }
        }
        Ok(None)
    }

    fn handle(&mut self, worker: WorkerId, message: Message) -> Result<(), PayloadError> {
        let receiver = listed(self.scheduler.worker(worker));
        let event = match message {
            Message::Signal(signal) => {
                self.scheduler.handle(Instant::now(), worker, signal);
                return Ok(());
            }
            Message::PayloadFailed(error) => return Err(error),
            Message::Refused => Event::Refused { receiver, port: self.options.receiver_port },
            Message::TimedOut { seq, transmissions, waited, refused } => {
                Event::TimedOut { receiver, seq, transmissions, waited, refused }
            }
            Message::PacketSent { seq, transmission, ref payload } => {
                Event::PacketSent { receiver, seq, transmission, payload }
            }
            Message::PacketReceived { ref datagram, acked_after } => {
                Event::PacketReceived { receiver, datagram, acked_after }
            }
        };
        self.observer.event(&event);
        Ok(())
    }

    /// Has a range sent by the worker's thread, which is made when it first gets work.
    fn assign(&mut self, worker: WorkerId, range: SeqRange) {
        if self.work[worker.0].is_none()
            && let Err(error) = self.spawn(worker)
        {
            let lost = ExitReason::Lost(LossReason::local("thread", &error));
            return self.scheduler.handle(Instant::now(), worker, Signal::Exited(lost));
        }
        // A thread that has just ended has said so, or will have: it loses the range again.
        let _ = self.work[worker.0].as_ref().map(|work| work.send(range));
    }

    fn spawn(&mut self, worker: WorkerId) -> io::Result<()> {
        let target = &self.scheduler.worker(worker).target;
        let (work, work_to_do) = channel::bounded(1);
        let sender = Sender {
            worker,
            target: SocketAddr::new(target.receiver.address, self.options.receiver_port),
            bind: self.options.bind,
            machine: self.scheduler.machine(worker),
            payload: self.payload.clone(),
            trace: self.options.trace,
            work: work_to_do,
            messages: self.to_main.clone(),
            stop: Arc::clone(&self.stop),
        };
        let name = format!("receiver {}", target.index);
        let thread = thread::Builder::new().name(name).stack_size(SENDER_STACK).spawn(|| sender.run())?;
        self.threads.push(thread);
        self.work[worker.0] = Some(work);
        Ok(())
    }

    fn report_notice(&mut self, notice: Notice) {
        let of = |worker| self.scheduler.worker(worker);
        let event = match notice {
            Notice::Lost { worker, unacked_packets } => match &of(worker).loss {
                Some(loss) => Event::Lost { receiver: listed(of(worker)), loss, unacked_packets },
                None => return,
            },
            Notice::Moved { from, to, range, reason } => {
                Event::Moved { from: listed(of(from)), to: listed(of(to)), range, reason }
            }
            Notice::ExpiryLikely { projected } => Event::ExpiryLikely { projected },
            Notice::Progress => return self.report_progress(),
        };
        self.observer.event(&event);
    }

    fn report_progress(&mut self) {
        let mut lanes = vec![LaneProgress::default(); self.listed];
        for worker in self.scheduler.workers() {
            let acked = worker.lane.acked();
            lanes[worker.target.index.0] = LaneProgress {
                acked,
                assigned: acked.saturating_add(worker.remaining_packets()),
                retransmissions: worker.lane.counts().retransmissions,
                lost: worker.loss.is_some(),
            };
        }
        self.observer.event(&Event::Progress {
            elapsed: self.scheduler.elapsed(Instant::now()),
            acked_bytes: self.scheduler.workers().iter().map(Worker::acked_bytes).sum(),
            payload_bytes: self.payload.len(),
            lanes: &lanes,
        });
    }

    /// Ends the threads and sums up. After a success they are idle and end immediately. After a failure one may still wait
    /// for an ack: it is not waited for; it sends nothing more and ends by itself when its timeout does.
    pub fn finish(mut self, measuring: Duration) -> Report {
        self.scheduler.finish(Outcome::Incomplete);
        let report = Report {
            elapsed: self.scheduler.elapsed(Instant::now()),
            measuring,
            receivers: self.scheduler.workers().iter().map(ReceiverReport::of).collect(),
            ..Report::new(self.scheduler.tid(), self.payload.len(), self.scheduler.packets())
        };
        self.stop.store(true, Relaxed);
        // A thread that has something to say, or gets no more work, would wait forever.
        drop((self.messages, self.work));
        if report.is_complete() {
            self.threads.into_iter().for_each(|thread| _ = thread.join());
        }
        report
    }
}

fn listed(worker: &Worker) -> Listed<'_> {
    Listed { index: worker.target.index, receiver: &worker.target.receiver }
}
