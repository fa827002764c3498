//! Sends a file until Enter is pressed: `cargo run --example cancel -- 192.0.2.1:4650 FILE`.
#![allow(clippy::disallowed_methods, clippy::print_stdout)]

use mdalp::{Client, Error, Event, Mode, Options, Payload};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

static CANCELLED: AtomicBool = AtomicBool::new(false);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [orchestrator, file] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "two arguments")?;
    std::thread::spawn(|| {
        let read = std::io::stdin().read_line(&mut String::new());
        CANCELLED.store(read.is_ok(), Ordering::Relaxed);
    });
    // The observer is asked with every event; progress makes sure that there is one every 100 ms.
    let options = Options { progress: Some(Duration::from_millis(100)), ..Options::default() };
    let mut observer = |_: &Event<'_>| match CANCELLED.load(Ordering::Relaxed) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let client = Client::with_options(orchestrator.parse()?, options);
    match client.send_observed(&Payload::open(file)?, Mode::Balance, &mut observer) {
        Err(Error::Cancelled { report: None }) => println!("cancelled before anything was sent"),
        Err(Error::Cancelled { report: Some(report) }) => {
            println!("cancelled after {} of {} bytes", report.acked_bytes(), report.payload_bytes);
        }
        other => println!("{} bytes", other?.acked_bytes()),
    }
    Ok(())
}
