//! What a run found out.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::drive::Measured;
use crate::faults::Faults;
use crate::play::idle::Resident;
use crate::scenario::{Mode, Scenario};

/// The result of a run. Serialises to the JSON object that `--json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `echo`, `broadcast`, `idle` or `connect`.
    pub mode: &'static str,
    /// The server.
    pub url: String,
    /// Connections at once.
    pub connections: usize,
    /// Payload bytes of a message; absent where none are sent.
    pub size: Option<usize>,
    /// Messages in flight per connection, or broadcasts outstanding.
    pub in_flight: Option<usize>,
    /// How long the measured window was.
    pub seconds: f64,
    /// Echo: replies. Broadcast: deliveries. Connect: handshakes. All within the window.
    pub messages: u64,
    /// The same, each second.
    pub messages_per_second: f64,
    /// Microseconds from sending a message (starting to connect) to its reply or delivery (the handshake's answer).
    pub latency_us: Option<Latency>,
    /// Microseconds of CPU, user and system, all threads, that the server used for each message.
    pub server_cpu_us_per_message: Option<f64>,
    /// Cores that the server kept busy in the window: 1.0 is one.
    pub server_cpu_share: Option<f64>,
    /// Cores that this program kept busy in the window. At 1.0 it, not the server, sets the pace.
    pub generator_cpu_share: f64,
    /// Microseconds of CPU that this program used for each message.
    pub generator_cpu_us_per_message: Option<f64>,
    /// Idle only: the server's resident memory.
    pub memory: Option<Memory>,
    /// How often each kind of error occurred, over the whole run.
    pub errors: BTreeMap<&'static str, u64>,
}

/// The distribution of latencies, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// 90 of 100 are not longer.
    pub p90: f64,
    /// 99 of 100 are not longer.
    pub p99: f64,
    /// 999 of 1000 are not longer.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

/// The server's resident memory.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Memory {
    /// Bytes before the connections were opened.
    pub resident_before: u64,
    /// Bytes with all of them open.
    pub resident_after: u64,
    /// The difference for each connection.
    pub bytes_per_connection: f64,
}

impl Report {
    pub(crate) fn new(scenario: &Scenario, measured: Measured, resident: Option<Resident>, faults: &Faults) -> Report {
        let Measured { tally, lasted, server_cpu, own_cpu } = measured;
        let (size, in_flight) = match &scenario.mode {
            Mode::Echo { messages, in_flight: count, .. } | Mode::Broadcast { messages, outstanding: count, .. } => {
                (Some(messages.size), Some(*count))
            }
            Mode::Idle { .. } | Mode::Connect { .. } => (None, None),
        };
        let per_message = |cpu: Duration| (tally.messages > 0).then(|| cpu.as_secs_f64() * 1e6 / tally.messages as f64);
        let share = |cpu: Duration| cpu.as_secs_f64() / lasted.as_secs_f64();
        Report {
            mode: scenario.mode.name(),
            url: scenario.target.to_string(),
            connections: scenario.connections,
            size,
            in_flight,
            seconds: lasted.as_secs_f64(),
            messages: tally.messages,
            messages_per_second: tally.messages as f64 / lasted.as_secs_f64(),
            latency_us: (tally.messages > 0).then(|| {
                let us = |nanoseconds: u64| nanoseconds as f64 / 1000.0;
                let at = |quantile| us(tally.latency.value_at_quantile(quantile));
                Latency {
                    mean: tally.latency.mean() / 1000.0,
                    p50: at(0.5),
                    p90: at(0.9),
                    p99: at(0.99),
                    p999: at(0.999),
                    max: us(tally.latency.max()),
                }
            }),
            server_cpu_us_per_message: server_cpu.and_then(per_message),
            server_cpu_share: server_cpu.map(share),
            generator_cpu_share: share(own_cpu),
            generator_cpu_us_per_message: per_message(own_cpu),
            memory: resident.map(|Resident { before, after }| Memory {
                resident_before: before,
                resident_after: after,
                bytes_per_connection: (after as f64 - before as f64) / scenario.connections as f64,
            }),
            errors: faults.by_kind(),
        }
    }

    /// Errors of all kinds.
    pub fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    /// One JSON object.
    pub fn to_json(&self) -> String {
        // Numbers, strings and maps with string keys cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What `messages` counts.
    fn unit(&self) -> &'static str {
        match self.mode {
            "broadcast" => "deliveries",
            "connect" => "handshakes",
            _ => "messages",
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, {} connections", self.mode, self.url, self.connections)?;
        if let (Some(size), Some(in_flight)) = (self.size, self.in_flight) {
            write!(f, ", {size} B, {in_flight} in flight")?;
        }
        writeln!(f, ", {:.1} s", self.seconds)?;
        if self.mode != "idle" {
            writeln!(f, "  rate        {:>12.0} {}/s", self.messages_per_second, self.unit())?;
        }
        if let Some(Latency { p50, p90, p99, p999, max, .. }) = self.latency_us {
            writeln!(f, "  latency     p50 {p50:.1} us  p90 {p90:.1}  p99 {p99:.1}  p99.9 {p999:.1}  max {max:.1}")?;
        }
        if let Some(share) = self.server_cpu_share {
            write!(f, "  server      {:>11.1} % of a core", share * 100.0)?;
            if let Some(cost) = self.server_cpu_us_per_message {
                write!(f, ", {cost:.3} us CPU each")?;
            }
            writeln!(f)?;
        }
        write!(f, "  generator   {:>11.1} % of a core", self.generator_cpu_share * 100.0)?;
        if let Some(cost) = self.generator_cpu_us_per_message {
            write!(f, ", {cost:.3} us CPU each")?;
        }
        writeln!(f)?;
        if let Some(Memory { resident_before, resident_after, bytes_per_connection }) = self.memory {
            writeln!(
                f,
                "  resident    {:>12.0} B per connection ({resident_before} B before, {resident_after} B after)",
                bytes_per_connection
            )?;
        }
        for (kind, count) in &self.errors {
            writeln!(f, "  ERROR       {count:>12} {kind}")?;
        }
        Ok(())
    }
}
