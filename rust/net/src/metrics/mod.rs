//! What a server knows about itself: counted by the shards and by whoever calls the user's code, read from any thread.
//!
//! | file | what is in it |
//! |---|---|
//! | `tables.rs` | sessions and requests by kind: sets that cannot grow |
//! | `backlog.rs` | what waits to be written, and for whom it waits |
//! | `times.rs` | how long the user's side takes |
//! | `counters.rs` | the counts that a message changes |
//! | `text.rs` | all of it as Prometheus reads it |

pub(crate) mod backlog;
pub(crate) mod counters;
pub(crate) mod tables;
mod text;
pub(crate) mod times;

use std::sync::Arc;

pub use self::tables::{Reason, Transport};

pub use self::text::Exposition;
pub use self::times::{BOUNDS, Histogram, Lag, Slowest, Times};
use crate::config::settings::Policy;
use crate::metrics::counters::Counts;

/// The figures of one moment, of all shards together.
#[derive(Debug)]
pub struct Figures {
    /// What the shards have counted.
    pub counts: Counts,
    /// Connections at this moment, handshakes included.
    pub connections: usize,
    /// The most connections at a time.
    pub max_sessions: usize,
    /// Rooms at this moment.
    pub rooms: usize,
    /// Sessions by transport: opened, closed.
    pub sessions: Vec<(Transport, u64, u64)>,
    /// Sessions that have ended, by the code that the user saw; the last is for all other codes.
    pub closes: Vec<(Option<u16>, u64)>,
    /// HTTP answers other than 101, by status; `None` for a status without a name of its own. Those that were given.
    pub answers: Vec<(Option<u16>, u64)>,
    /// Requests that were refused (answered with 400 or more), by reason.
    pub refusals: Vec<(Reason, u64)>,
    /// Broadcasts that a member did not get because its outbox was full, by what was done about it.
    pub drops: [(Policy, u64); 3],
    /// The rooms whose broadcasts were dropped most, those that exist, the most first.
    pub dropping_rooms: Vec<(Arc<str>, u64)>,
    /// Bytes in all outboxes.
    pub outbox_bytes: u64,
    /// Bytes in the largest outbox.
    pub largest_outbox_bytes: u64,
    /// Sessions whose outbox waits for the kernel to take more.
    pub blocked_sessions: usize,
}

/// What one shard publishes beside its counters.
#[derive(Debug, Default)]
pub(crate) struct ShardFigures {
    pub(crate) tables: tables::Tables,
    pub(crate) backlog: backlog::Backlog,
}
