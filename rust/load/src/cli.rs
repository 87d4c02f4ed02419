//! The command line: arguments to a [`Scenario`], a [`Report`] to text or JSON.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::{Asked, Error, Messages, Mode, Pace, Protocol, Report, Run, Scenario, Snapshot, Target, Timing, Transport};

/// Everything went well.
pub const OK: u8 = 0;
/// The run could not be made or ended before its time; standard error says why. What was measured is reported.
pub const FAILED: u8 = 1;
/// The arguments are wrong.
pub const USAGE: u8 = 2;
/// There is a report, and it has errors in it.
pub const ERRORS_COUNTED: u8 = 3;

#[derive(Parser)]
#[command(name = "hubbub-load", version, about = "Loads a WebSocket or Socket.IO server and says what it took")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Every connection sends messages and waits for them to come back
    Echo {
        #[command(flatten)]
        server: Server,
        /// Connections at once
        #[arg(long, default_value_t = 100)]
        connections: usize,
        #[command(flatten)]
        content: Content,
        /// Messages of each connection that are on their way at once
        #[arg(long, default_value_t = 1)]
        in_flight: usize,
        /// Messages a second, of all connections, at fixed times whatever comes back
        #[arg(long, conflicts_with = "in_flight")]
        rate: Option<f64>,
        /// Speak no WebSocket: expect the very bytes that were sent
        #[arg(long)]
        raw: bool,
        #[command(flatten)]
        time: Time,
    },
    /// Some connections send, the server passes it on to all of them
    Broadcast {
        #[command(flatten)]
        server: Server,
        /// Connections at once
        #[arg(long, default_value_t = 1000)]
        connections: usize,
        /// Connections that send
        #[arg(long, default_value_t = 1)]
        senders: usize,
        #[command(flatten)]
        content: Content,
        /// Broadcasts of each sender that are on their way at once
        #[arg(long, visible_alias = "in-flight", default_value_t = 1)]
        outstanding: usize,
        /// Broadcasts a second, of all senders, at fixed times whatever comes back
        #[arg(long, conflicts_with = "outstanding")]
        rate: Option<f64>,
        #[command(flatten)]
        time: Time,
    },
    /// Connections are opened and kept, and say nothing
    Idle {
        #[command(flatten)]
        server: Server,
        /// Connections at once
        #[arg(long, default_value_t = 10_000)]
        connections: usize,
        /// Seconds to keep them
        #[arg(long, default_value = "5", value_parser = seconds)]
        hold: Duration,
    },
    /// Connections are opened, upgraded and closed over and over
    Connect {
        #[command(flatten)]
        server: Server,
        /// Connections at once
        #[arg(long, default_value_t = 64)]
        connections: usize,
        /// All are dropped at once and come back at once, again and again
        #[arg(long)]
        storm: bool,
        #[command(flatten)]
        time: Time,
    },
}

#[derive(Args)]
struct Server {
    /// The server, as ws://host:port/path or wss://host:port/path
    #[arg(long)]
    url: String,
    /// Speak Socket.IO, by this transport: the messages are the texts of events called echo or broadcast
    #[arg(long, value_name = "TRANSPORT", num_args = 0..=1, default_missing_value = "websocket", value_parser = transport)]
    socketio: Option<Transport>,
    /// Threads that share the connections
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// A header field of the handshake, as 'Name: value'; may be repeated
    #[arg(long, value_name = "FIELD", value_parser = header)]
    header: Vec<(String, String)>,
    /// A subprotocol to offer; may be repeated
    #[arg(long)]
    subprotocol: Vec<String>,
    /// The Origin field
    #[arg(long)]
    origin: Option<String>,
    /// Agree on permessage-deflate and send every message deflated
    #[arg(long)]
    deflate: bool,
    /// An address to connect from; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    source: Vec<IpAddr>,
    /// Authorities in PEM format that the server's certificate must come from (default: any certificate will do)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Seconds to wait for a handshake or a reply without any progress
    #[arg(long, default_value = "5", value_parser = seconds)]
    timeout: Duration,
    /// A process of the server, to read its CPU time and memory and those of its descendants; may be repeated
    #[arg(long = "server-pid", value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    server_pids: Vec<i32>,
    /// Never sleep: takes a whole core, and keeps the time of waking up out of the latencies
    #[arg(long)]
    spin: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Content {
    /// Payload bytes of a message
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// Send binary rather than text messages
    #[arg(long)]
    binary: bool,
}

#[derive(Args)]
struct Time {
    /// Seconds that are measured
    #[arg(long, default_value = "5", value_parser = seconds)]
    duration: Duration,
    /// Seconds of load before
    #[arg(long, default_value = "1", value_parser = seconds)]
    warmup: Duration,
}

/// Runs the command line (with the program's name as the first argument) and returns the exit status.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way, too. There is nobody to tell if the terminal is gone.
            let _ = error.print();
            return if error.use_stderr() { USAGE } else { OK };
        }
    };
    let report = arguments.command.into_scenario().and_then(|(scenario, json)| {
        let run = Run::start(scenario)?;
        show_progress(&run);
        Ok((run.report()?, json))
    });
    match report {
        Ok((report, json)) => tell(&report, json),
        Err(error) => {
            eprintln!("hubbub-load: {error}");
            match error {
                Error::BadScenario(_) | Error::BadUrl { .. } => USAGE,
                _ => FAILED,
            }
        }
    }
}

/// Prints the report, if there is something in it.
fn tell(report: &Report, json: bool) -> u8 {
    let text = if json { report.to_json() + "\n" } else { report.to_string() };
    if !report.is_empty() && std::io::stdout().write_all(text.as_bytes()).is_err() {
        return FAILED;
    }
    match &report.error {
        Some(error) => {
            eprintln!("hubbub-load: {error}");
            FAILED
        }
        None if report.error_count() == 0 => OK,
        None => ERRORS_COUNTED,
    }
}

impl Command {
    fn into_scenario(self) -> Result<(Scenario, bool), Error> {
        let pace = |in_flight, rate: Option<f64>| rate.map_or(Pace::InFlight(in_flight), Pace::Rate);
        let (server, connections, mode) = match self {
            Command::Echo { server, connections, content, in_flight, rate, raw, time } => {
                let (pace, timing) = (pace(in_flight, rate), time.into());
                (server, connections, Mode::Echo { messages: content.into(), pace, raw, timing })
            }
            Command::Broadcast { server, connections, senders, content, outstanding, rate, time } => {
                let (pace, timing) = (pace(outstanding, rate), time.into());
                (server, connections, Mode::Broadcast { messages: content.into(), pace, senders, timing })
            }
            Command::Idle { server, connections, hold } => (server, connections, Mode::Idle { hold }),
            Command::Connect { server, connections, storm, time } => {
                (server, connections, Mode::Connect { storm, timing: time.into() })
            }
        };
        let (target, protocol) = match server.socketio {
            Some(transport) => (Target::socketio(&server.url)?, Protocol::SocketIo(transport)),
            None => (server.url.parse()?, Protocol::WebSocket),
        };
        let scenario = Scenario {
            protocol,
            threads: server.threads,
            asked: Asked {
                headers: server.header,
                subprotocols: server.subprotocol,
                origin: server.origin,
                deflate: server.deflate,
            },
            sources: server.source,
            ca: server.ca,
            patience: server.timeout,
            server_pids: server.server_pids,
            spin: server.spin,
            ..Scenario::new(target, connections, mode)
        };
        Ok((scenario, server.json))
    }
}

impl From<Content> for Messages {
    fn from(Content { size, binary }: Content) -> Messages {
        Messages { size, binary }
    }
}

impl From<Time> for Timing {
    fn from(Time { warmup, duration }: Time) -> Timing {
        Timing { warmup, duration }
    }
}

/// A number of seconds from nothing to a day.
fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("not a number of seconds from 0 to 86400".to_owned()),
    }
}

/// What carries Socket.IO.
fn transport(text: &str) -> Result<Transport, String> {
    let known = [Transport::WebSocket, Transport::Polling];
    known.into_iter().find(|transport| transport.name() == text).ok_or("websocket or polling is wanted".to_owned())
}

/// A header field.
fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
        None => Err("not a field: 'Name: value' is wanted".to_owned()),
    }
}

/// Shows how the run goes on, on a terminal only.
fn show_progress(run: &Run) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    while !run.is_over() {
        let Snapshot { stage, stage_seconds, open, messages, .. } = run.snapshot();
        eprint!("\r\x1b[K{stage:?} {stage_seconds:.1} s: {open} connections, {messages} messages\r");
        std::thread::sleep(INTERVAL);
    }
    eprint!("\r\x1b[K");
}

/// Between two looks at a run.
const INTERVAL: Duration = Duration::from_millis(200);
