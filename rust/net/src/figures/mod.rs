//! What a server knows about itself: counted by the shards and by whoever calls the user's code, read from any thread.
//!
//! | file | what is in it |
//! |---|---|
//! | `tables.rs` | sessions and requests by kind: sets that cannot grow |
//! | `backlog.rs` | what waits to be written, and for whom it waits |
//! | `times.rs` | how long the user's side takes |
//! | `text.rs` | all of it as Prometheus reads it |
//!
//! The counts that a message changes are in `counters.rs`.

pub(crate) mod backlog;
pub(crate) mod tables;
mod text;
pub(crate) mod times;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hubbub_proto::head::Head;

pub use self::tables::{Reason, Transport};

pub use self::text::Exposition;
pub use self::times::{BOUNDS, Histogram, Lag, Slowest, Times};
use crate::command::Answer;
use crate::counters::Counts;
use crate::peer::Trust;
use crate::server::Server;
use crate::settings::Policy;

/// Rooms that are named among the figures.
const TOP_ROOMS: usize = 10;

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

impl Server {
    /// The figures of this moment.
    pub fn figures(&self) -> Figures {
        let counts = self.counts();
        let shards = self.shard_figures();
        let sum = |of: &dyn Fn(&tables::Tables) -> u64| shards.iter().map(|shard| of(&shard.tables)).sum::<u64>();
        let sessions = Transport::ALL.iter().map(|&transport| {
            // Closed first: who opens and closes meanwhile must not make them more than those that were opened.
            let closed = sum(&|tables| tables.closed(transport));
            (transport, sum(&|tables| tables.opened(transport)), closed)
        });
        let answers = tables::statuses().map(|status| (status, sum(&|tables| tables.answers(status))));
        let backlogs = shards.iter().map(|shard| shard.backlog.look());
        let (largest, blocked) =
            backlogs.fold((0, 0), |(most, all), (largest, count)| (most.max(largest), all + count));
        Figures {
            counts,
            connections: self.connections(),
            max_sessions: self.max_sessions(),
            rooms: self.directory().len(),
            sessions: sessions.collect(),
            closes: tables::codes().map(|code| (code, sum(&|tables| tables.closes(code)))).collect(),
            answers: answers.filter(|(_, count)| *count > 0).collect(),
            refusals: Reason::ALL.iter().map(|&reason| (reason, sum(&|tables| tables.refusals(reason)))).collect(),
            drops: [
                (Policy::Close, counts.broadcast_closed),
                (Policy::Drop, counts.dropped.saturating_sub(counts.dropped_newest)),
                (Policy::DropOldest, counts.dropped_oldest + counts.dropped_newest),
            ],
            dropping_rooms: self.directory().dropping(TOP_ROOMS),
            outbox_bytes: shards.iter().map(|shard| shard.backlog.bytes()).sum(),
            largest_outbox_bytes: largest,
            blocked_sessions: blocked,
        }
    }

    /// Answers a request for the figures.
    pub(crate) fn answer_figures(
        &self,
        head: &Head<'_>,
        readers: &Trust,
        peer: Option<SocketAddr>,
    ) -> Result<Answer, (Reason, Answer)> {
        if !readers.has(peer) {
            return Err((Reason::Address, Answer::plain(403, "These figures are not for this address.")));
        }
        if !matches!(head.method, "GET" | "HEAD") {
            // RFC 9110 §15.5.6: a 405 MUST name the methods that are allowed.
            let mut answer = Answer::plain(405, "Figures are read with GET.");
            answer.fields.push(("Allow".into(), "GET, HEAD".into()));
            return Err((Reason::Method, answer));
        }
        if head.has_body() {
            return Err((Reason::Body, Answer::plain(413, "No request body is taken here.")));
        }
        let exposition = Exposition::wanted(head);
        let fields = vec![
            ("Content-Type".into(), exposition.content_type().into()),
            // RFC 9110 §12.5.5: the answer depends on this field of the request.
            ("Vary".into(), "Accept".into()),
            ("Cache-Control".into(), "no-store".into()),
        ];
        Ok(Answer { status: 200, fields, body: Bytes::from(self.metrics(exposition)) })
    }
}

/// What one shard publishes beside its counters.
#[derive(Debug, Default)]
pub(crate) struct ShardFigures {
    pub(crate) tables: tables::Tables,
    pub(crate) backlog: backlog::Backlog,
}
