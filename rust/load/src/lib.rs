//! A WebSocket load generator that costs much less for each message than a server does.
//!
//! A [`Scenario`] goes in, a [`Report`] comes out. One thread and one edge-triggered poll serve all connections; what
//! is sent is encoded and masked before the run, and what is received is compared where it lies.
//!
//! ```no_run
//! use std::time::Duration;
//! use hubbub_load::{Messages, Mode, Scenario, Timing, run};
//!
//! # fn main() -> Result<(), hubbub_load::Error> {
//! let report = run(&Scenario {
//!     target: "ws://127.0.0.1:9001/".parse()?,
//!     connections: 100,
//!     server_pids: vec![],
//!     spin: false,
//!     mode: Mode::Echo {
//!         messages: Messages { size: 64, binary: false },
//!         in_flight: 1,
//!         raw: false,
//!         timing: Timing { warmup: Duration::from_secs(1), duration: Duration::from_secs(5) },
//!     },
//! })?;
//! println!("{:.0} messages/s", report.messages_per_second);
//! # Ok(())
//! # }
//! ```

use std::ops::ControlFlow;

pub mod cli;
mod crowd;
mod door;
mod drive;
mod error;
mod faults;
mod handshake;
mod inbound;
mod link;
mod meter;
mod observer;
mod outbound;
mod play;
mod report;
mod scenario;
mod script;
mod target;
mod wire;

pub use error::Error;
pub use observer::Progress;
pub use report::{Latency, Memory, Report};
pub use scenario::{Messages, Mode, Scenario, Timing};
pub use target::Target;

use crowd::Crowd;
use door::Door;
use meter::Meter;
use observer::Observer;
use play::broadcast::{self, Broadcast};
use play::echo::Echo;
use play::{connect, idle};
use script::Script;

/// Plays a scenario to its end.
pub fn run(scenario: &Scenario) -> Result<Report, Error> {
    run_observed(scenario, &mut |_| ControlFlow::Continue(()))
}

/// Plays a scenario and calls `observe` a few times a second; `Break` ends the run with [`Error::Stopped`].
pub fn run_observed(
    scenario: &Scenario,
    observe: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
) -> Result<Report, Error> {
    scenario.check()?;
    door::reserve_descriptors(scenario.connections)?;
    let meter = Meter::watch(&scenario.server_pids)?;
    let meter = meter.as_ref();
    let mut observer = Observer::new(observe);
    let observer = &mut observer;
    let mut crowd = crowd_for(scenario)?;
    let mut resident = None;
    let measured = match scenario.mode {
        Mode::Echo { in_flight, timing, .. } => {
            crowd.open(scenario.connections, false, observer)?;
            drive::drive(&mut crowd, &mut Echo::new(in_flight), timing, meter, observer)?
        }
        Mode::Broadcast { outstanding, timing, .. } => {
            crowd.open(scenario.connections, true, observer)?;
            broadcast::call_roll(&mut crowd, observer)?;
            let mut play = Broadcast::new(outstanding, scenario.connections);
            drive::drive(&mut crowd, &mut play, timing, meter, observer)?
        }
        Mode::Idle { hold } => {
            let (measured, memory) = idle::play(&mut crowd, scenario.connections, hold, meter, observer)?;
            resident = memory;
            measured
        }
        Mode::Connect { timing } => connect::play(&mut crowd, scenario.connections, timing, meter, observer)?,
    };
    Ok(Report::new(scenario, measured, resident, &crowd.faults))
}

fn crowd_for(scenario: &Scenario) -> Result<Crowd, Error> {
    let silent = Messages { size: 0, binary: false };
    let (messages, batch, raw) = match scenario.mode {
        Mode::Echo { messages, in_flight, raw, .. } => (messages, in_flight, raw),
        Mode::Broadcast { messages, outstanding, .. } => (messages, outstanding, false),
        Mode::Idle { .. } | Mode::Connect { .. } => (silent, 1, false),
    };
    Crowd::new(Door::new(&scenario.target, raw)?, Script::new(messages, batch), scenario.spin)
}
