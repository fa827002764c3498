//! The plainest servers that a client can be measured against: an orchestrator, and receivers that only turn each datagram
//! into its ack. They run in a separate process, which can be pinned. The same ones serve the bare loop and mdalp.

use super::child::{self, Kept};
use super::loopback::{ms, wire};
use super::programs::Program;
use super::transfer::{Scratch, latencies};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::process::{Command, Stdio};
use std::thread;

pub const TID: u64 = 3740;

/// The servers' process, and where it listens.
pub struct Echo {
    _process: Kept,
    count: u8,
    pub orchestrator: u16,
    pub receivers: u16,
}

impl Echo {
    pub fn start(count: u8, pin: Option<usize>) -> io::Result<Echo> {
        let mut command = child::pinned(&std::env::current_exe()?, pin);
        command.args(["echo", &count.to_string()]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Kept(command.spawn()?);
        let mut line = String::new();
        if let Some(stdout) = process.0.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let mut ports = line.split_whitespace().filter_map(|word| word.parse().ok());
        match (ports.next(), ports.next()) {
            (Some(orchestrator), Some(receivers)) => {
                Ok(Echo { _process: process, count, orchestrator, receivers })
            }
            _ => Err(io::Error::other("the servers did not start")),
        }
    }

    /// The program, sending the file in equal shares to these servers.
    pub fn client(&self, program: &Program, pin: Option<usize>, file: &Scratch) -> Command {
        let mut command = child::pinned(&program.path, pin);
        child::send(&mut command, self.orchestrator, self.receivers, file.path());
        command.args(latencies(&vec![ms(1); self.count.into()]));
        command
    }
}

/// Where the nth receiver listens, from 0.
pub fn address(index: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, 2 + index).into()
}

/// The servers' process: says its ports, then serves until it is killed.
pub fn serve(args: &[String]) -> io::Result<()> {
    let count: u8 = args.first().and_then(|count| count.parse().ok()).unwrap_or(1);
    let orchestrator = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut port = 0;
    let mut list = Vec::new();
    for index in 0..count {
        let socket = UdpSocket::bind((address(index), port))?;
        port = socket.local_addr()?.port();
        list.push((address(index).to_string(), format!("R{index}")));
        thread::Builder::new().spawn(move || acknowledge(&socket))?;
    }
    println!("{} {port}", orchestrator.local_addr()?.port());
    io::stdout().flush()?;
    let assignment = wire::assignment(TID, &wire::list(&list));
    let mut buffer = [0; 100];
    loop {
        let (_, client) = orchestrator.recv_from(&mut buffer)?;
        orchestrator.send_to(&assignment, client)?;
    }
}

/// `Type:2;TID:…;SEQ:…;DATA:…` comes back as `Type:3;TID:…;SEQ:…;`.
fn acknowledge(socket: &UdpSocket) {
    let mut buffer = [0; 2048];
    while let Ok((length, client)) = socket.recv_from(&mut buffer) {
        let third_semicolon = (0..length).filter(|at| buffer[*at] == b';').nth(2);
        let Some(end) = third_semicolon else { continue };
        buffer[b"Type:".len()] = b'3';
        let _ = socket.send_to(&buffer[..=end], client);
    }
}
