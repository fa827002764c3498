//! How far away each receiver is: the mean of three ICMP echoes, or of three UDP probes where the kernel refuses ICMP
//! sockets. The only file that names ping_rs. A latency that cannot be had never fails a transfer.

use crate::error::Plain;
use crate::event::{Event, Observer};
use crate::report::{Latency, LatencySource};
use crate::text::Seconds;
use crate::udp;
use crossbeam_channel::{Sender, unbounded};
use ping_rs::PingError;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

/// The longest that measuring takes, all receivers together.
const BOUND: Duration = Duration::from_secs(1);

/// Echoes a receiver, like the reference (PROTOCOL.md, "Rules").
const ECHOES: u32 = 3;

/// Up to so many receivers all echoes are sent at once, each by a thread; above, one thread a receiver sends them in
/// turn.
const AT_ONCE: usize = 32;

/// What a thread here needs, in bytes. Its buffers are 3 KB.
const STACK: usize = 64 * 1024;

/// Where nobody listens, so that a host answers "port unreachable": traceroute's first port.
const PROBE_PORT: u16 = 33434;

/// What an echo or a probe carries.
const PROBE: [u8; 8] = *b"mdalp\0\0\0";

/// How much later than asked for the kernel may end a wait of a second; until then the sockets here are open.
const LATE: Duration = Duration::from_millis(100);

/// No time-out below this: ping_rs would wait for ever with less than a microsecond.
const SHORTEST: Duration = Duration::from_millis(1);

const EPERM: u32 = 1;
const EACCES: u32 = 13;

/// The usual reason for [`EACCES`], and what to do about it.
const PING_GROUP_RANGE: (&str, &str) = (
    ", since net.ipv4.ping_group_range leaves this process out",
    "; to allow pings: sysctl -w net.ipv4.ping_group_range=\"0 2147483647\"",
);

/// `EPROTONOSUPPORT`, `ESOCKTNOSUPPORT` and `EAFNOSUPPORT` of Linux, which std gives no names to.
const NO_SUCH_SOCKET: [u32; 3] = if cfg!(any(
    target_arch = "mips",
    target_arch = "mips32r6",
    target_arch = "mips64",
    target_arch = "mips64r6"
)) {
    [120, 121, 124]
} else {
    [93, 94, 97]
};

/// Measures the latencies of `receivers`, in their order; an address that comes twice is measured once. Done after
/// about one round trip to the slowest (three with more than 32 receivers), or a second if one does not answer, and
/// never after `bound`. With a local address to send from, which a ping cannot be bound to, UDP probes measure. Each
/// fallback is told in one line.
pub(crate) fn measure(
    receivers: &[IpAddr],
    bind: Option<IpAddr>,
    bound: Option<Instant>,
    observer: &mut dyn Observer,
) -> Vec<Latency> {
    let ping: Option<Ask> = if bind.is_none() { Some(icmp_echo) } else { None };
    measure_by(Method { ping, probe: udp_probe, bind, long_enough }, receivers, bound, observer)
}

fn measure_by(
    method: Method,
    receivers: &[IpAddr],
    bound: Option<Instant>,
    observer: &mut dyn Observer,
) -> Vec<Latency> {
    let start = Instant::now();
    let before = |at: Instant| bound.map_or(at, |bound| bound.min(at));
    let end = before(start + BOUND);
    let distinct = distinct(receivers);
    let replies = ask_all(method, &distinct, Times { start, end, until: before(end + LATE) });
    let window = end.saturating_duration_since(start);
    for reason in fallbacks(&replies, method.bind, window) {
        observer.event(&Event::LatencyFallback { reason: &reason });
    }
    let latencies = combine(&replies);
    let of = |address| distinct.iter().zip(&latencies).find(|(d, _)| *d == address).map(|(_, l)| *l);
    receivers.iter().filter_map(of).collect()
}

/// The addresses without repetitions, in the order in which they first come.
fn distinct(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let mut distinct = Vec::with_capacity(addresses.len());
    for address in addresses {
        if !distinct.contains(address) {
            distinct.push(*address);
        }
    }
    distinct
}

/// How receivers are asked.
#[derive(Clone, Copy)]
struct Method {
    /// By ICMP; `None` if that is out of the question.
    ping: Option<Ask>,
    /// By UDP, once the kernel has refused the ping.
    probe: Ask,
    /// The local address to ask from.
    bind: Option<IpAddr>,
    /// [`long_enough`], or a test's own.
    long_enough: fn(Duration) -> Duration,
}

/// Asks an address, from a local address if there is one, waits so long at most, and says how long the answer took.
type Ask = fn(IpAddr, Option<IpAddr>, Duration) -> Result<Duration, Failure>;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Failure {
    /// None came in time.
    Silent,
    /// The kernel refuses to let this process ping: its error.
    Refused { code: u32, why: String },
    /// Something else went wrong here or on the way.
    Trouble(String),
}

/// What asking one receiver brought.
#[derive(Clone, Debug, Default)]
struct Replies {
    icmp: Vec<Duration>,
    udp: Vec<Duration>,
    /// The kernel's error, if it refused to ping.
    refused: Option<(u32, String)>,
    /// What else went wrong last.
    trouble: Option<String>,
}

/// What one echo or probe brought.
enum Outcome {
    Icmp(Duration),
    Udp(Duration),
    Failed(Failure),
}

impl Replies {
    fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Icmp(rtt) => self.icmp.push(rtt),
            Outcome::Udp(rtt) => self.udp.push(rtt),
            Outcome::Failed(Failure::Silent) => {}
            Outcome::Failed(Failure::Refused { code, why }) => self.refused = Some((code, why)),
            Outcome::Failed(Failure::Trouble(why)) => self.trouble = Some(why),
        }
    }

    fn latency(&self) -> Option<Latency> {
        let mean = |rtts: &[Duration]| {
            let count = u32::try_from(rtts.len()).ok()?;
            rtts.iter().sum::<Duration>().checked_div(count)
        };
        let count = |rtts: &[Duration]| u8::try_from(rtts.len()).unwrap_or(u8::MAX);
        let icmp =
            mean(&self.icmp).map(|rtt| Latency { rtt, source: LatencySource::Icmp(count(&self.icmp)) });
        icmp.or_else(|| {
            mean(&self.udp).map(|rtt| Latency { rtt, source: LatencySource::UdpProbe(count(&self.udp)) })
        })
    }

    /// Why the kernel does not let this process ping. That a probe of the same receiver met with the same error says
    /// that nothing may be sent there: a route or a firewall forbids it.
    fn refusal(&self) -> Option<&(u32, String)> {
        self.refused.as_ref().filter(|(_, why)| self.trouble.as_ref() != Some(why))
    }

    fn is_answered(&self) -> bool {
        !(self.icmp.is_empty() && self.udp.is_empty())
    }
}

/// The latencies in the order of `replies`: a receiver that did not answer counts as the slowest that did; if none
/// did, all count alike.
fn combine(replies: &[Replies]) -> Vec<Latency> {
    let measured: Vec<_> = replies.iter().map(Replies::latency).collect();
    let absent = match measured.iter().flatten().map(|latency| latency.rtt).max() {
        Some(slowest) => Latency { rtt: slowest, source: LatencySource::Silent },
        None => Latency { rtt: BOUND, source: LatencySource::Equal },
    };
    measured.into_iter().map(|latency| latency.unwrap_or(absent)).collect()
}

/// One line for each way in which measuring did not go as usual. The texts are the system's and ours: safe to print.
fn fallbacks(replies: &[Replies], bind: Option<IpAddr>, window: Duration) -> Vec<String> {
    let mut lines = Vec::new();
    let all = replies.len();
    let by_udp = format!("measured with UDP probes to port {PROBE_PORT} instead");
    if let Some(bind) = bind.filter(|_| all > 0) {
        lines.push(format!(
            "{all} of {all} receivers not pinged: a ping cannot be sent from {bind}; {by_udp}"
        ));
    }
    let mut refused = replies.iter().filter_map(Replies::refusal);
    if let Some((code, why)) = refused.next() {
        let count = 1 + refused.count();
        let (reason, hint) = if *code == EACCES { PING_GROUP_RANGE } else { ("", "") };
        lines.push(format!("{count} of {all} receivers not pinged: {why}{reason}; {by_udp}{hint}"));
    }
    let silent = replies.iter().filter(|r| !r.is_answered()).count();
    if silent > 0 {
        let within = Seconds(window, if window == BOUND { 0 } else { 3 });
        let trouble = replies.iter().filter(|r| !r.is_answered()).find_map(|r| r.trouble.as_deref());
        let trouble = trouble.map_or(String::new(), |why| format!(" ({why})"));
        lines.push(if silent == all {
            format!("no receiver answered within {within} s{trouble}; all get equal shares")
        } else {
            format!(
                "{silent} of {all} receivers did not answer within {within} s{trouble}; \
                 counted as the slowest that did"
            )
        });
    }
    lines
}

/// When asking begins, when the last answer counts, and until when threads are waited for that have none.
struct Times {
    start: Instant,
    end: Instant,
    until: Instant,
}

/// Asks all receivers, each from threads of its own, and takes what they say until there is nothing more to wait for.
///
/// The threads are detached and have a channel, where scoped threads would be simpler: `send_ping` blocks for its whole
/// time-out and cannot be interrupted, and a scope waits for all its threads, so one lost echo of many would cost the full
/// second. Up to [`AT_ONCE`] receivers such a thread is left behind, and ends by itself at `end`. With more it is
/// waited for, so that sockets here do not take descriptors from the transfer.
fn ask_all(method: Method, receivers: &[IpAddr], times: Times) -> Vec<Replies> {
    let Times { start, end, mut until } = times;
    let mut replies = vec![Replies::default(); receivers.len()];
    let turns = if receivers.len() <= AT_ONCE { 1 } else { ECHOES };
    let (sender, outcomes) = unbounded();
    for _ in 0..ECHOES / turns {
        for (index, (&address, replies)) in receivers.iter().zip(&mut replies).enumerate() {
            let sender = sender.clone();
            let ask = move || ask_in_turn(method, address, turns, end, index, &sender);
            if let Err(error) = thread::Builder::new().stack_size(STACK).spawn(ask) {
                replies.trouble = Some(format!("no thread: {}", Plain(&error)));
            }
        }
    }
    drop(sender);
    let mut unanswered = receivers.len();
    // Ends when all threads have, or at `until`.
    while let Ok((index, outcome)) = outcomes.recv_deadline(until) {
        let Some(replies) = replies.get_mut(index) else { continue };
        let was_answered = replies.is_answered();
        replies.add(outcome);
        if !was_answered && replies.is_answered() {
            unanswered -= 1;
            if unanswered == 0 && turns == 1 {
                until = until.min(start + (method.long_enough)(start.elapsed()));
            }
        }
    }
    replies
}

/// How long after the start a second or third answer is worth waiting for, if after `first` every receiver had
/// answered once. Without this a single lost echo would cost the whole bound.
fn long_enough(first: Duration) -> Duration {
    first * 5 / 4 + Duration::from_millis(20)
}

/// A thread: asks one receiver so often, each time after the answer to the one before, until nobody listens any more.
fn ask_in_turn(
    method: Method,
    address: IpAddr,
    turns: u32,
    end: Instant,
    index: usize,
    to: &Sender<(usize, Outcome)>,
) {
    let tell = |outcome| to.send((index, outcome)).is_ok();
    let mut ping = method.ping;
    for _ in 0..turns {
        if let (Some(ask), Some(left)) = (ping, time_left(end)) {
            let result = ask(address, method.bind, left);
            let refused = matches!(result, Err(Failure::Refused { .. }));
            if !tell(result.map_or_else(Outcome::Failed, Outcome::Icmp)) {
                return;
            }
            if !refused {
                continue;
            }
            ping = None;
        }
        let Some(left) = time_left(end) else { return };
        let result = (method.probe)(address, method.bind, left);
        if !tell(result.map_or_else(Outcome::Failed, Outcome::Udp)) {
            return;
        }
    }
}

fn time_left(end: Instant) -> Option<Duration> {
    Some(end.saturating_duration_since(Instant::now())).filter(|left| *left >= SHORTEST)
}

/// One ICMP echo. Timed here, since ping_rs gives whole milliseconds.
fn icmp_echo(address: IpAddr, _: Option<IpAddr>, wait: Duration) -> Result<Duration, Failure> {
    let start = Instant::now();
    let result = ping_rs::send_ping(&address, wait, &PROBE, None);
    let rtt = start.elapsed();
    match result {
        Ok(reply) if reply.address == address => Ok(rtt),
        // The other one is somebody else's answer.
        Ok(_) | Err(PingError::TimedOut | PingError::IoPending) => Err(Failure::Silent),
        Err(PingError::OsError(code, _)) if is_refusal(code) => {
            Err(Failure::Refused { code, why: system_error(code) })
        }
        Err(PingError::OsError(code, _)) => Err(Failure::Trouble(system_error(code))),
        Err(PingError::IpError(_)) => Err(Failure::Trouble("not an echo reply".to_owned())),
        Err(PingError::BadParameter(_) | PingError::DataSizeTooBig(_)) => {
            Err(Failure::Trouble("not a valid ping".to_owned()))
        }
    }
}

/// The system's message. ping_rs gives it with the number, too.
fn system_error(code: u32) -> String {
    Plain(&io::Error::from_raw_os_error(code.cast_signed())).to_string()
}

/// Whether the kernel lets no such ping out of this process, whoever it is for.
fn is_refusal(code: u32) -> bool {
    [EPERM, EACCES].contains(&code) || NO_SUCH_SOCKET.contains(&code)
}

/// One UDP probe: a closed port answers with a refusal, an open one perhaps with something.
fn udp_probe(address: IpAddr, bind: Option<IpAddr>, wait: Duration) -> Result<Duration, Failure> {
    udp_probe_to(SocketAddr::new(address, PROBE_PORT), bind, wait)
}

fn udp_probe_to(peer: SocketAddr, bind: Option<IpAddr>, wait: Duration) -> Result<Duration, Failure> {
    let trouble = |error: io::Error| Failure::Trouble(Plain(&error).to_string());
    let socket = udp::connect(bind, peer).map_err(trouble)?;
    socket.set_read_timeout(Some(wait)).map_err(trouble)?;
    let start = Instant::now();
    socket.send(&PROBE).map_err(trouble)?;
    let result = socket.recv(&mut [0]);
    let rtt = start.elapsed();
    match result {
        Ok(_) => Ok(rtt),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(rtt),
        Err(error) if udp::nothing_came(&error) => Err(Failure::Silent),
        Err(error) => Err(trouble(error)),
    }
}

#[cfg(test)]
mod tests;
