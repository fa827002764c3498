//! How far away each receiver is: the mean of three ICMP echoes, or of three UDP probes where the kernel sends no
//! pings. The only file that names ping_rs. An unavailable latency never fails a transfer.
#![expect(clippy::disallowed_methods, reason = "its own threads and channels, which end with the measuring")]
#![expect(clippy::indexing_slicing, reason = "the indexes that `echoes` makes of the receivers")]

use crate::event::{Event, Relay};
use crate::report::{Latency, LatencySource};
use crate::text::{OsMessage, TrimmedSeconds};
use crate::udp;
use crossbeam_channel::{RecvTimeoutError, Sender, unbounded};
use ping_rs::PingError;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// The longest that measuring takes, all receivers together.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// Echoes per receiver, like the reference.
const ECHOES: usize = 3;

/// The most threads that wait for answers at one time; with more receivers than this, one per receiver.
const THREADS: usize = 96;

/// How long to wait for an answer before another thread is started, and for all echoes together.
const MAX_PAUSE: Duration = Duration::from_millis(5);
const ALL_PAUSES: Duration = Duration::from_millis(100);

/// A thread's stack, in bytes. Its buffers are 3 KB.
const STACK: usize = 65_536;

/// Where nothing listens, so that a host answers "port unreachable": traceroute's first port.
const PROBE_PORT: u16 = 33434;

/// What an echo or a probe carries.
const PROBE: [u8; 8] = *b"mdalp\0\0\0";

/// How much later than asked for the kernel may end a wait of a second; until then the sockets here are open.
const TIMER_SLACK: Duration = Duration::from_millis(100);

/// The shortest timeout: ping_rs would wait forever with less than a microsecond.
const MIN_WAIT: Duration = Duration::from_millis(1);

/// The error of a kernel that lets this user make no ICMP sockets, and that of a wait that a signal ends.
const EACCES: u32 = 13;
const EINTR: u32 = 4;

/// The usual reason for that, and what to do about it.
const PING_GROUP_RANGE: (&str, &str) = (
    ", since net.ipv4.ping_group_range leaves this process out",
    "; to allow pings: sysctl -w net.ipv4.ping_group_range=\"0 2147483647\"",
);

/// Measures the latencies of `receivers`, in their order; each address should come once. Takes about one round trip to
/// the slowest (three with more than 96 receivers), or a second if one does not answer, and never ends after `deadline`.
/// Each fallback is one event.
pub(crate) fn measure(
    receivers: &[IpAddr],
    method: Method,
    deadline: Option<Instant>,
    observer: &mut Relay<'_>,
) -> Vec<Latency> {
    let start = Instant::now();
    let before = |at: Instant| deadline.map_or(at, |deadline| deadline.min(at));
    let end = before(start + MAX_WAIT);
    let replies = probe_all(method, receivers, end, before(end + TIMER_SLACK));
    report_fallbacks(&replies, end.saturating_duration_since(start), observer);
    fill_missing(&replies)
}

/// How receivers are probed.
#[derive(Clone, Copy)]
pub(crate) struct Method {
    /// By ICMP, or by UDP if that is out of the question.
    ping: Probe,
    /// By UDP, where the kernel does not send the ping.
    probe: Probe,
    /// The local address to send from.
    bind: Option<IpAddr>,
    /// [`extra_wait`], or a test's own.
    extra_wait: fn(Duration) -> Duration,
}

impl Method {
    /// By pings; with a local address to send from, which a ping cannot be bound to, by UDP probes.
    pub fn new(bind: Option<IpAddr>) -> Self {
        let ping: Probe = if bind.is_none() { icmp_echo } else { udp_probe };
        Self { ping, probe: udp_probe, bind, extra_wait }
    }
}

/// Probes an address, from a local address if one is given, and waits up to this long for the answer.
type Probe = fn(IpAddr, Option<IpAddr>, Duration) -> Reply;

/// The result of one echo or probe.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reply {
    /// An ICMP echo was answered after this time.
    Icmp(Duration),
    /// A UDP probe was answered after this time.
    Udp(Duration),
    /// No answer came in time.
    None,
    /// A signal ended the wait: the process was stopped and continued. What such an echo takes is no latency. Also if no time
    /// was left to ask.
    Interrupted,
    /// The kernel did not send the ping: its error's number.
    Refused(u32),
    /// Something else went wrong here or on the way.
    Error(String),
}

/// The mean of one receiver's answers, and their number; `None` without an answer.
fn latency(replies: &[Reply]) -> Option<Latency> {
    let mean = |rtt_of: fn(&Reply) -> Option<Duration>, source: fn(u8) -> LatencySource| {
        let rtts = || replies.iter().filter_map(rtt_of);
        let count = u8::try_from(rtts().count()).ok()?;
        let rtt = rtts().sum::<Duration>().checked_div(count.into())?;
        Some(Latency { rtt, source: source(count) })
    };
    let icmp = mean(|r| if let Reply::Icmp(rtt) = r { Some(*rtt) } else { None }, LatencySource::Icmp);
    icmp.or_else(|| {
        mean(|r| if let Reply::Udp(rtt) = r { Some(*rtt) } else { None }, LatencySource::UdpProbe)
    })
}

/// The latencies in the order of `replies`: a receiver that did not answer counts as the slowest that did; if none
/// did, all count alike.
fn fill_missing(replies: &[Vec<Reply>]) -> Vec<Latency> {
    let measured: Vec<_> = replies.iter().map(|replies| latency(replies)).collect();
    let missing = match measured.iter().flatten().map(|latency| latency.rtt).max() {
        Some(slowest) => Latency { rtt: slowest, source: LatencySource::NoReply },
        None => Latency { rtt: MAX_WAIT, source: LatencySource::Fallback },
    };
    measured.into_iter().map(|latency| latency.unwrap_or(missing)).collect()
}

fn error(replies: &[Reply]) -> Option<&str> {
    replies.iter().find_map(|reply| if let Reply::Error(why) = reply { Some(why.as_str()) } else { None })
}

/// Why the kernel did not send a ping: its error's number. If a probe of the same receiver met the same error, nothing can
/// be sent there at all: there is no route, or a firewall forbids it.
fn refusal(replies: &[Reply]) -> Option<u32> {
    let refused = |reply: &Reply| if let Reply::Refused(code) = reply { Some(*code) } else { None };
    replies.iter().find_map(refused).filter(|code| error(replies) != Some(&system_error(*code)))
}

/// One event for each way in which measuring did not go as usual; a warning if the user should act on it. The texts are
/// the system's and ours: safe to print.
fn report_fallbacks(replies: &[Vec<Reply>], window: Duration, observer: &mut Relay<'_>) {
    let all = replies.len();
    let unanswered = || replies.iter().filter(|replies| latency(replies).is_none());
    let mut refusals = replies.iter().filter_map(|replies| refusal(replies));
    if let Some(code) = refusals.next() {
        let (count, why) = (1 + refusals.count(), system_error(code));
        let (cause, hint) = if code == EACCES { PING_GROUP_RANGE } else { ("", "") };
        let reason = &format!(
            "{count} of {all} receivers not pinged: {why}{cause}; \
             measured with UDP probes to port {PROBE_PORT} instead{hint}"
        );
        let warning = unanswered().any(|replies| refusal(replies).is_some());
        observer.event(&Event::LatencyFallback { reason, warning });
    }
    let silent = unanswered().count();
    if silent > 0 {
        let error = unanswered().find_map(|replies| error(replies));
        let error = error.map_or(String::new(), |why| format!(" ({why})"));
        let within = format!("{} s{error}", TrimmedSeconds(window));
        let reason = &if silent == all {
            format!("no receiver answered within {within}; all get equal shares")
        } else {
            format!(
                "{silent} of {all} receivers did not answer within {within}; counted as the slowest that did"
            )
        };
        observer.event(&Event::LatencyFallback { reason, warning: true });
    }
}

/// The echoes to send, each receiver's place and address: every receiver is asked once before any is asked again.
fn echoes(receivers: &[IpAddr]) -> Vec<(usize, IpAddr)> {
    let once: Vec<_> = receivers.iter().copied().enumerate().collect();
    once.repeat(ECHOES)
}

/// Decides when to start another thread: the first immediately, the next whenever no answer came for a pause. Receivers
/// that answer quickly are thus probed one after another, by one thread: on a slow processor threads that run at one time
/// would measure one another. Far ones are probed in parallel.
struct Starter {
    end: Instant,
    echoes: usize,
    max: usize,
    started: usize,
    pause: Duration,
    next: Instant,
}

impl Starter {
    fn new(receivers: usize, now: Instant, end: Instant) -> Self {
        let echoes = receivers * ECHOES;
        let pause = ALL_PAUSES / u32::try_from(echoes).unwrap_or(u32::MAX).max(1);
        let max = echoes.min(receivers.max(THREADS));
        Self { end, echoes, max, started: 0, pause: MAX_PAUSE.min(pause), next: now }
    }

    /// Returns when to start the next thread, perhaps now; `None` if no more are needed or the time is up. `taken` is the number of
    /// echoes that threads have taken on.
    fn next(&mut self, now: Instant, taken: usize) -> Option<Instant> {
        if now >= self.end || taken >= self.echoes || self.started >= self.max {
            return None;
        }
        // A thread that has yet to begin lacks the processor; another would compete with it.
        if now >= self.next && taken < self.started {
            self.pause_from(now);
        }
        Some(self.next)
    }

    /// After a start and after a reply.
    fn pause_from(&mut self, now: Instant) {
        self.next = now + self.pause;
    }
}

/// Probes all receivers and collects the replies until there is nothing more to wait for, no later than `until`; nothing
/// is sent after `end`.
///
/// The threads are detached and have a channel, where scoped threads would be simpler: `send_ping` blocks for its whole
/// timeout and cannot be interrupted, and a scope waits for all its threads, so one lost echo of many would cost the full
/// second. Such a thread is left behind, and ends by itself at `end`. With more than [`THREADS`] receivers it is waited
/// for, so that sockets here do not take descriptors from the transfer.
fn probe_all(method: Method, receivers: &[IpAddr], end: Instant, mut until: Instant) -> Vec<Vec<Reply>> {
    let echoes = Arc::new(echoes(receivers));
    // What the threads count up to take one on each; more than there are once they find none left.
    let taken = Arc::new(AtomicUsize::new(0));
    let (to, incoming) = unbounded();
    let mut to = Some(to);
    let mut last_taken = Instant::now();
    let mut starter = Starter::new(receivers.len(), last_taken, end);
    let mut replies = vec![Vec::new(); receivers.len()];
    let mut not_asked = "no time left to ask".to_owned();
    loop {
        let (now, asked) = (Instant::now(), taken.load(Relaxed));
        let next = starter.next(now, asked);
        if asked < echoes.len() {
            last_taken = now;
        } else if receivers.len() <= THREADS && replies.iter().all(|replies| latency(replies).is_some()) {
            let answers = replies.iter().flatten().filter_map(|reply| latency(slice::from_ref(reply)));
            let slowest = answers.map(|latency| latency.rtt).max().unwrap_or_default();
            until = until.min(last_taken + (method.extra_wait)(slowest));
        }
        if let Some(to) = &to
            && next.is_some_and(|at| at <= now)
        {
            let (echoes, taken, to) = (Arc::clone(&echoes), Arc::clone(&taken), to.clone());
            let first = starter.started == 0;
            let probe = move || probe_in_turn(method, first, &echoes, &taken, end, &to);
            if let Err(error) = thread::Builder::new().stack_size(STACK).spawn(probe) {
                not_asked = format!("no thread: {}", OsMessage(&error));
                starter.max = 0;
            }
            starter.started += 1;
            starter.pause_from(now);
            continue;
        }
        // Without a sender here the end of the last thread is the end of the replies.
        to = to.filter(|_| next.is_some());
        let wake = next.map_or(until, |at| until.min(at));
        match incoming.recv_deadline(wake) {
            Ok((index, reply)) => {
                starter.pause_from(Instant::now());
                replies[index].push(reply);
            }
            Err(RecvTimeoutError::Timeout) if wake < until => {}
            Err(_) => break,
        }
    }
    for replies in replies.iter_mut().skip(taken.load(Relaxed)) {
        replies.push(Reply::Error(not_asked.clone()));
    }
    replies
}

/// How long after the last echo was sent a second or third answer is worth waiting for, if every receiver has answered
/// once, the slowest after `slowest`. Without this a single lost echo would cost the whole second.
fn extra_wait(slowest: Duration) -> Duration {
    slowest * 5 / 4 + Duration::from_millis(20)
}

/// A thread: sends one echo after another, each after the answer to the one before, until `end` or until the replies are
/// received no more. The first thread begins with an unmeasured one to this host, so that the first receiver does not pay
/// for what is slow once: code that comes from the disk, cold caches.
fn probe_in_turn(
    method: Method,
    first: bool,
    echoes: &[(usize, IpAddr)],
    taken: &AtomicUsize,
    end: Instant,
    to: &Sender<(usize, Reply)>,
) {
    let host = Ipv4Addr::LOCALHOST.into();
    if first && matches!((method.ping)(host, method.bind, MIN_WAIT), Reply::Refused(_)) {
        (method.probe)(host, method.bind, MIN_WAIT);
    }
    let ask = |by: Probe, address| {
        let mut reply = Reply::Interrupted;
        while reply == Reply::Interrupted
            && let Some(wait) = time_left(end)
        {
            reply = by(address, method.bind, wait);
        }
        reply
    };
    while time_left(end).is_some()
        && let Some(&(index, address)) = echoes.get(taken.fetch_add(1, Relaxed))
    {
        let mut reply = ask(method.ping, address);
        if matches!(reply, Reply::Refused(_)) && time_left(end).is_some() {
            drop(to.send((index, reply)));
            reply = ask(method.probe, address);
        }
        if to.send((index, reply)).is_err() {
            return;
        }
    }
}

fn time_left(end: Instant) -> Option<Duration> {
    Some(end.saturating_duration_since(Instant::now())).filter(|left| *left >= MIN_WAIT)
}

/// One ICMP echo. Timed here, since ping_rs gives whole milliseconds; but it times the sending and the answer alone, and
/// here the making of the socket comes in, which is slow on a slow host.
fn icmp_echo(address: IpAddr, _: Option<IpAddr>, wait: Duration) -> Reply {
    let start = Instant::now();
    let result = ping_rs::send_ping(&address, wait, &PROBE, None);
    icmp_reply(address, result, start.elapsed())
}

/// What the result of a ping to `address` means that took `rtt` as timed here.
fn icmp_reply(address: IpAddr, result: ping_rs::PingApiOutput, rtt: Duration) -> Reply {
    match result {
        Ok(reply) if reply.address == address => {
            Reply::Icmp(rtt.min(Duration::from_millis(u64::from(reply.rtt) + 1)))
        }
        // The other one answers somebody else's echo.
        Ok(_) | Err(PingError::TimedOut | PingError::IoPending) => Reply::None,
        Err(PingError::OsError(EINTR, _)) => Reply::Interrupted,
        Err(PingError::OsError(code, _)) => Reply::Refused(code),
        Err(_) => Reply::Error("not an echo reply".to_owned()),
    }
}

/// The system's message. ping_rs gives it with the number, too.
fn system_error(code: u32) -> String {
    OsMessage(&io::Error::from_raw_os_error(code.cast_signed())).to_string()
}

/// One UDP probe: a closed port answers with a refusal, an open one perhaps with something.
fn udp_probe(address: IpAddr, bind: Option<IpAddr>, wait: Duration) -> Reply {
    udp_probe_to(SocketAddr::new(address, PROBE_PORT), bind, wait)
        .unwrap_or_else(|error| Reply::Error(OsMessage(&error).to_string()))
}

fn udp_probe_to(peer: SocketAddr, bind: Option<IpAddr>, wait: Duration) -> io::Result<Reply> {
    let socket = udp::connect(bind, peer)?;
    socket.set_read_timeout(Some(wait))?;
    let start = Instant::now();
    socket.send(&PROBE)?;
    let result = socket.recv(&mut [0]);
    let rtt = start.elapsed();
    match result {
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(Reply::Interrupted),
        Err(error) if udp::nothing_came(&error) => Ok(Reply::None),
        Err(error) if error.kind() != ErrorKind::ConnectionRefused => Err(error),
        _ => Ok(Reply::Udp(rtt)),
    }
}

#[cfg(test)]
mod tests;
