//! Sends a file and shows progress: `cargo run --example progress -- 192.0.2.1:4650 FILE`.
#![allow(clippy::print_stdout)]

use mdalp::{Client, Event, Mode, Options, Payload};
use std::error::Error;
use std::ops::ControlFlow;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let [orchestrator, file] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "two arguments")?;
    let options = Options { progress: Some(Duration::from_secs(1)), ..Options::default() };
    let client = Client::with_options(orchestrator.parse()?, options);
    let report = client.send_observed(&Payload::open(file)?, Mode::Balance, &mut |event: &Event<'_>| {
        match event {
            Event::Assigned { receivers, .. } => println!("{} receivers", receivers.len()),
            Event::Progress { acked_bytes, payload_bytes, .. } => {
                println!("{acked_bytes} of {payload_bytes} bytes")
            }
            Event::Lost { receiver, loss, .. } => println!("lost {receiver}: {loss}"),
            _ => {}
        }
        ControlFlow::Continue(())
    })?;
    println!("{} bytes, {} packets resent", report.acked_bytes(), report.retransmissions());
    Ok(())
}
