//! What is to be played: against whom, how, and for how long.

use std::time::Duration;

use crate::error::Error;
use crate::target::Target;

/// One run of the load generator.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The server.
    pub target: Target,
    /// What the connections do.
    pub mode: Mode,
    /// How many connections are open at once.
    pub connections: usize,
    /// The server's processes, whose CPU time and memory are read; their descendants count too.
    pub server_pids: Vec<i32>,
    /// Never sleep: takes a whole core, and keeps the time of waking up out of the latencies.
    pub spin: bool,
}

/// What the connections do.
#[derive(Clone, Debug)]
pub enum Mode {
    /// Every connection keeps messages in flight and waits for them to come back.
    Echo {
        /// What is sent.
        messages: Messages,
        /// Messages of one connection that are on their way at once.
        in_flight: usize,
        /// Speak no WebSocket: expect the very bytes that were sent.
        raw: bool,
        /// When it is measured.
        timing: Timing,
    },
    /// One connection sends, the server passes it on to all of them, the sender too.
    Broadcast {
        /// What is sent.
        messages: Messages,
        /// Broadcasts that are on their way at once.
        outstanding: usize,
        /// When it is measured.
        timing: Timing,
    },
    /// The connections are opened and kept, and say nothing.
    Idle {
        /// How long they are kept.
        hold: Duration,
    },
    /// Connections are opened, upgraded and closed over and over.
    Connect {
        /// When it is measured.
        timing: Timing,
    },
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
            Mode::Connect { .. } => "connect",
        }
    }
}

impl Scenario {
    /// Fails on numbers that no run can have.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |why: &str| Err(Error::BadScenario(why.to_owned()));
        if self.connections == 0 {
            return wrong("at least one connection is needed");
        }
        match &self.mode {
            Mode::Echo { in_flight: 0, .. } => wrong("at least one message must be in flight"),
            Mode::Broadcast { outstanding: 0, .. } => wrong("at least one broadcast must be outstanding"),
            Mode::Echo { messages, timing, .. } | Mode::Broadcast { messages, timing, .. } => {
                if messages.size > MAX_SIZE {
                    return wrong("a message may have at most 268435456 bytes (256 MiB)");
                }
                timing.check()
            }
            Mode::Connect { timing } => timing.check(),
            Mode::Idle { .. } => Ok(()),
        }
    }
}

const MAX_SIZE: usize = 256 << 20;

impl Timing {
    fn check(&self) -> Result<(), Error> {
        if self.duration.is_zero() {
            return Err(Error::BadScenario("the duration must be more than 0 s".to_owned()));
        }
        Ok(())
    }
}
