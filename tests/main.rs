//! All integration tests, a module a theme.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod loopback;
mod servers;
mod simulation;
mod support;
mod transfer;
