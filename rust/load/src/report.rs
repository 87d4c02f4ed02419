//! What a run found out.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::distribution::{Bar, Latency, Percentile, bars, percentiles};
use crate::error::Error;
use crate::record::{Point, Record, Resident};
use crate::scenario::{Mode, Pace, Protocol, Scenario};

/// The result of a run. Serialises to the JSON object that `--json` prints.
#[derive(Debug, Serialize)]
pub struct Report {
    /// `echo`, `broadcast`, `listen`, `idle` or `connect`.
    pub mode: &'static str,
    /// `websocket` or `socketio`; absent where bytes are echoed.
    pub protocol: Option<&'static str>,
    /// Socket.IO: `websocket` or `polling`.
    pub transport: Option<&'static str>,
    /// The server.
    pub url: String,
    /// Connections that were wanted.
    pub connections: usize,
    /// Connections that were open.
    pub connected: usize,
    /// Seconds until all were open.
    pub connecting_seconds: f64,
    /// Threads of the generator.
    pub threads: usize,
    /// Payload bytes of a message (Socket.IO: of the text in an event); absent where none are sent.
    pub size: Option<usize>,
    /// Messages are binary.
    pub binary: Option<bool>,
    /// Closed loop: messages in flight per connection, or broadcasts of each sender.
    pub in_flight: Option<usize>,
    /// Open loop: messages that were to be sent each second.
    pub rate: Option<f64>,
    /// Broadcast: connections that send.
    pub senders: Option<usize>,
    /// Messages were deflated.
    pub deflate: bool,
    /// Seconds of load that were not measured.
    pub warmup_seconds: f64,
    /// How long the measured window was.
    pub seconds: f64,
    /// Echo: replies. Broadcast: deliveries. Connect: handshakes. All within the window.
    pub messages: u64,
    /// The same, each second.
    pub messages_per_second: f64,
    /// Messages sent within the window.
    pub sent: u64,
    /// The same, each second.
    pub sent_per_second: f64,
    /// Bytes of the WebSocket streams (long polling: of HTTP) in the window, headers included, as they are before TLS.
    pub bytes_in: u64,
    /// The same for what was sent.
    pub bytes_out: u64,
    /// Microseconds from when a message was sent (open loop: from when it was due) to its reply or delivery; connect: from
    /// starting to connect to the handshake's answer.
    pub latency_us: Option<Latency>,
    /// Open loop of echoes: microseconds from when a message was written, as if nothing had held it up before.
    pub service_us: Option<Latency>,
    /// Listening: microseconds from one message of a connection to its next; those that were read together have 0.
    pub gap_us: Option<Latency>,
    /// Points of the latencies' distribution, for a curve.
    pub percentiles: Vec<Percentile>,
    /// How many latencies fell between which bounds.
    pub histogram: Vec<Bar>,
    /// Microseconds of CPU, user and system, all threads, that the server used for each message.
    pub server_cpu_us_per_message: Option<f64>,
    /// Cores that the server kept busy in the window: 1.0 is one.
    pub server_cpu_share: Option<f64>,
    /// Cores that the threads of the generator kept busy in the window.
    pub generator_cpu_share: f64,
    /// The busiest of them. At 1.0 it, not the server, sets the pace.
    pub generator_busiest_share: f64,
    /// Microseconds of CPU that the generator used for each message.
    pub generator_cpu_us_per_message: Option<f64>,
    /// The server's resident memory, before the connections were opened and at the end of the window.
    pub memory: Option<Memory>,
    /// Storm: seconds until all connections were back, for each storm.
    pub storms: Vec<f64>,
    /// How often each kind of error occurred, over the whole run.
    pub errors: BTreeMap<&'static str, u64>,
    /// What was counted over the whole run: what the server's own counts can be compared with.
    pub totals: Totals,
    /// What happened when.
    pub series: Vec<Point>,
    /// The caller ended the run before its time.
    pub stopped: bool,
    /// What the figures cannot be trusted for.
    pub warnings: Vec<String>,
    /// Why the run ended before its time.
    #[serde(rename = "failed", skip_serializing_if = "Option::is_none", serialize_with = "in_words")]
    pub error: Option<Error>,
}

/// Counts of a whole run: connecting, warm-up and the last replies are in them.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Totals {
    /// Messages sent.
    pub sent: u64,
    /// Replies, deliveries or handshakes.
    pub received: u64,
    /// Broadcast: calls that were sent to find out who listens.
    pub calls_sent: u64,
    /// Their deliveries.
    pub calls_received: u64,
    /// Bytes of the WebSocket streams.
    pub bytes_in: u64,
    /// The same for what was sent.
    pub bytes_out: u64,
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

/// A thread that is busier than this is said to set the pace.
const BUSY: f64 = 0.9;

impl Report {
    pub(crate) fn new(scenario: &Scenario, record: Record, error: Option<Error>) -> Report {
        let Record { series, window, total, lasted, server_cpu, threads_cpu, resident, .. } = record;
        let messages = scenario.mode.messages();
        let (in_flight, rate) = match scenario.mode.pace() {
            Some(Pace::InFlight(count)) => (Some(count), None),
            Some(Pace::Rate(rate)) => (None, Some(rate)),
            None => (None, None),
        };
        let senders = match scenario.mode {
            Mode::Broadcast { senders, .. } => Some(senders),
            _ => None,
        };
        let per_second = |count: u64| if lasted.is_zero() { 0.0 } else { count as f64 / lasted.as_secs_f64() };
        let per_message =
            |cpu: Duration| (window.messages > 0).then(|| cpu.as_secs_f64() * 1e6 / window.messages as f64);
        let share = |cpu: Duration| if lasted.is_zero() { 0.0 } else { cpu.as_secs_f64() / lasted.as_secs_f64() };
        let second = window.second.as_ref().and_then(Latency::of);
        let (listens, field) = match &scenario.mode {
            Mode::Listen { field, .. } => (true, field.as_deref()),
            _ => (false, None),
        };
        let own_cpu: Duration = threads_cpu.iter().sum();
        let mut report = Report {
            mode: scenario.mode.name(),
            protocol: match (scenario.protocol, &scenario.mode) {
                (_, Mode::Echo { raw: true, .. }) => None,
                (Protocol::WebSocket, _) => Some("websocket"),
                (Protocol::SocketIo(_), _) => Some("socketio"),
            },
            transport: match scenario.protocol {
                Protocol::WebSocket => None,
                Protocol::SocketIo(transport) => Some(transport.name()),
            },
            url: scenario.target.to_string(),
            connections: scenario.connections,
            connected: record.connected,
            connecting_seconds: record.connecting,
            threads: scenario.threads,
            size: messages.map(|messages| messages.size),
            binary: messages.map(|messages| messages.binary),
            in_flight,
            rate,
            senders,
            deflate: scenario.asked.deflate,
            warmup_seconds: scenario.mode.timing().warmup.as_secs_f64(),
            seconds: lasted.as_secs_f64(),
            messages: window.messages,
            messages_per_second: per_second(window.messages),
            sent: window.sent,
            sent_per_second: per_second(window.sent),
            bytes_in: window.bytes.read,
            bytes_out: window.bytes.written,
            latency_us: Latency::of(&window.latency),
            service_us: second.filter(|_| !listens),
            gap_us: second.filter(|_| listens),
            percentiles: percentiles(&window.latency),
            histogram: bars(&window.latency),
            server_cpu_us_per_message: server_cpu.and_then(per_message),
            server_cpu_share: server_cpu.map(share),
            generator_cpu_share: share(own_cpu),
            generator_busiest_share: share(threads_cpu.iter().max().copied().unwrap_or_default()),
            generator_cpu_us_per_message: per_message(own_cpu),
            memory: resident.map(|Resident { before, after }| Memory {
                resident_before: before,
                resident_after: after,
                bytes_per_connection: (after as f64 - before as f64) / scenario.connections as f64,
            }),
            storms: record.storms,
            errors: total.faults.by_kind(),
            totals: Totals {
                sent: total.sent,
                received: total.messages,
                calls_sent: total.calls_sent,
                calls_received: total.calls_received,
                bytes_in: total.bytes.read,
                bytes_out: total.bytes.written,
            },
            series,
            stopped: record.stopped,
            warnings: Vec::new(),
            error,
        };
        report.warnings = report.doubts(scenario.spin);
        if let (Some(field), None, 1..) = (field, report.latency_us, report.messages) {
            let found = format!("no message had a time since 1970 under the name {field:?}, so there are no latencies");
            report.warnings.push(found);
        }
        report
    }

    /// What the figures cannot be trusted for.
    fn doubts(&self, spin: bool) -> Vec<String> {
        let mut doubts = Vec::new();
        if self.generator_busiest_share > BUSY && !spin {
            doubts.push(format!(
                "a thread of the generator used {:.0} % of a core: the figures may be its limit, not the server's \
                 (more --threads, if there are cores for them)",
                self.generator_busiest_share * 100.0
            ));
        }
        if let Some(rate) = self.rate.filter(|rate| self.seconds > 0.0 && self.sent_per_second < rate * 0.98) {
            doubts.push(format!(
                "only {:.0} of {rate:.0} messages a second were sent: the generator could not keep up",
                self.sent_per_second
            ));
        }
        doubts
    }

    /// Errors of all kinds.
    pub fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.messages == 0 && self.storms.is_empty() && (self.mode != "idle" || self.seconds == 0.0)
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

fn in_words<S: Serializer>(error: &Option<Error>, serializer: S) -> Result<S::Ok, S::Error> {
    match error {
        Some(error) => serializer.collect_str(error),
        None => serializer.serialize_none(),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(transport) = self.transport {
            write!(f, "socketio over {transport}: ")?;
        }
        write!(f, "{} {}, {} connections", self.mode, self.url, self.connections)?;
        if let Some(size) = self.size {
            write!(f, ", {size} B")?;
        }
        if let Some(in_flight) = self.in_flight {
            write!(f, ", {in_flight} in flight")?;
        }
        if let Some(rate) = self.rate {
            write!(f, ", {rate}/s")?;
        }
        writeln!(f, ", {:.1} s", self.seconds)?;
        if self.mode != "idle" {
            writeln!(f, "  rate        {:>12.0} {}/s", self.messages_per_second, self.unit())?;
        }
        if let Some(Latency { p50, p90, p99, p999, max, .. }) = self.latency_us {
            writeln!(f, "  latency     p50 {p50:.1} us  p90 {p90:.1}  p99 {p99:.1}  p99.9 {p999:.1}  max {max:.1}")?;
        }
        if let Some(Latency { p50, p90, p99, p999, max, .. }) = self.gap_us {
            writeln!(f, "  gap         p50 {p50:.1} us  p90 {p90:.1}  p99 {p99:.1}  p99.9 {p999:.1}  max {max:.1}")?;
        }
        if let Some(Latency { p50, p90, p99, p999, max, .. }) = self.service_us {
            writeln!(f, "  service     p50 {p50:.1} us  p90 {p90:.1}  p99 {p99:.1}  p99.9 {p999:.1}  max {max:.1}")?;
        }
        for (number, seconds) in self.storms.iter().enumerate() {
            writeln!(f, "  storm {:<5} {seconds:>12.3} s until all were back", number + 1)?;
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
        for warning in &self.warnings {
            writeln!(f, "  WARNING     {warning}")?;
        }
        Ok(())
    }
}
