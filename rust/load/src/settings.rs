//! A scenario as one flat JSON object: what the Python side hands over.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::error::Error;
use crate::scenario::{Asked, Messages, Mode, PATIENCE, Pace, Protocol, Scenario, Timing, Transport};
use crate::target::Target;

/// The object. What is left out has the default of [`Scenario::new`], or of the command line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    mode: String,
    url: String,
    #[serde(default)]
    protocol: Spoken,
    #[serde(default)]
    transport: Carrier,
    connections: usize,
    #[serde(default = "one")]
    threads: usize,
    #[serde(default = "size")]
    size: usize,
    #[serde(default)]
    binary: bool,
    #[serde(default = "one")]
    in_flight: usize,
    rate: Option<f64>,
    #[serde(default = "one")]
    senders: usize,
    field: Option<String>,
    #[serde(default)]
    storm: bool,
    #[serde(default)]
    warmup: f64,
    duration: f64,
    timeout: Option<f64>,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    subprotocols: Vec<String>,
    origin: Option<String>,
    #[serde(default)]
    deflate: bool,
    #[serde(default)]
    sources: Vec<IpAddr>,
    ca: Option<PathBuf>,
    #[serde(default)]
    server_pids: Vec<i32>,
    #[serde(default)]
    spin: bool,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Spoken {
    #[default]
    WebSocket,
    SocketIo,
}

/// Of Socket.IO.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Carrier {
    #[default]
    WebSocket,
    Polling,
}

fn one() -> usize {
    1
}

fn size() -> usize {
    64
}

impl Scenario {
    /// Reads a scenario from JSON.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn from_json(json: &str) -> Result<Scenario, Error> {
        let settings: Settings = serde_json::from_str(json).map_err(|error| Error::BadScenario(error.to_string()))?;
        let timing = Timing { warmup: seconds(settings.warmup)?, duration: seconds(settings.duration)? };
        let messages = Messages { size: settings.size, binary: settings.binary };
        let pace = settings.rate.map_or(Pace::InFlight(settings.in_flight), Pace::Rate);
        let mode = match settings.mode.as_str() {
            "echo" => Mode::Echo { messages, pace, raw: false, timing },
            "broadcast" => Mode::Broadcast { messages, pace, senders: settings.senders, timing },
            "listen" => Mode::Listen { field: settings.field, timing },
            "idle" => Mode::Idle { hold: timing.duration },
            "connect" => Mode::Connect { storm: settings.storm, timing },
            other => return Err(Error::BadScenario(format!("there is no mode {other:?}"))),
        };
        let (target, protocol) = match (settings.protocol, settings.transport) {
            (Spoken::WebSocket, Carrier::WebSocket) => (settings.url.parse()?, Protocol::WebSocket),
            (Spoken::WebSocket, Carrier::Polling) => {
                return Err(Error::BadScenario("long polling is there with Socket.IO only".to_owned()));
            }
            (Spoken::SocketIo, Carrier::WebSocket) => socketio(&settings.url, Transport::WebSocket)?,
            (Spoken::SocketIo, Carrier::Polling) => socketio(&settings.url, Transport::Polling)?,
        };
        Ok(Scenario {
            protocol,
            threads: settings.threads,
            asked: Asked {
                headers: settings.headers,
                subprotocols: settings.subprotocols,
                origin: settings.origin,
                deflate: settings.deflate,
            },
            sources: settings.sources,
            ca: settings.ca,
            patience: settings.timeout.map_or(Ok(PATIENCE), seconds)?,
            server_pids: settings.server_pids,
            spin: settings.spin,
            ..Scenario::new(target, settings.connections, mode)
        })
    }
}

fn socketio(url: &str, transport: Transport) -> Result<(Target, Protocol), Error> {
    Ok((Target::socketio(url)?, Protocol::SocketIo(transport)))
}

fn seconds(seconds: f64) -> Result<Duration, Error> {
    Duration::try_from_secs_f64(seconds).map_err(|_| Error::BadScenario(format!("{seconds} is no number of seconds")))
}
