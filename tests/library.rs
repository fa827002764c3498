//! The crate as another program uses it: cancelled, asked why it failed, shared between threads.

use crate::loopback::{Receiver, Script, Servers, closed_port, ms};
use crate::support::{long_timeouts, payload};
use mdalp::error::HandshakeError;
use mdalp::{Client, Error, Event, ExitStatus, Mode, Options, Payload, Report};
use std::error::Error as _;
use std::io::ErrorKind;
use std::ops::ControlFlow;

/// The error of a transfer that the observer cancels as soon as this happens. It gets no further event.
fn cancelled(servers: &Servers, happens: impl Fn(&Event<'_>) -> bool) -> Error {
    let mut is_over = false;
    let mut observer = |event: &Event<'_>| {
        assert!(!is_over, "{event:?}");
        is_over = happens(event);
        if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let options = Options { progress: Some(ms(1)), ..long_timeouts(servers, 1) };
    let client = Client::with_options(servers.orchestrator(), options);
    let payload = Payload::from_bytes(payload(100_000)).unwrap();
    client.send_observed(&payload, Mode::Balance, &mut observer).unwrap_err()
}

#[test]
fn an_observer_cancels_a_transfer_and_gets_no_more_events() {
    let servers = Servers::start(Script::new().receiver(Receiver::named("A").ack_delay(ms(5))));
    let error = cancelled(&servers, |event| matches!(event, Event::Progress { acked_bytes: 1.., .. }));
    assert_eq!(error.exit_status(), ExitStatus::Incomplete);
    let Error::Cancelled { report: Some(report) } = &error else { panic!("{error}") };
    assert!(report.acked_bytes() > 0 && !report.is_complete());
    assert!(error.to_string().starts_with("transfer: cancelled, "), "{error}");
}

#[test]
fn an_observer_cancels_before_anything_is_sent() {
    let servers = Servers::start(Script::new().receivers(1));
    let events: [fn(&Event<'_>) -> bool; 2] =
        [|event| matches!(event, Event::Assigned { .. }), |event| matches!(event, Event::Latencies { .. })];
    for event in events {
        let error = cancelled(&servers, event);
        assert!(matches!(error, Error::Cancelled { report: None }), "{error}");
        assert_eq!(servers.judge().unwrap().packets(), 0);
    }
}

#[test]
fn receiver_0_is_refused_before_the_orchestrator_is_asked() {
    let servers = Servers::start(Script::new().receivers(1));
    let client = Client::new(servers.orchestrator());
    let error = client.send(&Payload::from_bytes("x").unwrap(), Mode::Single(0)).unwrap_err();
    assert_eq!(error.to_string(), "receiver 0: receivers are counted from 1");
    assert_eq!((error.exit_status(), servers.intents()), (ExitStatus::Usage, 0));
}

#[test]
fn errors_can_be_matched_and_have_the_system_s_as_their_source() {
    let kind = |error: &Error| error.source()?.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    let missing = Error::Payload(Payload::open("/nonexistent").unwrap_err());
    assert_eq!(kind(&missing), Some(ErrorKind::NotFound));
    let payload = Payload::from_bytes("x").unwrap();
    let send = |bind| {
        let client = Client::with_options(closed_port().unwrap(), Options { bind, ..Options::default() });
        client.send(&payload, Mode::Balance).unwrap_err()
    };
    let error = send(Some([192, 0, 2, 77].into()));
    assert!(matches!(error, Error::Bind { .. }), "{error:?}");
    assert_eq!(kind(&error), Some(ErrorKind::AddrNotAvailable));
    let error = send(None);
    assert!(matches!(error, Error::Orchestrator { problem: HandshakeError::PortClosed, .. }), "{error:?}");
    assert!(error.source().is_none() && !error.to_string().contains("-p"), "{error}");
}

#[test]
fn what_the_documentation_says_of_threads_holds() {
    fn shared<T: Send + Sync>() {}
    shared::<(Client, Payload, Options, Report, Error)>();
}
