//! What is known of a run: its series, and what was counted.

use std::time::Duration;

use serde::Serialize;

use crate::board::Stage;
use crate::distribution::Latency;
use crate::tally::Tally;

/// All that is known of a run so far.
pub(crate) struct Record {
    pub(crate) series: Vec<Point>,
    /// The measured window.
    pub(crate) window: Tally,
    /// The whole run.
    pub(crate) total: Tally,
    /// How long the window was, and the CPU time in it.
    pub(crate) lasted: Duration,
    pub(crate) server_cpu: Option<Duration>,
    /// CPU time of each thread in the window.
    pub(crate) threads_cpu: Vec<Duration>,
    pub(crate) resident: Option<Resident>,
    /// Connections that were open when all was well.
    pub(crate) connected: usize,
    /// Seconds until all connections were open.
    pub(crate) connecting: f64,
    /// Seconds that each storm took.
    pub(crate) storms: Vec<f64>,
    pub(crate) stopped: bool,
}

/// One interval of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// Its end, in seconds since the run began.
    pub at: f64,
    /// Its length.
    pub seconds: f64,
    /// What the run was doing.
    pub stage: Stage,
    /// Connections that were open at its end.
    pub open: usize,
    /// Replies, deliveries or handshakes.
    pub received_per_second: f64,
    /// Messages sent.
    pub sent_per_second: f64,
    /// Bytes of the WebSocket streams.
    pub bytes_in_per_second: f64,
    /// The same for what was sent.
    pub bytes_out_per_second: f64,
    /// Of what came in this interval.
    pub latency_us: Option<Latency>,
    /// Errors of all kinds.
    pub errors: u64,
    /// Cores that the generator's threads kept busy.
    pub generator_cpu_share: f64,
    /// The busiest of them.
    pub generator_busiest_share: f64,
    /// Cores that the server kept busy.
    pub server_cpu_share: Option<f64>,
    /// The server's resident memory in bytes.
    pub server_resident: Option<u64>,
}

/// Resident bytes of the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resident {
    pub(crate) before: u64,
    pub(crate) after: u64,
}
