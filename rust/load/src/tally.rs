//! What one thread has counted since it last handed over.

use std::time::Duration;

use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};

use crate::desk::Bytes;
use crate::error::Error;
use crate::faults::Faults;

/// Counts of one thread.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// Replies, deliveries or handshakes.
    pub(crate) messages: u64,
    /// Messages sent.
    pub(crate) sent: u64,
    /// Roll calls sent and received.
    pub(crate) calls_sent: u64,
    pub(crate) calls_received: u64,
    pub(crate) bytes: Bytes,
    /// Nanoseconds from when a message was due to its reply.
    pub(crate) latency: Histogram<u64>,
    /// A second distribution, in nanoseconds. Where messages are sent at fixed times: from when one was written to its
    /// reply. Where the server sends by itself: from one message of a connection to the next.
    pub(crate) second: Option<Histogram<u64>>,
    pub(crate) faults: Faults,
    /// CPU time of the thread since it began.
    pub(crate) cpu: Duration,
}

impl Tally {
    pub(crate) fn new(second: bool) -> Result<Tally, Error> {
        Ok(Tally {
            messages: 0,
            sent: 0,
            calls_sent: 0,
            calls_received: 0,
            bytes: Bytes::default(),
            latency: histogram()?,
            second: second.then(histogram).transpose()?,
            faults: Faults::default(),
            cpu: Duration::ZERO,
        })
    }

    /// One message that took this long.
    pub(crate) fn count(&mut self, nanoseconds: u64) {
        self.messages += 1;
        self.latency.saturating_record(nanoseconds);
    }

    /// Adds what another has counted; its CPU time, which is a sum already, is left out.
    pub(crate) fn add(&mut self, other: &Tally) {
        self.messages += other.messages;
        self.sent += other.sent;
        self.calls_sent += other.calls_sent;
        self.calls_received += other.calls_received;
        self.bytes.read += other.bytes.read;
        self.bytes.written += other.bytes.written;
        self.add_latencies(other);
        self.faults.add(&other.faults);
    }

    /// Adds the latencies alone.
    pub(crate) fn add_latencies(&mut self, other: &Tally) {
        // INVARIANT: all histograms have the same bounds, so none refuses another's values.
        let _ = self.latency.add(&other.latency);
        if let (Some(mine), Some(others)) = (&mut self.second, &other.second) {
            let _ = mine.add(others);
        }
    }
}

fn histogram() -> Result<Histogram<u64>, Error> {
    // 1 ns to 1000 s in three digits: a table of some 250 KiB.
    Histogram::new_with_bounds(1, 1_000_000_000_000, 3)
        .map_err(|error| Error::BadScenario(format!("cannot make a histogram: {error}")))
}

/// CPU time of the calling thread.
pub(crate) fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
