//! Everything is one program: it is linked once, and the support is compiled once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say so by failing")]

mod accepting;
mod access_log;
mod closing;
mod comet;
mod comet_bounds;
mod comet_connections;
mod comet_endings;
mod compression;
mod embedded;
mod engineio;
mod exchanges;
mod figures;
mod keepalive;
mod limits;
mod messages;
mod opening;
mod operator;
mod panics;
mod rooms;
mod shutdown;
mod static_files;
mod streams;
mod support;
mod tls;
