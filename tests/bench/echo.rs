//! The plainest servers that a client can be measured against: an orchestrator, and receivers that only turn each datagram
//! into its ack. They run in a process of their own, which can be pinned. The same ones serve the bare loop and mdalp.

use super::child::{self, Kept};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::process::Stdio;
use std::thread;

pub const TID: u64 = 3740;

/// The servers' process, and where it listens.
pub struct Echo {
    _process: Kept,
    pub orchestrator: u16,
    pub receivers: u16,
}

impl Echo {
    pub fn start(receivers: usize, pin: Option<usize>) -> io::Result<Echo> {
        let mut command = child::pinned(&std::env::current_exe()?, pin);
        command.args(["echo", &receivers.to_string()]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Kept(command.spawn()?);
        let mut line = String::new();
        if let Some(stdout) = process.0.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let mut ports = line.split_whitespace().filter_map(|word| word.parse().ok());
        match (ports.next(), ports.next()) {
            (Some(orchestrator), Some(receivers)) => Ok(Echo { _process: process, orchestrator, receivers }),
            _ => Err(io::Error::other("the servers did not start")),
        }
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
        list.push(format!("{{'ip_address': '{}', 'name': 'R{index}'}}", address(index)));
        thread::Builder::new().spawn(move || acknowledge(&socket))?;
    }
    println!("{} {port}", orchestrator.local_addr()?.port());
    io::stdout().flush()?;
    let assignment = format!("Type:1;TID:{TID};DATA:[{}];", list.join(", "));
    let mut buffer = [0; 100];
    loop {
        let (_, client) = orchestrator.recv_from(&mut buffer)?;
        orchestrator.send_to(assignment.as_bytes(), client)?;
    }
}

/// `Type:2;TID:…;SEQ:…;DATA:…` comes back as `Type:3;TID:…;SEQ:…;`.
fn acknowledge(socket: &UdpSocket) {
    let mut buffer = [0; 2048];
    while let Ok((length, client)) = socket.recv_from(&mut buffer) {
        let Some(datagram) = buffer.get_mut(..length) else { continue };
        let semicolons = datagram.iter().enumerate().filter(|(_, byte)| **byte == b';');
        let Some((third, _)) = semicolons.take(3).last() else { continue };
        if let Some(kind) = datagram.get_mut(b"Type:".len()) {
            *kind = b'3';
        }
        let _ = socket.send_to(datagram.get(..=third).unwrap_or_default(), client);
    }
}
