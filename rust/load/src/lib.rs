//! A load generator for WebSocket and Socket.IO that costs much less for each message than a server does.
//!
//! A [`Scenario`] goes in, a [`Report`] comes out. Each thread serves its share of the connections with one edge-triggered
//! poll; what is sent is encoded and masked before the run, and what is received is compared where it lies.
//!
//! ```no_run
//! use std::time::Duration;
//! use hubbub_load::{Messages, Mode, Pace, Scenario, Timing, run};
//!
//! # fn main() -> Result<(), hubbub_load::Error> {
//! let report = run(&Scenario::new(
//!     "ws://127.0.0.1:9001/".parse()?,
//!     100,
//!     Mode::Echo {
//!         messages: Messages { size: 64, binary: false },
//!         pace: Pace::InFlight(1),
//!         raw: false,
//!         timing: Timing { warmup: Duration::from_secs(1), duration: Duration::from_secs(5) },
//!     },
//! ))?;
//! println!("{:.0} messages/s", report.messages_per_second);
//! # Ok(())
//! # }
//! ```
//!
//! | module | what it knows |
//! |---|---|
//! | `cli` | the command line of `hubbub-load` |
//! | `settings` | a scenario as JSON |
//! | `run` | a run in its threads, and the handle to it |
//! | `conductor` | the stages of a run, the series, what the threads have counted |
//! | `worker` | one thread: opens its connections, plays, hands over its counts |
//! | `play` | what the connections do in each mode |
//! | `board`, `tally` | what the threads share, what one has counted |
//! | `schedule` | when the messages of an open loop are due |
//! | `crowd`, `link`, `inbound`, `outbound`, `wire` | the connections, one of them, its halves, its bytes |
//! | `desk`, `arrived` | what the connections of a thread share, what has come on one |
//! | `talk`, `polling` | Socket.IO: what its packets mean; the carrier that is no WebSocket |
//! | `door`, `handshake`, `target` | where connections come from, what they ask, the URL |
//! | `script`, `stamp` | what is said |
//! | `meter` | the server's CPU time and memory |
//! | `record`, `distribution` | what is known of a run, latencies as they are reported |
//! | `scenario`, `report`, `snapshot`, `faults`, `error` | what goes in and what comes out |

mod arrived;
mod board;
#[cfg(feature = "cli")]
pub mod cli;
mod conductor;
mod crowd;
mod desk;
mod distribution;
mod door;
mod error;
mod faults;
mod field;
mod handshake;
mod inbound;
mod link;
mod meter;
mod outbound;
mod play;
mod polling;
mod record;
mod report;
mod run;
mod scenario;
mod schedule;
mod script;
mod settings;
mod snapshot;
mod stamp;
mod talk;
mod tally;
mod target;
mod wire;
mod worker;

pub use board::Stage;
pub use distribution::{Bar, Latency, Percentile};
pub use error::Error;
pub use record::Point;
pub use report::{Memory, Report, Totals};
pub use run::{Run, run};
pub use scenario::{Asked, Messages, Mode, Pace, Protocol, Scenario, Timing, Transport};
pub use snapshot::Snapshot;
pub use target::Target;
