//! The command line: arguments to a [`Scenario`], a [`Report`](crate::Report) to text or JSON.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::{Error, Messages, Mode, Progress, Scenario, Target, Timing};

/// Everything went well.
pub const OK: u8 = 0;
/// There is no report; standard error says why.
pub const FAILED: u8 = 1;
/// The arguments are wrong.
pub const USAGE: u8 = 2;
/// There is a report, and it has errors in it.
pub const ERRORS_COUNTED: u8 = 3;

#[derive(Parser)]
#[command(name = "hubbub-load", version, about = "Loads a WebSocket server and says what it took")]
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
        /// Speak no WebSocket: expect the very bytes that were sent
        #[arg(long)]
        raw: bool,
        #[command(flatten)]
        time: Time,
    },
    /// One connection sends, the server passes it on to all of them
    Broadcast {
        #[command(flatten)]
        server: Server,
        /// Connections at once
        #[arg(long, default_value_t = 1000)]
        connections: usize,
        #[command(flatten)]
        content: Content,
        /// Broadcasts that are on their way at once
        #[arg(long, default_value_t = 1)]
        outstanding: usize,
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
        #[command(flatten)]
        time: Time,
    },
}

#[derive(Args)]
struct Server {
    /// The server, as ws://host:port/path or wss://host:port/path (whatever its certificate)
    #[arg(long)]
    url: Target,
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
    let (scenario, json) = arguments.command.into_scenario();
    match crate::run_observed(&scenario, &mut progress_line()) {
        Ok(report) => {
            let text = if json { report.to_json() + "\n" } else { report.to_string() };
            match std::io::stdout().write_all(text.as_bytes()) {
                Ok(()) if report.error_count() == 0 => OK,
                Ok(()) => ERRORS_COUNTED,
                Err(_) => FAILED,
            }
        }
        Err(error) => {
            eprintln!("hubbub-load: {error}");
            match error {
                Error::BadScenario(_) | Error::BadUrl { .. } => USAGE,
                _ => FAILED,
            }
        }
    }
}

impl Command {
    fn into_scenario(self) -> (Scenario, bool) {
        let (server, connections, mode) = match self {
            Command::Echo { server, connections, content, in_flight, raw, time } => {
                let mode = Mode::Echo { messages: content.into(), in_flight, raw, timing: time.into() };
                (server, connections, mode)
            }
            Command::Broadcast { server, connections, content, outstanding, time } => {
                let mode = Mode::Broadcast { messages: content.into(), outstanding, timing: time.into() };
                (server, connections, mode)
            }
            Command::Idle { server, connections, hold } => (server, connections, Mode::Idle { hold }),
            Command::Connect { server, connections, time } => {
                (server, connections, Mode::Connect { timing: time.into() })
            }
        };
        let Server { url: target, server_pids, spin, json } = server;
        (Scenario { target, mode, connections, server_pids, spin }, json)
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

/// Shows how the run goes on, on a terminal only.
fn progress_line() -> impl FnMut(&Progress) -> ControlFlow<()> {
    let shown = std::io::stderr().is_terminal();
    move |progress| {
        if shown {
            let Progress { stage, count, elapsed } = progress;
            eprint!("\r\x1b[K{stage} {:.1} s: {count}\r", elapsed.as_secs_f64());
        }
        ControlFlow::Continue(())
    }
}
