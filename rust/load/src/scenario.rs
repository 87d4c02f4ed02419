//! What is to be played: against whom, how, and for how long.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::Error;
use crate::stamp;
use crate::target::Target;

/// One run of the load generator.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The server.
    pub target: Target,
    /// What is spoken with it.
    pub protocol: Protocol,
    /// What the connections do.
    pub mode: Mode,
    /// How many connections are open at once.
    pub connections: usize,
    /// Threads that share the connections.
    pub threads: usize,
    /// What the handshake asks for beside the upgrade.
    pub asked: Asked,
    /// Addresses to connect from; none leaves it to the system (and takes more of 127/8 for a loopback server).
    pub sources: Vec<IpAddr>,
    /// Authorities in PEM format that the server's certificate must come from; none takes any certificate.
    pub ca: Option<PathBuf>,
    /// How long a handshake, a roll call, a first reply and the last replies may take without any progress.
    pub patience: Duration,
    /// The server's processes, whose CPU time and memory are read; their descendants count too.
    pub server_pids: Vec<i32>,
    /// Never sleep: takes a whole core for each thread, and keeps the time of waking up out of the latencies.
    pub spin: bool,
}

/// What is spoken with the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// WebSocket, whose messages are what is sent.
    #[default]
    WebSocket,
    /// Socket.IO 4 (Engine.IO 4), whose events are what is sent: `echo` is to come back to its sender, `broadcast` is to
    /// reach everyone, each with its one argument, a text.
    SocketIo(Transport),
}

/// What carries Socket.IO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A WebSocket from the beginning.
    WebSocket,
    /// HTTP long polling to the end.
    Polling,
}

impl Transport {
    /// Its name in URLs and reports.
    pub fn name(self) -> &'static str {
        match self {
            Transport::WebSocket => "websocket",
            Transport::Polling => "polling",
        }
    }
}

/// What a handshake asks for beside the upgrade.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Further header fields.
    pub headers: Vec<(String, String)>,
    /// Subprotocols, the one that is liked best first.
    pub subprotocols: Vec<String>,
    /// The Origin field.
    pub origin: Option<String>,
    /// Offer permessage-deflate, insist on it, and send every message deflated.
    pub deflate: bool,
}

/// What the connections do.
#[derive(Clone, Debug)]
pub enum Mode {
    /// Every connection sends messages and waits for them to come back.
    Echo {
        /// What is sent.
        messages: Messages,
        /// When it is sent; in a closed loop, what each connection has on its way.
        pace: Pace,
        /// Speak no WebSocket: expect the very bytes that were sent.
        raw: bool,
        /// When it is measured.
        timing: Timing,
    },
    /// Some connections send, the server passes it on to all of them, the sender too.
    Broadcast {
        /// What is sent.
        messages: Messages,
        /// When it is sent; in a closed loop, what each sender has on its way.
        pace: Pace,
        /// How many of the connections send.
        senders: usize,
        /// When it is measured.
        timing: Timing,
    },
    /// The connections are opened and kept, and say nothing.
    Idle {
        /// How long they are kept.
        hold: Duration,
    },
    /// The connections say nothing and listen to a server that sends by itself.
    Listen {
        /// The name under which its messages have the time at which they were sent, if they do.
        field: Option<String>,
        /// When it is measured.
        timing: Timing,
    },
    /// Connections are opened, upgraded and closed over and over.
    Connect {
        /// All at once: all are dropped, and come back.
        storm: bool,
        /// When it is measured.
        timing: Timing,
    },
}

/// When messages are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As replies come: this many are on their way at once (closed loop).
    InFlight(usize),
    /// This many each second, at fixed times, whatever comes back (open loop).
    Rate(f64),
}

/// The messages of a run: all of one size and type.
#[derive(Clone, Copy, Debug)]
pub struct Messages {
    /// Payload bytes of a message.
    pub size: usize,
    /// Binary frames rather than text frames.
    pub binary: bool,
}

/// The measured window and what goes before it.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Load that is not measured, first.
    pub warmup: Duration,
    /// Load that is measured.
    pub duration: Duration,
}

impl Mode {
    /// The mode's name in reports and on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Mode::Echo { .. } => "echo",
            Mode::Broadcast { .. } => "broadcast",
            Mode::Idle { .. } => "idle",
            Mode::Listen { .. } => "listen",
            Mode::Connect { .. } => "connect",
        }
    }

    /// Warm-up and window.
    pub(crate) fn timing(&self) -> Timing {
        match self {
            Mode::Echo { timing, .. }
            | Mode::Broadcast { timing, .. }
            | Mode::Connect { timing, .. }
            | Mode::Listen { timing, .. } => *timing,
            Mode::Idle { hold } => Timing { warmup: Duration::ZERO, duration: *hold },
        }
    }

    pub(crate) fn pace(&self) -> Option<Pace> {
        match self {
            Mode::Echo { pace, .. } | Mode::Broadcast { pace, .. } => Some(*pace),
            Mode::Idle { .. } | Mode::Listen { .. } | Mode::Connect { .. } => None,
        }
    }

    /// There are two distributions of times: see `Tally`.
    pub(crate) fn has_second(&self) -> bool {
        matches!(self.pace(), Some(Pace::Rate(_))) || matches!(self, Mode::Listen { .. })
    }

    pub(crate) fn messages(&self) -> Option<Messages> {
        match self {
            Mode::Echo { messages, .. } | Mode::Broadcast { messages, .. } => Some(*messages),
            Mode::Idle { .. } | Mode::Listen { .. } | Mode::Connect { .. } => None,
        }
    }
}

impl Scenario {
    /// A scenario of one thread, in which nothing special is asked for and no process is watched.
    pub fn new(target: Target, connections: usize, mode: Mode) -> Scenario {
        Scenario {
            target,
            protocol: Protocol::WebSocket,
            mode,
            connections,
            threads: 1,
            asked: Asked::default(),
            sources: Vec::new(),
            ca: None,
            patience: PATIENCE,
            server_pids: Vec::new(),
            spin: false,
        }
    }

    /// Fails on numbers that no run can have.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |why: String| Err(Error::BadScenario(why));
        if self.connections == 0 {
            return wrong("at least one connection is needed".to_owned());
        }
        if self.threads == 0 || self.threads > MAX_THREADS {
            return wrong(format!("there may be 1 to {MAX_THREADS} threads, not {}", self.threads));
        }
        if self.threads > self.connections {
            return wrong(format!("{} threads cannot share {} connections", self.threads, self.connections));
        }
        if self.patience.is_zero() {
            return wrong("the timeout must be more than 0 s".to_owned());
        }
        let timing = self.mode.timing();
        if timing.duration.is_zero() && !matches!(self.mode, Mode::Idle { .. }) {
            return wrong("the duration must be more than 0 s".to_owned());
        }
        if timing.warmup.max(timing.duration) > MAX_TIME {
            return wrong("neither the warm-up nor the duration may be more than a day".to_owned());
        }
        match self.mode.pace() {
            Some(Pace::InFlight(0)) => return wrong("at least one message must be in flight".to_owned()),
            Some(Pace::InFlight(count)) if count > MAX_UNDER_WAY => {
                return wrong(format!("at most {MAX_UNDER_WAY} messages may be in flight"));
            }
            Some(Pace::Rate(rate)) if !(rate > 0.0 && rate <= MAX_RATE) => {
                return wrong(format!("the rate must be more than 0 and at most {MAX_RATE} messages a second"));
            }
            _ => {}
        }
        if let Protocol::SocketIo(_) = self.protocol {
            self.check_socketio()?;
        }
        let Some(Messages { size, .. }) = self.mode.messages() else { return Ok(()) };
        if size > MAX_SIZE {
            return wrong(format!("a message may have at most {MAX_SIZE} bytes (256 MiB)"));
        }
        match self.mode {
            Mode::Broadcast { senders, .. } => self.check_broadcast(size, senders),
            Mode::Echo { raw: true, pace: Pace::Rate(_), .. } => {
                wrong("without WebSocket there is no rate, only messages in flight".to_owned())
            }
            Mode::Echo { raw: true, .. } if self.asked.deflate => {
                wrong("without WebSocket there is no permessage-deflate".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn check_socketio(&self) -> Result<(), Error> {
        let wrong = |why: &str| Err(Error::BadScenario(why.to_owned()));
        match &self.mode {
            Mode::Connect { .. } => wrong("with Socket.IO there is echo, broadcast, listen and idle, not connect"),
            Mode::Echo { raw: true, .. } => wrong("without WebSocket there is no Socket.IO"),
            _ if self.mode.messages().is_some_and(|messages| messages.binary) => {
                wrong("the events of Socket.IO carry text here, not bytes")
            }
            _ if self.asked.deflate => wrong("with Socket.IO there is no permessage-deflate here"),
            _ => Ok(()),
        }
    }

    /// Sockets that a connection takes.
    pub(crate) fn sockets_each(&self) -> usize {
        if self.protocol == Protocol::SocketIo(Transport::Polling) { 2 } else { 1 }
    }

    fn check_broadcast(&self, size: usize, senders: usize) -> Result<(), Error> {
        let wrong = |why: String| Err(Error::BadScenario(why));
        if size < stamp::LEN {
            return wrong(format!(
                "a broadcast message has at least {} bytes: it carries who sent it, and when",
                stamp::LEN
            ));
        }
        if senders == 0 || senders > self.connections.min(stamp::MAX_SENDERS) {
            return wrong(format!("there may be 1 to {} senders, not {senders}", self.connections));
        }
        if senders.saturating_mul(self.connections) > MAX_PAIRS {
            return wrong(format!(
                "{senders} senders and {} connections are more than {MAX_PAIRS} pairs, which is what is kept count of",
                self.connections
            ));
        }
        Ok(())
    }
}

/// How long the generator waits without progress if nobody says.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// Messages of one thread that may be under way at once.
pub(crate) const MAX_UNDER_WAY: usize = 4 << 20;
const MAX_SIZE: usize = 256 << 20;
const MAX_THREADS: usize = 256;
const MAX_RATE: f64 = 1e8;
const MAX_TIME: Duration = Duration::from_secs(86_400);
/// Senders times members: four bytes each.
const MAX_PAIRS: usize = 256 << 20;
