//! How far a run has come, for whoever watches it.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;

use crate::board::Stage;
use crate::distribution::Latency;
use crate::record::Point;

/// A look at a run that is under way.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// What it is doing.
    pub stage: Stage,
    /// How long the stage has lasted.
    pub stage_seconds: f64,
    /// How long it is to last; at most so long, for the last replies.
    pub planned_seconds: Option<f64>,
    /// Connections that are wanted.
    pub connections: usize,
    /// Connections that are open.
    pub open: usize,
    /// Broadcast: connections that have heard a roll call.
    pub gathered: usize,
    /// What was counted in the measured window so far.
    pub messages: u64,
    /// Latencies of the measured window so far.
    pub latency_us: Option<Latency>,
    /// Errors by kind, since the run began.
    pub errors: BTreeMap<&'static str, u64>,
    /// The last interval.
    pub point: Option<Point>,
    /// Messages received each second in the last intervals, the latest last.
    pub recent: Vec<f64>,
    /// Seconds that each storm took.
    pub storms: Vec<f64>,
    #[serde(skip)]
    pub(crate) entered: Instant,
}

impl Snapshot {
    pub(crate) fn new(connections: usize) -> Snapshot {
        Snapshot {
            stage: Stage::Connecting,
            stage_seconds: 0.0,
            planned_seconds: None,
            connections,
            open: 0,
            gathered: 0,
            messages: 0,
            latency_us: None,
            errors: BTreeMap::new(),
            point: None,
            recent: Vec::new(),
            storms: Vec::new(),
            entered: Instant::now(),
        }
    }

    /// One JSON object.
    pub fn to_json(&self) -> String {
        // Numbers, strings and maps with string keys cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}
