//! What these tests stand on: a server with a recording handler on threads of its own or turn by turn, and a client
//! on a blocking socket. Nothing sleeps; everything waits for an event, at most [`PATIENCE`].

#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say so by failing")]

pub(crate) mod client;
pub(crate) mod house;
pub(crate) mod http;
pub(crate) mod patron;
pub(crate) mod recorder;
pub(crate) mod secure;
pub(crate) mod turns;

use std::time::Duration;

use hubbub_net::{Bind, Endpoint, Limits, Settings};

/// How long a test waits for something that must come, on a machine that has much else to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Settings under which nothing happens by itself: no keepalive pings.
pub(crate) fn quiet() -> Settings {
    Settings { limits: Limits { ping_interval: None, ..Limits::default() }, ..Settings::default() }
}

/// As [`quiet`], with other limits.
pub(crate) fn limited(change: impl FnOnce(&mut Limits)) -> Settings {
    let mut settings = quiet();
    change(&mut settings.limits);
    settings
}

/// As [`quiet`], with these endpoints.
pub(crate) fn serving(endpoints: Vec<Endpoint>) -> Settings {
    Settings { endpoints, ..quiet() }
}

pub(crate) fn loopback() -> Bind {
    tcp("127.0.0.1", 0)
}

pub(crate) fn tcp(host: &str, port: u16) -> Bind {
    Bind::Tcp { host: host.into(), port, backlog: 1024, reuse_port: false }
}

/// A path that no other test and no earlier run has.
pub(crate) fn fresh_path(name: &str) -> std::path::PathBuf {
    let stamp = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}-{stamp}", std::process::id()))
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % below
    }
}

pub(crate) fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + at / 251) as u8).collect()
}

pub(crate) fn text(len: usize) -> String {
    (0..len).map(|at| char::from(b'a' + (at % 26) as u8)).collect()
}
