//! The crate as another program uses it: cancelled, asked why it failed, shared between threads.

use crate::loopback::{Receiver, Script, Servers, closed_port, ms};
use crate::support::{long_timeouts, payload};
use mdalp::error::HandshakeError;
use mdalp::{Client, Error, Event, ExitStatus, Mode, Options, Payload, Report};
use std::error::Error as _;
use std::io::ErrorKind;
use std::ops::ControlFlow;

#[test]
fn an_observer_cancels_a_transfer_and_is_told_nothing_more() {
    let servers = Servers::start(Script::new().receiver(Receiver::named("A").ack_delay(ms(5))));
    let options = Options { progress: Some(ms(1)), ..long_timeouts(&servers, 1) };
    let mut after = 0;
    let mut observer = |event: &Event<'_>| {
        let cancel = matches!(event, Event::Progress { acked_bytes: 1.., .. }) || after > 0;
        after += u32::from(cancel);
        if cancel { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let client = Client::with_options(servers.orchestrator(), options);
    let payload = Payload::from_bytes(payload(100_000)).unwrap();
    let error = client.send_observed(&payload, Mode::Balance, &mut observer).unwrap_err();
    assert_eq!((error.exit_status(), after), (ExitStatus::Incomplete, 1));
    let Error::Cancelled { report: Some(report) } = &error else { panic!("{error}") };
    assert!(report.acked_bytes() > 0 && !report.is_complete());
    assert!(error.to_string().starts_with("transfer: cancelled, "), "{error}");
}

#[test]
fn an_observer_cancels_before_anything_is_sent() {
    let servers = Servers::start(Script::new().receivers(1));
    let payload = Payload::from_bytes("x").unwrap();
    for at in ["assigned", "latencies"] {
        let client = Client::with_options(servers.orchestrator(), long_timeouts(&servers, 1));
        let mut observer = |event: &Event<'_>| match event {
            Event::Assigned { .. } if at == "assigned" => ControlFlow::Break(()),
            Event::Latencies { .. } => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        let error = client.send_observed(&payload, Mode::Balance, &mut observer).unwrap_err();
        assert!(matches!(error, Error::Cancelled { report: None }), "{error}");
        assert_eq!(servers.judge().unwrap().packets(), 0);
    }
}

#[test]
fn receiver_0_is_refused_before_the_orchestrator_is_asked() {
    let servers = Servers::start(Script::new().receivers(1));
    let client = Client::with_options(servers.orchestrator(), long_timeouts(&servers, 1));
    let error = client.send(&Payload::from_bytes("x").unwrap(), Mode::Single(0)).unwrap_err();
    assert_eq!(error.to_string(), "receiver 0: receivers are counted from 1");
    assert_eq!((error.exit_status(), servers.intents()), (ExitStatus::Usage, 0));
}

#[test]
fn errors_can_be_matched_and_have_the_system_s_as_their_source() {
    let kind = |error: &dyn std::error::Error| {
        error.source().and_then(|source| source.downcast_ref::<std::io::Error>()).map(std::io::Error::kind)
    };
    let missing = Error::Payload(Payload::open("/nonexistent").unwrap_err());
    assert_eq!(kind(&missing), Some(ErrorKind::NotFound));
    let payload = Payload::from_bytes("x").unwrap();
    let bind = Some("192.0.2.77".parse().unwrap());
    let client = Client::with_options(closed_port().unwrap(), Options { bind, ..Options::default() });
    let error = client.send(&payload, Mode::Balance).unwrap_err();
    assert!(
        matches!(error, Error::Bind { .. }) && kind(&error) == Some(ErrorKind::AddrNotAvailable),
        "{error:?}"
    );
    let error = Client::new(closed_port().unwrap()).send(&payload, Mode::Balance).unwrap_err();
    assert!(matches!(error, Error::Orchestrator { problem: HandshakeError::PortClosed, .. }), "{error:?}");
    assert!(error.source().is_none() && !error.to_string().contains("-p"), "{error}");
}

#[test]
fn what_the_documentation_says_of_threads_holds() {
    fn shared<T: Send + Sync>() {}
    shared::<Client>();
    shared::<Payload>();
    shared::<Options>();
    shared::<Report>();
    shared::<Error>();
}
