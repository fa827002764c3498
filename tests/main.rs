//! All integration tests, a module a theme.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, clippy::print_stderr, clippy::print_stdout)]

mod deadline;
mod failover;
mod hostile_orchestrator;
mod hostile_receivers;
mod installed;
mod library;
mod loopback;
mod loopback_servers;
mod manual;
mod output;
mod payload_trouble;
mod simulation;
mod support;
mod system_errors;
mod tidy;
mod transfer;
